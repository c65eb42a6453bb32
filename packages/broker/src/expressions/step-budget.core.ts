/** Steps of matching (see `cost.core.ts`) that are done at a time: some 2 to 5 ms. One text more may be begun. */
export const STEPS_PER_SLICE = 50_000;
/** From the begin of a slice to that of the next one: others have at least half of the time. */
export const SLICE_MS = 10;
/** What a unit of compiling counts as, about 1 us. */
export const STEPS_PER_BUILD_UNIT = 20;
/** So much later than the others comes who has had the last slice. */
const AFTER_OTHERS_MS = 1;

/** How much of the event loop matching may have, whoever asks: all that ask share one. */
export class StepBudget {
  readonly #stepsPerSlice: number;
  #sinceMs = -Infinity;
  #left = 0;

  constructor(stepsPerSlice = STEPS_PER_SLICE) {
    this.#stepsPerSlice = stepsPerSlice;
  }

  /**
   * Whether something may be done now. The time has to be that of the present turn of the event loop, not a later one: a slice that takes longer than
   * it should would never end.
   *
   * @param nowMs monotonic
   */
  isOpen(nowMs: number): boolean {
    // Not by a difference, which may be rounded to less than SLICE_MS at the very moment that was said to be the next one.
    if (nowMs >= this.nextMs) {
      this.#sinceMs = nowMs;
      this.#left = this.#stepsPerSlice;
    }
    return this.#left > 0;
  }

  take(steps: number): void {
    this.#left -= steps;
  }

  /** Monotonic ms: when it is open again. */
  get nextMs(): number {
    return this.#sinceMs + SLICE_MS;
  }

  /** The same for one that has had of the present slice: the others that wait come first then. */
  get nextAfterOthersMs(): number {
    return this.nextMs + AFTER_OTHERS_MS;
  }
}
