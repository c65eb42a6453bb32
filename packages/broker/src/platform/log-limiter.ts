import type { Clock } from './clock.ts';
import type { LogFields, Logger } from './log.ts';

/** Lines about one matter in one window; what comes beyond is counted and named when the next window begins. */
const LINES_PER_WINDOW_MAX = 20;
const WINDOW_MS = 10_000;

/** Lets peers write only so much into the broker's log. */
export class LogLimiter {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** What the lines are about, to complete "suppressed further lines about …". */
  readonly #matter: string;
  #windowEndsMs = 0;
  #lines = 0;
  #suppressed = 0;

  constructor(clock: Clock, logger: Logger, matter: string) {
    this.#clock = clock;
    this.#logger = logger;
    this.#matter = matter;
  }

  warn(fields: LogFields, message: string): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#windowEndsMs) {
      if (this.#suppressed > 0) {
        this.#logger.warn({ lines: this.#suppressed }, `suppressed further lines about ${this.#matter}`);
      }
      this.#windowEndsMs = nowMs + WINDOW_MS;
      this.#lines = 0;
      this.#suppressed = 0;
    }
    if (this.#lines >= LINES_PER_WINDOW_MAX) {
      this.#suppressed++;
      return;
    }
    this.#lines++;
    this.#logger.warn(fields, message);
  }
}
