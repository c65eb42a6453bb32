import type { Deadline } from '../coordinator/deadlines.core.ts';
import { GroupOffsets } from './group-offsets.core.ts';
import { CONSUMER_PROTOCOL_TYPE, topicsOfSubscription } from './subscription.core.ts';
import type { ClassicGroupState, JoinProtocol, JoinResponse, SyncResponse } from './types.ts';

const PROTOCOL_BYTES = 64;
const STRING_BYTES = 32;
export const NO_ASSIGNMENT: Uint8Array = new Uint8Array(0);

/** From each state, those that may follow it. */
const TRANSITIONS: Readonly<Record<ClassicGroupState, readonly ClassicGroupState[]>> = {
  Empty: ['PreparingRebalance', 'Dead'],
  PreparingRebalance: ['CompletingRebalance', 'Empty', 'Dead'],
  CompletingRebalance: ['PreparingRebalance', 'Stable', 'Dead'],
  Stable: ['PreparingRebalance', 'Dead'],
  Dead: [],
};

/** Bytes that the members of all groups of a broker have told, kept in memory. */
export interface GroupMemory {
  metadataBytes: number;
}

/** A member, with the request of its that waits. */
export interface Member {
  readonly memberId: string;
  /** KIP-345: a static member, which keeps its place over restarts. */
  readonly groupInstanceId: string | null;
  clientId: string;
  clientHost: string;
  sessionTimeoutMs: number;
  rebalanceTimeoutMs: number;
  /** By preference. */
  protocols: readonly JoinProtocol[];
  assignment: Uint8Array;
  awaitingJoin: ((response: JoinResponse) => void) | undefined;
  awaitingSync: ((response: SyncResponse) => void) | undefined;
  /** It has not completed its first join: it may be given up while it waits. */
  isNew: boolean;
  readonly session: Deadline;
}

/**
 * One classic consumer group (the protocol of JoinGroup and SyncGroup): its members, what they agree on, and what is kept in step with that.
 * It knows what may be, and decides nothing.
 */
export class ClassicGroup {
  readonly kind = 'classic';
  readonly groupId: string;
  readonly offsets: GroupOffsets;
  readonly members = new Map<string, Member>();
  /** Member ids of static members by their instance ids. */
  readonly instances = new Map<string, string>();
  /** KIP-394: ids that were given out, and that nobody has joined with yet. */
  readonly pendingJoins = new Map<string, Deadline>();
  /** Members of the present generation that have not asked for their assignment yet. */
  readonly pendingSyncs = new Set<string>();
  /** The end of the present join phase, and of the sync phase that follows it. */
  readonly joinDeadline: Deadline;
  readonly syncDeadline: Deadline;
  /** While a group that was empty gathers its first members: for how much longer it may. */
  initialDelayLeftMs: number | undefined;
  /** Somebody came since the delay was last extended. */
  newMemberAdded = false;
  generation = 0;
  /** Empty: no member has ever joined. */
  protocolType = '';
  protocol: string | null = null;
  leader: string | null = null;
  /** ms since the epoch, -1: unknown. */
  stateSinceMs = -1;
  /** The log has a record of it. */
  hasRecord = false;
  /** The generation whose assignments are on their way to the log; -1: none. */
  assigning = -1;
  /** What the members have told, in bytes. */
  metadataBytes = 0;
  readonly #memory: GroupMemory;
  /** Worked out when somebody asks. */
  #subscribed: { readonly topics: ReadonlySet<string> | undefined } | undefined;
  #state: ClassicGroupState = 'Empty';
  #awaitingJoins = 0;
  /** How many members know a protocol. */
  readonly #protocolCounts = new Map<string, number>();

  constructor(options: {
    readonly groupId: string;
    readonly memory: GroupMemory;
    readonly deadlines: (group: ClassicGroup) => { join: Deadline; sync: Deadline };
    /** What the group has committed already. */
    readonly offsets?: GroupOffsets | undefined;
  }) {
    this.groupId = options.groupId;
    this.#memory = options.memory;
    this.offsets = options.offsets ?? new GroupOffsets();
    const { join, sync } = options.deadlines(this);
    this.joinDeadline = join;
    this.syncDeadline = sync;
  }

  get state(): ClassicGroupState {
    return this.#state;
  }

  transition(to: ClassicGroupState, wallMs: number): void {
    if (!TRANSITIONS[this.#state].includes(to)) {
      throw new Error(`group ${this.groupId}: ${this.#state} cannot become ${to}`);
    }
    this.#state = to;
    this.stateSinceMs = wallMs;
  }

  /** As its record in the log says. */
  restore(state: 'Empty' | 'Stable', sinceMs: number): void {
    this.#state = state;
    this.stateSinceMs = sinceMs;
  }

  get awaitingJoins(): number {
    return this.#awaitingJoins;
  }

  get hasAllMembersJoined(): boolean {
    return this.#awaitingJoins === this.members.size && this.pendingJoins.size === 0;
  }

  get isUnused(): boolean {
    return (
      this.#state === 'Empty' && this.pendingJoins.size === 0 && !this.hasRecord && this.offsets.count === 0
    );
  }

  /** The longest that one of its members asks for. */
  get rebalanceTimeoutMs(): number {
    let longest = 0;
    for (const { rebalanceTimeoutMs } of this.members.values())
      longest = Math.max(longest, rebalanceTimeoutMs);
    return longest;
  }

  staticMember(groupInstanceId: string): Member | undefined {
    const memberId = this.instances.get(groupInstanceId);
    return memberId === undefined ? undefined : this.members.get(memberId);
  }

  add(member: Member, protocolType: string): void {
    if (this.members.size === 0) this.protocolType = protocolType;
    this.leader ??= member.memberId;
    this.members.set(member.memberId, member);
    if (member.groupInstanceId !== null) this.instances.set(member.groupInstanceId, member.memberId);
    this.#count(member, 1);
    if (member.awaitingJoin !== undefined) this.#awaitingJoins++;
  }

  remove(member: Member): void {
    if (!this.members.delete(member.memberId)) return;
    this.pendingSyncs.delete(member.memberId);
    member.session.clear();
    this.#count(member, -1);
    if (member.awaitingJoin !== undefined) this.#awaitingJoins--;
    const { groupInstanceId } = member;
    if (groupInstanceId !== null && this.instances.get(groupInstanceId) === member.memberId) {
      this.instances.delete(groupInstanceId);
    }
    if (this.leader === member.memberId) this.leader = this.members.keys().next().value ?? null;
  }

  /** The successor of a static member takes its place, its assignment and, if it has it, the leadership. */
  replace(old: Member, successor: Member): void {
    const wasLeader = this.leader === old.memberId;
    const wasPending = this.pendingSyncs.has(old.memberId);
    this.remove(old);
    this.add(successor, this.protocolType);
    if (wasPending) this.pendingSyncs.add(successor.memberId);
    if (wasLeader) this.leader = successor.memberId;
  }

  /** What it tells with a request to join. */
  setTold(member: Member, told: Pick<Member, 'protocols' | 'clientId' | 'clientHost'>): void {
    this.#count(member, -1);
    member.protocols = told.protocols;
    member.clientId = told.clientId;
    member.clientHost = told.clientHost;
    this.#count(member, 1);
  }

  setAwaitingJoin(member: Member, respond: Member['awaitingJoin']): void {
    if (member.awaitingJoin !== undefined) this.#awaitingJoins--;
    member.awaitingJoin = respond;
    if (respond !== undefined) this.#awaitingJoins++;
  }

  /** Whether a member with these protocols could join: all have one in common then. */
  supports(protocolType: string, protocols: readonly JoinProtocol[]): boolean {
    if (protocolType === '' || protocols.length === 0) return false;
    if (this.members.size === 0) return true;
    if (protocolType !== this.protocolType) return false;
    return protocols.some(({ name }) => this.#protocolCounts.get(name) === this.members.size);
  }

  /** Of the protocols that all know, the one that most prefer. */
  selectProtocol(): string {
    const votes = new Map<string, number>();
    for (const { protocols } of this.members.values()) {
      const vote = protocols.find(({ name }) => this.#protocolCounts.get(name) === this.members.size);
      if (vote === undefined) throw new Error(`group ${this.groupId}: no protocol that all members know`);
      votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1);
    }
    let best = '';
    let most = 0;
    for (const [name, count] of votes) {
      if (count <= most) continue;
      best = name;
      most = count;
    }
    return best;
  }

  /** For the present protocol. */
  metadataOf(member: Member): Uint8Array {
    return member.protocols.find(({ name }) => name === this.protocol)?.metadata ?? NO_ASSIGNMENT;
  }

  /** What its consumers subscribe to by the present protocol; undefined: that cannot be told. */
  get subscribedTopics(): ReadonlySet<string> | undefined {
    this.#subscribed ??= { topics: this.#subscriptions() };
    return this.#subscribed.topics;
  }

  setProtocol(protocol: string | null): void {
    this.protocol = protocol;
    this.#subscribed = undefined;
  }

  /** It is not used any more: what its members have told does not count, and no time of its runs out. */
  release(): void {
    this.#memory.metadataBytes -= this.metadataBytes;
    this.metadataBytes = 0;
    this.joinDeadline.clear();
    this.syncDeadline.clear();
    for (const pending of this.pendingJoins.values()) pending.clear();
    for (const { session } of this.members.values()) session.clear();
  }

  #subscriptions(): ReadonlySet<string> | undefined {
    if (this.protocolType !== CONSUMER_PROTOCOL_TYPE) return undefined;
    const all = new Set<string>();
    if (this.protocol === null) return all;
    for (const member of this.members.values()) {
      const topics = topicsOfSubscription(this.metadataOf(member));
      if (topics === undefined) return undefined;
      for (const topic of topics) all.add(topic);
    }
    return all;
  }

  #count(member: Member, change: 1 | -1): void {
    const { protocols } = member;
    // A name that comes twice in one member's list counts once.
    for (const name of new Set(protocols.map((protocol) => protocol.name))) {
      const count = (this.#protocolCounts.get(name) ?? 0) + change;
      if (count === 0) this.#protocolCounts.delete(name);
      else this.#protocolCounts.set(name, count);
    }
    const bytes = change * toldBytesOf(member);
    this.metadataBytes += bytes;
    this.#memory.metadataBytes += bytes;
    this.#subscribed = undefined;
  }
}

/** What a member's word takes in memory: its names too, each of which may be as long as a string of the protocol. */
export function toldBytesOf(
  told: Pick<Member, 'protocols' | 'clientId' | 'clientHost' | 'groupInstanceId'>,
): number {
  const { protocols, clientId, clientHost, groupInstanceId } = told;
  return (
    metadataBytesOf(protocols) +
    textBytesOf(clientId) +
    textBytesOf(clientHost) +
    textBytesOf(groupInstanceId)
  );
}

/** Two bytes a character, and the object. */
export function textBytesOf(text: string | null): number {
  return text === null ? 0 : STRING_BYTES + 2 * text.length;
}

/** What the protocols of a member take in memory. */
export function metadataBytesOf(protocols: readonly JoinProtocol[]): number {
  let bytes = 0;
  // Names are kept in two bytes a character, with some dozens of bytes for the objects around them.
  for (const { name, metadata } of protocols) bytes += PROTOCOL_BYTES + 2 * name.length + metadata.length;
  return bytes;
}

/** Same names in the same order with the same metadata. */
export function sameProtocols(left: readonly JoinProtocol[], right: readonly JoinProtocol[]): boolean {
  return (
    left.length === right.length &&
    left.every(({ name, metadata }, index) => {
      const other = right[index]!;
      return name === other.name && sameBytes(metadata, other.metadata);
    })
  );
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}
