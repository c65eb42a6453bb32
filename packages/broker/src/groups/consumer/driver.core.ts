import { Deadline, type DeadlineQueue } from '../../coordinator/deadlines.core.ts';
import type { StepBudget } from '../../expressions/step-budget.core.ts';
import type { ExpressionCompiler } from '../../expressions/types.ts';
import type { CoordinatorSink, Durability, Instant, StateRecord } from '../../coordinator/types.ts';
import { sameProtocols } from '../classic-group.core.ts';
import type { GroupCounters } from '../types.ts';
import { Assigning, ASSIGNMENT_PAUSE_MS_MIN } from './assigning.core.ts';
import { type Assignment, partitionCount } from './assignment.core.ts';
import type { ConsumerGroup, ConsumerMember, MemberMetadata } from './consumer-group.core.ts';
import { type CurrentAssignment, reconcile } from './reconcile.core.ts';
import {
  currentRecord,
  groupRecord,
  memberRecord,
  memberTombstones,
  regexRecord,
  targetRecord,
} from './records.core.ts';
import { RegexSearches } from './regex-search.core.ts';
import { isSameSubscription, regexesOf } from './subscriptions.core.ts';
import type { ConsumerGroupSettings, GroupTimes, TopicMatcher, TopicView } from './types.ts';

/** Topics that came or went since a group's expressions were last asked: beyond that many they are asked about all topics. */
const CHANGED_TOPICS_MAX = 10_000;

/** While topics are looked at for an expression, a member asks so often what became of it. */
const SEARCH_HEARTBEAT_MS = 500;
/** Members that are told to ask soon send so many heartbeats, all of a group together, and not more: it may have thousands of them. */
const SOON_HEARTBEATS_PER_MS_MAX = 1;

/** What a request of a member brings with it. */
export interface Step {
  /** What the member has; undefined: it does not say. */
  readonly owned: Assignment | undefined;
  /** The epoch that it says; undefined: the one that it is in. */
  readonly saidEpoch: number | undefined;
  /** Members or subscriptions have changed. */
  readonly needsAssignment: boolean;
  /** Somebody waits for a new assignment that cannot do without. */
  readonly isUrgent: boolean;
  /** Which topics the member may know of; undefined: there is no member that asks, or it has nothing to do with regular expressions. */
  readonly maySee: TopicMatcher | undefined;
}

export interface DriverOptions {
  readonly sink: CoordinatorSink;
  readonly settings: ConsumerGroupSettings;
  readonly deadlines: DeadlineQueue;
  readonly counters: GroupCounters;
  readonly topics: TopicView;
  readonly timesOf: (groupId: string) => GroupTimes;
  readonly compileRegex: ExpressionCompiler;
  /** How much time the regular expressions of all groups may have. */
  readonly budget: StepBudget;
  /** Members of the group are gone: it may have to become a classic one, or to go. Adds the records of that, and returns whether it did. */
  readonly membersGone: (group: ConsumerGroup, records: StateRecord[], now: Instant) => boolean;
}

/**
 * Moves the groups of KIP-848 on, whoever asks: from a change of members, subscriptions or topics to a new group epoch, from there to a new target
 * assignment, and each member towards it. What it changes it says in records, which the caller appends in the same turn.
 */
export class ConsumerGroupDriver {
  readonly assigning: Assigning;
  readonly #options: DriverOptions;
  readonly #searches: RegexSearches;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.assigning = new Assigning(options);
    this.#searches = new RegexSearches({
      ...options,
      searched: (group, records) => this.#followTopics(group, records),
      append: (records) => options.sink.append(records, () => undefined),
    });
  }

  get settings(): ConsumerGroupSettings {
    return this.#options.settings;
  }

  get topics(): TopicView {
    return this.#options.topics;
  }

  timesOf(groupId: string): GroupTimes {
    return this.#options.timesOf(groupId);
  }

  /** Appends what there is, and calls back when all that was decided so far is durable. */
  commit(records: readonly StateRecord[], done: (failure: Durability) => void): void {
    const { sink } = this.#options;
    if (records.length === 0) sink.whenCommitted(done);
    else sink.append(records, done);
  }

  // Members

  addMember(
    group: ConsumerGroup,
    fields: Pick<ConsumerMember, 'memberId' | 'metadata' | 'current'>,
  ): ConsumerMember {
    const { deadlines } = this.#options;
    const member: ConsumerMember = {
      ...fields,
      session: new Deadline(deadlines, (now) => this.#expire(group, member, now)),
      patience: new Deadline(deadlines, (now) => this.#expire(group, member, now)),
    };
    group.add(member);
    return member;
  }

  /** It is there. */
  touch({ groupId }: ConsumerGroup, { metadata, session }: ConsumerMember, now: Instant): void {
    const timeoutMs = metadata.classic?.sessionTimeoutMs ?? this.timesOf(groupId).sessionTimeoutMs;
    session.set(now.monotonicMs + timeoutMs);
  }

  /** When a member shall be heard next: soon, where an assignment is about to be made. */
  heartbeatIntervalMs(group: ConsumerGroup, now: Instant): number {
    const { heartbeatIntervalMs } = this.timesOf(group.groupId);
    const soonestMs = group.members.size / SOON_HEARTBEATS_PER_MS_MAX;
    if (this.#searches.isRunning(group)) {
      return Math.min(heartbeatIntervalMs, Math.max(SEARCH_HEARTBEAT_MS, soonestMs));
    }
    if (group.epoch === group.targetEpoch) return heartbeatIntervalMs;
    const pauseMs = Math.ceil(group.assignsNotBeforeMs - now.monotonicMs);
    return Math.min(heartbeatIntervalMs, Math.max(ASSIGNMENT_PAUSE_MS_MIN, pauseMs, soonestMs));
  }

  /** The core is given up. */
  close(): void {
    this.assigning.close();
  }

  /** The others wait for a member, for as long as a rebalance may take; if they do already, no longer than that. */
  awaitFrom({ metadata, patience }: ConsumerMember, now: Instant): void {
    if (patience.atMs === Infinity) patience.set(now.monotonicMs + metadata.rebalanceTimeoutMs);
  }

  /** As after a load: everybody has the whole of his time. */
  resume(group: ConsumerGroup, now: Instant): void {
    group.isStale = true;
    if (group.epoch === group.targetEpoch && !this.#isTargetWhole(group)) group.metadataHash = 0n;
    for (const member of group.members.values()) {
      this.touch(group, member, now);
      if (member.current.state === 'unrevoked') this.awaitFrom(member, now);
    }
  }

  /**
   * Whether every partition is meant for somebody. It may not be where a crash has come between the batches of a large change, or a record cannot be
   * read: without a new epoch nobody would ever get what is missing.
   */
  #isTargetWhole(group: ConsumerGroup): boolean {
    let count = 0;
    for (const memberId of group.members.keys()) count += partitionCount(group.targetOf(memberId));
    return count === group.subscribed.partitions(this.topics);
  }

  /** Takes what a member has told; returns whether the group needs a new assignment because of it. */
  update(
    group: ConsumerGroup,
    member: ConsumerMember,
    metadata: MemberMetadata,
    records: StateRecord[],
  ): boolean {
    const { metadata: before } = member;
    const { assignors } = this.settings;
    if (isSameMetadata(before, metadata)) return false;
    const preferred = group.preferredAssignor(assignors);
    group.setMetadata(member, metadata);
    records.push(memberRecord(group, member));
    return !isSameSubscription(before, metadata) || group.preferredAssignor(assignors) !== preferred;
  }

  /** A member that is new, or takes another one's place, is told to the log. */
  introduce(group: ConsumerGroup, member: ConsumerMember, records: StateRecord[]): void {
    records.push(memberRecord(group, member));
  }

  /** A static member comes back under another id: all that the old one had is the new one's. */
  replace(
    group: ConsumerGroup,
    old: ConsumerMember,
    memberId: string,
    records: StateRecord[],
  ): ConsumerMember {
    const target = group.targetOf(old.memberId);
    const { metadata } = old;
    const current: CurrentAssignment = { ...old.current, epoch: 0, previousEpoch: 0 };
    group.remove(old);
    for (const record of memberTombstones(group, old.memberId)) records.push(record);
    const member = this.addMember(group, { memberId, metadata, current });
    group.setTarget(memberId, target);
    records.push(
      memberRecord(group, member),
      targetRecord(group.groupId, memberId, target),
      currentRecord(group, member),
    );
    return member;
  }

  removeMembers(
    group: ConsumerGroup,
    members: readonly ConsumerMember[],
    records: StateRecord[],
    now: Instant,
  ): void {
    for (const member of members) {
      group.remove(member);
      for (const record of memberTombstones(group, member.memberId)) records.push(record);
    }
    if (group.members.size === 0) group.emptySinceMs = now.wallMs;
    if (this.#options.membersGone(group, records, now)) return;
    this.refresh(group, { needsAssignment: true, maySee: undefined }, records, now);
  }

  /** Its time is up: what it had is given to others. */
  #expire(group: ConsumerGroup, member: ConsumerMember, now: Instant): void {
    if (group.members.get(member.memberId) !== member) return;
    this.#options.counters.membersExpired++;
    const records: StateRecord[] = [];
    this.removeMembers(group, [member], records, now);
    this.#options.sink.append(records, () => undefined);
  }

  // From a change to everybody's assignment

  /** One step of a member, and before it of its group. `owned` undefined: the member does not say what it has. */
  advance(
    group: ConsumerGroup,
    member: ConsumerMember,
    step: Step,
    records: StateRecord[],
    now: Instant,
  ): void {
    this.refresh(group, step, records, now);
    const isDue = step.isUrgent || now.monotonicMs >= group.assignsNotBeforeMs;
    if (group.epoch > group.targetEpoch && isDue) this.assigning.begin(group, records, now);
    const current = reconcile({
      current: member.current,
      targetEpoch: group.targetEpoch,
      target: group.targetOf(member.memberId),
      saidEpoch: step.saidEpoch ?? member.current.epoch,
      owned: step.owned,
      isFree: (topicId, partition) => group.isFree(topicId, partition),
    });
    if (current === member.current) return;
    this.setCurrent(group, member, current, records);
    // The time of a revocation counts from when it was told.
    member.patience.clear();
    if (current.state === 'unrevoked') this.awaitFrom(member, now);
  }

  setCurrent(
    group: ConsumerGroup,
    member: ConsumerMember,
    current: CurrentAssignment,
    records: StateRecord[],
  ): void {
    group.setCurrent(member, current);
    records.push(currentRecord(group, member));
  }

  /** Begins a new epoch where members or subscribed topics have changed. */
  refresh(
    group: ConsumerGroup,
    { needsAssignment: hasChanged, maySee }: Pick<Step, 'needsAssignment' | 'maySee'>,
    records: StateRecord[],
    now: Instant,
  ): void {
    // When a search has ended, what has changed meanwhile is looked at.
    if (!hasChanged && (!group.isStale || this.#searches.isRunning(group))) return;
    this.#dropUnusedRegexes(group, records);
    if (maySee !== undefined) this.#searches.begin(group, maySee, records, now);
    const isSearching = this.#searches.isRunning(group);
    // Without a member that asks nobody says whose eyes expressions see with: they wait for one.
    const isWaiting = maySee === undefined || isSearching;
    group.isStale = isWaiting && group.changedTopics?.size !== 0 && regexesOf(group).size > 0;
    if (hasChanged) this.#beginEpoch(group, group.subscribed.hash(this.topics), records);
    else if (!isSearching) this.#followTopics(group, records);
  }

  /** Begins a new epoch where subscribed topics are others, or have changed. */
  #followTopics(group: ConsumerGroup, records: StateRecord[]): void {
    const hash = group.subscribed.hash(this.topics);
    if (hash !== group.metadataHash) this.#beginEpoch(group, hash, records);
  }

  #beginEpoch(group: ConsumerGroup, metadataHash: bigint, records: StateRecord[]): void {
    group.epoch++;
    group.metadataHash = metadataHash;
    group.hasRecord = true;
    records.push(groupRecord(group));
    this.#options.counters.rebalances++;
  }

  /** The same where nobody waits for it. On a full disk it has to wait. */
  refreshUnasked(group: ConsumerGroup, now: Instant): void {
    const { sink } = this.#options;
    if (!group.isStale || !sink.isWritable()) return;
    const records: StateRecord[] = [];
    this.refresh(group, { needsAssignment: false, maySee: undefined }, records, now);
    if (records.length > 0) sink.append(records, () => undefined);
  }

  // Topics and regular expressions

  /** Topics came, changed or went. */
  topicsChanged(group: ConsumerGroup, names: readonly string[]): void {
    const hasRegexes = this.#hasRegexes(group);
    if (hasRegexes || names.some((name) => group.subscribed.has(name))) group.isStale = true;
    group.subscribed.changed(names);
    if (!hasRegexes || group.changedTopics === undefined) return;
    for (const name of names) group.changedTopics.add(name);
    if (group.changedTopics.size > CHANGED_TOPICS_MAX) group.changedTopics = undefined;
  }

  /** Members may see other topics now: expressions have to be asked about all of them. */
  accessChanged(group: ConsumerGroup): void {
    if (!this.#hasRegexes(group)) return;
    group.changedTopics = undefined;
    group.isStale = true;
  }

  /** Some that topics have been looked at for, or are now. */
  #hasRegexes(group: ConsumerGroup): boolean {
    return group.regexes.size > 0 || this.#searches.isRunning(group);
  }

  #dropUnusedRegexes(group: ConsumerGroup, records: StateRecord[]): void {
    if (group.regexes.size === 0) return;
    const used = regexesOf(group);
    for (const expression of group.regexes.keys()) {
      if (used.has(expression)) continue;
      group.setRegex(expression, undefined);
      records.push(regexRecord(group, expression));
    }
  }
}

function isSameMetadata(left: MemberMetadata, right: MemberMetadata): boolean {
  return (
    isSameSubscription(left, right) &&
    left.instanceId === right.instanceId &&
    left.rackId === right.rackId &&
    left.clientId === right.clientId &&
    left.clientHost === right.clientHost &&
    left.rebalanceTimeoutMs === right.rebalanceTimeoutMs &&
    left.assignor === right.assignor &&
    isSameClassic(left.classic, right.classic)
  );
}

function isSameClassic(left: MemberMetadata['classic'], right: MemberMetadata['classic']): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left.sessionTimeoutMs === right.sessionTimeoutMs && sameProtocols(left.protocols, right.protocols);
}
