import { utf8Length } from '@polylog/bytes';
import { OFFSETS_TOPIC } from '../cluster/topic-names.ts';
import { CoordinatorShard, type ShardCounters } from '../coordinator/shard.ts';
import { BrokerError, type ErrorName } from '../errors.ts';
import type { Clock, Logger, Random, Timers } from '../platform/index.ts';
import type { HostedPartitions, TopicAdmin } from '../topics/types.ts';
import { GroupsCore } from './groups.core.ts';
import { groupPartitionOf } from './partitioning.core.ts';
import { joinRefusal, syncRefusal } from './answers.core.ts';
import type {
  CommitRequest,
  CoordinatorFound,
  DeleteOffsetsResponse,
  DescribedGroup,
  FetchOffsetsResponse,
  GroupCoordinator,
  GroupCounters,
  GroupSettings,
  GroupSummary,
  HeartbeatRequest,
  JoinRequest,
  JoinResponse,
  LeaveResponse,
  ListedGroup,
  ListResponse,
  MemberIdentity,
  Refused,
  SyncRequest,
  SyncResponse,
  TopicPartition,
} from './types.ts';

export interface GroupServiceOptions {
  readonly partitions: HostedPartitions;
  readonly admin: Pick<TopicAdmin, 'createTopic'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: GroupSettings;
  /** `offsets.topic.*`. */
  readonly topic: {
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly segmentBytes: number;
  };
}

const LOAD_POLL_MS = 5;

type Shard = CoordinatorShard<GroupsCore>;

/** Leads each request to the partition of `__consumer_offsets` that has its group, and to the core that runs over it. */
export class GroupService implements GroupCoordinator {
  readonly counters: GroupCounters = {
    rebalances: 0,
    membersExpired: 0,
    offsetsCommitted: 0,
    offsetsExpired: 0,
    groupsDeleted: 0,
    metadataBytes: 0,
  };
  readonly shardCounters: ShardCounters = {
    loads: 0,
    loadFailures: 0,
    lastLoadMs: 0,
    resets: 0,
    unreadableRecords: 0,
  };
  readonly #options: GroupServiceOptions;
  /** By partition index. */
  readonly #shards = new Map<number, Shard>();
  #creation: Promise<void> | undefined;
  #closed = false;

  constructor(options: GroupServiceOptions) {
    this.#options = options;
    this.imageChanged();
  }

  /** Takes up the partitions of the topic that this broker holds now. To be called after each change of the image. */
  imageChanged(): void {
    if (this.#closed) return;
    const { partitions, clock, timers, logger, random, settings } = this.#options;
    const count = partitions.image.topicByName(OFFSETS_TOPIC)?.partitions.length ?? 0;
    for (const [index, shard] of this.#shards) {
      if (partitions.get(OFFSETS_TOPIC, index) === shard.partition) continue;
      shard.close();
      this.#shards.delete(index);
    }
    for (let index = 0; index < count; index++) {
      const partition = partitions.get(OFFSETS_TOPIC, index);
      if (partition === undefined || this.#shards.has(index)) continue;
      const shard = new CoordinatorShard({
        partition,
        clock,
        timers,
        logger,
        counters: this.shardCounters,
        makeCore: (sink) =>
          new GroupsCore({
            sink,
            settings,
            counters: this.counters,
            uuid: () => random.uuid(),
            topicExists: (topic) => partitions.image.topicByName(topic) !== undefined,
          }),
      });
      this.#shards.set(index, shard);
    }
  }

  topicDeleted(topic: string): void {
    for (const shard of this.#shards.values()) {
      const { core } = shard.use();
      core?.topicDeleted(topic);
      shard.used();
    }
  }

  close(): void {
    this.#closed = true;
    for (const shard of this.#shards.values()) shard.close();
    this.#shards.clear();
  }

  /** Partitions of the topic whose groups are not known yet. */
  get loadingCount(): number {
    let count = 0;
    for (const shard of this.#shards.values()) if (shard.isLoading) count++;
    return count;
  }

  /** Resolves when no group is being loaded any more, or when the time is up. */
  async loaded(timeoutMs: number): Promise<void> {
    const { clock, timers } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    while (this.loadingCount > 0 && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => void timers.after(LOAD_POLL_MS, resolve));
    }
  }

  /** All groups of this broker at this moment, for metrics. */
  *summaries(): Generator<GroupSummary> {
    for (const shard of this.#shards.values()) {
      const { core } = shard.use();
      if (core !== undefined) yield* core.summaries();
    }
  }

  async coordinatorOf(groupId: string): Promise<CoordinatorFound> {
    const { partitions, logger } = this.#options;
    if (partitions.image.topicByName(OFFSETS_TOPIC) === undefined) {
      try {
        await (this.#creation ??= this.#createTopic().finally(() => (this.#creation = undefined)));
      } catch (error) {
        if (!(error instanceof BrokerError)) throw error;
        logger.warn({ error: error.message }, 'The topic of the consumer groups could not be created');
        return { error: 'COORDINATOR_NOT_AVAILABLE' };
      }
    }
    const { image } = partitions;
    const states = image.topicByName(OFFSETS_TOPIC)?.partitions;
    const leader = states?.[groupPartitionOf(groupId, states.length)]?.leader ?? -1;
    return image.brokers.has(leader)
      ? { error: undefined, brokerId: leader }
      : { error: 'COORDINATOR_NOT_AVAILABLE' };
  }

  async #createTopic(): Promise<void> {
    const { admin, topic, partitions } = this.#options;
    try {
      await admin.createTopic({
        kafkaName: OFFSETS_TOPIC,
        partitions: topic.partitions,
        replicationFactor: Math.max(1, Math.min(topic.replicationFactor, partitions.image.brokers.size)),
        configs: new Map([
          ['cleanup.policy', 'compact'],
          ['compression.type', 'producer'],
          ['segment.bytes', String(topic.segmentBytes)],
        ]),
        validateOnly: false,
      });
    } catch (error) {
      if (!(error instanceof BrokerError && error.code === 'TOPIC_ALREADY_EXISTS')) throw error;
    }
    this.imageChanged();
  }

  // Members

  join(request: JoinRequest): Promise<JoinResponse> {
    return this.#change(
      request.groupId,
      (core, shard, done: (response: JoinResponse) => void) => core.join(request, shard.now(), done),
      (error) => joinRefusal(error, request.memberId),
    );
  }

  sync(request: SyncRequest): Promise<SyncResponse> {
    return this.#change(
      request.groupId,
      (core, shard, done: (response: SyncResponse) => void) => core.sync(request, shard.now(), done),
      syncRefusal,
    );
  }

  heartbeat(request: HeartbeatRequest): ErrorName | undefined {
    const { shard, core, error } = this.#find(request.groupId);
    // As in Kafka: nobody has to join anew because its group is being loaded.
    if (core === undefined) return error === 'COORDINATOR_LOAD_IN_PROGRESS' ? undefined : error;
    const refusal = core.heartbeat(request, shard.now());
    shard.used();
    return refusal;
  }

  leave(groupId: string, members: readonly MemberIdentity[]): Promise<LeaveResponse> {
    return this.#change(
      groupId,
      (core, shard, done: (response: LeaveResponse) => void) =>
        core.leave(groupId, members, shard.now(), done),
      refused,
    );
  }

  // Offsets

  metadataTooLong(metadata: string): boolean {
    return utf8Length(metadata) > this.#options.settings.offsetMetadataBytesMax;
  }

  commit(request: CommitRequest): Promise<ErrorName | undefined> {
    return this.#change(
      request.groupId,
      (core, shard, done: (failure: ErrorName | undefined) => void) =>
        core.commit(request, shard.now(), done),
      (error) => error,
    );
  }

  fetchOffsets(
    groupId: string,
    partitions: readonly TopicPartition[] | undefined,
  ): Promise<FetchOffsetsResponse> {
    return this.#ask(
      groupId,
      (core, _shard, done: (response: FetchOffsetsResponse) => void) =>
        core.fetchOffsets(groupId, partitions, done),
      refused,
    );
  }

  deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<DeleteOffsetsResponse> {
    return this.#change(
      groupId,
      (core, _shard, done: (response: DeleteOffsetsResponse) => void) =>
        core.deleteOffsets(groupId, partitions, done),
      refused,
    );
  }

  // Administration

  deleteGroup(groupId: string): Promise<ErrorName | undefined> {
    return this.#change(
      groupId,
      (core, _shard, done: (failure: ErrorName | undefined) => void) => core.deleteGroup(groupId, done),
      (error) => error,
    );
  }

  describe(groupId: string): Promise<Refused | DescribedGroup> {
    return this.#ask(
      groupId,
      (core, _shard, done: (response: Refused | DescribedGroup) => void) => core.describe(groupId, done),
      refused,
    );
  }

  async list(): Promise<ListResponse> {
    const all: ListedGroup[] = [];
    for (const shard of this.#shards.values()) {
      const { core, error } = shard.use();
      // What another broker leads is that one's to tell.
      if (error === 'NOT_COORDINATOR') continue;
      if (core === undefined) return { error };
      const listed = await new Promise<ListResponse>((resolve) => core.list(resolve));
      if (listed.error === 'NOT_COORDINATOR') continue;
      if (listed.error !== undefined) return listed;
      for (const group of listed.groups) all.push(group);
    }
    return { error: undefined, groups: all };
  }

  #find(
    groupId: string,
  ):
    | { readonly shard: Shard; readonly core: GroupsCore; readonly error?: undefined }
    | { readonly shard?: undefined; readonly core?: undefined; readonly error: ErrorName } {
    const count = this.#options.partitions.image.topicByName(OFFSETS_TOPIC)?.partitions.length ?? 0;
    const shard = count === 0 ? undefined : this.#shards.get(groupPartitionOf(groupId, count));
    if (shard === undefined) return { error: 'NOT_COORDINATOR' };
    const { core, error } = shard.use();
    return core === undefined ? { error } : { shard, core };
  }

  /** The same for what may have to be written: refused at once, with nothing changed, where it could not be. */
  #change<T>(
    groupId: string,
    ask: (core: GroupsCore, shard: Shard, done: (response: T) => void) => void,
    refuse: (error: ErrorName) => T,
  ): Promise<T> {
    const { shard } = this.#find(groupId);
    // A shard that cannot be asked says itself why.
    if (shard !== undefined && !shard.isWritable) return Promise.resolve(refuse('COORDINATOR_NOT_AVAILABLE'));
    return this.#ask(groupId, ask, refuse);
  }

  /** Resolves with what the core answers, or what becomes of the reason why it cannot be asked. */
  #ask<T>(
    groupId: string,
    ask: (core: GroupsCore, shard: Shard, done: (response: T) => void) => void,
    refuse: (error: ErrorName) => T,
  ): Promise<T> {
    const { shard, core, error } = this.#find(groupId);
    if (core === undefined) return Promise.resolve(refuse(error));
    return new Promise((resolve) => {
      ask(core, shard, resolve);
      shard.used();
    });
  }
}

function refused(error: ErrorName): Refused {
  return { error };
}
