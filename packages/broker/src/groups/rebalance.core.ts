import { Deadline, type DeadlineQueue } from '../coordinator/deadlines.core.ts';
import type { Durability, Instant } from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import { assigned, joined, joinRefusal, memberOf, syncRefusal } from './answers.core.ts';
import { type ClassicGroup, type Member, NO_ASSIGNMENT, sameProtocols } from './classic-group.core.ts';
import type {
  GroupCounters,
  GroupSettings,
  JoinRequest,
  JoinResponse,
  LeaveResult,
  MemberIdentity,
  SyncRequest,
  SyncResponse,
} from './types.ts';

/** How long a member may wait for its first generation, as in Kafka: it sends no heartbeats meanwhile. */
const NEW_MEMBER_JOIN_MS_MAX = 300_000;
/** Assignments of one generation: they become one record. */
const ASSIGNMENT_BYTES_MAX = 32 * 1024 * 1024;
/** Of the client id that a member id begins with. */
const MEMBER_ID_PREFIX_MAX = 255;

export interface RebalancerOptions {
  readonly settings: GroupSettings;
  readonly deadlines: DeadlineQueue;
  readonly counters: GroupCounters;
  /** A fresh id, 22 characters. */
  readonly uuid: () => string;
  /** Writes the group as it is, with these assignments where they differ from the members' present ones. */
  readonly persist: (
    group: ClassicGroup,
    now: Instant,
    assignments: ReadonlyMap<string, Uint8Array> | undefined,
    done: (failure: Durability, now: Instant) => void,
  ) => void;
  /** The group may have become needless. */
  readonly idle: (group: ClassicGroup) => void;
}

/** A request to join, and who waits for its answer. */
export interface Joining {
  readonly request: JoinRequest;
  readonly now: Instant;
  readonly respond: (response: JoinResponse) => void;
}

/**
 * What moves classic groups from generation to generation (the protocol of KIP-62; 134: the first delay; 345: static members; 394: known member
 * ids; 814: skipped assignments). Requests of one group, and moments that pass, in; answers to members out. Members wait in it for each other.
 */
export class Rebalancer {
  readonly #options: RebalancerOptions;

  constructor(options: RebalancerOptions) {
    this.#options = options;
  }

  /** For a new group. */
  deadlinesOf(group: ClassicGroup): { join: Deadline; sync: Deadline } {
    const { deadlines } = this.#options;
    return {
      join: new Deadline(deadlines, (now) => this.#joinTimeUp(group, now)),
      sync: new Deadline(deadlines, (now) => this.#syncTimeUp(group, now)),
    };
  }

  /** A member of a group that was found in the log. */
  restoreMember(group: ClassicGroup, member: Omit<Member, 'session'>, protocolType: string): void {
    group.add(this.#withSession(group, member), protocolType);
  }

  // Joining

  join(group: ClassicGroup, joining: Joining): void {
    const { request, respond } = joining;
    const refusal = this.#refusalOf(group, request);
    if (refusal !== undefined) {
      respond(joinRefusal(refusal, request.memberId));
      return;
    }
    if (request.memberId === '') this.#joinNew(group, joining);
    else if (group.pendingJoins.has(request.memberId)) this.#joinPending(group, joining);
    else this.#rejoin(group, joining);
  }

  #refusalOf(group: ClassicGroup, request: JoinRequest): ErrorName | undefined {
    const { memberId, groupInstanceId, protocolType, protocols } = request;
    if (group.state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    const isNew =
      memberId === '' && (groupInstanceId === null || group.staticMember(groupInstanceId) === undefined);
    const size = group.members.size + group.pendingJoins.size;
    if (isNew && size >= this.#options.settings.membersMax) return 'GROUP_MAX_SIZE_REACHED';
    return group.supports(protocolType, protocols) ? undefined : 'INCONSISTENT_GROUP_PROTOCOL';
  }

  #joinNew(group: ClassicGroup, joining: Joining): void {
    const { request, now, respond } = joining;
    const { clientId, groupInstanceId } = request;
    const memberId = `${prefixOf(groupInstanceId ?? clientId)}-${this.#options.uuid()}`;
    if (groupInstanceId !== null) {
      const old = group.staticMember(groupInstanceId);
      if (old === undefined) this.#addAndRebalance(group, memberId, joining);
      else this.#replaceStatic(group, old, memberId, joining);
      return;
    }
    if (!request.requiresKnownMemberId) {
      this.#addAndRebalance(group, memberId, joining);
      return;
    }
    const pending = new Deadline(this.#options.deadlines, (at) => {
      group.pendingJoins.delete(memberId);
      this.#completeJoinIfAllCame(group, at);
      this.#options.idle(group);
    });
    pending.set(now.monotonicMs + request.sessionTimeoutMs);
    group.pendingJoins.set(memberId, pending);
    respond(joinRefusal('MEMBER_ID_REQUIRED', memberId));
  }

  #joinPending(group: ClassicGroup, joining: Joining): void {
    const { memberId, groupInstanceId } = joining.request;
    if (groupInstanceId !== null) {
      // Ids are given out to dynamic members only.
      joining.respond(joinRefusal('UNKNOWN_MEMBER_ID', memberId));
      return;
    }
    this.#forgetPending(group, memberId);
    this.#addAndRebalance(group, memberId, joining);
  }

  #rejoin(group: ClassicGroup, { request, now, respond }: Joining): void {
    const found = memberOf(group, request);
    if (typeof found === 'string') {
      respond(joinRefusal(found, request.memberId));
      return;
    }
    const unchanged = sameProtocols(found.protocols, request.protocols);
    const isLeader = group.leader === found.memberId;
    if (group.state === 'CompletingRebalance' && unchanged) {
      // Its answer to the present generation was lost.
      respond(joined(group, found));
    } else if (group.state === 'Stable' && unchanged && !isLeader) {
      respond(joined(group, found));
    } else {
      this.#update(group, found, request, respond);
      if (group.state === 'PreparingRebalance') this.#completeJoinIfAllCame(group, now);
      else this.#prepareRebalance(group, now);
    }
  }

  #addAndRebalance(group: ClassicGroup, memberId: string, { request, now, respond }: Joining): void {
    const member = this.#withSession(group, {
      memberId,
      groupInstanceId: request.groupInstanceId,
      clientId: request.clientId,
      clientHost: request.clientHost,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      protocols: request.protocols,
      assignment: NO_ASSIGNMENT,
      awaitingJoin: respond,
      awaitingSync: undefined,
      isNew: true,
    });
    group.add(member, request.protocolType);
    member.session.set(now.monotonicMs + NEW_MEMBER_JOIN_MS_MAX);
    if (group.state === 'PreparingRebalance') {
      group.newMemberAdded = true;
      this.#completeJoinIfAllCame(group, now);
    } else {
      this.#prepareRebalance(group, now);
    }
  }

  #update(
    group: ClassicGroup,
    member: Member,
    request: JoinRequest,
    respond: ((response: JoinResponse) => void) | undefined,
  ): void {
    group.setTold(member, request);
    member.sessionTimeoutMs = request.sessionTimeoutMs;
    member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
    // The client has sent the request anew: of two, the later one is answered.
    member.awaitingJoin?.(joinRefusal('REBALANCE_IN_PROGRESS', member.memberId));
    group.setAwaitingJoin(member, respond);
  }

  /** KIP-345: a static member that was restarted takes its place again under a new id; whoever still uses the old id is fenced. */
  #replaceStatic(
    group: ClassicGroup,
    old: Member,
    memberId: string,
    { request, now, respond }: Joining,
  ): void {
    const { groupInstanceId } = request;
    const oldLeader = group.leader;
    old.awaitingJoin?.(joinRefusal('FENCED_INSTANCE_ID', old.memberId));
    old.awaitingSync?.(syncRefusal('FENCED_INSTANCE_ID'));
    group.setAwaitingJoin(old, undefined);
    const { assignment } = old;
    const fields = { ...old, memberId, groupInstanceId, assignment, awaitingSync: undefined, isNew: false };
    const successor = this.#withSession(group, fields);
    group.replace(old, successor);
    const protocolBefore = group.protocol;
    this.#update(group, successor, request, undefined);
    successor.session.set(now.monotonicMs + successor.sessionTimeoutMs);
    const unchanged = group.state === 'Stable' && group.selectProtocol() === protocolBefore;
    if (!unchanged) {
      group.setAwaitingJoin(successor, respond);
      if (group.state === 'PreparingRebalance') this.#completeJoinIfAllCame(group, now);
      else this.#prepareRebalance(group, now);
      return;
    }
    // The generation goes on. An old client that finds itself the leader would assign anew: it is told the old id.
    const answer = joined(group, successor);
    const isLeader = group.leader === memberId;
    const told: JoinResponse = request.canSkipAssignment
      ? { ...answer, skipAssignment: isLeader }
      : { ...answer, leader: oldLeader ?? memberId, members: [] };
    this.#options.persist(group, now, undefined, (failure) => {
      respond(failure === undefined ? told : joinRefusal(failure, memberId));
    });
  }

  // The join phase

  /** Asks all members of a stable group to join again. */
  rebalance(group: ClassicGroup, now: Instant): void {
    this.#prepareRebalance(group, now);
  }

  #prepareRebalance(group: ClassicGroup, now: Instant): void {
    const wasEmpty = group.state === 'Empty';
    if (group.state === 'CompletingRebalance') this.#cancelSyncs(group, now);
    group.assigning = -1;
    group.pendingSyncs.clear();
    group.syncDeadline.clear();
    group.transition('PreparingRebalance', now.wallMs);
    const { rebalanceTimeoutMs } = group;
    if (!wasEmpty) {
      group.initialDelayLeftMs = undefined;
      group.joinDeadline.set(now.monotonicMs + rebalanceTimeoutMs);
      this.#completeJoinIfAllCame(group, now);
      return;
    }
    const delayMs = this.#options.settings.initialRebalanceDelayMs;
    if (delayMs === 0) {
      this.#completeJoin(group, now);
      return;
    }
    group.initialDelayLeftMs = Math.max(0, rebalanceTimeoutMs - delayMs);
    group.newMemberAdded = false;
    group.joinDeadline.set(now.monotonicMs + delayMs);
  }

  #completeJoinIfAllCame(group: ClassicGroup, now: Instant): void {
    if (group.state !== 'PreparingRebalance' || group.initialDelayLeftMs !== undefined) return;
    if (group.hasAllMembersJoined) this.#completeJoin(group, now);
  }

  /** KIP-134: as long as members come, a group that was empty goes on waiting, up to the rebalance time-out. */
  #joinTimeUp(group: ClassicGroup, now: Instant): void {
    if (group.state !== 'PreparingRebalance') return;
    const leftMs = group.initialDelayLeftMs;
    if (leftMs !== undefined && group.newMemberAdded && leftMs > 0) {
      const delayMs = Math.min(leftMs, this.#options.settings.initialRebalanceDelayMs);
      group.newMemberAdded = false;
      group.initialDelayLeftMs = leftMs - delayMs;
      group.joinDeadline.set(now.monotonicMs + delayMs);
      return;
    }
    this.#completeJoin(group, now);
  }

  #completeJoin(group: ClassicGroup, now: Instant): void {
    group.initialDelayLeftMs = undefined;
    group.newMemberAdded = false;
    this.#removeAbsentMembers(group);
    if (group.members.size > 0 && !this.#leaderIsThere(group)) {
      // Static members only, and none has come back: they keep their places until their sessions end.
      group.joinDeadline.set(now.monotonicMs + Math.max(1, group.rebalanceTimeoutMs));
      return;
    }
    group.joinDeadline.clear();
    group.generation++;
    this.#options.counters.rebalances++;
    if (group.members.size === 0) {
      this.#becomeEmpty(group, now);
      return;
    }
    group.setProtocol(group.selectProtocol());
    group.transition('CompletingRebalance', now.wallMs);
    for (const member of group.members.values()) {
      group.pendingSyncs.add(member.memberId);
      member.isNew = false;
      member.session.set(now.monotonicMs + member.sessionTimeoutMs);
    }
    group.syncDeadline.set(now.monotonicMs + group.rebalanceTimeoutMs);
    for (const member of group.members.values()) {
      const respond = member.awaitingJoin;
      group.setAwaitingJoin(member, undefined);
      respond?.(joined(group, member));
    }
  }

  /** Static members may be away for as long as their sessions last (KIP-345). */
  #removeAbsentMembers(group: ClassicGroup): void {
    for (const member of group.members.values()) {
      if (member.awaitingJoin !== undefined || member.groupInstanceId !== null) continue;
      group.remove(member);
      this.#options.counters.membersExpired++;
    }
  }

  #leaderIsThere(group: ClassicGroup): boolean {
    const leader = group.leader === null ? undefined : group.members.get(group.leader);
    if (leader?.awaitingJoin !== undefined) return true;
    for (const member of group.members.values()) {
      if (member.awaitingJoin === undefined) continue;
      group.leader = member.memberId;
      return true;
    }
    return false;
  }

  #becomeEmpty(group: ClassicGroup, now: Instant): void {
    group.setProtocol(null);
    group.leader = null;
    group.transition('Empty', now.wallMs);
    this.#options.persist(group, now, undefined, () => undefined);
  }

  // The sync phase

  sync(
    group: ClassicGroup,
    request: SyncRequest,
    now: Instant,
    respond: (response: SyncResponse) => void,
  ): void {
    const found = this.#memberOfGeneration(group, request);
    if (typeof found === 'string') {
      respond(syncRefusal(found));
      return;
    }
    const { protocolType, protocolName } = request;
    if (
      (protocolType !== null && protocolType !== group.protocolType) ||
      (protocolName !== null && protocolName !== group.protocol)
    ) {
      respond(syncRefusal('INCONSISTENT_GROUP_PROTOCOL'));
      return;
    }
    switch (group.state) {
      case 'Empty':
        respond(syncRefusal('UNKNOWN_MEMBER_ID'));
        return;
      case 'PreparingRebalance':
        respond(syncRefusal('REBALANCE_IN_PROGRESS'));
        return;
      case 'Dead':
        respond(syncRefusal('COORDINATOR_NOT_AVAILABLE'));
        return;
      case 'Stable':
        this.#synced(group, found);
        respond(assigned(group, found));
        return;
      case 'CompletingRebalance':
        this.#awaitAssignment(group, found, request, now, respond);
    }
  }

  #awaitAssignment(
    group: ClassicGroup,
    member: Member,
    request: SyncRequest,
    now: Instant,
    respond: (response: SyncResponse) => void,
  ): void {
    member.awaitingSync?.(syncRefusal('REBALANCE_IN_PROGRESS'));
    member.awaitingSync = respond;
    this.#synced(group, member);
    // A leader that asks again while its assignments are being written waits for those.
    if (group.leader !== member.memberId || group.assigning === group.generation) return;
    const assignments = new Map<string, Uint8Array>();
    let bytes = 0;
    for (const memberId of group.members.keys()) {
      const assignment = request.assignments.get(memberId) ?? NO_ASSIGNMENT;
      assignments.set(memberId, assignment);
      bytes += assignment.length;
    }
    if (bytes > ASSIGNMENT_BYTES_MAX) {
      member.awaitingSync = undefined;
      respond(syncRefusal('INVALID_REQUEST'));
      this.#prepareRebalance(group, now);
      return;
    }
    const { generation } = group;
    group.assigning = generation;
    this.#options.persist(group, now, assignments, (failure, at) => {
      // Where it failed the whole state is given up, and all members are answered by that.
      if (failure !== undefined) return;
      if (group.state !== 'CompletingRebalance' || group.generation !== generation) return;
      this.#assign(group, assignments, at);
    });
  }

  #assign(group: ClassicGroup, assignments: ReadonlyMap<string, Uint8Array>, now: Instant): void {
    group.assigning = -1;
    // The moment was written with the record.
    group.transition('Stable', group.stateSinceMs);
    for (const member of group.members.values()) {
      member.assignment = assignments.get(member.memberId) ?? NO_ASSIGNMENT;
      const respond = member.awaitingSync;
      if (respond === undefined) continue;
      member.awaitingSync = undefined;
      // While it waited it could not be heard, and its session may have run out meanwhile.
      this.extendSession(member, now);
      respond(assigned(group, member));
    }
  }

  #synced(group: ClassicGroup, member: Member): void {
    group.pendingSyncs.delete(member.memberId);
    if (group.pendingSyncs.size === 0) group.syncDeadline.clear();
  }

  #cancelSyncs(group: ClassicGroup, now: Instant): void {
    for (const member of group.members.values()) {
      member.assignment = NO_ASSIGNMENT;
      const respond = member.awaitingSync;
      if (respond === undefined) continue;
      member.awaitingSync = undefined;
      this.extendSession(member, now);
      respond(syncRefusal('REBALANCE_IN_PROGRESS'));
    }
  }

  /** Members that joined the generation and never asked for their assignment are gone. */
  #syncTimeUp(group: ClassicGroup, now: Instant): void {
    if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return;
    if (group.pendingSyncs.size === 0) return;
    for (const memberId of group.pendingSyncs) {
      const member = group.members.get(memberId);
      if (member === undefined) continue;
      group.remove(member);
      this.#options.counters.membersExpired++;
    }
    this.#prepareRebalance(group, now);
  }

  // Being there, and leaving

  heartbeat(
    group: ClassicGroup,
    request: MemberIdentity & { readonly generationId: number },
    now: Instant,
  ): ErrorName | undefined {
    const found = this.#memberOfGeneration(group, request);
    if (typeof found === 'string') return found;
    this.extendSession(found, now);
    return group.state === 'PreparingRebalance' ? 'REBALANCE_IN_PROGRESS' : undefined;
  }

  extendSession(member: Member, now: Instant): void {
    member.session.set(now.monotonicMs + member.sessionTimeoutMs);
  }

  leave(group: ClassicGroup, identity: MemberIdentity, now: Instant): LeaveResult {
    const { memberId, groupInstanceId } = identity;
    if (memberId !== '' && group.pendingJoins.has(memberId)) {
      this.#forgetPending(group, memberId);
      this.#completeJoinIfAllCame(group, now);
      this.#options.idle(group);
      return { ...identity, error: undefined };
    }
    // An administrator removes static members by their instance ids alone.
    const byInstance = memberId === '' && groupInstanceId !== null;
    const found = byInstance
      ? (group.staticMember(groupInstanceId) ?? 'UNKNOWN_MEMBER_ID')
      : memberOf(group, identity);
    if (typeof found === 'string') return { ...identity, error: found };
    this.#removeAndRebalance(group, found, now);
    return { ...identity, error: undefined };
  }

  #sessionOver(group: ClassicGroup, member: Member, now: Instant): void {
    if (group.members.get(member.memberId) !== member) return;
    // Who waits for the others is there; its session begins anew with the answer. Only a first join may not wait for ever.
    if (!member.isNew && (member.awaitingJoin !== undefined || member.awaitingSync !== undefined)) return;
    this.#options.counters.membersExpired++;
    this.#removeAndRebalance(group, member, now);
  }

  #removeAndRebalance(group: ClassicGroup, member: Member, now: Instant): void {
    const { awaitingJoin, awaitingSync } = member;
    group.remove(member);
    awaitingJoin?.(joinRefusal('UNKNOWN_MEMBER_ID', member.memberId));
    awaitingSync?.(syncRefusal('UNKNOWN_MEMBER_ID'));
    if (group.state === 'Stable' || group.state === 'CompletingRebalance') this.#prepareRebalance(group, now);
    else this.#completeJoinIfAllCame(group, now);
  }

  #forgetPending(group: ClassicGroup, memberId: string): void {
    group.pendingJoins.get(memberId)?.clear();
    group.pendingJoins.delete(memberId);
  }

  /** Everybody who waits in the group gets the error; it is not used any more. */
  abandon(group: ClassicGroup, error: ErrorName): void {
    for (const member of group.members.values()) {
      const { awaitingJoin, awaitingSync } = member;
      group.setAwaitingJoin(member, undefined);
      member.awaitingSync = undefined;
      awaitingJoin?.(joinRefusal(error, member.memberId));
      awaitingSync?.(syncRefusal(error));
    }
  }

  #memberOfGeneration(
    group: ClassicGroup,
    request: MemberIdentity & { readonly generationId: number },
  ): Member | ErrorName {
    if (group.state === 'Dead') return 'COORDINATOR_NOT_AVAILABLE';
    const found = memberOf(group, request);
    if (typeof found === 'string') return found;
    return request.generationId === group.generation ? found : 'ILLEGAL_GENERATION';
  }

  #withSession(group: ClassicGroup, fields: Omit<Member, 'session'>): Member {
    const member: Member = {
      ...fields,
      session: new Deadline(this.#options.deadlines, (now) => this.#sessionOver(group, member, now)),
    };
    return member;
  }
}

/** What of a name goes into a member id; whole characters, or the id would not be the same when it comes back. */
function prefixOf(name: string): string {
  const prefix = name.slice(0, MEMBER_ID_PREFIX_MAX);
  return /[\uD800-\uDBFF]$/.test(prefix) ? prefix.slice(0, -1) : prefix;
}
