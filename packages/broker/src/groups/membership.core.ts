import { type ConsumerGroupKey, decodeGroupValue, encodeGroupKey, encodeGroupValue } from '@polylog/record';
import type { DeadlineQueue } from '../coordinator/deadlines.core.ts';
import type { CoordinatorSink, Durability, Instant, StateRecord } from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type { StepBudget } from '../expressions/step-budget.core.ts';
import type { ExpressionCompiler } from '../expressions/types.ts';
import { joinRefusal, syncRefusal } from './answers.core.ts';
import { type ClassicGroup, toldBytesOf } from './classic-group.core.ts';
import { ClassicMembers, classicMetadataOf, subscriptionOf } from './consumer/classic-members.core.ts';
import { type ConsumerGroup, memberBytesOf } from './consumer/consumer-group.core.ts';
import { ConsumerGroupDriver } from './consumer/driver.core.ts';
import { ConsumerHeartbeats, heartbeatFault, metadataOf, refused } from './consumer/heartbeats.core.ts';
import { canDowngrade, classicMembersOf, takeMembers, upgradeRefusal } from './consumer/migration.core.ts';
import { allRecords, groupTombstones } from './consumer/records.core.ts';
import { regexesOf } from './consumer/subscriptions.core.ts';
import { dropIncomplete, replayTombstone, replayValue } from './consumer/replay.core.ts';
import {
  type ConsumerHeartbeatRequest,
  type ConsumerHeartbeatResponse,
  JOIN_EPOCH,
  type RefusedHeartbeat,
  type GroupTimes,
  type TopicView,
} from './consumer/types.ts';
import type { Group } from './group.core.ts';
import { GroupTable } from './group-table.core.ts';
import { Rebalancer } from './rebalance.core.ts';
import { CONSUMER_PROTOCOL_TYPE } from './subscription.core.ts';
import type {
  GroupCounters,
  GroupSettings,
  HeartbeatRequest,
  JoinRequest,
  JoinResponse,
  LeaveResponse,
  LeaveResult,
  MemberIdentity,
  SyncRequest,
  SyncResponse,
} from './types.ts';

/** What a member tells the others, all its protocols together. */
export const MEMBER_METADATA_BYTES_MAX = 1024 * 1024;
/** The same of all members of a group: its record has to fit into a segment, beside the assignments. */
export const GROUP_METADATA_BYTES_MAX = 32 * 1024 * 1024;
/** Different ones of one group: topics are looked at for each of them. */
export const REGEXES_PER_GROUP_MAX = 100;
/** Kafka's consumers know a handful. */
export const PROTOCOLS_MAX = 100;

export interface MembershipOptions {
  readonly sink: CoordinatorSink;
  readonly settings: GroupSettings;
  readonly counters: GroupCounters;
  readonly deadlines: DeadlineQueue;
  /** A fresh id, 22 characters. */
  readonly uuid: () => string;
  readonly topics: TopicView;
  readonly timesOf: (groupId: string) => GroupTimes;
  readonly compileRegex: ExpressionCompiler;
  /** How much time the regular expressions of all groups may have. */
  readonly budget: StepBudget;
  readonly hasPending: (groupId: string) => boolean;
}

/**
 * Who is in the groups of a core: leads each request to the protocol that its group has at present, and changes a group from one protocol to the
 * other (KIP-848) when the first member of the newer one comes, and when the last of them goes.
 */
export class Membership {
  readonly table: GroupTable;
  readonly #options: MembershipOptions;
  readonly #rebalancer: Rebalancer;
  readonly #driver: ConsumerGroupDriver;
  readonly #heartbeats: ConsumerHeartbeats;
  readonly #classicMembers: ClassicMembers;

  constructor(options: MembershipOptions) {
    const { settings, counters, uuid } = options;
    this.#options = options;
    this.#rebalancer = new Rebalancer({
      ...options,
      persist: (group, now, assignments, done) => this.#persist(group, now, assignments, done),
      idle: (group) => this.table.dropIfUnused(group),
    });
    this.table = new GroupTable({
      memory: counters,
      deadlinesOf: (group) => this.#rebalancer.deadlinesOf(group),
      hasPending: options.hasPending,
    });
    this.#driver = new ConsumerGroupDriver({
      ...options,
      settings: settings.consumer,
      membersGone: (group, records, now) => this.#downgradeIfAllClassic(group, records, now),
    });
    this.#heartbeats = new ConsumerHeartbeats(this.#driver);
    this.#classicMembers = new ClassicMembers(this.#driver, uuid);
  }

  // The log

  /** The newest record of a classic group says all of it. */
  replayClassic(groupId: string, value: Uint8Array | null, now: Instant): void {
    const before = this.table.get(groupId);
    const stored = value === null ? undefined : decodeGroupValue(value);
    // The end of a classic group that has become a consumer group was written before that.
    if (stored === undefined && before?.kind === 'consumer') return;
    const group = this.table.makeClassic(groupId, before?.offsets);
    before?.release();
    this.table.put(group);
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

  /** One of the many records of a group of KIP-848. */
  replayConsumer(key: ConsumerGroupKey, value: Uint8Array | null): void {
    const present = this.table.get(key.group);
    if (value === null) {
      if (present?.kind !== 'consumer') return;
      if (key.kind === 'consumer-group') this.#becomeNothing(present);
      else replayTombstone(present, key);
      return;
    }
    const group = present?.kind === 'consumer' ? present : this.#becomeConsumer(key.group, present);
    replayValue(group, key, value, this.#driver);
  }

  loaded(now: Instant): void {
    for (const group of this.table.values()) {
      // The time that the load took does not count against the members.
      if (group.kind === 'consumer') {
        dropIncomplete(group);
        this.#driver.resume(group, now);
      } else for (const member of group.members.values()) this.#rebalancer.extendSession(member, now);
      if (group.kind === 'classic') this.#goOnWithDowngrade(group, now);
      this.table.dropIfUnused(group);
    }
  }

  /** Of one that has just become a classic one: what its other members had is nobody's yet. */
  #goOnWithDowngrade(group: ClassicGroup, now: Instant): void {
    if (group.leader === null && group.members.size > 0) this.#rebalancer.rebalance(group, now);
  }

  close(error: ErrorName): void {
    for (const group of this.table.values()) {
      if (group.kind === 'classic') this.#rebalancer.abandon(group, error);
      else group.abandonAssignment(error);
      group.release();
    }
    this.#driver.close();
  }

  topicsChanged(names: readonly string[]): void {
    for (const group of this.table.values()) {
      if (group.kind === 'consumer') this.#driver.topicsChanged(group, names);
    }
  }

  accessChanged(): void {
    for (const group of this.table.values()) if (group.kind === 'consumer') this.#driver.accessChanged(group);
  }

  // The classic protocol

  join(request: JoinRequest, now: Instant, respond: (response: JoinResponse) => void): void {
    const refusal = this.#joinRefusalOf(request);
    if (refusal !== undefined) {
      respond(joinRefusal(refusal, request.memberId));
      return;
    }
    const present = this.table.get(request.groupId);
    if (present?.kind === 'consumer' && present.members.size > 0) {
      if (!this.#downgradeByReplacement(present, request, now)) {
        this.#classicMembers.join(present, request, now, respond);
        return;
      }
    } else if (present?.kind === 'consumer') {
      const records = groupTombstones(present);
      this.#becomeNothing(present);
      this.#options.sink.append(records, ignore);
    }
    const group = this.table.getOrMake(request.groupId) as ClassicGroup;
    this.#rebalancer.join(group, { request, now, respond });
    this.table.dropIfUnused(group);
  }

  #joinRefusalOf(request: JoinRequest): ErrorName | undefined {
    const { groupId, memberId, sessionTimeoutMs } = request;
    const { sessionTimeoutMinMs, sessionTimeoutMaxMs, groupsMax } = this.#options.settings;
    if (groupId === '') return 'INVALID_GROUP_ID';
    if (sessionTimeoutMs < sessionTimeoutMinMs || sessionTimeoutMs > sessionTimeoutMaxMs) {
      return 'INVALID_SESSION_TIMEOUT';
    }
    if (request.protocols.length > PROTOCOLS_MAX) return 'INVALID_REQUEST';
    const bytes = toldBytesOf(request);
    if (bytes > MEMBER_METADATA_BYTES_MAX) return 'INVALID_REQUEST';
    const group = this.table.get(groupId);
    if (group === undefined && memberId !== '') return 'UNKNOWN_MEMBER_ID';
    if (group?.kind === 'consumer' && group.members.size === 0 && memberId !== '') return 'UNKNOWN_MEMBER_ID';
    if (group === undefined && this.table.size >= groupsMax) return 'GROUP_MAX_SIZE_REACHED';
    const added = bytes - (group === undefined ? 0 : classicBytesOf(group, request));
    return this.#isTooMuch(group, added) ? 'GROUP_MAX_SIZE_REACHED' : undefined;
  }

  /** Whether so many more bytes are more than members may tell. */
  #isTooMuch(group: Group | undefined, added: number): boolean {
    const { settings, counters } = this.#options;
    const isAbove =
      (group?.metadataBytes ?? 0) + added > GROUP_METADATA_BYTES_MAX ||
      counters.metadataBytes + added > settings.metadataBytesMax;
    return added > 0 && isAbove;
  }

  sync(request: SyncRequest, now: Instant, respond: (response: SyncResponse) => void): void {
    const group = this.table.get(request.groupId);
    if (group === undefined) respond(syncRefusal(unknownGroup(request.groupId)));
    else if (group.kind === 'consumer') this.#classicMembers.sync(group, request, now, respond);
    else this.#rebalancer.sync(group, request, now, respond);
  }

  heartbeat(request: HeartbeatRequest, now: Instant): ErrorName | undefined {
    const group = this.table.get(request.groupId);
    if (group === undefined) return unknownGroup(request.groupId);
    if (group.kind === 'consumer') return this.#classicMembers.heartbeat(group, request, now);
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
    const group = this.table.get(groupId);
    const results = members.map((member): LeaveResult =>
      group?.kind === 'classic'
        ? this.#rebalancer.leave(group, member, now)
        : { ...member, error: 'UNKNOWN_MEMBER_ID' },
    );
    const records: StateRecord[] = [];
    const answer = group?.kind === 'consumer' ? this.#leaveConsumer(group, members, records, now) : results;
    this.#driver.commit(records, (error) =>
      done(error === undefined ? { error, results: answer } : { error }),
    );
  }

  #leaveConsumer(
    group: ConsumerGroup,
    members: readonly MemberIdentity[],
    records: StateRecord[],
    now: Instant,
  ): readonly LeaveResult[] {
    const { leaving, results } = this.#classicMembers.leave(group, members);
    if (leaving.length > 0) this.#driver.removeMembers(group, leaving, records, now);
    return results;
  }

  extendSession(group: ClassicGroup, memberId: string, now: Instant): void {
    const member = group.members.get(memberId);
    if (member !== undefined) this.#rebalancer.extendSession(member, now);
  }

  #persist(
    group: ClassicGroup,
    now: Instant,
    assignments: ReadonlyMap<string, Uint8Array> | undefined,
    done: (failure: Durability, now: Instant) => void,
  ): void {
    this.#options.sink.append([classicRecord(group, now, assignments)], done);
  }

  // The protocol of KIP-848

  consumerHeartbeat(
    request: ConsumerHeartbeatRequest,
    now: Instant,
    respond: (response: ConsumerHeartbeatResponse) => void,
  ): void {
    const { settings, compileRegex, uuid } = this.#options;
    const fault = heartbeatFault(request, settings.consumer, compileRegex);
    if (fault !== undefined) {
      respond(fault);
      return;
    }
    const present = this.table.get(request.groupId);
    if (request.memberEpoch < JOIN_EPOCH) {
      if (present?.kind === 'consumer') {
        this.#heartbeats.leave(present, { request, now, records: [], respond });
      } else respond(noConsumerGroup(request.groupId));
      return;
    }
    const heartbeat = { request, now, respond };
    if (present?.kind === 'consumer') {
      const refusal = this.#heartbeatRefusal(present, request);
      if (refusal !== undefined) respond(refusal);
      else this.#heartbeats.heartbeat(present, { ...heartbeat, records: [] }, uuid);
      return;
    }
    const draft = this.#draftFor(request, present);
    const refusal = 'error' in draft ? draft : this.#heartbeatRefusal(draft, request);
    if ('error' in draft) respond(draft);
    else if (refusal !== undefined) {
      draft.release();
      respond(refusal);
    } else {
      const records = this.#adopt(draft, present, now);
      this.#heartbeats.heartbeat(draft, { ...heartbeat, records }, uuid);
    }
  }

  #heartbeatRefusal(group: ConsumerGroup, request: ConsumerHeartbeatRequest): RefusedHeartbeat | undefined {
    const refusal = this.#heartbeats.refusalOf(group, request);
    if (refusal !== undefined) return refusal;
    const before = group.members.get(request.memberId)?.metadata;
    const bytes = memberBytesOf(request.memberId, metadataOf(request, before));
    if (bytes > MEMBER_METADATA_BYTES_MAX) {
      return refused('INVALID_REQUEST', `A member may tell ${MEMBER_METADATA_BYTES_MAX} bytes.`);
    }
    if (addsTooManyRegexes(group, request)) {
      const message = `The members of the group have ${REGEXES_PER_GROUP_MAX} different regular expressions already.`;
      return refused('GROUP_MAX_SIZE_REACHED', message);
    }
    const added = bytes - (before === undefined ? 0 : memberBytesOf(request.memberId, before));
    const message = 'The members of the group, or of all groups, have told as much as they may.';
    return this.#isTooMuch(group, added) ? refused('GROUP_MAX_SIZE_REACHED', message) : undefined;
  }

  /** What a group that is not one of KIP-848 would be as such a one, or why it cannot be. Nothing is changed yet. */
  #draftFor(
    { groupId, memberEpoch }: ConsumerHeartbeatRequest,
    present: ClassicGroup | undefined,
  ): ConsumerGroup | RefusedHeartbeat {
    const { settings } = this.#options;
    if (memberEpoch !== JOIN_EPOCH) return noConsumerGroup(groupId);
    if (present === undefined && this.table.size >= settings.groupsMax) {
      return refused('GROUP_MAX_SIZE_REACHED', 'The coordinator has as many groups as it may have.');
    }
    const draft = this.table.makeConsumer(groupId, present?.offsets);
    // Those that were told their ids and have not joined with them yet do so in the new group.
    if (present === undefined || present.members.size === 0) return draft;
    const refusal = upgradeRefusal(present, settings.consumer);
    if (refusal !== undefined) return refused('GROUP_ID_NOT_FOUND', refusal);
    takeMembers(present, draft, this.#driver);
    return draft;
  }

  /** The draft takes the place of the group that it was made from. Returns the records that say so. */
  #adopt(draft: ConsumerGroup, present: ClassicGroup | undefined, now: Instant): StateRecord[] {
    const records: StateRecord[] = [];
    if (present !== undefined) {
      // They have to join again, and find the new group then.
      this.#rebalancer.abandon(present, 'REBALANCE_IN_PROGRESS');
      records.push(...this.table.remove(present));
    }
    this.table.put(draft);
    if (draft.members.size > 0) {
      for (const record of allRecords(draft)) records.push(record);
      draft.hasRecord = true;
      this.#options.counters.upgrades++;
      this.#driver.resume(draft, now);
    }
    return records;
  }

  // From the newer protocol to the classic one

  #downgradeIfAllClassic(group: ConsumerGroup, records: StateRecord[], now: Instant): boolean {
    const { settings } = this.#options;
    const limits = { ...settings.consumer, classicMembersMax: settings.membersMax };
    if (!canDowngrade(group.members.values(), limits)) return false;
    for (const record of groupTombstones(group)) records.push(record);
    const members = classicMembersOf(group, this.#driver.topics);
    group.release();
    const classic = this.table.put(this.table.makeClassic(group.groupId, group.offsets));
    classic.generation = group.epoch;
    for (const fields of members) this.#rebalancer.restoreMember(classic, fields, CONSUMER_PROTOCOL_TYPE);
    classic.restore('Stable', now.wallMs);
    classic.setProtocol(classic.selectProtocol());
    for (const member of classic.members.values()) this.#rebalancer.extendSession(member, now);
    // Whoever loads this record before the rebalance is over has to know that it is not.
    classic.leader = null;
    records.push(classicRecord(classic, now, undefined));
    this.#rebalancer.rebalance(classic, now);
    this.#options.counters.downgrades++;
    return true;
  }

  /** The last member of the newer protocol is a static one, and comes back as a classic member. Whether the group has become a classic one. */
  #downgradeByReplacement(group: ConsumerGroup, request: JoinRequest, now: Instant): boolean {
    const { groupInstanceId, memberId, protocols, protocolType } = request;
    const old = groupInstanceId === null ? undefined : group.staticMember(groupInstanceId);
    const subscription = subscriptionOf(protocols);
    if (old === undefined || old.metadata.classic !== undefined || memberId !== '') return false;
    const isLast = group.classicMembers === group.members.size - 1;
    if (!isLast || subscription === undefined) return false;
    if (!group.supportsClassic(protocolType, protocols, old.memberId)) return false;
    const before = old.metadata;
    group.setMetadata(old, classicMetadataOf(request, subscription));
    const records: StateRecord[] = [];
    const isDone = this.#downgradeIfAllClassic(group, records, now);
    if (isDone) this.#options.sink.append(records, ignore);
    else group.setMetadata(old, before);
    return isDone;
  }

  #becomeConsumer(groupId: string, present: ClassicGroup | undefined): ConsumerGroup {
    present?.release();
    return this.table.put(this.table.makeConsumer(groupId, present?.offsets));
  }

  /** Of a consumer group its offsets are left. */
  #becomeNothing(group: ConsumerGroup): void {
    group.release();
    this.table.put(this.table.makeClassic(group.groupId, group.offsets));
  }
}

function addsTooManyRegexes(group: ConsumerGroup, { subscribedRegex }: ConsumerHeartbeatRequest): boolean {
  if (subscribedRegex === null || subscribedRegex === '') return false;
  const used = regexesOf(group);
  return used.size >= REGEXES_PER_GROUP_MAX && !used.has(subscribedRegex);
}

/** What the member whose place a request to join would take has told. */
function classicBytesOf(group: Group, { memberId, groupInstanceId }: MemberIdentity): number {
  if (group.kind === 'consumer') {
    const found =
      groupInstanceId === null ? group.members.get(memberId) : group.staticMember(groupInstanceId);
    return found === undefined ? 0 : memberBytesOf(found.memberId, found.metadata);
  }
  const isNamed = memberId !== '' || groupInstanceId === null;
  const found = isNamed ? group.members.get(memberId) : group.staticMember(groupInstanceId);
  return found === undefined ? 0 : toldBytesOf(found);
}

function classicRecord(
  group: ClassicGroup,
  now: Instant,
  assignments: ReadonlyMap<string, Uint8Array> | undefined,
): StateRecord {
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
  return { key: encodeGroupKey(group.groupId), value };
}

function unknownGroup(groupId: string): ErrorName {
  return groupId === '' ? 'INVALID_GROUP_ID' : 'UNKNOWN_MEMBER_ID';
}

function noConsumerGroup(groupId: string): RefusedHeartbeat {
  return refused('GROUP_ID_NOT_FOUND', `There is no consumer group ${groupId}.`);
}

/** Nobody waits for it; where it fails, the state is loaded again. */
function ignore(): void {}
