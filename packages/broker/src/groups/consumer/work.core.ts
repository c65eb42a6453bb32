/**
 * A computation that can be spread over turns: it yields how many steps it has taken since it last did, and returns its result. A step is what
 * is done for one member, topic, partition or subscription: some 100 ns. It sees nothing of what happens between its steps but what it was given.
 */
export type Work<T> = Generator<number, T, undefined>;

/** Numbers in typed arrays that are looked at in the time of one step. */
const NUMBERS_PER_STEP = 6;

/** For yielding: what so many numbers cost that are only looked at. */
export function scanned(numbers: number): number {
  return Math.ceil(numbers / NUMBERS_PER_STEP);
}

/** Steps between two yields, about: few enough to stop in time, and so many that stopping costs nothing. */
const STEPS_PER_YIELD = 512;
/** What is sorted in one go. */
const SORTED_AT_ONCE = 512;

/** For each of the items, in their order. `visit` may return how many steps it took; else it was one. */
export function* forEachOf<T>(items: Iterable<T>, visit: (item: T) => number | undefined | void): Work<void> {
  let steps = 0;
  for (const item of items) {
    steps += visit(item) ?? 1;
    if (steps < STEPS_PER_YIELD) continue;
    yield steps;
    steps = 0;
  }
  yield steps;
}

/** The same for the numbers from 0 on, where little is done for each: four are a step, or what `visit` returns counts as so many of them. */
export function* forEachUpTo(count: number, visit: (at: number) => number | undefined | void): Work<void> {
  let numbers = 0;
  for (let at = 0; at < count; at++) {
    numbers += visit(at) ?? 1;
    if (numbers < STEPS_PER_YIELD) continue;
    yield Math.ceil(numbers / 4);
    numbers = 0;
  }
  yield Math.ceil(numbers / 4);
}

/** Sorts a copy: short runs, which are then merged two by two. Stable. Steps: two for each item in each round of merging. */
export function* sorted<T>(items: Iterable<T>, compare: (left: T, right: T) => number): Work<T[]> {
  let from = [...items];
  for (let start = 0; start < from.length; start += SORTED_AT_ONCE) {
    const run = from.slice(start, start + SORTED_AT_ONCE).sort(compare);
    for (let at = 0; at < run.length; at++) from[start + at] = run[at]!;
    yield 4 * run.length;
  }
  for (let length = SORTED_AT_ONCE; length < from.length; length *= 2) {
    const to: T[] = [];
    for (let start = 0; start < from.length; start += 2 * length) {
      yield* merge(from, { start, middle: start + length, end: start + 2 * length }, to, compare);
    }
    from = to;
  }
  return from;
}

/** Merges two runs that are sorted, one of them before `middle`, into `to`. */
export function* merge<T>(
  from: readonly T[],
  { start, middle, end }: { readonly start: number; readonly middle: number; readonly end: number },
  to: T[],
  compare: (left: T, right: T) => number,
): Work<void> {
  const leftEnd = Math.min(middle, from.length);
  const rightEnd = Math.min(end, from.length);
  let left = start;
  let right = leftEnd;
  let steps = 0;
  while (left < leftEnd || right < rightEnd) {
    const isLeft = right === rightEnd || (left < leftEnd && compare(from[left]!, from[right]!) <= 0);
    to.push(isLeft ? from[left++]! : from[right++]!);
    steps += 2;
    if (steps < STEPS_PER_YIELD) continue;
    yield steps;
    steps = 0;
  }
  yield steps;
}

/** Work under way. */
export class Steps<T> {
  /** All that were taken so far. */
  taken = 0;
  readonly #work: Work<T>;

  constructor(work: Work<T>) {
    this.#work = work;
  }

  /** Goes on for so many steps, or a few more; the result, once there is one. Not to be called again then. */
  run(stepsMax: number): { readonly result: T } | undefined {
    const until = this.taken + stepsMax;
    while (this.taken < until) {
      const { value, done } = this.#work.next();
      if (done === true) return { result: value };
      this.taken += value;
    }
    return undefined;
  }
}
