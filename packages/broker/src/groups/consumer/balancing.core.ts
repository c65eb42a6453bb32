import { NumberHeap } from './number-heap.core.ts';
import type { SubscriptionClasses } from './subscription-classes.core.ts';
import { scanned, sorted, type Work } from './work.core.ts';

/** Levelling ends after so many steps for each partition and each cell, whether all is level by then or not. */
export const LEVELLING_STEPS_EACH = 64;

/** Above every load. */
const HEIGHT_MAX = 2 ** 31;
/** Partitions that are given away between two yields. */
const GIVEN_AT_ONCE = 128;

/** What is divided: only how many partitions classes of members have of classes of topics, not which. */
export class Balance {
  /** By cell: how many partitions of the class of topics its subscriber has. */
  readonly held: Int32Array;
  /** By class of topics: partitions that nobody has. */
  readonly free: Int32Array;
  /** By class of members: all partitions of its members. */
  readonly loads: Int32Array;
  readonly #classes: SubscriptionClasses;
  readonly #sizes: Float64Array;

  /** One in which nobody has anything, and nothing is free. */
  constructor(classes: SubscriptionClasses) {
    this.held = new Int32Array(classes.subscribers.length);
    this.free = new Int32Array(classes.firstCells.length - 1);
    this.loads = new Int32Array(classes.members.length);
    this.#classes = classes;
    this.#sizes = Float64Array.from(classes.members, ({ length }) => length);
  }

  /**
   * Gives away what is free: to the subscriber whose members have the fewest, classes of topics with few members first, since there is least choice.
   * Then levels one class of topics after the other, forwards and backwards in turn, until nothing moves any more.
   */
  *run(): Work<void> {
    const order = yield* this.#order();
    let size = this.held.length;
    for (const load of this.loads) size += load;
    for (const topics of order) {
      size += this.free[topics]!;
      yield* this.#fill(topics);
    }
    let stepsLeft = LEVELLING_STEPS_EACH * size;
    for (let hasMoved = true; hasMoved && stepsLeft > 0; order.reverse()) {
      hasMoved = false;
      for (const topics of order) {
        const { moves, steps } = yield* this.#level(topics);
        hasMoved ||= moves > 0;
        stepsLeft -= steps;
        if (stepsLeft <= 0) break;
      }
    }
  }

  /** Fewest members first. */
  *#order(): Work<number[]> {
    const { firstCells, subscribers } = this.#classes;
    const counts = new Float64Array(this.free.length);
    for (let topics = 0; topics < counts.length; topics++) {
      const end = firstCells[topics + 1]!;
      for (let cell = firstCells[topics]!; cell < end; cell++) {
        counts[topics]! += this.#sizes[subscribers[cell]!]!;
      }
      yield scanned(end - firstCells[topics]!);
    }
    return yield* sorted(counts.keys(), (left, right) => counts[left]! - counts[right]! || left - right);
  }

  *#fill(topics: number): Work<void> {
    const free = this.free[topics]!;
    if (free === 0) return;
    const takers = this.#takers(topics);
    yield this.#cellCount(topics);
    for (let given = 1; given <= free; given++) {
      const cell = this.#cellOf(topics, takers.top!);
      this.#change(cell, 1);
      takers.replaceTop(this.#takerKey(topics, cell));
      if (given % GIVEN_AT_ONCE === 0) yield GIVEN_AT_ONCE;
    }
    yield free % GIVEN_AT_ONCE;
    this.free[topics] = 0;
  }

  /**
   * Moves partitions of a class of topics from who has most to who has least, as long as the one has at least two more than the other. Who has
   * got one does not give one in the same pass, and the other way round: so two heaps are enough, and a partition moves once.
   */
  *#level(topics: number): Work<{ readonly moves: number; readonly steps: number }> {
    const { subscribers } = this.#classes;
    let steps = scanned(this.#cellCount(topics));
    yield steps;
    if (this.#isLevel(topics)) return { moves: 0, steps };
    const takers = this.#takers(topics);
    const givers = this.#givers(topics);
    yield 2 * this.#cellCount(topics);
    steps += 2 * this.#cellCount(topics);
    let moves = 0;
    for (let from = givers.top; from !== undefined; from = givers.top) {
      const giver = this.#cellOf(topics, from);
      const taker = this.#cellOf(topics, takers.top!);
      if (this.#highest(subscribers[giver]!) < this.#lowest(subscribers[taker]!) + 2) break;
      this.#change(giver, -1);
      this.#change(taker, 1);
      takers.replaceTop(this.#takerKey(topics, taker));
      if (this.held[giver] === 0) givers.removeTop();
      else givers.replaceTop(this.#giverKey(topics, giver));
      if (++moves % GIVEN_AT_ONCE === 0) yield GIVEN_AT_ONCE;
    }
    yield moves % GIVEN_AT_ONCE;
    return { moves, steps: steps + moves };
  }

  #isLevel(topics: number): boolean {
    const { firstCells, subscribers } = this.#classes;
    const end = firstCells[topics + 1]!;
    let highest = 0;
    let lowest = HEIGHT_MAX;
    for (let cell = firstCells[topics]!; cell < end; cell++) {
      const members = subscribers[cell]!;
      lowest = Math.min(lowest, this.#lowest(members));
      if (this.held[cell]! > 0) highest = Math.max(highest, this.#highest(members));
    }
    return highest < lowest + 2;
  }

  #takers(topics: number): NumberHeap {
    const { firstCells } = this.#classes;
    const keys: number[] = [];
    for (let cell = firstCells[topics]!; cell < firstCells[topics + 1]!; cell++) {
      keys.push(this.#takerKey(topics, cell));
    }
    return new NumberHeap(keys);
  }

  #givers(topics: number): NumberHeap {
    const { firstCells } = this.#classes;
    const keys: number[] = [];
    for (let cell = firstCells[topics]!; cell < firstCells[topics + 1]!; cell++) {
      if (this.held[cell]! > 0) keys.push(this.#giverKey(topics, cell));
    }
    return new NumberHeap(keys);
  }

  /** The least load first, and then the first subscriber. */
  #takerKey(topics: number, cell: number): number {
    const at = cell - this.#classes.firstCells[topics]!;
    return this.#lowest(this.#classes.subscribers[cell]!) * this.#cellCount(topics) + at;
  }

  /** The greatest load first, and then the first subscriber. */
  #giverKey(topics: number, cell: number): number {
    const at = cell - this.#classes.firstCells[topics]!;
    return (HEIGHT_MAX - this.#highest(this.#classes.subscribers[cell]!)) * this.#cellCount(topics) + at;
  }

  #cellOf(topics: number, key: number): number {
    return this.#classes.firstCells[topics]! + (key % this.#cellCount(topics));
  }

  #cellCount(topics: number): number {
    return this.#classes.firstCells[topics + 1]! - this.#classes.firstCells[topics]!;
  }

  #change(cell: number, by: 1 | -1): void {
    this.held[cell]! += by;
    this.loads[this.#classes.subscribers[cell]!]! += by;
  }

  /** How many partitions the member of a class has that has fewest. Within a class loads are level: each could take what any other has. */
  #lowest(members: number): number {
    return Math.floor(this.loads[members]! / this.#sizes[members]!);
  }

  #highest(members: number): number {
    return Math.ceil(this.loads[members]! / this.#sizes[members]!);
  }
}
