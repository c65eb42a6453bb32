import type { Instant } from './types.ts';

/** One moment in the life of something: a session's end, the end of a rebalance. Set, moved and cleared in O(1) as a rule. */
export class Deadline {
  /** When it is due; Infinity: never. */
  atMs = Infinity;
  /** Where its valid entry in the queue stands; Infinity: it has none. */
  queuedAtMs = Infinity;
  readonly onDue: (now: Instant) => void;
  readonly #queue: DeadlineQueue;

  constructor(queue: DeadlineQueue, onDue: (now: Instant) => void) {
    this.#queue = queue;
    this.onDue = onDue;
  }

  set(atMs: number): void {
    this.atMs = atMs;
    if (atMs < this.queuedAtMs) this.#queue.push(this);
  }

  clear(): void {
    this.atMs = Infinity;
  }
}

/** Cleared deadlines stay in the heap until they come up, or until it has doubled since it was last swept. */
const SWEEP_ENTRIES_MIN = 1024;

interface Entry {
  readonly atMs: number;
  readonly deadline: Deadline;
}

/**
 * Deadlines in a binary heap. Moving one back, which heartbeats do all the time, only changes its field: its entry is looked at when it comes
 * up, and goes in again where it belongs. Times are monotonic milliseconds.
 */
export class DeadlineQueue {
  #heap: Entry[] = [];
  #sweepAt = SWEEP_ENTRIES_MIN;

  /** When to call {@link run} next; Infinity: not before something is set. It may be early, never late. */
  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Infinity;
  }

  /** What it holds, cleared deadlines included. */
  get entries(): number {
    return this.#heap.length;
  }

  /** For {@link Deadline}. */
  push(deadline: Deadline): void {
    deadline.queuedAtMs = deadline.atMs;
    if (this.#heap.length >= this.#sweepAt) this.#sweep();
    this.#heap.push({ atMs: deadline.atMs, deadline });
    this.#up(this.#heap.length - 1);
  }

  /** Fires all that is due, in order. What they set anew for now or earlier fires too. */
  run(now: Instant): void {
    const nowMs = now.monotonicMs;
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= nowMs; first = this.#heap[0]) {
      this.#removeFirst();
      const { deadline } = first;
      if (first.atMs !== deadline.queuedAtMs) continue;
      deadline.queuedAtMs = Infinity;
      if (deadline.atMs > nowMs) {
        if (deadline.atMs !== Infinity) this.push(deadline);
        continue;
      }
      deadline.atMs = Infinity;
      deadline.onDue(now);
    }
  }

  /** Lets go of what was cleared or moved, and with it of those whom it concerned. */
  #sweep(): void {
    const entries = this.#heap;
    this.#heap = [];
    for (const entry of entries) {
      const { deadline } = entry;
      if (entry.atMs !== deadline.queuedAtMs) continue;
      if (deadline.atMs === Infinity) {
        deadline.queuedAtMs = Infinity;
        continue;
      }
      this.#heap.push(entry);
      this.#up(this.#heap.length - 1);
    }
    this.#sweepAt = Math.max(SWEEP_ENTRIES_MIN, 2 * this.#heap.length);
  }

  #removeFirst(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#down(0);
  }

  #up(start: number): void {
    const heap = this.#heap;
    const entry = heap[start]!;
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (heap[parent]!.atMs <= entry.atMs) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #down(start: number): void {
    const heap = this.#heap;
    const entry = heap[start]!;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.atMs < heap[child]!.atMs) child++;
      if (heap[child]!.atMs >= entry.atMs) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = entry;
  }
}
