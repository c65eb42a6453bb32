import { BrokerError, type ErrorName } from '../errors.ts';
import type { Clock, Logger, Timers } from '../platform/index.ts';
import type { TransactionEnd } from '../replication/types.ts';
import type { HostedPartitions, TopicAdmin } from '../topics/types.ts';
import { statePartitionOf } from './partitioning.core.ts';
import { CoordinatorShard, type ShardCounters } from './shard.ts';
import type { CoordinatorCore, CoordinatorFound, CoordinatorSink, Durability } from './types.ts';

export interface StateTopicOptions<C extends CoordinatorCore> {
  /** Of the internal topic. */
  readonly name: string;
  readonly partitions: HostedPartitions;
  readonly admin: Pick<TopicAdmin, 'createTopic'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** With what the topic is made, on first use. */
  readonly creation: {
    readonly partitions: number;
    /** At most; a smaller cluster has fewer. */
    readonly replicationFactor: number;
    readonly configs: ReadonlyMap<string, string>;
  };
  readonly makeCore: (sink: CoordinatorSink, place: CorePlace) => C;
}

/** Where a core stands. */
export interface CorePlace {
  readonly partition: number;
  /** Of this life of the core. */
  readonly leaderEpoch: number;
}

/** Asks a core; `done` is called once, now or later. */
type Ask<C extends CoordinatorCore, T> = (
  core: C,
  shard: CoordinatorShard<C>,
  done: (response: T) => void,
) => void;

const LOAD_POLL_MS = 5;

/** An internal topic over which coordinators run: leads each key to the partition that has it, and to the core that runs over that. */
export class StateTopic<C extends CoordinatorCore> {
  readonly counters: ShardCounters = {
    reading: 0,
    loads: 0,
    loadFailures: 0,
    lastLoadMs: 0,
    resets: 0,
    unreadableRecords: 0,
  };
  readonly #options: StateTopicOptions<C>;
  /** By partition index. */
  readonly #shards = new Map<number, CoordinatorShard<C>>();
  #creation: Promise<void> | undefined;
  #closed = false;

  constructor(options: StateTopicOptions<C>) {
    this.#options = options;
    this.imageChanged();
  }

  /** Partitions that the topic has; 0: it has not been made yet. */
  get partitionCount(): number {
    const { partitions, name } = this.#options;
    return partitions.image.topicByName(name)?.partitions.length ?? 0;
  }

  /** Those of this broker. */
  shards(): Iterable<CoordinatorShard<C>> {
    return this.#shards.values();
  }

  shard(partition: number): CoordinatorShard<C> | undefined {
    return this.#shards.get(partition);
  }

  /** Takes up the partitions of the topic that this broker holds now. To be called after each change of the image. */
  imageChanged(): void {
    if (this.#closed) return;
    const { name, partitions, clock, timers, logger, makeCore } = this.#options;
    for (const [index, shard] of this.#shards) {
      if (partitions.get(name, index) === shard.partition) continue;
      shard.close();
      this.#shards.delete(index);
    }
    const count = this.partitionCount;
    for (let index = 0; index < count; index++) {
      const partition = partitions.get(name, index);
      if (partition === undefined || this.#shards.has(index)) continue;
      const shard = new CoordinatorShard({
        partition,
        clock,
        timers,
        logger,
        counters: this.counters,
        makeCore: (sink) => makeCore(sink, { partition: index, leaderEpoch: partition.leaderEpoch }),
      });
      this.#shards.set(index, shard);
    }
  }

  close(): void {
    this.#closed = true;
    for (const shard of this.#shards.values()) shard.close();
    this.#shards.clear();
  }

  /** Partitions whose state is not known yet. */
  get loadingCount(): number {
    let count = 0;
    for (const shard of this.#shards.values()) if (shard.isLoading) count++;
    return count;
  }

  /** Resolves when nothing is being loaded any more, or when the time is up. */
  async loaded(timeoutMs: number): Promise<void> {
    const { clock, timers } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    while (this.loadingCount > 0 && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => void timers.after(LOAD_POLL_MS, resolve));
    }
  }

  /** The broker that has the key, or why it cannot be told. Makes the topic on first use. */
  async coordinatorOf(key: string): Promise<CoordinatorFound> {
    const { name, partitions, logger } = this.#options;
    if (partitions.image.topicByName(name) === undefined) {
      try {
        await (this.#creation ??= this.#create().finally(() => (this.#creation = undefined)));
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        logger.warn({ error: error.message, topic: name }, 'The topic of a coordinator could not be created');
        return { error: 'COORDINATOR_NOT_AVAILABLE' };
      }
    }
    const { image } = partitions;
    const states = image.topicByName(name)?.partitions;
    const leader = states?.[statePartitionOf(key, states.length)]?.leader ?? -1;
    return image.brokers.has(leader)
      ? { error: undefined, brokerId: leader }
      : { error: 'COORDINATOR_NOT_AVAILABLE' };
  }

  async #create(): Promise<void> {
    const { name, admin, creation, partitions } = this.#options;
    try {
      await admin.createTopic({
        kafkaName: name,
        partitions: creation.partitions,
        replicationFactor: Math.max(1, Math.min(creation.replicationFactor, partitions.image.brokers.size)),
        configs: creation.configs,
        validateOnly: false,
      });
    } catch (error) {
      if (!(error instanceof BrokerError && error.code === 'TOPIC_ALREADY_EXISTS')) throw error;
    }
    this.imageChanged();
  }

  /** Writes a marker through the core of its partition; see {@link CoordinatorShard.endTransaction}. */
  endTransaction(partition: number, end: TransactionEnd, done: (failure: Durability) => void): void {
    const shard = this.#shards.get(partition);
    if (shard === undefined) done('NOT_LEADER_OR_FOLLOWER');
    else shard.endTransaction(end, done);
  }

  /** The core that has the key, if it may be asked now. Whoever used it calls `used` of the shard in the same turn. */
  find(
    key: string,
  ):
    | { readonly shard: CoordinatorShard<C>; readonly core: C; readonly error?: undefined }
    | { readonly shard?: undefined; readonly core?: undefined; readonly error: ErrorName } {
    const count = this.partitionCount;
    const shard = count === 0 ? undefined : this.#shards.get(statePartitionOf(key, count));
    if (shard === undefined) return { error: 'NOT_COORDINATOR' };
    const used = shard.use();
    return used.error === undefined ? { shard, core: used.core } : { error: used.error };
  }

  /** Resolves with what the core answers, or what becomes of the reason why it cannot be asked. */
  ask<T>(key: string, ask: Ask<C, T>, refuse: (error: ErrorName) => T): Promise<T> {
    const found = this.find(key);
    if (found.error !== undefined) return Promise.resolve(refuse(found.error));
    const { shard, core } = found;
    return new Promise((resolve) => {
      ask(core, shard, resolve);
      shard.used();
    });
  }

  /** The same for what may have to be written: refused at once, with nothing changed, where it could not be. */
  change<T>(key: string, ask: Ask<C, T>, refuse: (error: ErrorName) => T): Promise<T> {
    const { shard } = this.find(key);
    // A shard that cannot be asked says itself why.
    if (shard !== undefined && !shard.isWritable) return Promise.resolve(refuse('COORDINATOR_NOT_AVAILABLE'));
    return this.ask(key, ask, refuse);
  }
}
