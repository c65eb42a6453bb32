import type { Assignment } from './assignment.core.ts';
import { type AssignorInput, compare, type MemberToAssign, type TopicToAssign } from './assignor.core.ts';
import type { ConsumerGroup, ConsumerMember, MemberMetadata } from './consumer-group.core.ts';
import type { KnownTopic, TopicView } from './types.ts';
import { forEachOf, sorted, type Work } from './work.core.ts';

const NO_TOPICS: readonly string[] = [];
/** Topics of the expressions of members that subscribe by names too, one such subscription after the other. */
const COMBINED_TOPICS_MAX = 2_000_000;
const HASH_START = 0x811c_9dc5;
const HASH_PRIME = 0x0100_0193;

/** A member at the moment that an assignment begins: nothing of it changes. */
export interface MemberSnapshot {
  readonly memberId: string;
  readonly metadata: MemberMetadata;
  /** What its regular expression stands for. */
  readonly resolved: readonly string[];
  /** Its target assignment. */
  readonly before: Assignment;
}

export function snapshotOf(group: ConsumerGroup): MemberSnapshot[] {
  return Array.from(group.members.values(), ({ memberId, metadata }: ConsumerMember) => ({
    memberId,
    metadata,
    resolved: group.regexes.get(metadata.regex)?.topics ?? NO_TOPICS,
    before: group.targetOf(memberId),
  }));
}

/**
 * Members and topics as assignors see them. Members with names and an expression, different ones together, count with their expressions as long as those
 * stand for no more than {@link COMBINED_TOPICS_MAX} topics, then with their names alone; but each expression counts once.
 *
 * Steps: members, topics with their order, names of members, and topics that expressions stand for.
 */
export function* assignorInputOf(snapshot: readonly MemberSnapshot[], view: TopicView): Work<AssignorInput> {
  const known = yield* KnownTopics.of(snapshot, view);
  const lists = new Subscriptions();
  const subscriptions = new Subscriptions();
  /** By what an expression stands for, and the index of a list of names. */
  const combined = new Map<readonly string[], Map<number, number>>();
  let combinedTopics = 0;
  const members: MemberToAssign[] = [];
  for (const { memberId, metadata, resolved: found, before } of snapshot) {
    const list = lists.indexOf(yield* known.indexesOf(metadata.topics));
    let resolved = found;
    if (metadata.topics.length > 0 && combined.get(resolved)?.has(list) === false) {
      combinedTopics += resolved.length;
      if (combinedTopics > COMBINED_TOPICS_MAX) resolved = NO_TOPICS;
    }
    let ofExpression = combined.get(resolved);
    if (ofExpression === undefined) combined.set(resolved, (ofExpression = new Map()));
    let subscription = ofExpression.get(list);
    if (subscription === undefined) {
      const indexes = yield* known.indexesOf(resolved);
      subscription = subscriptions.indexOf(distinct([...lists.all[list]!, ...indexes]));
      yield indexes.length;
      ofExpression.set(list, subscription);
    }
    members.push({ memberId, instanceId: metadata.instanceId, subscription, before });
    yield 1;
  }
  return { members, topics: known.topics, subscriptions: subscriptions.all };
}

/** The subscribed topics that exist. */
class KnownTopics {
  /** In the order of their ids. */
  readonly topics: readonly TopicToAssign[];
  readonly #indexes: ReadonlyMap<string, number>;

  private constructor(topics: readonly TopicToAssign[], indexes: ReadonlyMap<string, number>) {
    this.topics = topics;
    this.#indexes = indexes;
  }

  static *of(snapshot: readonly MemberSnapshot[], view: TopicView): Work<KnownTopics> {
    const asked = new Set<string>();
    const found: KnownTopic[] = [];
    const lists = new Set(snapshot.flatMap(({ metadata, resolved }) => [metadata.topics, resolved]));
    for (const names of lists) {
      yield* forEachOf(names, (name) => {
        if (asked.has(name)) return 3;
        asked.add(name);
        const topic = view.byName(name);
        if (topic !== undefined) found.push(topic);
        return 10;
      });
    }
    const topics = yield* sorted(found, (left, right) => compare(left.id, right.id));
    const indexes = new Map<string, number>();
    yield* forEachOf(topics.entries(), ([index, { name }]) => {
      indexes.set(name, index);
      return 3;
    });
    return new KnownTopics(topics, indexes);
  }

  /** Of the names of topics that exist: distinct, ascending. */
  *indexesOf(names: readonly string[]): Work<Int32Array> {
    const indexes: number[] = [];
    yield* forEachOf(names, (name) => {
      const index = this.#indexes.get(name);
      if (index !== undefined) indexes.push(index);
      return 3;
    });
    return distinct(indexes);
  }
}

/** Ascending, each once. */
function distinct(indexes: readonly number[]): Int32Array {
  return Int32Array.from(indexes)
    .sort()
    .filter((index, at, all) => at === 0 || all[at - 1] !== index);
}

/** Each subscription once. */
class Subscriptions {
  readonly all: Int32Array[] = [];
  readonly #byHash = new Map<number, number[]>();

  indexOf(subscription: Int32Array): number {
    let hash = HASH_START;
    for (const topic of subscription) hash = Math.imul(hash ^ topic, HASH_PRIME) ^ (hash >>> 15);
    const alike = this.#byHash.get(hash);
    const found = alike?.find((index) => isSame(this.all[index]!, subscription));
    if (found !== undefined) return found;
    const index = this.all.push(subscription) - 1;
    if (alike === undefined) this.#byHash.set(hash, [index]);
    else alike.push(index);
    return index;
  }
}

function isSame(left: Int32Array, right: Int32Array): boolean {
  return left.length === right.length && left.every((topic, at) => topic === right[at]);
}

export function isSameSubscription(left: MemberMetadata, right: MemberMetadata): boolean {
  return left.regex === right.regex && isSameList(left.topics, right.topics);
}

export function isSameList(left: readonly string[], right: readonly string[]): boolean {
  return (
    left === right || (left.length === right.length && left.every((item, index) => item === right[index]))
  );
}

/** In the form of {@link MemberMetadata.topics}. */
export function distinctNames(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

/** The regular expressions that members subscribe by. */
export function regexesOf({ members }: ConsumerGroup): Set<string> {
  const used = new Set<string>();
  for (const { metadata } of members.values()) if (metadata.regex !== '') used.add(metadata.regex);
  return used;
}
