/** Time as the broker sees it. Cores never hold a clock: they are told the time as an argument. */
export interface Clock {
  /** Wall-clock milliseconds since the epoch, an integer. It may jump in either direction: use it for timestamps only. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start, with a fraction; never goes back. Use it for deadlines and durations. */
  monotonicMs(): number;
}

export interface TimerHandle {
  /** Idempotent; after it returns the callback will not run. */
  cancel(): void;
}

/**
 * Deadlines. A callback runs at or after its deadline, never synchronously inside `after`, and never keeps a process alive. A delay below
 * zero, or that is no number, is a bug (such as a wall-clock time beside a monotonic one), and throws RangeError.
 */
export interface Timers {
  after(delayMs: number, callback: () => void): TimerHandle;
}

/** For implementations of {@link Timers}. */
export function checkDelay(delayMs: number): void {
  if (!(delayMs >= 0)) throw new RangeError(`a timer cannot wait for ${delayMs} ms`);
}

/** Uniform randomness. Not for secrets: those come from Crypto. */
export interface Random {
  /** A fraction in [0, 1). */
  fraction(): number;
  /** A fresh 128-bit id in the form of a random UUID, as 22 characters of base64url, as Kafka prints its ids. Never all zero, never starting with '-'. */
  uuid(): string;
}
