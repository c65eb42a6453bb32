/** Over which time a rate is measured: `quota.window.num` samples of `quota.window.size.seconds` each. */
export interface QuotaWindow {
  /** At least 2. */
  readonly samples: number;
  readonly sampleMs: number;
}

/** Answers say the wait in an int32: nearly 25 days. */
const WAIT_MS_MAX = 2 ** 31 - 1;

/** The longest that a quota may keep a connection waiting: the whole window, after which everything that was measured is forgotten. */
export function waitMsMaxOf(window: QuotaWindow): number {
  return Math.min(windowMsOf(window), WAIT_MS_MAX);
}

/** The whole window. */
export function windowMsOf({ samples, sampleMs }: QuotaWindow): number {
  return samples * sampleMs;
}

/**
 * A rate over a sliding window, as Kafka measures it: sums of the last samples, over the time since the oldest of them, but over at least all
 * samples but one. So who begins may send a whole window's share at once. Times are monotonic.
 */
export class SampledRate {
  readonly #window: QuotaWindow;
  readonly #sums: Float64Array;
  /** Which sample, counted from time zero, a slot holds; -1: none. */
  readonly #ticks: Float64Array;

  constructor(window: QuotaWindow) {
    this.#window = window;
    this.#sums = new Float64Array(window.samples);
    this.#ticks = new Float64Array(window.samples).fill(-1);
  }

  /** A negative amount takes back what was recorded in the same moment. */
  record(amount: number, nowMs: number): void {
    const tick = Math.floor(nowMs / this.#window.sampleMs);
    const slot = tick % this.#window.samples;
    if (this.#ticks[slot] !== tick) {
      this.#ticks[slot] = tick;
      this.#sums[slot] = 0;
    }
    this.#sums[slot]! += amount;
  }

  perSecond(nowMs: number): number {
    const after = Math.floor(nowMs / this.#window.sampleMs) - this.#window.samples;
    let sum = 0;
    for (let slot = 0; slot < this.#window.samples; slot++) {
      if (this.#ticks[slot]! > after) sum += this.#sums[slot]!;
    }
    return (sum / this.elapsedMs(nowMs)) * 1000;
  }

  /** The time that the rate is measured over. */
  elapsedMs(nowMs: number): number {
    const { samples, sampleMs } = this.#window;
    const after = Math.floor(nowMs / sampleMs) - samples;
    let oldest = Infinity;
    for (let slot = 0; slot < samples; slot++) {
      const tick = this.#ticks[slot]!;
      if (tick > after && tick < oldest) oldest = tick;
    }
    const elapsedMs = oldest === Infinity ? 0 : nowMs - oldest * sampleMs;
    const missing = samples - 1 - Math.floor(elapsedMs / sampleMs);
    return missing > 0 ? elapsedMs + missing * sampleMs : elapsedMs;
  }

  /** How long nothing must come for the rate to fall to the limit; at most `maxMs`. */
  throttleMs(limitPerSecond: number, nowMs: number, maxMs: number): number {
    const excess = this.perSecond(nowMs) - limitPerSecond;
    if (excess <= 0) return 0;
    if (limitPerSecond <= 0) return maxMs;
    return Math.min(maxMs, Math.round((excess / limitPerSecond) * this.elapsedMs(nowMs)));
  }
}

/**
 * Tokens that come at a rate, up to a whole window's worth (KIP-599). A take may leave it in debt, so that something larger than the bucket
 * is possible at all; the next one waits until the debt is paid.
 */
export class TokenBucket {
  readonly #window: QuotaWindow;
  #tokens = Infinity;
  #atMs = 0;

  constructor(window: QuotaWindow) {
    this.#window = window;
  }

  take(amount: number, ratePerSecond: number, nowMs: number): void {
    this.#tokens = this.#refilled(ratePerSecond, nowMs) - amount;
    this.#atMs = nowMs;
  }

  /** How long until there is no debt; 0 if there is none. */
  throttleMs(ratePerSecond: number, nowMs: number): number {
    const debt = -this.#refilled(ratePerSecond, nowMs);
    if (debt <= 0) return 0;
    return ratePerSecond <= 0 ? Infinity : Math.ceil((debt / ratePerSecond) * 1000);
  }

  #refilled(ratePerSecond: number, nowMs: number): number {
    const burst = (ratePerSecond * windowMsOf(this.#window)) / 1000;
    return Math.min(burst, this.#tokens + ((nowMs - this.#atMs) / 1000) * ratePerSecond);
  }
}
