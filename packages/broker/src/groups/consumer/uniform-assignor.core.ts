import type { Assignment } from './assignment.core.ts';
import { type AssignorInput, type GroupAssignment, inOrder, isHomogeneous, NOBODY } from './assignor.core.ts';
import { balance } from './balancing.core.ts';
import { Draft } from './draft.core.ts';

/**
 * KIP-848's assignor `uniform`: as many partitions for each member as can be, whatever topics they are of, and as few as can be go from one member
 * to another. Where all members subscribe to the same topics their numbers of partitions differ by one at most; where they do not, no partition
 * could go to a subscriber that has two fewer than its owner.
 */
export function assignUniform(input: AssignorInput): GroupAssignment {
  const members = inOrder(input.members);
  if (members.length === 0) return new Map();
  const topicIds = [...input.partitionCounts.keys()].sort();
  const counts = topicIds.map((topicId) => input.partitionCounts.get(topicId)!);
  const draft = new Draft(members.length, counts);
  const topicIndexes = new Map(topicIds.map((topicId, index) => [topicId, index]));
  if (isHomogeneous(members)) {
    const topics = members[0]!.topics;
    const quota = new Quota(
      draft.partitionsOf(topicIds.map((topicId) => topics.has(topicId))),
      members.length,
    );
    members.forEach(({ before, topics: subscribed }, member) => {
      keep(draft, member, { before, subscribed, topicIndexes }, (count) => quota.keepable(count));
    });
    const wanted = topicIds.flatMap((topicId, topic) => (topics.has(topicId) ? [topic] : []));
    deal(draft, wanted, quota);
  } else {
    members.forEach(({ before, topics: subscribed }, member) => {
      keep(draft, member, { before, subscribed, topicIndexes }, (count) => count);
    });
    const subscribers = topicIds.map((topicId) =>
      members.flatMap(({ topics }, member) => (topics.has(topicId) ? [member] : [])),
    );
    balance(draft, subscribers);
  }
  return new Map(members.map(({ memberId }, member) => [memberId, draft.assignmentOf(member, topicIds)]));
}

/** How many partitions each member may have, where all may have all: the same number, and some one more. */
class Quota {
  readonly least: number;
  /** Members that may have one more than the least, and do not have it yet. */
  #larger: number;

  constructor(partitions: number, members: number) {
    this.least = Math.floor(partitions / members);
    this.#larger = partitions % members;
  }

  /** Of so many that a member had, it may keep so many. */
  keepable(count: number): number {
    if (count <= this.least) return count;
    return this.takesOneMore() ? this.least + 1 : this.least;
  }

  takesOneMore(): boolean {
    if (this.#larger === 0) return false;
    this.#larger--;
    return true;
  }
}

/** A member keeps what it had and may still have, the first ones of it. */
function keep(
  draft: Draft,
  member: number,
  from: {
    readonly before: Assignment;
    readonly subscribed: ReadonlySet<string>;
    readonly topicIndexes: ReadonlyMap<string, number>;
  },
  keepable: (count: number) => number,
): void {
  const free: (readonly [topic: number, partition: number])[] = [];
  for (const [topicId, partitions] of from.before) {
    const topic = from.topicIndexes.get(topicId);
    if (topic === undefined || !from.subscribed.has(topicId)) continue;
    const owners = draft.owners[topic]!;
    for (const partition of partitions) if (owners[partition] === NOBODY) free.push([topic, partition]);
  }
  const count = keepable(free.length);
  for (let at = 0; at < count; at++) draft.give(member, free[at]![0], free[at]![1]);
}

/** Deals out what nobody has, one to each member in turn, so that the partitions of a topic come to many members. */
function deal(draft: Draft, topics: readonly number[], quota: Quota): void {
  const takers = takersOf(draft.loads, quota);
  let next = 0;
  for (const topic of topics) {
    const owners = draft.owners[topic]!;
    for (let partition = 0; partition < owners.length; partition++) {
      if (owners[partition] === NOBODY) draft.give(takers[next++]!, topic, partition);
    }
  }
}

/** In turn all that have less than the least, until none has; then those that get one more. */
function takersOf(loads: Int32Array, quota: Quota): number[] {
  const takers: number[] = [];
  let below = [...loads.keys()].filter((member) => loads[member]! < quota.least);
  for (let round = 1; below.length > 0; round++) {
    for (const member of below) takers.push(member);
    below = below.filter((member) => loads[member]! + round < quota.least);
  }
  for (const [member, load] of loads.entries()) {
    if (load <= quota.least && quota.takesOneMore()) takers.push(member);
  }
  return takers;
}
