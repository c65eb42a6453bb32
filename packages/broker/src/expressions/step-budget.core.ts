/** Steps of matching (see `cost.core.ts`) that are done at a time: some 2 to 5 ms. One text more may be begun. */
export const STEPS_PER_SLICE = 50_000;
/** From the begin of a slice to that of the next one: others have at least half of the time. */
export const SLICE_MS = 10;
/** What a unit of compiling counts as, about 1 us. */
export const STEPS_PER_BUILD_UNIT = 20;

/** How much of the event loop matching may have, whoever asks: all that ask share one. */
export class StepBudget {
  #sinceMs = -Infinity;
  #left = 0;

  /**
   * Whether something may be done now. The time has to be that of the present turn of the event loop, not a later one: a slice that takes longer than
   * it should would never end.
   *
   * @param nowMs monotonic
   */
  isOpen(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= SLICE_MS) {
      this.#sinceMs = nowMs;
      this.#left = STEPS_PER_SLICE;
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
}
