import {
  type AssignorInput,
  type GroupAssignment,
  inOrder,
  type MemberToAssign,
  NOBODY,
  type TopicToAssign,
} from './assignor.core.ts';
import { Balance } from './balancing.core.ts';
import { Draft } from './draft.core.ts';
import { classesOf, type SubscriptionClasses } from './subscription-classes.core.ts';
import { forEachOf, forEachUpTo, type Work } from './work.core.ts';

/**
 * KIP-848's assignor `uniform`: as many partitions for each member as can be, whatever topics they are of, and as few as can be go from one member
 * to another. What it guarantees:
 * - Every partition of a topic that somebody subscribes to has one owner, who subscribes to it.
 * - Members with the same subscription have numbers of partitions that differ by one at most.
 * - No partition could go to a subscriber that has two fewer than its owner, or than another member with its owner's subscription: no single move
 *   makes the sum of the squares of all numbers smaller. A chain of moves might. After {@link LEVELLING_STEPS_EACH} steps for each partition and
 *   subscription it may stop before that; the next assignment goes on from there.
 * - What is so already stays as it is. Else members keep what they may keep of what they had, the first of it.
 * - The same input has the same result, and the order in which members are given does not count. Where there is a choice, those with the
 *   subscription of the first member are first, in the order of {@link inOrder}.
 *
 * Steps: members, partitions, and the sum of the lengths of distinct subscriptions, times the logarithm of the number of those.
 */
export function* assignUniform(input: AssignorInput): Work<GroupAssignment> {
  const members = yield* inOrder(input.members);
  const classes = yield* classesOf(input, members);
  const draft = yield* Draft.of(input.topics);
  const balance = new Balance(classes);
  const division = new Division({ classes, members, draft, balance });
  yield* division.keepAll(input.topics);
  yield* balance.run();
  yield* division.carryOut();
  return yield* draft.assignments(members);
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

interface DivisionOptions {
  readonly classes: SubscriptionClasses;
  /** By rank. */
  readonly members: readonly MemberToAssign[];
  readonly draft: Draft;
  readonly balance: Balance;
}

/** From what members have to what their classes shall have. */
class Division {
  readonly #classes: SubscriptionClasses;
  readonly #members: readonly MemberToAssign[];
  readonly #draft: Draft;
  readonly #balance: Balance;
  /** By rank: numbers of partitions, in the order in which the member had them. */
  readonly #kept: number[][];
  /** By cell: how many partitions the subscriber holds at present. The balance says how many it shall hold. */
  readonly #holding: Int32Array;

  constructor({ classes, members, draft, balance }: DivisionOptions) {
    this.#classes = classes;
    this.#members = members;
    this.#draft = draft;
    this.#balance = balance;
    this.#kept = members.map(() => []);
    this.#holding = new Int32Array(classes.subscribers.length);
  }

  /** Everybody keeps what it had, exists, and it subscribes to; what two had the first one keeps. */
  *keepAll(topics: readonly TopicToAssign[]): Work<void> {
    const { owners, partitions: count, topicOf } = this.#draft;
    const indexes = new Map<string, number>();
    yield* forEachOf(topics.entries(), ([topic, { id }]) => {
      indexes.set(id, topic);
      return 3;
    });
    for (const [rank, { before }] of this.#members.entries()) {
      const own = this.#classes.classOfMember[rank]!;
      yield* forEachOf(before, ([topicId, partitions]) => {
        const topic = indexes.get(topicId);
        const cell = topic === undefined ? undefined : this.#cellOf(topic, own);
        if (topic === undefined || cell === undefined) return 3;
        for (const partition of partitions) {
          const number = this.#draft.numberOf(topic, partition);
          if (number === undefined || owners[number] !== NOBODY) continue;
          owners[number] = rank;
          this.#kept[rank]!.push(number);
          this.#holding[cell]!++;
          this.#balance.loads[own]!++;
        }
        return 3 + partitions.length;
      });
    }
    this.#balance.held.set(this.#holding);
    yield* forEachUpTo(count, (number) => {
      const found = this.#classes.classOfTopic[topicOf[number]!]!;
      if (found !== -1 && owners[number] === NOBODY) this.#balance.free[found]!++;
    });
  }

  /** Once the balance is found. */
  *carryOut(): Work<void> {
    yield* this.#giveBackExcess();
    yield* this.#giveUpSurplus();
    yield* this.#deal();
  }

  /** Who has more than it may gives that back: first what its class has too much of, then the last of what it had. */
  *#giveBackExcess(): Work<void> {
    const { loads } = this.#balance;
    const quotas = this.#classes.members.map((ranks, members) => new Quota(loads[members]!, ranks.length));
    for (const [rank, kept] of this.#kept.entries()) {
      const own = this.#classes.classOfMember[rank]!;
      let excess = kept.length - quotas[own]!.keepable(kept.length);
      yield 1;
      if (excess === 0) continue;
      for (const takesAny of [false, true]) {
        yield* forEachUpTo(kept.length, (at) => {
          const number = kept[kept.length - 1 - at]!;
          if (excess === 0 || this.#draft.owners[number] === NOBODY) return;
          if (!takesAny && !this.#isSurplus(number, own)) return;
          this.#release(number, own);
          excess--;
        });
      }
    }
  }

  /** What classes still have too much of, their members give up although they get other partitions for it, the last members first. */
  *#giveUpSurplus(): Work<void> {
    for (let rank = this.#members.length - 1; rank >= 0; rank--) {
      const own = this.#classes.classOfMember[rank]!;
      yield* forEachOf(this.#kept[rank]!, (number) => {
        const isOwn = this.#draft.owners[number] === rank;
        if (isOwn && this.#isSurplus(number, own)) this.#release(number, own);
      });
    }
  }

  /** Deals out what nobody has, to the members of a class in turn, so that the partitions of a topic come to many members. */
  *#deal(): Work<void> {
    const { owners, partitions, topicOf } = this.#draft;
    const { held, loads, free } = this.#balance;
    const { classOfTopic, firstCells, members, subscribers } = this.#classes;
    const counts = new Int32Array(this.#members.length);
    yield* forEachUpTo(partitions, (number) => {
      if (owners[number] !== NOBODY) counts[owners[number]!]!++;
    });
    const takers = members.map((ranks, found) => takersOf(ranks, counts, loads[found]!));
    yield 10 * members.length;
    /** By class of topics: the first cell that may lack something. */
    const next = firstCells.slice(0, free.length);
    yield* forEachUpTo(partitions, (number) => {
      const topics = classOfTopic[topicOf[number]!]!;
      if (topics === -1 || owners[number] !== NOBODY) return 1;
      const from = next[topics]!;
      let cell = from;
      while (this.#holding[cell]! >= held[cell]!) cell++;
      next[topics] = cell;
      const { value: rank } = takers[subscribers[cell]!]!.next();
      if (rank === undefined) throw new Error('a class of members gets more partitions than it has room for');
      owners[number] = rank;
      this.#holding[cell]!++;
      return 12 + cell - from;
    });
  }

  /** Undefined: that class of members does not subscribe to the topic. */
  #cellOf(topic: number, members: number): number | undefined {
    const { classOfTopic, firstCells, subscribers } = this.#classes;
    const topics = classOfTopic[topic]!;
    if (topics === -1) return undefined;
    let low = firstCells[topics]!;
    let high = firstCells[topics + 1]! - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (subscribers[middle]! < members) low = middle + 1;
      else high = middle;
    }
    return subscribers[low] === members ? low : undefined;
  }

  #isSurplus(number: number, members: number): boolean {
    const cell = this.#cellOf(this.#draft.topicOf[number]!, members)!;
    return this.#holding[cell]! > this.#balance.held[cell]!;
  }

  #release(number: number, members: number): void {
    this.#holding[this.#cellOf(this.#draft.topicOf[number]!, members)!]!--;
    this.#draft.owners[number] = NOBODY;
  }
}

/**
 * Members of a class as they get what their class lacks: in turn all that have less than the least, until none has; then those that get one more.
 *
 * @param counts what members have, by rank
 */
function* takersOf(
  ranks: readonly number[],
  counts: Int32Array,
  load: number,
): Generator<number, undefined, undefined> {
  const least = Math.floor(load / ranks.length);
  let below = ranks.filter((rank) => counts[rank]! < least);
  for (let round = 1; below.length > 0; round++) {
    for (const rank of below) yield rank;
    below = below.filter((rank) => counts[rank]! + round < least);
  }
  // As many of them as the class has partitions left.
  for (const rank of ranks) if (counts[rank]! <= least) yield rank;
  return undefined;
}
