import {
  createPartitions,
  createTopics,
  deleteRecords,
  deleteTopics,
  describeConfigs,
  incrementalAlterConfigs,
  metadata,
  ZERO_UUID,
  type MetadataResponse,
} from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { ChangingClient, type Attempt } from './changing-client.ts';
import type { ClientHost } from './clients.ts';
import type { TopicName, TopicView } from './model.ts';

const PARTITIONS_MAX = 4;
const TOPIC_RESOURCE = 2;
const TOPIC_CONFIG_SOURCE = 1;
const SET = 0;
const DELETE = 1;
const TIMEOUT_MS_CHOICES = [5, 1000, 30_000, 30_000];

/** Configs and the values that they are changed to. Small indexes and short times make segments roll all the time. */
const CONFIG_CHOICES: ReadonlyMap<string, readonly string[]> = new Map([
  ['segment.ms', ['200', '3000', '600000']],
  ['segment.bytes', ['1048576', '2000000']],
  ['segment.index.bytes', ['32', '64', '4096']],
  ['retention.bytes', ['-1', '20000']],
  ['retention.ms', ['-1', '2000']],
  ['max.message.bytes', ['3000', '1048588']],
  ['flush', ['fsync', 'os']],
  ['compression.type', ['producer', 'gzip', 'uncompressed']],
]);
const RETENTION = new Set(['retention.bytes', 'retention.ms']);

/** Owns some names: creates, changes and deletes their topics. */
export class Admin extends ChangingClient {
  readonly #names: readonly TopicName[];

  constructor(host: ClientHost, name: string, names: readonly TopicName[]) {
    super(host, name);
    this.#names = names;
  }

  protected async change(): Promise<void> {
    const name = this.random.pick(this.#names);
    const topic = name.current;
    if (topic === undefined) return this.#create(name);
    const dice = this.random.fraction();
    if (dice < 0.35) await this.#alterConfig(topic);
    else if (dice < 0.8) await this.#deleteRecords(topic);
    else if (dice < 0.9) await this.#growPartitions(topic);
    else await this.#delete(name, topic);
  }

  // Creation

  async #create(name: TopicName): Promise<void> {
    name.changes++;
    const automatic = this.random.chance(0.3);
    const partitions = automatic ? 1 : this.random.between(1, 3);
    const configs = automatic ? new Map<string, string>() : this.#someConfigs();
    await this.finish(() =>
      automatic ? this.#autoCreate(name) : this.#createOnce(name, partitions, configs),
    );
  }

  #someConfigs(): Map<string, string> {
    const configs = new Map<string, string>();
    for (const [config, values] of CONFIG_CHOICES) {
      if (this.random.chance(RETENTION.has(config) ? 0.1 : 0.3))
        configs.set(config, this.random.pick(values));
    }
    return configs;
  }

  async #createOnce(
    name: TopicName,
    partitions: number,
    configs: ReadonlyMap<string, string>,
  ): Promise<Attempt> {
    const version = this.version(createTopics);
    const { topics } = await this.ask(createTopics, version, {
      topics: [
        {
          name: name.name,
          numPartitions: partitions,
          replicationFactor: 1,
          assignments: [],
          configs: [...configs].map(([config, value]) => ({ name: config, value })),
        },
      ],
      timeoutMs: this.random.pick(TIMEOUT_MS_CHOICES),
    });
    const answer = topics[0]!;
    if (answer.errorCode !== 0) {
      const error = this.refused(createTopics, answer.errorCode);
      // Only this client creates it: an earlier attempt has.
      if (error !== 'TOPIC_ALREADY_EXISTS') return this.retriable('create', error);
    } else this.count('topic.created');
    const found = await this.#find(name.name);
    if (found === undefined) throw new Violation('lost-topic', `${name.name} was created, and is unknown`);
    if (version >= 7 && answer.errorCode === 0 && found.topicId !== answer.topicId) {
      throw new Violation('topic-id', `${name.name} was created as ${answer.topicId}, is ${found.topicId}`);
    }
    this.#created(name, found, configs, partitions);
    return 'done';
  }

  async #autoCreate(name: TopicName): Promise<Attempt> {
    const { topics } = await this.ask(metadata, this.version(metadata, 10), {
      topics: [{ name: name.name }],
      allowAutoTopicCreation: true,
    });
    const found = topics[0]!;
    if (found.errorCode !== 0) {
      return this.retriable('auto-create', this.refused(metadata, found.errorCode));
    }
    this.count('topic.auto-created');
    this.#created(name, found, new Map(), 1);
    return 'done';
  }

  #created(
    name: TopicName,
    found: MetadataResponse['topics'][number],
    configs: ReadonlyMap<string, string>,
    partitions: number,
  ): void {
    if (found.partitions.length !== partitions) {
      throw new Violation('partitions', `${name.name}: ${found.partitions.length}, not ${partitions}`);
    }
    this.host.model.created(name, found.topicId, configs, partitions);
    name.changes++;
  }

  /** Undefined: no such topic. */
  async #find(name: string): Promise<MetadataResponse['topics'][number] | undefined> {
    const { topics } = await this.ask(metadata, this.version(metadata, 10), {
      topics: [{ name }],
      allowAutoTopicCreation: false,
    });
    const topic = topics[0]!;
    if (topic.errorCode === 0) return topic;
    const error = this.refused(metadata, topic.errorCode);
    if (error !== 'UNKNOWN_TOPIC_OR_PARTITION') throw new Violation('unexpected-error', `metadata: ${error}`);
    return undefined;
  }

  // Deletion

  async #delete(name: TopicName, topic: TopicView): Promise<void> {
    name.changes++;
    topic.state = 'deleting';
    let attempts = 0;
    await this.finish(async () => {
      const version = this.version(deleteTopics, attempts > 0 ? 6 : 0);
      // A repetition names the id: a namesake must be out of reach for what arrives late.
      const byId = version >= 6 && (attempts > 0 || this.random.chance(0.5));
      attempts++;
      const wanted = { name: byId ? null : topic.name, topicId: byId ? topic.id : ZERO_UUID };
      const { responses } = await this.ask(deleteTopics, version, {
        ...(version >= 6 ? { topics: [wanted] } : { topicNames: [topic.name] }),
        timeoutMs: this.random.pick(TIMEOUT_MS_CHOICES),
      });
      const { errorCode } = responses[0]!;
      if (errorCode !== 0) {
        const error = this.refused(deleteTopics, errorCode);
        if (!error.startsWith('UNKNOWN_TOPIC')) return this.retriable('delete', error);
        if (attempts === 1) throw new Violation('lost-topic', `${topic.name} was there, and is unknown`);
      } else this.count('topic.deleted');
      topic.state = 'gone';
      name.current = undefined;
      name.changes++;
      return 'done';
    });
  }

  // Changes

  async #alterConfig(topic: TopicView): Promise<void> {
    const config = this.random.pick([...CONFIG_CHOICES.keys()]);
    if (RETENTION.has(config) && this.random.chance(0.7)) return;
    const value = this.random.chance(0.3) ? undefined : this.random.pick(CONFIG_CHOICES.get(config)!);
    if (value !== undefined) topic.willSet(config, value);
    await this.finish(async () => {
      const change = {
        name: config,
        configOperation: value === undefined ? DELETE : SET,
        value: value ?? null,
      };
      const { responses } = await this.ask(incrementalAlterConfigs, this.version(incrementalAlterConfigs), {
        resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic.name, configs: [change] }],
        validateOnly: false,
      });
      const { errorCode } = responses[0]!;
      if (errorCode !== 0) {
        return this.retriable('alter', this.refused(incrementalAlterConfigs, errorCode));
      }
      this.count('config.altered');
      if (value === undefined) topic.configs.delete(config);
      else topic.configs.set(config, value);
      return 'done';
    });
  }

  async #growPartitions(topic: TopicView): Promise<void> {
    const count = topic.partitions.length + 1;
    if (count > PARTITIONS_MAX) return;
    let attempts = 0;
    await this.finish(async () => {
      attempts++;
      const { results } = await this.ask(createPartitions, this.version(createPartitions), {
        topics: [{ name: topic.name, count, assignments: null }],
        timeoutMs: this.random.pick(TIMEOUT_MS_CHOICES),
        validateOnly: false,
      });
      const { errorCode } = results[0]!;
      if (errorCode !== 0) {
        const error = this.refused(createPartitions, errorCode);
        // An earlier attempt has done it.
        if (error !== 'INVALID_PARTITIONS' || attempts === 1) return this.retriable('grow', error);
      } else this.count('partitions.created');
      const found = await this.#find(topic.name);
      if (found?.partitions.length !== count) {
        throw new Violation('partitions', `${topic.name}: ${found?.partitions.length}, not ${count}`);
      }
      topic.addPartitions(count);
      return 'done';
    });
  }

  async #deleteRecords(topic: TopicView): Promise<void> {
    const view = this.random.pick(topic.partitions);
    const { generation, highWatermark } = view;
    const boot = this.host.boot();
    const offset = this.random.between(Math.min(view.startMin, highWatermark), highWatermark);
    view.startMax = Math.max(view.startMax, offset);
    const { topics } = await this.ask(deleteRecords, this.version(deleteRecords), {
      topics: [{ name: topic.name, partitions: [{ partitionIndex: view.index, offset }] }],
      timeoutMs: this.random.pick(TIMEOUT_MS_CHOICES),
    });
    const { errorCode, lowWatermark } = topics[0]!.partitions[0]!;
    if (view.generation !== generation) return;
    if (errorCode !== 0) {
      const error = this.refused(deleteRecords, errorCode);
      if (error === 'OFFSET_OUT_OF_RANGE') {
        throw new Violation('lost-read', `${view.history.name}: ${offset} is above the mark of the broker`);
      }
      if (error.startsWith('UNKNOWN_TOPIC')) this.missing(view, 'delete records');
      return;
    }
    this.count('records.deleted');
    if (lowWatermark < offset || lowWatermark > view.startMax) {
      throw new Violation('deleted', `${view.history.name}: asked for ${offset}, got ${lowWatermark}`);
    }
    if (boot === this.host.boot()) view.startMin = Math.max(view.startMin, lowWatermark);
  }

  // What must hold

  /** Everything that was acknowledged is as it was: topics, ids, partitions, configs; and nothing more. */
  protected async verify(): Promise<Attempt> {
    for (const { name, current } of this.#names) {
      const found = await this.#find(name);
      if (found?.topicId !== current?.id) {
        throw new Violation('lost-topic', `${name} is ${found?.topicId}, should be ${current?.id}`);
      }
      if (found === undefined || current === undefined) continue;
      if (found.partitions.length !== current.partitions.length) {
        throw new Violation(
          'partitions',
          `${name}: ${found.partitions.length} of ${current.partitions.length}`,
        );
      }
      await this.#verifyConfigs(current);
    }
    this.count('admin.verified');
    return 'done';
  }

  async #verifyConfigs(topic: TopicView): Promise<void> {
    const { results } = await this.ask(describeConfigs, this.version(describeConfigs), {
      resources: [{ resourceType: TOPIC_RESOURCE, resourceName: topic.name, configurationKeys: null }],
    });
    const { errorCode, configs } = results[0]!;
    if (errorCode !== 0) {
      const error = this.refused(describeConfigs, errorCode);
      throw new Violation('unexpected-error', `describe configs: ${error}`);
    }
    const overrides = configs.filter(({ configSource }) => configSource === TOPIC_CONFIG_SOURCE);
    const found = overrides.map(({ name, value }) => `${name}=${value}`).sort();
    const wanted = [...topic.configs].map(([name, value]) => `${name}=${value}`).sort();
    if (found.join() !== wanted.join()) {
      throw new Violation('lost-config', `${topic.name}: ${found.join()}, should be ${wanted.join()}`);
    }
  }
}
