import type { Deadline } from '../../coordinator/deadlines.core.ts';
import type { ErrorName } from '../../errors.ts';
import { type GroupMemory, metadataBytesOf, textBytesOf } from '../classic-group.core.ts';
import { GroupOffsets } from '../group-offsets.core.ts';
import { CONSUMER_PROTOCOL_TYPE } from '../subscription.core.ts';
import type { JoinProtocol } from '../types.ts';
import { type Assignment, NOTHING_ASSIGNED } from './assignment.core.ts';
import type { AssignmentUnderWay } from './assigning.core.ts';
import type { CurrentAssignment } from './reconcile.core.ts';
import { SubscribedTopics } from './subscribed-topics.core.ts';
import type { ClassicMetadata, ConsumerGroupState } from './types.ts';

/** What the objects around a member's strings take, roughly. */
const MEMBER_BYTES = 512;
/** A topic that an expression stands for: in its list, and among all that the group subscribes to. The name itself is that of the topic. */
const FOUND_TOPIC_BYTES = 48;

/** What a member has told. A change makes a new one. */
export interface MemberMetadata {
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  /** Names: distinct, in order. */
  readonly topics: readonly string[];
  /** Empty: none. */
  readonly regex: string;
  readonly rebalanceTimeoutMs: number;
  /** The assignor that it would like. */
  readonly assignor: string | null;
  /** Undefined for a member that sends ConsumerGroupHeartbeat. */
  readonly classic: ClassicMetadata | undefined;
}

/** Nothing yet. */
export const NO_METADATA: MemberMetadata = {
  instanceId: null,
  rackId: null,
  clientId: '',
  clientHost: '',
  topics: [],
  regex: '',
  rebalanceTimeoutMs: -1,
  assignor: null,
  classic: undefined,
};

export interface ConsumerMember {
  readonly memberId: string;
  metadata: MemberMetadata;
  current: CurrentAssignment;
  readonly session: Deadline;
  /** The end of what the others wait for: a revocation; of a classic member its next JoinGroup or SyncGroup. */
  readonly patience: Deadline;
}

export interface ResolvedRegex {
  /** In order. */
  readonly topics: readonly string[];
  /** Of the cluster image. */
  readonly version: number;
  /** ms since the epoch. */
  readonly timestampMs: number;
}

/**
 * One consumer group of KIP-848: its members, what each has and shall have, and what follows from that. It knows what is, and decides nothing.
 * Three epochs tell what has to happen: the group's rises when members, subscriptions or topics change; the target's is the one that the present
 * target assignment was made for; a member's is the one that it has reached.
 */
export class ConsumerGroup {
  readonly kind = 'consumer';
  readonly protocolType = CONSUMER_PROTOCOL_TYPE;
  readonly groupId: string;
  readonly offsets: GroupOffsets;
  readonly members = new Map<string, ConsumerMember>();
  /** Member ids of static members by their instance ids. */
  readonly instances = new Map<string, string>();
  readonly regexes = new Map<string, ResolvedRegex>();
  /** By name or by expression. */
  readonly subscribed = new SubscribedTopics();
  epoch = 0;
  /** Of the partitions of the subscribed topics at the group's epoch, 0: not known. */
  metadataHash = 0n;
  targetEpoch = 0;
  /** Monotonic ms: a new target assignment waits until then, so that many changes of a large group cost one. */
  assignsNotBeforeMs = -Infinity;
  /** The target assignment that is being made, if that takes more than one turn. */
  assigning: AssignmentUnderWay | undefined;
  /** Topics may differ from what the hash stands for. */
  isStale = true;
  /** Topics that came or went, and that regular expressions have not been asked about; undefined: they have to be asked about all. */
  changedTopics: Set<string> | undefined;
  /** The log has a record of it. */
  hasRecord = false;
  /** ms since the epoch of the moment that the last member went, -1: unknown. */
  emptySinceMs = -1;
  /** What the members have told, and what their expressions stand for, in bytes. */
  metadataBytes = 0;
  /** Another group, or none, has taken its place. */
  isReleased = false;
  readonly #memory: GroupMemory;
  readonly #targets = new Map<string, Assignment>();
  /** Member ids, by topic id and partition: who has it, or has to give it up. */
  readonly #owners = new Map<string, Map<number, string>>();
  #classicMembers = 0;

  constructor(options: {
    readonly groupId: string;
    readonly memory: GroupMemory;
    /** What the group has committed already. */
    readonly offsets?: GroupOffsets | undefined;
  }) {
    this.groupId = options.groupId;
    this.#memory = options.memory;
    this.offsets = options.offsets ?? new GroupOffsets();
  }

  get state(): ConsumerGroupState {
    if (this.members.size === 0) return 'Empty';
    if (this.epoch > this.targetEpoch) return 'Assigning';
    for (const { current } of this.members.values()) {
      if (current.state !== 'stable' || current.epoch !== this.targetEpoch) return 'Reconciling';
    }
    return 'Stable';
  }

  get isUnused(): boolean {
    return this.members.size === 0 && !this.hasRecord && this.offsets.count === 0;
  }

  get classicMembers(): number {
    return this.#classicMembers;
  }

  add(member: ConsumerMember): void {
    this.members.set(member.memberId, member);
    const { instanceId } = member.metadata;
    if (instanceId !== null) this.instances.set(instanceId, member.memberId);
    this.#count(member, 1);
    this.#own(member.memberId, member.current);
  }

  remove(member: ConsumerMember): void {
    const { memberId, metadata, session, patience } = member;
    if (!this.members.delete(memberId)) return;
    session.clear();
    patience.clear();
    const { instanceId } = metadata;
    if (instanceId !== null && this.instances.get(instanceId) === memberId) this.instances.delete(instanceId);
    this.#count(member, -1);
    this.#disown(memberId, member.current);
    this.#targets.delete(memberId);
  }

  staticMember(instanceId: string): ConsumerMember | undefined {
    const memberId = this.instances.get(instanceId);
    return memberId === undefined ? undefined : this.members.get(memberId);
  }

  setMetadata(member: ConsumerMember, metadata: MemberMetadata): void {
    const before = member.metadata.instanceId;
    if (before !== null && before !== metadata.instanceId) this.instances.delete(before);
    if (metadata.instanceId !== null) this.instances.set(metadata.instanceId, member.memberId);
    // In this order: what is in both is subscribed to all the time.
    this.#count({ memberId: member.memberId, metadata }, 1);
    this.#count(member, -1);
    member.metadata = metadata;
  }

  setCurrent(member: ConsumerMember, current: CurrentAssignment): void {
    this.#disown(member.memberId, member.current);
    member.current = current;
    this.#own(member.memberId, current);
  }

  targetOf(memberId: string): Assignment {
    return this.#targets.get(memberId) ?? NOTHING_ASSIGNED;
  }

  setTarget(memberId: string, target: Assignment | undefined): void {
    if (target === undefined) this.#targets.delete(memberId);
    else this.#targets.set(memberId, target);
  }

  /** Whether nobody has a partition, and nobody has to give it up. */
  isFree(topicId: string, partition: number): boolean {
    return this.#owners.get(topicId)?.has(partition) !== true;
  }

  setRegex(expression: string, resolved: ResolvedRegex | undefined): void {
    const before = this.regexes.get(expression);
    if (resolved === undefined) this.regexes.delete(expression);
    else {
      this.regexes.set(expression, resolved);
      this.subscribed.add(resolved.topics);
    }
    if (before !== undefined) this.subscribed.remove(before.topics);
    this.#countBytes(regexBytesOf(expression, resolved) - regexBytesOf(expression, before));
  }

  /** The assignor that most members ask for, among those that there are. */
  preferredAssignor(known: readonly string[]): string {
    const votes = new Map<string, number>();
    for (const { assignor } of this.#allMetadata()) {
      if (assignor !== null && known.includes(assignor)) votes.set(assignor, (votes.get(assignor) ?? 0) + 1);
    }
    let best = known[0]!;
    for (const name of known) if ((votes.get(name) ?? 0) > (votes.get(best) ?? 0)) best = name;
    return best;
  }

  /** Whether a classic member with these protocols could join: all classic members have one in common then. */
  supportsClassic(protocolType: string, protocols: readonly JoinProtocol[], except: string): boolean {
    if (protocolType !== CONSUMER_PROTOCOL_TYPE || protocols.length === 0) return false;
    let common = new Set(protocols.map(({ name }) => name));
    for (const { memberId, metadata } of this.members.values()) {
      if (metadata.classic === undefined || memberId === except) continue;
      common = new Set(metadata.classic.protocols.map(({ name }) => name).filter((name) => common.has(name)));
    }
    return common.size > 0;
  }

  /** None is being made any more: who waits for it is told why. */
  abandonAssignment(error: ErrorName): void {
    const { assigning } = this;
    this.assigning = undefined;
    for (const { done } of assigning?.waiting ?? []) done(error);
  }

  /** It is not used any more: what its members have told does not count, and their time does not run out. */
  release(): void {
    this.abandonAssignment('REBALANCE_IN_PROGRESS');
    this.#memory.metadataBytes -= this.metadataBytes;
    this.metadataBytes = 0;
    this.isReleased = true;
    for (const { session, patience } of this.members.values()) {
      session.clear();
      patience.clear();
    }
  }

  *#allMetadata(): Generator<MemberMetadata> {
    for (const { metadata } of this.members.values()) yield metadata;
  }

  #count({ memberId, metadata }: Pick<ConsumerMember, 'memberId' | 'metadata'>, change: 1 | -1): void {
    if (metadata.classic !== undefined) this.#classicMembers += change;
    this.#countBytes(change * memberBytesOf(memberId, metadata));
    if (change === 1) this.subscribed.add(metadata.topics);
    else this.subscribed.remove(metadata.topics);
  }

  #countBytes(change: number): void {
    if (this.isReleased) return;
    this.metadataBytes += change;
    this.#memory.metadataBytes += change;
  }

  #own(memberId: string, { assigned, revoking }: CurrentAssignment): void {
    for (const assignment of [assigned, revoking]) {
      for (const [topicId, partitions] of assignment) {
        let owners = this.#owners.get(topicId);
        if (owners === undefined) this.#owners.set(topicId, (owners = new Map()));
        for (const partition of partitions) owners.set(partition, memberId);
      }
    }
  }

  #disown(memberId: string, { assigned, revoking }: CurrentAssignment): void {
    for (const assignment of [assigned, revoking]) {
      for (const [topicId, partitions] of assignment) {
        const owners = this.#owners.get(topicId);
        if (owners === undefined) continue;
        for (const partition of partitions) {
          if (owners.get(partition) === memberId) owners.delete(partition);
        }
        if (owners.size === 0) this.#owners.delete(topicId);
      }
    }
  }
}

function regexBytesOf(expression: string, resolved: ResolvedRegex | undefined): number {
  if (resolved === undefined) return 0;
  return textBytesOf(expression) + FOUND_TOPIC_BYTES * resolved.topics.length;
}

/** What a member's word takes in memory: its names too, each of which may be as long as a string of the protocol. */
export function memberBytesOf(memberId: string, metadata: MemberMetadata): number {
  const { topics, regex, classic, instanceId, rackId, clientId, clientHost } = metadata;
  let bytes = MEMBER_BYTES;
  for (const text of [memberId, instanceId, rackId, clientId, clientHost, regex]) bytes += textBytesOf(text);
  for (const topic of topics) bytes += textBytesOf(topic);
  return bytes + (classic === undefined ? 0 : metadataBytesOf(classic.protocols));
}
