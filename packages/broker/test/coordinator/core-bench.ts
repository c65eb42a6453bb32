import type {
  CoordinatorCore,
  CoordinatorSink,
  Durability,
  Instant,
  StateRecord,
  TransactionProducer,
} from '../../src/coordinator/types.ts';
import type { ErrorName } from '../../src/errors.ts';

/** Wall clock at monotonic 0. */
export const EPOCH_MS = 1_700_000_000_000;

type Done = (failure: Durability, now: Instant) => void;

/** A log in memory: who waits for an append, and until when. What of it is kept is for those to say who extend it. */
export abstract class FakeLog implements CoordinatorSink {
  readonly #now: () => Instant;
  #waiting: Done[] = [];
  writable = true;
  /** Changes wait for {@link settle}. */
  held = false;

  constructor(now: () => Instant) {
    this.#now = now;
  }

  abstract transactionRefusal(producer: TransactionProducer): ErrorName | undefined;

  protected abstract remember(records: readonly StateRecord[], producer?: TransactionProducer): void;

  isWritable(): boolean {
    return this.writable;
  }

  append(records: readonly StateRecord[], done: Done, producer?: TransactionProducer): void {
    if (records.length === 0) throw new Error('a change without records');
    this.remember(records, producer);
    this.#waiting.push(done);
    if (!this.held) this.settle();
  }

  whenCommitted(done: (failure: Durability) => void): void {
    if (this.#waiting.length === 0) done(undefined);
    else this.#waiting.push(done);
  }

  settle(failure?: Durability): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const done of waiting) done(failure, this.#now());
  }
}

/** A core with a clock that is moved by hand. */
export abstract class CoreBench {
  abstract core: Pick<CoordinatorCore, 'nextDeadlineMs' | 'tick'>;
  nowMs = 0;

  get now(): Instant {
    return { monotonicMs: this.nowMs, wallMs: EPOCH_MS + this.nowMs };
  }

  /** Lets time pass, deadline by deadline. */
  advance(ms: number): void {
    const until = this.nowMs + ms;
    while (this.core.nextDeadlineMs <= until) {
      this.nowMs = Math.max(this.nowMs, this.core.nextDeadlineMs);
      this.core.tick(this.now);
    }
    this.nowMs = until;
  }
}
