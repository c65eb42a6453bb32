import { utf8Length } from '@polylog/bytes';
import { NO_SEQUENCE } from '@polylog/record';
import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import { OFFSETS_TOPIC } from '../cluster/topic-names.ts';
import type { CoordinatorShard, ShardCounters } from '../coordinator/shard.ts';
import { StateTopic } from '../coordinator/state-topic.ts';
import type { CoordinatorFound } from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type { Slices } from '../expressions/slices.ts';
import type { Clock, Logger, Random, Timers } from '../platform/index.ts';
import type { TransactionEnd } from '../replication/types.ts';
import type { MarkerAppender } from '../topics/transaction-markers.ts';
import type { TransactionVerifier } from '../topics/transaction-verifier.ts';
import { TransactionalWrites, type VerificationOptions } from '../topics/transactional-writes.ts';
import type { HostedPartitions, TopicAdmin } from '../topics/types.ts';
import { GroupsCore } from './groups.core.ts';
import { joinRefusal, syncRefusal } from './answers.core.ts';
import type {
  ConsumerHeartbeatRequest,
  ConsumerHeartbeatResponse,
  DescribedConsumerGroup,
  GroupTimes,
} from './consumer/types.ts';
import { topicViewOf } from './topic-view.ts';
import {
  noGroups,
  type CommitRequest,
  type DeleteOffsetsResponse,
  type DescribedGroup,
  type FetchOffsetsRequest,
  type FetchOffsetsResponse,
  type GroupCoordinator,
  type GroupSettings,
  type GroupSummary,
  type HeartbeatRequest,
  type JoinRequest,
  type JoinResponse,
  type LeaveResponse,
  type ListedGroup,
  type ListResponse,
  type MemberIdentity,
  type Refused,
  type SyncRequest,
  type SyncResponse,
  type TransactionalCommitRequest,
} from './types.ts';

/** Kafka's default of `offsets.commit.timeout.ms`: how long the coordinator of a transaction may take to agree. */
const VERIFICATION_MS_MAX = 5000;

export interface GroupServiceOptions {
  readonly partitions: HostedPartitions;
  readonly admin: Pick<TopicAdmin, 'createTopic'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly settings: GroupSettings;
  readonly timesOf: (groupId: string) => GroupTimes;
  /** Shared with all else that looks at regular expressions of clients. */
  readonly slices: Slices;
  /** The coordinator of transactions. */
  readonly verifier: TransactionVerifier;
  /** `offsets.topic.*`. */
  readonly topic: {
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly segmentBytes: number;
    readonly flush: 'fsync' | 'os';
  };
}

type Shard = CoordinatorShard<GroupsCore>;

/** Leads each request to the partition of `__consumer_offsets` that has its group, and to the core that runs over it. */
export class GroupService implements GroupCoordinator, MarkerAppender {
  readonly counters = noGroups();
  readonly #settings: GroupSettings;
  readonly #slices: Slices;
  readonly #topic: StateTopic<GroupsCore>;
  readonly #writes: TransactionalWrites;

  constructor(options: GroupServiceOptions) {
    const { partitions, random, settings, topic } = options;
    this.#settings = settings;
    this.#slices = options.slices;
    this.#writes = new TransactionalWrites({ ...options, toldOf: toldToCommitters });
    this.#topic = new StateTopic({
      ...options,
      name: OFFSETS_TOPIC,
      creation: {
        partitions: topic.partitions,
        replicationFactor: topic.replicationFactor,
        configs: new Map([
          ['cleanup.policy', 'compact'],
          ['compression.type', 'producer'],
          ['flush', topic.flush],
          ['segment.bytes', String(topic.segmentBytes)],
        ]),
      },
      makeCore: (sink) =>
        new GroupsCore({
          sink,
          settings,
          counters: this.counters,
          uuid: () => random.uuid(),
          topics: topicViewOf(partitions),
          compileRegex: options.slices.compileNow,
          budget: options.slices.budget,
          timesOf: options.timesOf,
        }),
    });
  }

  get shardCounters(): ShardCounters {
    return this.#topic.counters;
  }

  /** Takes up the partitions of the topic that this broker holds now. To be called after each change of the image. */
  imageChanged(): void {
    this.#topic.imageChanged();
  }

  /** Topics that are new, differ, or are gone. */
  topicsChanged(names: readonly string[]): void {
    for (const shard of this.#topic.shards()) {
      const { core } = shard.use();
      core?.topicsChanged(names);
      shard.used();
    }
  }

  /** Rules of access are others now. */
  accessChanged(): void {
    for (const shard of this.#topic.shards()) shard.use().core?.accessChanged();
  }

  close(): void {
    this.#topic.close();
  }

  /** Partitions of the topic whose groups are not known yet. */
  get loadingCount(): number {
    return this.#topic.loadingCount;
  }

  /** Resolves when no group is being loaded any more, or when the time is up. */
  loaded(timeoutMs: number): Promise<void> {
    return this.#topic.loaded(timeoutMs);
  }

  /** Offsets of transactions that have not ended, at this moment. */
  get pendingOffsets(): number {
    let count = 0;
    for (const shard of this.#topic.shards()) count += shard.use().core?.pendingOffsets ?? 0;
    return count;
  }

  /** All groups of this broker at this moment, for metrics. */
  *summaries(): Generator<GroupSummary> {
    for (const shard of this.#topic.shards()) {
      const { core } = shard.use();
      if (core !== undefined) yield* core.summaries();
    }
  }

  endTransaction(partition: number, end: TransactionEnd, done: (error: ErrorName | undefined) => void): void {
    this.#topic.endTransaction(partition, end, done);
  }

  coordinatorOf(groupId: string): Promise<CoordinatorFound> {
    return this.#topic.coordinatorOf(groupId);
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
    const { shard, core, error } = this.#topic.find(request.groupId);
    // As in Kafka: nobody has to join anew because its group is being loaded.
    if (core === undefined) return error === 'COORDINATOR_LOAD_IN_PROGRESS' ? undefined : error;
    const refusal = core.heartbeat(request, shard.now());
    shard.used();
    return refusal;
  }

  async consumerHeartbeat(request: ConsumerHeartbeatRequest): Promise<ConsumerHeartbeatResponse> {
    if (!this.#settings.consumer.enabled) {
      const message = 'group.coordinator.rebalance.protocols does not name the protocol "consumer".';
      return { error: 'UNSUPPORTED_VERSION', message };
    }
    const { subscribedRegex } = request;
    if (subscribedRegex !== null && subscribedRegex !== '' && !this.#slices.mayCompile(subscribedRegex)) {
      await this.#slices.toCompile(subscribedRegex);
    }
    return this.#change(
      request.groupId,
      (core, shard, done: (response: ConsumerHeartbeatResponse) => void) =>
        core.consumerHeartbeat(request, shard.now(), done),
      (error) => ({ error, message: 'The coordinator cannot be asked.' }),
    );
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
    return utf8Length(metadata) > this.#settings.offsetMetadataBytesMax;
  }

  commit(request: CommitRequest): Promise<ErrorName | undefined> {
    return this.#change(
      request.groupId,
      (core, shard, done: (failure: ErrorName | undefined) => void) =>
        core.commit(request, shard.now(), done),
      (error) => error,
    );
  }

  async commitInTransaction(request: TransactionalCommitRequest): Promise<ErrorName | undefined> {
    const { shard, error } = this.#topic.find(request.groupId);
    if (shard === undefined) return error;
    if (!shard.isWritable) return 'COORDINATOR_NOT_AVAILABLE';
    const { partition } = shard;
    const write = { ...request, partition, baseSequence: NO_SEQUENCE };
    const options = { ...request, timeoutMs: VERIFICATION_MS_MAX };
    const verification = (await this.#writes.verify([write], options)).get(write);
    if (typeof verification !== 'number') return verification;
    return this.#change(
      request.groupId,
      (core, present, done: (failure: ErrorName | undefined) => void) =>
        core.commitInTransaction({ ...request, verification }, present.now(), done),
      (refusal) => refusal,
    );
  }

  fetchOffsets(request: FetchOffsetsRequest): Promise<FetchOffsetsResponse> {
    return this.#ask(
      request.groupId,
      (core, _shard, done: (response: FetchOffsetsResponse) => void) => core.fetchOffsets(request, done),
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

  describeConsumer(groupId: string): Promise<Refused | DescribedConsumerGroup> {
    return this.#ask(
      groupId,
      (core, _shard, done: (response: Refused | DescribedConsumerGroup) => void) =>
        core.describeConsumer(groupId, done),
      refused,
    );
  }

  async list(): Promise<ListResponse> {
    const all: ListedGroup[] = [];
    for (const shard of this.#topic.shards()) {
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

  /** What may have to be written: refused at once, with nothing changed, where it could not be. */
  #change<T>(
    groupId: string,
    ask: (core: GroupsCore, shard: Shard, done: (response: T) => void) => void,
    refuse: (error: ErrorName) => T,
  ): Promise<T> {
    return this.#topic.change(groupId, ask, refuse);
  }

  /** Resolves with what the core answers, or what becomes of the reason why it cannot be asked. */
  #ask<T>(
    groupId: string,
    ask: (core: GroupsCore, shard: Shard, done: (response: T) => void) => void,
    refuse: (error: ErrorName) => T,
  ): Promise<T> {
    return this.#topic.ask(groupId, ask, refuse);
  }
}

/** As Kafka: what they know the error of another request by, and else the coordinator's own word, which they look for again, or repeat the request. */
function toldToCommitters(error: ErrorName, { knowsAbortable }: VerificationOptions): ErrorName {
  if (error === 'PRODUCER_FENCED') return 'INVALID_PRODUCER_EPOCH';
  return error === 'TRANSACTION_ABORTABLE' && !knowsAbortable ? 'INVALID_TXN_STATE' : error;
}

function refused(error: ErrorName): Refused {
  return { error };
}
