import type { AssignorInput, MemberToAssign } from './assignor.core.ts';
import { forEachOf, forEachUpTo, scanned, type Work } from './work.core.ts';

const NONE = -1;

/**
 * Members that have the same subscription are a class, and topics that the same members subscribe to are a class: an assignor does not tell them
 * apart. A class of topics at one of its subscribers, which are classes of members, is a cell.
 */
export interface SubscriptionClasses {
  /** Ranks of members, ascending; in the order of their first ones. None is empty. */
  readonly members: readonly (readonly number[])[];
  /** By rank. */
  readonly classOfMember: Int32Array;
  /** By topic, numbered in the order of their first topics; -1: nobody subscribes to it. */
  readonly classOfTopic: Int32Array;
  /** By class of topics: its first cell; its last one is before that of the next class. One more than there are classes. */
  readonly firstCells: Int32Array;
  /** By cell: the class of members. Ascending within a class of topics. */
  readonly subscribers: Int32Array;
}

/**
 * There are no more cells than the sum of the lengths of distinct subscriptions. Steps: members and, at several to a step, topics and four times that sum.
 *
 * @param members in the order of their ranks
 */
export function* classesOf(
  { topics, subscriptions }: AssignorInput,
  members: readonly MemberToAssign[],
): Work<SubscriptionClasses> {
  const classOfMember = new Int32Array(members.length);
  const ranks: number[][] = [];
  /** By class of members. */
  const lists: Int32Array[] = [];
  const classOf = new Map<number, number>();
  yield* forEachOf(members.entries(), ([rank, { subscription }]) => {
    let found = classOf.get(subscription);
    if (found === undefined) {
      classOf.set(subscription, (found = ranks.push([]) - 1));
      lists.push(subscriptions[subscription]!);
    }
    classOfMember[rank] = found;
    ranks[found]!.push(rank);
  });
  const topicClasses = yield* refined(topics.length, lists);
  const sizes = new Int32Array(topicClasses.firstTopics.length);
  for (const list of lists) {
    yield* eachFirst(list, topicClasses, (topicClass) => {
      sizes[topicClass]!++;
    });
  }
  const firstCells = new Int32Array(sizes.length + 1);
  for (let at = 0; at < sizes.length; at++) firstCells[at + 1] = firstCells[at]! + sizes[at]!;
  yield scanned(sizes.length);
  const subscribers = new Int32Array(firstCells.at(-1)!);
  const next = firstCells.slice();
  for (const [found, list] of lists.entries()) {
    yield* eachFirst(list, topicClasses, (topicClass) => {
      subscribers[next[topicClass]!++] = found;
    });
  }
  const { classOfTopic } = topicClasses;
  return { members: ranks, classOfMember, classOfTopic, firstCells, subscribers };
}

interface TopicClasses {
  readonly classOfTopic: Int32Array;
  /** By class. */
  readonly firstTopics: readonly number[];
}

/** The classes of topics of a subscription. */
function* eachFirst(
  subscription: Int32Array,
  { classOfTopic, firstTopics }: TopicClasses,
  visit: (topics: number) => void,
): Work<void> {
  for (const topic of subscription) {
    const found = classOfTopic[topic]!;
    if (firstTopics[found] === topic) visit(found);
  }
  yield scanned(subscription.length);
}

/** One class at first, which every subscription splits into what it has of it and what not. */
function* refined(topics: number, lists: readonly Int32Array[]): Work<TopicClasses> {
  const classes = new Int32Array(topics);
  const isSubscribed = new Uint8Array(topics);
  // No class is empty, so that there are no more of them than topics.
  const sizes = new Int32Array(topics + 1);
  const hits = new Int32Array(topics + 1);
  /** Where topics of a class go that are in the subscription. */
  const targets = new Int32Array(topics + 1).fill(NONE);
  sizes[0] = topics;
  let count = 1;
  for (const list of lists) {
    const touched: number[] = [];
    for (const topic of list) hits[classes[topic]!]!++;
    for (const topic of list) {
      isSubscribed[topic] = 1;
      const before = classes[topic]!;
      if (targets[before] === NONE) {
        touched.push(before);
        targets[before] = hits[before] === sizes[before] ? before : count++;
      }
      const after = targets[before]!;
      classes[topic] = after;
      sizes[before]!--;
      sizes[after]!++;
    }
    for (const before of touched) {
      hits[before] = 0;
      targets[before] = NONE;
    }
    yield scanned(2 * list.length);
  }
  return yield* numbered(classes, isSubscribed);
}

function* numbered(classes: Int32Array, isSubscribed: Uint8Array): Work<TopicClasses> {
  const numbers = new Int32Array(classes.length + 1).fill(NONE);
  const firstTopics: number[] = [];
  yield* forEachUpTo(classes.length, (topic) => {
    const found = classes[topic]!;
    if (isSubscribed[topic] === 0) classes[topic] = NONE;
    else {
      if (numbers[found] === NONE) numbers[found] = firstTopics.push(topic) - 1;
      classes[topic] = numbers[found]!;
    }
  });
  return { classOfTopic: classes, firstTopics };
}
