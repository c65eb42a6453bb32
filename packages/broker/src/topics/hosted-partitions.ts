import type { ImageChange } from '../cluster/image-builder.ts';
import type { ClusterImage, PartitionImage, TopicImage } from '../cluster/image.ts';
import type { PartitionRecord } from '../cluster/partition-record.core.ts';
import type { ImageTracker } from '../cluster/tracker.ts';
import { settingsInForce, type TopicDefaults, type TopicSettings } from '../config/topic-config.ts';
import type { Logger, TimerHandle, Timers } from '../platform/index.ts';
import type { Partition } from '../replication/types.ts';
import type { Log, LogStore } from '../storage/types.ts';
import type { HostedPartitions } from './types.ts';

/** What hosting needs of a partition beside what the data plane does. */
export interface ManagedPartition extends Partition {
  readonly role: 'leader' | 'follower' | 'offline';
  /** Appends that were written and wait for durability or the HW. */
  readonly waitingAppends: number;
  /** Idempotent producers that it remembers. */
  readonly producerCount: number;
  /** Whether a transaction is open whose producer has written nothing to it since then. */
  hasTransactionIdleSince(sinceMs: number): boolean;
  /** Takes the partition's record: leadership, ISR, epochs. Older records than the present one change nothing. */
  applyRecord(record: PartitionRecord): void;
  setMinInsyncReplicas(value: number): void;
  /** Housekeeping, every few seconds. */
  tick(): void;
  /** The partition is no longer hosted: what waits in it is refused, subscribers are woken. */
  close(): void;
}

export type PartitionFactory = (options: {
  readonly log: Log;
  readonly settings: TopicSettings;
}) => ManagedPartition;

const REMOVAL_RETRY_MS = 1000;
const HOUSEKEEPING_MS = 10_000;

export interface PartitionRegistryOptions {
  readonly brokerId: number;
  readonly logs: LogStore;
  readonly tracker: ImageTracker;
  /** Read whenever a topic's settings are worked out; see {@link PartitionRegistry.defaultsChanged}. */
  readonly config: { readonly topicDefaults: TopicDefaults };
  readonly makePartition: PartitionFactory;
  readonly logger: Logger;
  readonly timers: Timers;
  /** Names of logs that are no topics' and stay. */
  readonly reservedLogs: ReadonlySet<string>;
  readonly onTopicRemoved?: (kafkaName: string) => void;
}

interface HostedTopic {
  readonly id: string;
  readonly kafkaName: string;
  overrides: ReadonlyMap<string, string>;
  settings: TopicSettings;
  /** By partition index; undefined where this broker holds no replica. */
  readonly partitions: (ManagedPartition | undefined)[];
}

/** Makes, configures and removes this broker's partitions as the image tells. */
export class PartitionRegistry implements HostedPartitions {
  readonly #options: PartitionRegistryOptions;
  readonly #byName = new Map<string, HostedTopic>();
  readonly #byId = new Map<string, HostedTopic>();
  /** Removals of logs under way, by topic name: a new topic of that name waits for its folders. */
  readonly #removals = new Map<string, Promise<void>>();
  readonly #pauses = new Set<() => void>();
  #image: ClusterImage;
  #hostedCount = 0;
  #housekeeping: TimerHandle | undefined;
  #closed = false;

  /** Takes up every partition of the present image, and follows it from then on. */
  constructor(options: PartitionRegistryOptions) {
    this.#options = options;
    this.#image = options.tracker.image;
    this.#removeStrangers();
    for (const topic of this.#image.topics()) this.#applyTopic(topic.kafkaName, topic);
    options.tracker.onChange((change) => this.#apply(change));
  }

  get image(): ClusterImage {
    return this.#image;
  }

  /** Partitions that this broker holds a replica of. */
  get hostedCount(): number {
    return this.#hostedCount;
  }

  *hosted(): Generator<ManagedPartition> {
    for (const { partitions } of this.#byName.values()) {
      for (const partition of partitions) if (partition !== undefined) yield partition;
    }
  }

  get(kafkaName: string, partition: number): ManagedPartition | undefined {
    return this.#byName.get(kafkaName)?.partitions[partition];
  }

  getById(topicId: string, partition: number): ManagedPartition | undefined {
    return this.#byId.get(topicId)?.partitions[partition];
  }

  settings(kafkaName: string): TopicSettings | undefined {
    return this.#byName.get(kafkaName)?.settings;
  }

  /** Resolves when no removal of logs of that name is under way any more. */
  async settled(kafkaName: string): Promise<void> {
    for (let removal = this.#removals.get(kafkaName); removal !== undefined;) {
      await removal;
      removal = this.#removals.get(kafkaName);
    }
  }

  /** The defaults of topics are others now: topics that do not set what has changed go by it at once. */
  defaultsChanged(): void {
    for (const hosted of this.#byName.values()) this.#reconfigure(hosted);
  }

  /** From now on the partitions are told every few seconds to look after themselves: idle producers are forgotten, for one. */
  startHousekeeping(): void {
    this.#housekeeping = this.#options.timers.after(HOUSEKEEPING_MS, () => {
      for (const partition of this.hosted()) partition.tick();
      this.startHousekeeping();
    });
  }

  /** Ends all partitions; the logs stay open. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#housekeeping?.cancel();
    for (const end of this.#pauses) end();
    await Promise.all(this.#removals.values());
    for (const topic of this.#byName.values()) for (const partition of topic.partitions) partition?.close();
    this.#byName.clear();
    this.#byId.clear();
    this.#hostedCount = 0;
  }

  #apply(change: ImageChange): void {
    if (this.#closed) return;
    this.#image = change.image;
    for (const [kafkaName, topic] of change.topics) this.#applyTopic(kafkaName, topic);
  }

  #applyTopic(kafkaName: string, topic: TopicImage | undefined): void {
    const hosted = this.#byName.get(kafkaName);
    if (hosted !== undefined && hosted.id !== topic?.id) this.#remove(hosted);
    if (topic === undefined) return;
    const removal = this.#removals.get(kafkaName);
    if (removal !== undefined) {
      // The folders of its deleted namesake have to be out of the way first; then the image may have moved on.
      void removal.then(() => {
        if (!this.#closed) this.#applyTopic(kafkaName, this.#image.topicByName(kafkaName));
      });
      return;
    }
    const present = this.#byName.get(kafkaName) ?? this.#addTopic(topic);
    if (present.overrides !== topic.overrides) this.#configure(present, topic);
    for (const [index, state] of topic.partitions.entries()) this.#applyPartition(present, index, state);
  }

  #addTopic(topic: TopicImage): HostedTopic {
    const hosted: HostedTopic = {
      id: topic.id,
      kafkaName: topic.kafkaName,
      overrides: topic.overrides,
      settings: this.#settingsOf(topic),
      partitions: [],
    };
    this.#byName.set(topic.kafkaName, hosted);
    this.#byId.set(topic.id, hosted);
    return hosted;
  }

  #configure(hosted: HostedTopic, topic: TopicImage): void {
    if (sameOverrides(hosted.overrides, topic.overrides)) {
      hosted.overrides = topic.overrides;
      return;
    }
    hosted.overrides = topic.overrides;
    this.#reconfigure(hosted);
  }

  #reconfigure(hosted: HostedTopic): void {
    hosted.settings = this.#settingsOf(hosted);
    for (const [index, partition] of hosted.partitions.entries()) {
      if (partition === undefined) continue;
      this.#options.logs.get(hosted.kafkaName, index)?.configure(hosted.settings.log);
      partition.setMinInsyncReplicas(hosted.settings.minInsyncReplicas);
    }
  }

  #applyPartition(hosted: HostedTopic, index: number, state: PartitionImage): void {
    const present = hosted.partitions[index];
    if (present !== undefined) {
      present.applyRecord(state.record);
      return;
    }
    hosted.partitions[index] = undefined;
    if (!state.replicas.includes(this.#options.brokerId)) return;
    const { logs, makePartition } = this.#options;
    const { settings, kafkaName, id } = hosted;
    const existing = logs.get(kafkaName, index);
    existing?.configure(settings.log);
    const log = existing ?? logs.create({ topic: kafkaName, topicId: id, partition: index }, settings.log);
    const partition = makePartition({ log, settings });
    partition.applyRecord(state.record);
    hosted.partitions[index] = partition;
    this.#hostedCount++;
  }

  #settingsOf({ kafkaName, overrides }: Pick<TopicImage, 'kafkaName' | 'overrides'>): TopicSettings {
    const { config, logger } = this.#options;
    return settingsInForce(overrides, config.topicDefaults, (reason) =>
      logger.warn(
        { topic: kafkaName, reason },
        'The defaults of topics contradict what a topic sets; to it those of Kafka apply instead',
      ),
    );
  }

  #remove(hosted: HostedTopic): void {
    this.#byName.delete(hosted.kafkaName);
    this.#byId.delete(hosted.id);
    const logs: Log[] = [];
    for (const [index, partition] of hosted.partitions.entries()) {
      if (partition === undefined) continue;
      partition.close();
      this.#hostedCount--;
      const log = this.#options.logs.get(hosted.kafkaName, index);
      if (log !== undefined) logs.push(log);
    }
    this.#removeLogs(hosted.kafkaName, logs);
    this.#options.onTopicRemoved?.(hosted.kafkaName);
  }

  /** Logs of topics that were deleted while this broker was down, or just before it went down. */
  #removeStrangers(): void {
    const strangers = new Map<string, Log[]>();
    for (const log of this.#options.logs.logs()) {
      const { topic: name, topicId, partition } = log.id;
      if (this.#options.reservedLogs.has(name)) continue;
      const topic = this.#image.topicByName(name);
      if (topic?.id === topicId && partition < topic.partitions.length) continue;
      const known = strangers.get(name);
      if (known === undefined) strangers.set(name, [log]);
      else known.push(log);
    }
    for (const [name, logs] of strangers) {
      this.#options.logger.info({ topic: name, logs: logs.length }, 'Removing logs of a deleted topic');
      this.#removeLogs(name, logs);
    }
  }

  #removeLogs(kafkaName: string, logs: readonly Log[]): void {
    if (logs.length === 0) return;
    const removal = this.#removeUntilGone(kafkaName, logs);
    this.#removals.set(kafkaName, removal);
    void removal.then(() => {
      if (this.#removals.get(kafkaName) === removal) this.#removals.delete(kafkaName);
    });
  }

  /** On a full disk, say, it goes on trying: until then the name is not free, or its next topic would find these records. */
  async #removeUntilGone(kafkaName: string, logs: readonly Log[]): Promise<void> {
    let left = logs;
    while (!this.#closed) {
      const outcomes = await Promise.allSettled(left.map((log) => this.#options.logs.delete(log)));
      left = left.filter((_, index) => outcomes[index]!.status === 'rejected');
      const failure = outcomes.find((outcome) => outcome.status === 'rejected');
      if (failure === undefined) return;
      // After a stop the next start finds them again.
      this.#options.logger.error(
        { error: failure.reason as unknown, topic: kafkaName },
        'Logs of a deleted topic could not be removed; it will be tried again',
      );
      await this.#pause();
    }
  }

  /** Ends early when the registry closes. */
  #pause(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        timer.cancel();
        this.#pauses.delete(end);
        resolve();
      };
      const timer = this.#options.timers.after(REMOVAL_RETRY_MS, end);
      this.#pauses.add(end);
    });
  }
}

function sameOverrides(left: ReadonlyMap<string, string>, right: ReadonlyMap<string, string>): boolean {
  if (left.size !== right.size) return false;
  for (const [name, value] of left) if (right.get(name) !== value) return false;
  return true;
}
