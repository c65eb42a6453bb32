import {
  decodeConsumerOffsetsKey,
  decodeOffsetValue,
  encodeOffsetKey,
  encodeOffsetValue,
  type CommittedOffset,
  NO_PRODUCER_ID,
} from '@polylog/record';
import { topicPartitionKey, type TopicPartition } from '../cluster/topic-partition.core.ts';
import { DeadlineQueue } from '../coordinator/deadlines.core.ts';
import type {
  CoordinatorCore,
  CoordinatorSink,
  Durability,
  Instant,
  StateRecord,
} from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type { StepBudget } from '../expressions/step-budget.core.ts';
import type { ExpressionCompiler } from '../expressions/types.ts';
import type {
  ConsumerHeartbeatRequest,
  ConsumerHeartbeatResponse,
  DescribedConsumerGroup,
  GroupTimes,
  TopicView,
} from './consumer/types.ts';
import { describeClassic, describeConsumer } from './describe.core.ts';
import {
  commitRefusal,
  committerRefusal,
  type Group,
  hidesSubscriptions,
  isVacant,
  readsTopic,
} from './group.core.ts';
import type { GroupTable } from './group-table.core.ts';
import { Membership } from './membership.core.ts';
import { OffsetExpiry } from './offset-expiry.core.ts';
import { TransactionalCommits } from './transactional-commits.core.ts';
import type {
  CommitRequest,
  DeleteOffsetsResponse,
  DescribedGroup,
  FetchOffsetsRequest,
  FetchOffsetsResponse,
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
  VerifiedCommit,
} from './types.ts';

const NONE_UNSTABLE: ReadonlySet<string> = new Set();

export interface GroupsCoreOptions {
  readonly sink: CoordinatorSink;
  readonly settings: GroupSettings;
  readonly counters: GroupCounters;
  /** A fresh id, 22 characters. */
  readonly uuid: () => string;
  /** What was committed for topics that do not exist is forgotten after a load. */
  readonly topics: TopicView;
  readonly timesOf: (groupId: string) => GroupTimes;
  readonly compileRegex: ExpressionCompiler;
  /** How much time the regular expressions of all groups may have. */
  readonly budget: StepBudget;
}

/**
 * The groups of one partition of `__consumer_offsets`: who is in them and what they have committed. Its state changes when a request is
 * decided, and is written as records of Kafka's format in the same turn; every answer that tells of it waits until they are committed.
 */
export class GroupsCore implements CoordinatorCore {
  readonly #sink: CoordinatorSink;
  readonly #settings: GroupSettings;
  readonly #counters: GroupCounters;
  readonly #deadlines = new DeadlineQueue();
  readonly #membership: Membership;
  readonly #groups: GroupTable;
  readonly #transactional: TransactionalCommits;
  readonly #topics: TopicView;
  readonly #expiry: OffsetExpiry;

  constructor(options: GroupsCoreOptions) {
    const deadlines = this.#deadlines;
    this.#sink = options.sink;
    this.#settings = options.settings;
    this.#counters = options.counters;
    this.#topics = options.topics;
    this.#membership = new Membership({
      ...options,
      deadlines,
      hasPending: (groupId) => this.#transactional.pending.hasGroup(groupId),
    });
    const groups = this.#membership.table;
    this.#groups = groups;
    this.#transactional = new TransactionalCommits({ ...options, groups });
    this.#expiry = new OffsetExpiry({ ...options, deadlines, groups, pending: this.#transactional.pending });
  }

  // The log

  replay({ key, value }: StateRecord, now: Instant, producerId: number): void {
    const decoded = decodeConsumerOffsetsKey(key);
    switch (decoded.kind) {
      case 'unknown':
        return;
      case 'offset': {
        const { group: groupId, topic, partition } = decoded;
        if (value === null) {
          const group = this.#groups.get(groupId);
          if (group !== undefined) this.#deleteOffset(group, topic, partition);
        } else if (producerId !== NO_PRODUCER_ID) {
          this.#transactional.replay(producerId, decoded, decodeOffsetValue(value));
        } else this.#setOffset(this.#groups.getOrMake(groupId), topic, partition, decodeOffsetValue(value));
        return;
      }
      case 'group':
        this.#membership.replayClassic(decoded.group, value, now);
        return;
      default:
        this.#membership.replayConsumer(decoded, value);
    }
  }

  endTransaction(producerId: number, result: 'commit' | 'abort'): void {
    this.#transactional.end(producerId, result);
  }

  loaded(now: Instant): void {
    this.#membership.loaded(now);
    this.#forgetOffsets((topic) => this.#topics.byName(topic) === undefined);
    this.#expiry.start(now);
  }

  get nextDeadlineMs(): number {
    return this.#deadlines.nextMs;
  }

  tick(now: Instant): void {
    this.#deadlines.run(now);
  }

  close(error: ErrorName): void {
    this.#membership.close(error);
  }

  // Members

  join(request: JoinRequest, now: Instant, respond: (response: JoinResponse) => void): void {
    this.#membership.join(request, now, respond);
  }

  sync(request: SyncRequest, now: Instant, respond: (response: SyncResponse) => void): void {
    this.#membership.sync(request, now, respond);
  }

  heartbeat(request: HeartbeatRequest, now: Instant): ErrorName | undefined {
    return this.#membership.heartbeat(request, now);
  }

  leave(
    groupId: string,
    members: readonly MemberIdentity[],
    now: Instant,
    done: (response: LeaveResponse) => void,
  ): void {
    this.#membership.leave(groupId, members, now, done);
  }

  consumerHeartbeat(
    request: ConsumerHeartbeatRequest,
    now: Instant,
    respond: (response: ConsumerHeartbeatResponse) => void,
  ): void {
    this.#membership.consumerHeartbeat(request, now, respond);
  }

  // Offsets

  commit(request: CommitRequest, now: Instant, done: (failure: Durability) => void): void {
    const { groupId, offsets } = request;
    const found = this.#groupOfCommit(request, now);
    if (typeof found === 'string') {
      done(found);
      return;
    }
    if (offsets.length === 0) {
      done(undefined);
      return;
    }
    const expireTimestamp =
      request.retentionMs >= 0 ? Math.min(now.wallMs + request.retentionMs, Number.MAX_SAFE_INTEGER) : -1;
    const records: StateRecord[] = [];
    for (const { topic, partition, offset, leaderEpoch, metadata } of offsets) {
      const committed = { offset, leaderEpoch, metadata, commitTimestamp: now.wallMs, expireTimestamp };
      this.#setOffset(found, topic, partition, committed);
      const key = encodeOffsetKey(groupId, topic, partition);
      records.push({ key, value: encodeOffsetValue(committed) });
    }
    this.#counters.offsetsCommitted += offsets.length;
    this.#sink.append(records, done);
  }

  #groupOfCommit(request: CommitRequest, now: Instant): Group | ErrorName {
    const { groupId, generationId, offsets } = request;
    const present = this.#groups.get(groupId);
    if (present === undefined) {
      // Whoever only stores offsets, without members, makes a group by that.
      if (generationId >= 0) return request.knowsMemberEpochs ? 'GROUP_ID_NOT_FOUND' : 'ILLEGAL_GENERATION';
      if (this.#groups.size >= this.#settings.groupsMax) return 'GROUP_MAX_SIZE_REACHED';
    } else {
      const refusal = this.#commitRefusalOf(present, request, now);
      if (refusal !== undefined) return refusal;
    }
    const most = this.#offsetsIn(groupId, present) + offsets.length;
    if (most > this.#settings.offsetsPerGroupMax && this.#addsTooMany(present, request)) {
      return 'GROUP_MAX_SIZE_REACHED';
    }
    if (present !== undefined) return present;
    return offsets.length === 0 ? this.#groups.makeClassic(groupId) : this.#groups.getOrMake(groupId);
  }

  #addsTooMany(group: Group | undefined, { groupId, offsets }: CommitRequest): boolean {
    const added = offsets.filter(
      ({ topic, partition }) => group?.offsets.get(topic, partition) === undefined,
    );
    return this.#offsetsIn(groupId, group) + added.length > this.#settings.offsetsPerGroupMax;
  }

  #offsetsIn(groupId: string, group: Group | undefined): number {
    return (group?.offsets.count ?? 0) + this.#transactional.pending.countOf(groupId);
  }

  /** What is committed without a transaction stands later in the log than all that is pending. */
  #setOffset(group: Group, topic: string, partition: number, committed: CommittedOffset): void {
    group.offsets.set(topic, partition, committed);
    this.#transactional.pending.supersede(group.groupId, topic, partition);
  }

  /** With what open transactions have written for it, as Kafka's tombstones do. Whether there was something. */
  #deleteOffset({ groupId, offsets }: Group, topic: string, partition: number): boolean {
    const wasPending = this.#transactional.pending.forget(groupId, topic, partition);
    return offsets.delete(topic, partition) || wasPending;
  }

  commitInTransaction(request: VerifiedCommit, now: Instant, done: (failure: Durability) => void): void {
    this.#transactional.commit(request, now, done);
  }

  #commitRefusalOf(group: Group, request: CommitRequest, now: Instant): ErrorName | undefined {
    const { state } = group;
    const { memberId, groupInstanceId, generationId } = request;
    if (state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    // Administrators, and consumers that choose their partitions themselves, commit while nobody else does.
    if (generationId < 0 && state === 'Empty') return undefined;
    if (generationId < 0 && memberId === '' && groupInstanceId === null) return 'UNKNOWN_MEMBER_ID';
    const refusal = commitRefusal(group, request, this.#topics);
    if (refusal !== undefined || group.kind === 'consumer') return refusal;
    if (state === 'CompletingRebalance') return 'REBALANCE_IN_PROGRESS';
    this.#membership.extendSession(group, memberId, now);
    return undefined;
  }

  fetchOffsets(request: FetchOffsetsRequest, done: (response: FetchOffsetsResponse) => void): void {
    const { groupId, partitions, member } = request;
    const group = this.#groups.get(groupId);
    if (group !== undefined && member !== undefined) {
      const refusal = readerRefusal(group, member);
      if (refusal !== undefined) {
        done({ error: refusal });
        return;
      }
    }
    const offsets = group === undefined ? new Map() : offsetsOf(group, partitions);
    const unstable = request.requireStable ? this.#unstableOf(groupId) : NONE_UNSTABLE;
    this.#sink.whenCommitted((error) => done(error === undefined ? { error, offsets, unstable } : { error }));
  }

  #unstableOf(groupId: string): ReadonlySet<string> {
    const { pending } = this.#transactional;
    if (!pending.hasGroup(groupId)) return NONE_UNSTABLE;
    return new Set(Array.from(pending.partitionsOf(groupId), topicPartitionKey));
  }

  deleteOffsets(
    groupId: string,
    partitions: readonly TopicPartition[],
    done: (response: DeleteOffsetsResponse) => void,
  ): void {
    const group = this.#groups.get(groupId);
    if (group === undefined || group.state === 'Dead') {
      done({ error: 'GROUP_ID_NOT_FOUND' });
      return;
    }
    if (hidesSubscriptions(group)) {
      done({ error: 'NON_EMPTY_GROUP' });
      return;
    }
    const records: StateRecord[] = [];
    const results = partitions.map(({ topic, partition }): ErrorName | undefined => {
      // KIP-496: what members read at present stays.
      if (readsTopic(group, topic)) return 'GROUP_SUBSCRIBED_TO_TOPIC';
      if (this.#deleteOffset(group, topic, partition)) {
        records.push({ key: encodeOffsetKey(groupId, topic, partition), value: null });
      }
      return undefined;
    });
    this.#groups.dropIfUnused(group);
    const answer = (error: Durability): void => done(error === undefined ? { error, results } : { error });
    if (records.length === 0) this.#sink.whenCommitted(answer);
    else this.#sink.append(records, answer);
  }

  /** Topics are new, differ, or are gone: what was committed for those is forgotten. */
  topicsChanged(names: readonly string[]): void {
    const gone = new Set(names.filter((name) => this.#topics.byName(name) === undefined));
    if (gone.size > 0) this.#forgetOffsets((topic) => gone.has(topic));
    this.#membership.topicsChanged(names);
  }

  /** Rules of access are others now. */
  accessChanged(): void {
    this.#membership.accessChanged();
  }

  #forgetOffsets(ofTopic: (topic: string) => boolean): void {
    const records: StateRecord[] = [];
    for (const group of this.#groups.values()) {
      for (const { topic, partition } of this.#partitionsOf(group, ofTopic)) {
        this.#deleteOffset(group, topic, partition);
        records.push({ key: encodeOffsetKey(group.groupId, topic, partition), value: null });
      }
      this.#groups.dropIfUnused(group);
    }
    // On a full disk they are forgotten now, and once more after the next load.
    if (records.length > 0 && this.#sink.isWritable()) this.#sink.append(records, ignore);
  }

  /** Partitions that the group has an offset of, one that counts or one that is pending. */
  #partitionsOf(group: Group, ofTopic: (topic: string) => boolean = () => true): TopicPartition[] {
    const found: TopicPartition[] = [];
    for (const [topic, partitions] of group.offsets.byTopic) {
      if (!ofTopic(topic)) continue;
      for (const partition of partitions.keys()) found.push({ topic, partition });
    }
    for (const { topic, partition } of this.#transactional.pending.partitionsOf(group.groupId)) {
      if (ofTopic(topic) && group.offsets.get(topic, partition) === undefined)
        found.push({ topic, partition });
    }
    return found;
  }

  // Administration

  describe(groupId: string, done: (response: Refused | DescribedGroup) => void): void {
    const described = this.#describe(groupId);
    this.#sink.whenCommitted((error) => done(error === undefined ? described : { error }));
  }

  #describe(groupId: string): Refused | DescribedGroup {
    const group = this.#groups.get(groupId);
    return group?.kind === 'classic' ? describeClassic(group) : { error: 'GROUP_ID_NOT_FOUND' };
  }

  describeConsumer(groupId: string, done: (response: Refused | DescribedConsumerGroup) => void): void {
    const group = this.#groups.get(groupId);
    const described: Refused | DescribedConsumerGroup =
      group?.kind === 'consumer'
        ? describeConsumer(group, this.#settings.consumer)
        : { error: 'GROUP_ID_NOT_FOUND' };
    this.#sink.whenCommitted((error) => done(error === undefined ? described : { error }));
  }

  list(done: (response: ListResponse) => void): void {
    const groups: ListedGroup[] = [...this.#groups.values()].map(
      ({ groupId, kind, protocolType, state }) => ({
        groupId,
        type: kind,
        protocolType,
        state,
      }),
    );
    this.#sink.whenCommitted((error) => done(error === undefined ? { error, groups } : { error }));
  }

  deleteGroup(groupId: string, done: (failure: Durability) => void): void {
    const group = this.#groups.get(groupId);
    if (group === undefined || group.state === 'Dead') {
      done('GROUP_ID_NOT_FOUND');
      return;
    }
    if (!isVacant(group)) {
      done('NON_EMPTY_GROUP');
      return;
    }
    this.#counters.groupsDeleted++;
    const records: StateRecord[] = [];
    for (const { topic, partition } of this.#partitionsOf(group)) {
      this.#deleteOffset(group, topic, partition);
      records.push({ key: encodeOffsetKey(groupId, topic, partition), value: null });
    }
    records.push(...this.#groups.remove(group));
    if (records.length === 0) done(undefined);
    else this.#sink.append(records, done);
  }

  /** Offsets of transactions that have not ended. */
  get pendingOffsets(): number {
    return this.#transactional.pending.count;
  }

  /** At this moment, committed or not: for metrics. */
  *summaries(): Generator<GroupSummary> {
    for (const { groupId, kind, state, members, offsets } of this.#groups.values())
      yield { groupId, type: kind, state, members: members.size, offsets: offsets.byTopic };
  }
}

function offsetsOf(
  group: Group,
  partitions: readonly TopicPartition[] | undefined,
): Map<string, Map<number, CommittedOffset>> {
  if (partitions === undefined) return group.offsets.snapshot();
  const found = new Map<string, Map<number, CommittedOffset>>();
  for (const { topic, partition } of partitions) {
    const committed = group.offsets.get(topic, partition);
    if (committed === undefined) continue;
    const ofTopic = found.get(topic);
    if (ofTopic === undefined) found.set(topic, new Map([[partition, committed]]));
    else ofTopic.set(partition, committed);
  }
  return found;
}

/** KIP-848: a member that has been given other partitions meanwhile is not told where to go on with what it had. */
function readerRefusal(
  group: Group,
  { memberId, memberEpoch }: NonNullable<FetchOffsetsRequest['member']>,
): ErrorName | undefined {
  if (group.kind === 'classic') return undefined;
  const committer = { memberId, groupInstanceId: null, generationId: memberEpoch, knowsMemberEpochs: true };
  return committerRefusal(group, committer);
}

/** Nobody waits for it; where it fails, the state is loaded again. */
function ignore(): void {}
