import { Deadline, type DeadlineQueue } from '../../coordinator/deadlines.core.ts';
import type { CoordinatorSink, Instant, StateRecord } from '../../coordinator/types.ts';
import type { ErrorName } from '../../errors.ts';
import type { GroupCounters } from '../types.ts';
import { type Assignment, isSameAssignment, partitionCount } from './assignment.core.ts';
import { ASSIGNORS, type AssignorName } from './assignors.core.ts';
import type { ConsumerGroup, ConsumerMember } from './consumer-group.core.ts';
import { groupRecord, targetEpochRecord, targetRecord } from './records.core.ts';
import {
  assignorInputOf,
  isSameSubscription,
  type MemberSnapshot,
  snapshotOf,
} from './subscriptions.core.ts';
import type { ConsumerGroupSettings, TopicView } from './types.ts';
import { forEachOf, Steps, type Work } from './work.core.ts';

/** Steps of an assignment in one turn of the event loop: some 5 ms, or 20 with cold caches. Most groups need fewer, and have it at once. */
export const ASSIGNMENT_STEPS_PER_TURN_MAX = 50_000;
/** Until the next turn of it. */
const TURN_PAUSE_MS = 1;

/** Members and partitions that an assignment is made for: as many are looked at for each ms that passes, at most. */
const ASSIGNED_PER_MS = 10;
/** A shorter pause is none: in small groups every change is followed at once. */
export const ASSIGNMENT_PAUSE_MS_MIN = 100;

/** Who cannot do without an assignment for an epoch. Called once: with the time when there is one, or with the reason why there will be none. */
interface Waiting {
  readonly epoch: number;
  readonly done: (outcome: Instant | ErrorName) => void;
}

/** A target assignment that is being made. */
export interface AssignmentUnderWay {
  /** The group's when it was begun. */
  readonly epoch: number;
  readonly steps: Steps<NewTargets>;
  readonly waiting: Waiting[];
}

/** What of the target assignment is new. */
interface NewTargets {
  readonly changes: readonly {
    readonly member: MemberSnapshot;
    readonly target: Assignment;
    readonly record: StateRecord;
  }[];
  /** Members and partitions. */
  readonly size: number;
}

export interface AssigningOptions {
  readonly sink: CoordinatorSink;
  readonly settings: ConsumerGroupSettings;
  readonly deadlines: DeadlineQueue;
  readonly counters: GroupCounters;
  readonly topics: TopicView;
}

/**
 * Makes the target assignments of groups of KIP-848: at once, or, where that takes longer, some steps in each turn, one group after the other; the
 * coordinators of a broker share the steps of a turn. It is made for the group as it was when it was begun. What happens meanwhile raises the group's epoch, so that another one follows, and who has left
 * or subscribes to something else by then is left out.
 */
export class Assigning {
  readonly #options: AssigningOptions;
  readonly #turn: Deadline;
  #groups: ConsumerGroup[] = [];
  /** Whether it counts among those that are making assignments. */
  #isCounted = false;

  constructor(options: AssigningOptions) {
    this.#options = options;
    this.#turn = new Deadline(options.deadlines, (now) => this.#goOn(now));
  }

  /** For the group's present epoch; adds the records, if it is there at once. Does nothing while one is being made. */
  begin(group: ConsumerGroup, records: StateRecord[], now: Instant): void {
    if (group.assigning !== undefined) return;
    const { settings, topics } = this.#options;
    const assignor = group.preferredAssignor(settings.assignors) as AssignorName;
    const steps = new Steps(newTargets(group, assignor, topics));
    const found = steps.run(settings.assignmentStepsPerTurnMax);
    if (found !== undefined) {
      take(group, group.epoch, found.result, records, now);
      return;
    }
    if (group.targetEpoch === 0) beginWithNothing(group, records);
    group.assigning = { epoch: group.epoch, steps, waiting: [] };
    this.#groups.push(group);
    this.#schedule(now);
  }

  /** None is made any more. */
  close(): void {
    this.#groups = [];
    this.#count(false);
  }

  #schedule(now: Instant): void {
    const isBusy = this.#groups.length > 0;
    this.#count(isBusy);
    if (isBusy) this.#turn.set(now.monotonicMs + TURN_PAUSE_MS);
  }

  #count(isBusy: boolean): void {
    if (isBusy !== this.#isCounted) this.#options.counters.assigning += isBusy ? 1 : -1;
    this.#isCounted = isBusy;
  }

  /** Calls back when there is an assignment for the present epoch of a group for which one is being made. */
  whenAssigned(group: ConsumerGroup, done: Waiting['done']): void {
    this.#wait(group, { epoch: group.epoch, done });
  }

  /** One turn for the group that waits longest. */
  #goOn(now: Instant): void {
    const { counters, settings } = this.#options;
    const group = this.#groups.shift();
    const assigning = group?.assigning;
    if (group !== undefined && assigning !== undefined) {
      // The turns of all coordinators may come one right after the other.
      const found = assigning.steps.run(Math.ceil(settings.assignmentStepsPerTurnMax / counters.assigning));
      if (found === undefined) this.#groups.push(group);
      else this.#finish(group, assigning, found.result, now);
    }
    this.#schedule(now);
  }

  #finish(
    group: ConsumerGroup,
    { epoch, waiting }: AssignmentUnderWay,
    targets: NewTargets,
    now: Instant,
  ): void {
    const records: StateRecord[] = [];
    group.assigning = undefined;
    take(group, epoch, targets, records, now);
    if (waiting.some((each) => each.epoch > epoch)) this.begin(group, records, now);
    this.#options.sink.append(records, () => undefined);
    for (const each of waiting) {
      if (each.epoch <= group.targetEpoch) each.done(now);
      else this.#wait(group, each);
    }
  }

  #wait({ assigning }: ConsumerGroup, waiting: Waiting): void {
    assigning!.waiting.push(waiting);
  }
}

/** Members cannot be told to be in epoch 0, which means that they join: in the first one nobody has anything. */
function beginWithNothing(group: ConsumerGroup, records: StateRecord[]): void {
  group.targetEpoch = group.epoch;
  group.epoch++;
  records.push(targetEpochRecord(group), groupRecord(group));
}

function* newTargets(group: ConsumerGroup, assignor: AssignorName, topics: TopicView): Work<NewTargets> {
  const { groupId } = group;
  const snapshot = snapshotOf(group);
  yield snapshot.length;
  const input = yield* assignorInputOf(snapshot, topics);
  const targets = yield* ASSIGNORS[assignor](input);
  const changes: { member: MemberSnapshot; target: Assignment; record: StateRecord }[] = [];
  let size = snapshot.length;
  yield* forEachOf(input.topics, ({ partitions }) => {
    size += partitions;
  });
  yield* forEachOf(snapshot, (member) => {
    const target = targets.get(member.memberId)!;
    const steps = 1 + target.size + partitionCount(target);
    if (isSameAssignment(target, member.before)) return steps;
    changes.push({ member, target, record: targetRecord(groupId, member.memberId, target) });
    return 4 * steps;
  });
  return { changes, size };
}

/** An assignment that was begun in an epoch of the group becomes its target. */
function take(
  group: ConsumerGroup,
  epoch: number,
  { changes, size }: NewTargets,
  records: StateRecord[],
  now: Instant,
): void {
  for (const { member, target, record } of changes) {
    const present = presentMember(group, member);
    // Who subscribes to something else by now must not get what it gave up. The next assignment tells it.
    if (present === undefined || !isSameSubscription(present.metadata, member.metadata)) continue;
    const { memberId } = present;
    group.setTarget(memberId, target);
    records.push(memberId === member.memberId ? record : targetRecord(group.groupId, memberId, target));
  }
  group.targetEpoch = epoch;
  group.assignsNotBeforeMs = now.monotonicMs + pauseAfter(size);
  records.push(targetEpochRecord(group));
}

/** A static member may have come back under another id. */
function presentMember(
  group: ConsumerGroup,
  { memberId, metadata }: MemberSnapshot,
): ConsumerMember | undefined {
  const { instanceId } = metadata;
  return instanceId === null ? group.members.get(memberId) : group.staticMember(instanceId);
}

/** How long the next assignment of a group may have to wait: 1,000 members may join at once, and assignments must not take all of the time. */
function pauseAfter(size: number): number {
  const pauseMs = size / ASSIGNED_PER_MS;
  return pauseMs < ASSIGNMENT_PAUSE_MS_MIN ? 0 : pauseMs;
}
