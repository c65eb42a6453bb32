import type { Assignment } from './assignment.core.ts';
import { type AssignorInput, type GroupAssignment, inOrder } from './assignor.core.ts';
import { NumberHeap } from './number-heap.core.ts';
import { classesOf, type SubscriptionClasses } from './subscription-classes.core.ts';
import { forEachOf, forEachUpTo, type Work } from './work.core.ts';

/**
 * KIP-848's assignor `range`: each topic is cut into consecutive ranges, one for each of its subscribers in their order, and the first ones get
 * one more where it does not come out even. Topics with the same number of partitions and the same subscribers are cut alike, so that partition 3
 * of both belongs to the same member: what is joined by key needs that. What members had before does not count; the order of static members
 * follows their instance ids, so that their restarts move nothing.
 *
 * Steps: members, partitions, and the sum of the lengths of distinct subscriptions, times the logarithm of the number of those.
 */
export function* assignRange(input: AssignorInput): Work<GroupAssignment> {
  const members = yield* inOrder(input.members);
  const classes = yield* classesOf(input, members);
  const { classOfTopic, firstCells } = classes;
  const wanted = new Int32Array(firstCells.length - 1);
  yield* forEachOf(input.topics.entries(), ([topic, { partitions }]) => {
    const topics = classOfTopic[topic]!;
    if (topics !== -1) wanted[topics] = Math.max(wanted[topics]!, partitions);
  });
  const subscribers: Subscribers[] = [];
  for (const [topics, most] of wanted.entries()) {
    subscribers.push(yield* subscribersOf(classes, topics, most));
  }
  const assigned = members.map(() => new Map<string, number[]>());
  for (const [topic, { id, partitions }] of input.topics.entries()) {
    const topics = classOfTopic[topic]!;
    if (topics === -1) continue;
    const { ranks, count } = subscribers[topics]!;
    const share = Math.floor(partitions / count);
    const withOneMore = partitions % count;
    let next = 0;
    // Further subscribers than there are partitions get nothing.
    yield* forEachUpTo(Math.min(partitions, count), (at) => {
      const first = next;
      const length = share + (at < withOneMore ? 1 : 0);
      next += length;
      assigned[ranks[at]!]!.set(
        id,
        Array.from({ length }, (_, index) => first + index),
      );
      return 4 + length;
    });
  }
  return new Map(members.map(({ memberId }, rank): [string, Assignment] => [memberId, assigned[rank]!]));
}

interface Subscribers {
  /** The first ones, in the order of the members. */
  readonly ranks: readonly number[];
  /** All of them. */
  readonly count: number;
}

/** Of a class of topics, as many as are wanted. */
function* subscribersOf(
  { firstCells, members, subscribers }: SubscriptionClasses,
  topics: number,
  wanted: number,
): Work<Subscribers> {
  const classes = subscribers.subarray(firstCells[topics], firstCells[topics + 1]);
  const { length } = classes;
  const taken = new Int32Array(length);
  const keys: number[] = [];
  let count = 0;
  for (let at = 0; at < length; at++) {
    const ranks = members[classes[at]!]!;
    count += ranks.length;
    keys.push(ranks[0]! * length + at);
  }
  yield length;
  const heap = new NumberHeap(keys);
  const ranks: number[] = [];
  yield* forEachUpTo(Math.min(wanted, count), () => {
    const top = heap.top!;
    const at = top % length;
    ranks.push(Math.floor(top / length));
    const next = members[classes[at]!]![++taken[at]!];
    if (next === undefined) heap.removeTop();
    else heap.replaceTop(next * length + at);
  });
  return { ranks, count };
}
