import type { MetadataEntry, MetadataEvent } from '../metadata/types.ts';
import type { BrokerImage, ClusterImage, PartitionImage, TopicImage } from './image.ts';
import {
  BROKERS_PREFIX,
  CLUSTER_KEY,
  CONTROLLER_KEY,
  parsePartitionKey,
  TOPICS_PREFIX,
  type BrokerRecord,
  type ClusterRecord,
  type ControllerRecord,
  type StoredPartition,
  type TopicRecord,
} from './keys.ts';
import {
  emptySections,
  parseSectionKey,
  SECTIONS,
  type Section,
  type SectionName,
  type Sections,
} from './sections.ts';
import { SortedMap } from './sorted-map.ts';

class Image implements ClusterImage {
  readonly clusterId: string;
  readonly version: number;
  readonly controllerId: number;
  readonly brokers: ReadonlyMap<number, BrokerImage>;
  readonly partitionCount: number;
  readonly #byName: SortedMap<TopicImage>;
  readonly #nameById: SortedMap<string>;
  readonly #sections: Sections;

  constructor(fields: {
    clusterId: string;
    version: number;
    controllerId: number;
    brokers: ReadonlyMap<number, BrokerImage>;
    partitionCount: number;
    byName: SortedMap<TopicImage>;
    nameById: SortedMap<string>;
    sections: Sections;
  }) {
    this.clusterId = fields.clusterId;
    this.version = fields.version;
    this.controllerId = fields.controllerId;
    this.brokers = fields.brokers;
    this.partitionCount = fields.partitionCount;
    this.#byName = fields.byName;
    this.#nameById = fields.nameById;
    this.#sections = fields.sections;
  }

  get topicCount(): number {
    return this.#byName.size;
  }

  topicByName(kafkaName: string): TopicImage | undefined {
    return this.#byName.get(kafkaName);
  }

  topicById(topicId: string): TopicImage | undefined {
    const name = this.#nameById.get(topicId);
    return name === undefined ? undefined : this.#byName.get(name);
  }

  section(name: SectionName): Section {
    return this.#sections.get(name)!;
  }

  topics(): Iterable<TopicImage> {
    return this.#byName.values();
  }

  topicsFrom(kafkaName: string): Iterable<TopicImage> {
    return this.#byName.valuesFrom(kafkaName);
  }
}

/** What one step changed, for those who follow the image. */
export interface ImageChange {
  readonly image: ClusterImage;
  /** Topics that are new or differ, by their name; `undefined` for those that are gone. A topic made anew under its old name has another id. */
  readonly topics: ReadonlyMap<string, TopicImage | undefined>;
  /** Those of which a record may have changed. */
  readonly sections: ReadonlySet<SectionName>;
}

/**
 * Makes images from the keys of the metadata store. It keeps the states of all partitions aside, since a topic's partitions come
 * before the topic itself.
 */
export class ImageBuilder {
  #clusterId = '';
  #version = 0;
  #controllerId = -1;
  #brokers: ReadonlyMap<number, BrokerImage> = new Map();
  #byName = SortedMap.empty<TopicImage>();
  #nameById = SortedMap.empty<string>();
  #partitionCount = 0;
  #sections = emptySections();
  readonly #partitions = new Map<string, Map<number, PartitionImage>>();
  readonly #records = new Map<string, TopicRecord>();

  /** Starts over from everything that the store holds. */
  load(entries: readonly MetadataEntry[], revision: number): ClusterImage {
    this.#brokers = new Map();
    this.#controllerId = -1;
    this.#partitions.clear();
    this.#records.clear();
    this.#version = revision;
    this.#sections = sectionsOf(entries);
    for (const entry of entries) if (parseSectionKey(entry.key) === undefined) this.#put(entry);
    const topics = [...this.#records].map(([name, record]) => this.#topicImage(name, record));
    this.#byName = SortedMap.from(topics.map((topic) => [topic.kafkaName, topic] as const));
    this.#nameById = SortedMap.from(topics.map((topic) => [topic.id, topic.kafkaName] as const));
    this.#partitionCount = topics.reduce((sum, topic) => sum + topic.partitions.length, 0);
    return this.#image();
  }

  /** Applies events in the order of their revisions. */
  apply(events: readonly MetadataEvent[]): ImageChange {
    const names = new Set<string>();
    const sections = new Set<SectionName>();
    for (const event of events) {
      this.#version = event.revision;
      const section = this.#changeSection(event);
      if (section !== undefined) {
        sections.add(section);
        continue;
      }
      const touched = event.kind === 'put' ? this.#put(event.entry) : this.#delete(event.key);
      if (touched !== undefined) names.add(touched);
    }
    const topics = new Map<string, TopicImage | undefined>();
    for (const name of names) topics.set(name, this.#replace(name));
    return { image: this.#image(), topics, sections };
  }

  /** Partition keys that belong to no topic: what interrupted changes have left. */
  orphans(): { readonly topicId: string; readonly index: number }[] {
    const counts = new Map([...this.#records.values()].map((record) => [record.id, record.partitions]));
    return [...this.#partitions].flatMap(([topicId, partitions]) =>
      [...partitions.keys()]
        .filter((index) => index >= (counts.get(topicId) ?? 0))
        .map((index) => ({ topicId, index })),
    );
  }

  #image(): ClusterImage {
    return new Image({
      clusterId: this.#clusterId,
      version: this.#version,
      controllerId: this.#controllerId,
      brokers: this.#brokers,
      partitionCount: this.#partitionCount,
      byName: this.#byName,
      nameById: this.#nameById,
      sections: this.#sections,
    });
  }

  /** The section that the event belongs to, if it belongs to one. */
  #changeSection(event: MetadataEvent): SectionName | undefined {
    const isPut = event.kind === 'put';
    const parsed = parseSectionKey(isPut ? event.entry.key : event.key);
    if (parsed === undefined) return undefined;
    const { section, key } = parsed;
    const before = this.#sections.get(section)!;
    const after = isPut ? before.set(key, JSON.parse(event.entry.value)) : before.delete(key);
    this.#sections = new Map(this.#sections).set(section, after);
    return section;
  }

  /** Returns the name of the topic that has to be made anew, if any. */
  #put(entry: MetadataEntry): string | undefined {
    const { key } = entry;
    const partition = parsePartitionKey(key);
    if (partition !== undefined) {
      let partitions = this.#partitions.get(partition.topicId);
      if (partitions === undefined) this.#partitions.set(partition.topicId, (partitions = new Map()));
      partitions.set(partition.index, partitionImage(entry));
      return this.#nameById.get(partition.topicId);
    }
    if (key.startsWith(TOPICS_PREFIX)) {
      const name = key.slice(TOPICS_PREFIX.length);
      this.#records.set(name, JSON.parse(entry.value) as TopicRecord);
      return name;
    }
    if (key.startsWith(BROKERS_PREFIX)) {
      const id = Number(key.slice(BROKERS_PREFIX.length));
      const { rack, host, endpoints } = JSON.parse(entry.value) as BrokerRecord;
      this.#brokers = new Map(this.#brokers).set(id, {
        id,
        epoch: entry.createRevision,
        rack: rack ?? undefined,
        host,
        endpoints: new Map(Object.entries(endpoints)),
      });
    } else if (key === CLUSTER_KEY) {
      this.#clusterId = (JSON.parse(entry.value) as ClusterRecord).clusterId;
    } else if (key === CONTROLLER_KEY) {
      this.#controllerId = (JSON.parse(entry.value) as ControllerRecord).brokerId;
    }
    return undefined;
  }

  #delete(key: string): string | undefined {
    const partition = parsePartitionKey(key);
    if (partition !== undefined) {
      const partitions = this.#partitions.get(partition.topicId);
      partitions?.delete(partition.index);
      if (partitions?.size === 0) this.#partitions.delete(partition.topicId);
    } else if (key.startsWith(TOPICS_PREFIX)) {
      const name = key.slice(TOPICS_PREFIX.length);
      this.#records.delete(name);
      return name;
    } else if (key.startsWith(BROKERS_PREFIX)) {
      const brokers = new Map(this.#brokers);
      brokers.delete(Number(key.slice(BROKERS_PREFIX.length)));
      this.#brokers = brokers;
    } else if (key === CONTROLLER_KEY) {
      this.#controllerId = -1;
    }
    return undefined;
  }

  #replace(name: string): TopicImage | undefined {
    const before = this.#byName.get(name);
    if (before !== undefined) {
      this.#partitionCount -= before.partitions.length;
      this.#nameById = this.#nameById.delete(before.id);
    }
    const record = this.#records.get(name);
    if (record === undefined) {
      this.#byName = this.#byName.delete(name);
      return undefined;
    }
    const topic = this.#topicImage(name, record);
    this.#byName = this.#byName.set(name, topic);
    this.#nameById = this.#nameById.set(topic.id, name);
    this.#partitionCount += topic.partitions.length;
    return topic;
  }

  #topicImage(kafkaName: string, record: TopicRecord): TopicImage {
    const { id, namespace, kind, name, partitions: count, overrides } = record;
    const states = this.#partitions.get(id);
    const partitions: PartitionImage[] = [];
    for (let index = 0; index < count; index++) {
      const state = states?.get(index);
      // The partitions' keys are written before the topic's, and removed after it.
      if (state === undefined)
        throw new Error(`Partition ${kafkaName}-${index} has no state in the metadata`);
      partitions.push(state);
    }
    return {
      id,
      namespace,
      kind,
      name,
      kafkaName,
      overrides: new Map(Object.entries(overrides)),
      partitions,
    };
  }
}

function sectionsOf(entries: readonly MetadataEntry[]): Sections {
  return new Map(
    SECTIONS.map((name) => {
      const records = entries
        .filter(({ key }) => key.startsWith(name))
        .map(({ key, value }) => [key.slice(name.length), JSON.parse(value) as unknown] as const);
      return [name, SortedMap.from(records)];
    }),
  );
}

function partitionImage(entry: MetadataEntry): PartitionImage {
  const stored = JSON.parse(entry.value) as StoredPartition;
  const record = { ...stored, partitionEpoch: entry.modRevision };
  const { leader, leaderEpoch, partitionEpoch, replicas } = record;
  const isr = record.isr.map(({ id }) => id);
  const elr = record.elr.map(({ id }) => id);
  return { leader, leaderEpoch, partitionEpoch, replicas, isr, elr, record };
}
