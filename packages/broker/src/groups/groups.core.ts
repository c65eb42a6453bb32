import {
  decodeConsumerOffsetsKey,
  decodeGroupValue,
  decodeOffsetValue,
  encodeGroupKey,
  encodeGroupValue,
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
import { ClassicGroup, type Member, metadataBytesOf, NO_ASSIGNMENT } from './classic-group.core.ts';
import type { GroupOffsets } from './group-offsets.core.ts';
import { OffsetExpiry } from './offset-expiry.core.ts';
import { joinRefusal, memberOf, syncRefusal } from './answers.core.ts';
import { Rebalancer } from './rebalance.core.ts';
import { CONSUMER_PROTOCOL_TYPE } from './subscription.core.ts';
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
  LeaveResult,
  ListedGroup,
  ListResponse,
  MemberIdentity,
  Refused,
  SyncRequest,
  SyncResponse,
  VerifiedCommit,
} from './types.ts';

/** What a member tells the others, all its protocols together. */
export const MEMBER_METADATA_BYTES_MAX = 1024 * 1024;
/** The same of all members of a group: its record has to fit into a segment, beside the assignments. */
export const GROUP_METADATA_BYTES_MAX = 32 * 1024 * 1024;
/** Kafka's consumers know a handful. */
export const PROTOCOLS_MAX = 100;
const NONE_UNSTABLE: ReadonlySet<string> = new Set();

export interface GroupsCoreOptions {
  readonly sink: CoordinatorSink;
  readonly settings: GroupSettings;
  readonly counters: GroupCounters;
  /** A fresh id, 22 characters. */
  readonly uuid: () => string;
  /** Whether a topic of that name exists: what was committed for others is forgotten after a load. */
  readonly topicExists: (topic: string) => boolean;
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
  readonly #groups = new Map<string, ClassicGroup>();
  readonly #rebalancer: Rebalancer;
  readonly #transactional: TransactionalCommits;
  readonly #topicExists: (topic: string) => boolean;
  readonly #expiry: OffsetExpiry;

  constructor(options: GroupsCoreOptions) {
    this.#sink = options.sink;
    this.#settings = options.settings;
    this.#counters = options.counters;
    this.#topicExists = options.topicExists;
    this.#rebalancer = new Rebalancer({
      settings: options.settings,
      deadlines: this.#deadlines,
      counters: options.counters,
      uuid: options.uuid,
      persist: (group, now, assignments, done) => this.#persist(group, now, assignments, done),
      idle: (group) => this.#dropIfUnused(group),
    });
    const groups = this.#groups;
    this.#transactional = new TransactionalCommits({
      ...options,
      groups: {
        get: (groupId) => groups.get(groupId),
        getOrMake: (groupId) => this.#groupFor(groupId),
        dropIfUnused: (group) => this.#dropIfUnused(group),
        get size() {
          return groups.size;
        },
      },
    });
    this.#expiry = new OffsetExpiry({
      ...options,
      deadlines: this.#deadlines,
      groups,
      pending: this.#transactional.pending,
      remove: (group) => this.#remove(group),
    });
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
        } else this.#setOffset(this.#groupFor(groupId), topic, partition, decodeOffsetValue(value));
        return;
      }
      case 'group':
        this.#replayGroup(decoded.group, value, now);
    }
  }

  endTransaction(producerId: number, result: 'commit' | 'abort'): void {
    this.#transactional.end(producerId, result);
  }

  /** The newest record of a group says all of it. */
  #replayGroup(groupId: string, value: Uint8Array | null, now: Instant): void {
    const before = this.#groups.get(groupId);
    const stored = value === null ? undefined : decodeGroupValue(value);
    const group = this.#makeGroup(groupId, before?.offsets);
    if (before !== undefined) {
      before.release();
      for (const member of before.members.values()) member.session.clear();
    }
    this.#groups.set(groupId, group);
    if (stored === undefined) return;
    group.generation = stored.generation;
    group.protocolType = stored.protocolType;
    group.setProtocol(stored.protocol);
    group.hasRecord = true;
    for (const member of stored.members) {
      const protocols = [{ name: stored.protocol ?? '', metadata: member.subscription }];
      const fields = { ...member, protocols, awaitingJoin: undefined, awaitingSync: undefined, isNew: false };
      this.#rebalancer.restoreMember(group, fields, stored.protocolType);
    }
    group.leader = stored.leader;
    group.restore(group.members.size > 0 ? 'Stable' : 'Empty', stored.currentStateTimestamp);
    for (const member of group.members.values()) this.#rebalancer.extendSession(member, now);
  }

  loaded(now: Instant): void {
    for (const group of this.#groups.values()) {
      // The time that the load took does not count against the members.
      for (const member of group.members.values()) this.#rebalancer.extendSession(member, now);
      this.#dropIfUnused(group);
    }
    this.#forgetOffsets((topic) => !this.#topicExists(topic));
    this.#expiry.start(now);
  }

  get nextDeadlineMs(): number {
    return this.#deadlines.nextMs;
  }

  tick(now: Instant): void {
    this.#deadlines.run(now);
  }

  close(error: ErrorName): void {
    for (const group of this.#groups.values()) {
      this.#rebalancer.abandon(group, error);
      group.release();
    }
  }

  // Members

  join(request: JoinRequest, now: Instant, respond: (response: JoinResponse) => void): void {
    const refusal = this.#joinRefusalOf(request);
    if (refusal !== undefined) {
      respond(joinRefusal(refusal, request.memberId));
      return;
    }
    const group = this.#groupFor(request.groupId);
    this.#rebalancer.join(group, { request, now, respond });
    this.#dropIfUnused(group);
  }

  #joinRefusalOf(request: JoinRequest): ErrorName | undefined {
    const { groupId, memberId, sessionTimeoutMs } = request;
    const { sessionTimeoutMinMs, sessionTimeoutMaxMs, groupsMax } = this.#settings;
    if (groupId === '') return 'INVALID_GROUP_ID';
    if (sessionTimeoutMs < sessionTimeoutMinMs || sessionTimeoutMs > sessionTimeoutMaxMs) {
      return 'INVALID_SESSION_TIMEOUT';
    }
    if (request.protocols.length > PROTOCOLS_MAX) return 'INVALID_REQUEST';
    const bytes = metadataBytesOf(request.protocols);
    if (bytes > MEMBER_METADATA_BYTES_MAX) return 'INVALID_REQUEST';
    const group = this.#groups.get(groupId);
    if (group === undefined && memberId !== '') return 'UNKNOWN_MEMBER_ID';
    if (group === undefined && this.#groups.size >= groupsMax) return 'GROUP_MAX_SIZE_REACHED';
    const present = group && memberNamed(group, request);
    const added = bytes - (present === undefined ? 0 : metadataBytesOf(present.protocols));
    const isTooMuch =
      (group?.metadataBytes ?? 0) + added > GROUP_METADATA_BYTES_MAX ||
      this.#counters.metadataBytes + added > this.#settings.metadataBytesMax;
    return added > 0 && isTooMuch ? 'GROUP_MAX_SIZE_REACHED' : undefined;
  }

  sync(request: SyncRequest, now: Instant, respond: (response: SyncResponse) => void): void {
    const group = this.#groups.get(request.groupId);
    if (group === undefined) respond(syncRefusal(unknownGroup(request.groupId)));
    else this.#rebalancer.sync(group, request, now, respond);
  }

  heartbeat(request: HeartbeatRequest, now: Instant): ErrorName | undefined {
    const group = this.#groups.get(request.groupId);
    if (group === undefined) return unknownGroup(request.groupId);
    return this.#rebalancer.heartbeat(group, request, now);
  }

  leave(
    groupId: string,
    members: readonly MemberIdentity[],
    now: Instant,
    done: (response: LeaveResponse) => void,
  ): void {
    if (groupId === '') {
      done({ error: 'INVALID_GROUP_ID' });
      return;
    }
    const group = this.#groups.get(groupId);
    const results = members.map((member): LeaveResult =>
      group === undefined
        ? { ...member, error: 'UNKNOWN_MEMBER_ID' }
        : this.#rebalancer.leave(group, member, now),
    );
    this.#sink.whenCommitted((error) => done(error === undefined ? { error, results } : { error }));
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

  #groupOfCommit(request: CommitRequest, now: Instant): ClassicGroup | ErrorName {
    const { groupId, generationId, offsets } = request;
    const present = this.#groups.get(groupId);
    if (present === undefined) {
      // Whoever only stores offsets, without members, makes a group by that.
      if (generationId >= 0) return 'ILLEGAL_GENERATION';
      if (this.#groups.size >= this.#settings.groupsMax) return 'GROUP_MAX_SIZE_REACHED';
    } else {
      const refusal = this.#commitRefusalOf(present, request, now);
      if (refusal !== undefined) return refusal;
    }
    const most = this.#offsetsIn(groupId, present) + offsets.length;
    if (most > this.#settings.offsetsPerGroupMax && this.#addsTooMany(present, request)) {
      return 'GROUP_MAX_SIZE_REACHED';
    }
    return present ?? (offsets.length === 0 ? this.#makeGroup(groupId) : this.#groupFor(groupId));
  }

  #addsTooMany(group: ClassicGroup | undefined, { groupId, offsets }: CommitRequest): boolean {
    const added = offsets.filter(
      ({ topic, partition }) => group?.offsets.get(topic, partition) === undefined,
    );
    return this.#offsetsIn(groupId, group) + added.length > this.#settings.offsetsPerGroupMax;
  }

  #offsetsIn(groupId: string, group: ClassicGroup | undefined): number {
    return (group?.offsets.count ?? 0) + this.#transactional.pending.countOf(groupId);
  }

  /** What is committed without a transaction stands later in the log than all that is pending. */
  #setOffset(group: ClassicGroup, topic: string, partition: number, committed: CommittedOffset): void {
    group.offsets.set(topic, partition, committed);
    this.#transactional.pending.supersede(group.groupId, topic, partition);
  }

  /** With what open transactions have written for it, as Kafka's tombstones do. Whether there was something. */
  #deleteOffset({ groupId, offsets }: ClassicGroup, topic: string, partition: number): boolean {
    const wasPending = this.#transactional.pending.forget(groupId, topic, partition);
    return offsets.delete(topic, partition) || wasPending;
  }

  commitInTransaction(request: VerifiedCommit, now: Instant, done: (failure: Durability) => void): void {
    this.#transactional.commit(request, now, done);
  }

  #commitRefusalOf(group: ClassicGroup, request: CommitRequest, now: Instant): ErrorName | undefined {
    const { state } = group;
    const { memberId, groupInstanceId, generationId } = request;
    if (state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    // Administrators, and consumers that choose their partitions themselves, commit while nobody else does.
    if (generationId < 0 && state === 'Empty') return undefined;
    if (generationId < 0 && memberId === '' && groupInstanceId === null) return 'UNKNOWN_MEMBER_ID';
    const member = memberOf(group, request);
    if (typeof member === 'string') return member;
    if (generationId !== group.generation) return 'ILLEGAL_GENERATION';
    if (state === 'CompletingRebalance') return 'REBALANCE_IN_PROGRESS';
    this.#rebalancer.extendSession(member, now);
    return undefined;
  }

  fetchOffsets(request: FetchOffsetsRequest, done: (response: FetchOffsetsResponse) => void): void {
    const { groupId, partitions } = request;
    const group = this.#groups.get(groupId);
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
    if (group.state !== 'Empty' && group.protocolType !== CONSUMER_PROTOCOL_TYPE) {
      done({ error: 'NON_EMPTY_GROUP' });
      return;
    }
    const records: StateRecord[] = [];
    const results = partitions.map(({ topic, partition }): ErrorName | undefined => {
      // KIP-496: what members read at present stays. Where their subscriptions are not known, that is everything.
      const isRead = group.state !== 'Empty' && (group.subscribedTopics?.has(topic) ?? true);
      if (isRead) return 'GROUP_SUBSCRIBED_TO_TOPIC';
      if (this.#deleteOffset(group, topic, partition)) {
        records.push({ key: encodeOffsetKey(groupId, topic, partition), value: null });
      }
      return undefined;
    });
    this.#dropIfUnused(group);
    const answer = (error: Durability): void => done(error === undefined ? { error, results } : { error });
    if (records.length === 0) this.#sink.whenCommitted(answer);
    else this.#sink.append(records, answer);
  }

  /** A topic is gone: what was committed for it is forgotten. */
  topicDeleted(topic: string): void {
    this.#forgetOffsets((name) => name === topic);
  }

  #forgetOffsets(ofTopic: (topic: string) => boolean): void {
    const records: StateRecord[] = [];
    for (const group of this.#groups.values()) {
      for (const { topic, partition } of this.#partitionsOf(group, ofTopic)) {
        this.#deleteOffset(group, topic, partition);
        records.push({ key: encodeOffsetKey(group.groupId, topic, partition), value: null });
      }
      this.#dropIfUnused(group);
    }
    // On a full disk they are forgotten now, and once more after the next load.
    if (records.length > 0 && this.#sink.isWritable()) this.#sink.append(records, ignore);
  }

  /** Partitions that the group has an offset of, one that counts or one that is pending. */
  #partitionsOf(group: ClassicGroup, ofTopic: (topic: string) => boolean = () => true): TopicPartition[] {
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
    if (group === undefined) return { error: 'GROUP_ID_NOT_FOUND' };
    const isStable = group.state === 'Stable';
    const members = [...group.members.values()].map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      // Between generations nothing of it holds.
      metadata: isStable ? group.metadataOf(member) : NO_ASSIGNMENT,
      assignment: isStable ? member.assignment : NO_ASSIGNMENT,
    }));
    const protocol = isStable ? (group.protocol ?? '') : '';
    return { error: undefined, state: group.state, protocolType: group.protocolType, protocol, members };
  }

  list(done: (response: ListResponse) => void): void {
    const groups: ListedGroup[] = [...this.#groups.values()].map(({ groupId, protocolType, state }) => ({
      groupId,
      protocolType,
      state,
    }));
    this.#sink.whenCommitted((error) => done(error === undefined ? { error, groups } : { error }));
  }

  deleteGroup(groupId: string, done: (failure: Durability) => void): void {
    const group = this.#groups.get(groupId);
    if (group === undefined || group.state === 'Dead') {
      done('GROUP_ID_NOT_FOUND');
      return;
    }
    if (group.state !== 'Empty' || group.pendingJoins.size > 0) {
      done('NON_EMPTY_GROUP');
      return;
    }
    this.#counters.groupsDeleted++;
    const records: StateRecord[] = [];
    for (const { topic, partition } of this.#partitionsOf(group)) {
      this.#deleteOffset(group, topic, partition);
      records.push({ key: encodeOffsetKey(groupId, topic, partition), value: null });
    }
    records.push(...this.#remove(group));
    if (records.length === 0) done(undefined);
    else this.#sink.append(records, done);
  }

  /** At this moment, committed or not: for metrics. */
  *summaries(): Generator<GroupSummary> {
    for (const { groupId, state, members, offsets } of this.#groups.values())
      yield { groupId, state, members: members.size, offsets: offsets.byTopic };
  }

  // Groups come and go

  #groupFor(groupId: string): ClassicGroup {
    let group = this.#groups.get(groupId);
    if (group === undefined) this.#groups.set(groupId, (group = this.#makeGroup(groupId)));
    return group;
  }

  #makeGroup(groupId: string, offsets?: GroupOffsets): ClassicGroup {
    const deadlines = (group: ClassicGroup) => this.#rebalancer.deadlinesOf(group);
    return new ClassicGroup({ groupId, memory: this.#counters, deadlines, offsets });
  }

  #dropIfUnused(group: ClassicGroup): void {
    const { groupId } = group;
    if (!group.isUnused || this.#transactional.pending.hasGroup(groupId)) return;
    if (this.#groups.get(groupId) === group) this.#remove(group);
  }

  /** Returns the record that says so, if there was one that said otherwise. */
  #remove(group: ClassicGroup): StateRecord[] {
    this.#groups.delete(group.groupId);
    group.release();
    if (group.state !== 'Dead') group.transition('Dead', group.stateSinceMs);
    return group.hasRecord ? [{ key: encodeGroupKey(group.groupId), value: null }] : [];
  }

  #persist(
    group: ClassicGroup,
    now: Instant,
    assignments: ReadonlyMap<string, Uint8Array> | undefined,
    done: (failure: Durability, now: Instant) => void,
  ): void {
    group.hasRecord = true;
    group.stateSinceMs = now.wallMs;
    const value = encodeGroupValue({
      protocolType: group.protocolType,
      generation: group.generation,
      protocol: group.protocol,
      leader: group.leader,
      currentStateTimestamp: group.stateSinceMs,
      members: [...group.members.values()].map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        sessionTimeoutMs: member.sessionTimeoutMs,
        subscription: group.metadataOf(member),
        assignment: assignments?.get(member.memberId) ?? member.assignment,
      })),
    });
    this.#sink.append([{ key: encodeGroupKey(group.groupId), value }], done);
  }
}

/** The member whose place a request to join would take. */
function memberNamed(group: ClassicGroup, { memberId, groupInstanceId }: MemberIdentity): Member | undefined {
  if (memberId !== '') return group.members.get(memberId);
  return groupInstanceId === null ? undefined : group.staticMember(groupInstanceId);
}

function offsetsOf(
  group: ClassicGroup,
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

function unknownGroup(groupId: string): ErrorName {
  return groupId === '' ? 'INVALID_GROUP_ID' : 'UNKNOWN_MEMBER_ID';
}

/** Nobody waits for it; where it fails, the state is loaded again. */
function ignore(): void {}
