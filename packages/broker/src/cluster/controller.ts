import { BrokerError } from '../errors.ts';
import {
  TRANSACTION_OPERATIONS_MAX,
  type MetadataEntry,
  type MetadataStore,
  type Operation,
} from '../metadata/types.ts';
import type { Random } from '../platform/index.ts';
import { planPartitions, planTopic, type CreationDefaults, type PartitionLimits } from './controller.core.ts';
import { encodePartition, partitionKey, topicKey, type StoredPartition, type TopicRecord } from './keys.ts';
import { collisionKey, INTERNAL_PREFIX, validateNoCollision, validateTopicName } from './topic-names.ts';
import type { ImageTracker } from './tracker.ts';
import type { ChargePartitions, CreateTopicRequest } from './types.ts';

/** How often a change is decided anew because another one came in between. */
const ATTEMPTS_MAX = 10;

export interface ControllerOptions {
  readonly store: MetadataStore;
  readonly tracker: ImageTracker;
  readonly random: Random;
  readonly defaults: CreationDefaults;
  readonly limits: PartitionLimits;
}

/** A change that was made: who needs to see it waits for the image to reach the revision. */
export interface TopicChange {
  readonly revision: number;
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
}

/** Carries out changes of topics: decides on the newest state, and writes if that state still holds. */
export class Controller {
  readonly #options: ControllerOptions;
  /** Creations under way, by the key in which names collide. */
  readonly #creating = new Map<string, Promise<unknown>>();

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /** With `validateOnly` the change has revision 0. The configs must have been validated. Rejects with BrokerError. */
  async createTopic(request: CreateTopicRequest): Promise<TopicChange> {
    const { kafkaName } = request;
    validateTopicName(kafkaName);
    const key = collisionKey(kafkaName);
    // Of names that collide, the second one has to see the first.
    for (let other = this.#creating.get(key); other !== undefined; other = this.#creating.get(key))
      await other;
    const creation = this.#createTopic(request);
    const settled = creation.then(
      () => undefined,
      () => undefined,
    );
    this.#creating.set(key, settled);
    try {
      return await creation;
    } finally {
      this.#creating.delete(key);
    }
  }

  async #createTopic(request: CreateTopicRequest): Promise<TopicChange> {
    const { tracker, random, defaults, limits } = this.#options;
    const { kafkaName } = request;
    const { image } = tracker;
    if (image.topicByName(kafkaName) !== undefined) throw alreadyExists(kafkaName);
    validateNoCollision(image, kafkaName);
    const start = Math.floor(random.fraction() * Math.max(1, image.brokers.size));
    const partitions = planTopic({ image, request, defaults, limits, start });
    const topicId = random.uuid();
    const shape = {
      topicId,
      partitions: partitions.length,
      replicationFactor: partitions[0]!.replicas.length,
    };
    if (request.validateOnly) return { revision: 0, ...shape };
    request.charge?.(partitions.length);
    const record: TopicRecord = {
      id: topicId,
      namespace: '',
      kind: kafkaName.startsWith(INTERNAL_PREFIX) ? 'internal' : 'topic',
      name: kafkaName,
      partitions: partitions.length,
      overrides: Object.fromEntries(request.configs),
    };
    const revision = await this.#writeTopic(kafkaName, undefined, record, 0, partitions);
    if (revision === undefined) throw alreadyExists(kafkaName);
    await tracker.reached(revision);
    return { revision, ...shape };
  }

  /** Rejects with BrokerError UNKNOWN_TOPIC_OR_PARTITION. */
  async deleteTopic(kafkaName: string): Promise<TopicChange> {
    return this.#change(kafkaName, async (entry, record) => {
      const outcome = await this.#options.store.transact({
        compare: [{ key: entry.key, target: 'mod', revision: entry.modRevision }],
        operations: [{ kind: 'delete', key: entry.key }],
      });
      if (!outcome.succeeded) return undefined;
      const indexes = Array.from({ length: record.partitions }, (_, index) => index);
      await this.removePartitionKeys(indexes.map((index) => ({ topicId: record.id, index })));
      return outcome.revision;
    });
  }

  /** Rejects with BrokerError. */
  async createPartitions(request: {
    readonly kafkaName: string;
    readonly count: number;
    readonly assignments?: readonly (readonly number[])[] | undefined;
    readonly validateOnly: boolean;
    readonly charge?: ChargePartitions | undefined;
  }): Promise<TopicChange> {
    const { tracker, limits, random } = this.#options;
    let isCharged = false;
    return this.#change(request.kafkaName, async (entry, record) => {
      const { image } = tracker;
      const present = image.topicById(record.id)?.partitions;
      // The image is behind what was just read.
      if (present?.length !== record.partitions) {
        await tracker.reached(entry.modRevision);
        return undefined;
      }
      const start = Math.floor(random.fraction() * Math.max(1, image.brokers.size));
      const { count, assignments } = request;
      const added = planPartitions({ image, present, count, assignments, limits, start });
      if (request.validateOnly) return 0;
      if (!isCharged) request.charge?.(added.length);
      isCharged = true;
      const grown = { ...record, partitions: count };
      return this.#writeTopic(request.kafkaName, entry, grown, present.length, added);
    });
  }

  /** Replaces a topic's overrides by what `alter` makes of them; it throws BrokerError to refuse. */
  async alterTopicConfig(request: {
    readonly kafkaName: string;
    readonly alter: (overrides: ReadonlyMap<string, string>) => ReadonlyMap<string, string>;
    readonly validateOnly: boolean;
  }): Promise<TopicChange> {
    return this.#change(request.kafkaName, async (entry, record) => {
      const overrides = request.alter(new Map(Object.entries(record.overrides)));
      if (request.validateOnly) return 0;
      const altered: TopicRecord = { ...record, overrides: Object.fromEntries(overrides) };
      const outcome = await this.#options.store.transact({
        compare: [{ key: entry.key, target: 'mod', revision: entry.modRevision }],
        operations: [{ kind: 'put', key: entry.key, value: JSON.stringify(altered) }],
      });
      return outcome.succeeded ? outcome.revision : undefined;
    });
  }

  /** Removes states of partitions that no topic refers to. */
  async removePartitionKeys(
    partitions: readonly { readonly topicId: string; readonly index: number }[],
  ): Promise<void> {
    const operations = partitions.map(({ topicId, index }): Operation => ({
      kind: 'delete',
      key: partitionKey(topicId, index),
    }));
    await this.#transactInParts(operations);
  }

  /** Runs a change on the newest record of a topic until it fits; `undefined` from it asks for another attempt. */
  async #change(
    kafkaName: string,
    attempt: (entry: MetadataEntry, record: TopicRecord) => Promise<number | undefined>,
  ): Promise<TopicChange> {
    const { store, tracker } = this.#options;
    for (let attempts = 0; attempts < ATTEMPTS_MAX; attempts++) {
      const entry = await store.get(topicKey(kafkaName));
      if (entry === undefined) {
        throw new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', `Topic ${kafkaName} does not exist`);
      }
      const record = JSON.parse(entry.value) as TopicRecord;
      const revision = await attempt(entry, record);
      if (revision === undefined) continue;
      await tracker.reached(revision);
      return { revision, topicId: record.id, partitions: record.partitions, replicationFactor: 0 };
    }
    throw new BrokerError('REQUEST_TIMED_OUT', `Topic ${kafkaName} keeps changing; try again`);
  }

  /**
   * Writes the states of partitions and then, in the last transaction, the topic itself, which makes them count. Returns undefined when the
   * topic is no longer as it was.
   */
  async #writeTopic(
    kafkaName: string,
    before: MetadataEntry | undefined,
    record: TopicRecord,
    firstIndex: number,
    partitions: readonly StoredPartition[],
  ): Promise<number | undefined> {
    const operations = partitions.map((partition, index): Operation => ({
      kind: 'put',
      key: partitionKey(record.id, firstIndex + index),
      value: encodePartition(partition),
    }));
    // The last transaction has the topic's key and as many partitions as fit.
    const early = operations.slice(0, Math.max(0, operations.length - (TRANSACTION_OPERATIONS_MAX - 1)));
    await this.#transactInParts(early);
    const key = topicKey(kafkaName);
    const outcome = await this.#options.store.transact({
      compare: [{ key, target: 'mod', revision: before?.modRevision ?? 0 }],
      operations: [...operations.slice(early.length), { kind: 'put', key, value: JSON.stringify(record) }],
    });
    return outcome.succeeded ? outcome.revision : undefined;
  }

  async #transactInParts(operations: readonly Operation[]): Promise<void> {
    const parts: Promise<unknown>[] = [];
    for (let at = 0; at < operations.length; at += TRANSACTION_OPERATIONS_MAX) {
      const part = operations.slice(at, at + TRANSACTION_OPERATIONS_MAX);
      parts.push(this.#options.store.transact({ compare: [], operations: part }));
    }
    await Promise.all(parts);
  }
}

function alreadyExists(kafkaName: string): BrokerError {
  return new BrokerError('TOPIC_ALREADY_EXISTS', `Topic '${kafkaName}' already exists.`);
}
