import { randomFillSync } from 'node:crypto';
import { checkDelay, type Clock, type Random, type TimerHandle, type Timers } from '../clock.ts';
import { UUID_BYTES, uuidOf } from '../uuid.ts';

export class NodeClock implements Clock {
  nowMs(): number {
    return Date.now();
  }

  monotonicMs(): number {
    return performance.now();
  }
}

/** The longest delay that setTimeout takes; it fires at once for a longer one. */
const TIMEOUT_MS_MAX = 0x7fffffff;

export class NodeTimers implements Timers {
  after(delayMs: number, callback: () => void): TimerHandle {
    checkDelay(delayMs);
    const deadlineMs = performance.now() + delayMs;
    let timeout: NodeJS.Timeout | undefined;
    const arm = (): void => {
      const restMs = Math.ceil(deadlineMs - performance.now());
      timeout = setTimeout(fire, Math.min(Math.max(restMs, 0), TIMEOUT_MS_MAX)).unref();
    };
    const fire = (): void => {
      // Node rounds the loop's time down, and so may fire up to a millisecond early; long delays come in several parts.
      if (performance.now() < deadlineMs) return arm();
      timeout = undefined;
      callback();
    };
    arm();
    return {
      cancel: () => {
        clearTimeout(timeout);
        timeout = undefined;
      },
    };
  }
}

export class NodeRandom implements Random {
  readonly #bytes = new Uint8Array(UUID_BYTES);

  fraction(): number {
    return Math.random();
  }

  uuid(): string {
    for (;;) {
      const uuid = uuidOf(randomFillSync(this.#bytes));
      if (uuid !== undefined) return uuid;
    }
  }
}
