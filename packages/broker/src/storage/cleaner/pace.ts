import type { CleaningStep } from './types.ts';

const SECOND_MS = 1000;

/** `log.cleaner.io.max.bytes.per.second`: how long to pause after each step of a cleaning. */
export class Pace {
  readonly #bytesPerSecondMax: number;
  #bytes = 0;

  constructor(bytesPerSecondMax: number) {
    this.#bytesPerSecondMax = bytesPerSecondMax;
  }

  /** As long as the bytes of the step take at that rate: the time of the work itself comes on top, which makes it a little slower. */
  pauseMs(step: CleaningStep): number {
    if (step.kind !== 'progress') return 0;
    const bytes = step.counts.bytesRead + step.counts.bytesWritten;
    const pauseMs = ((bytes - this.#bytes) * SECOND_MS) / this.#bytesPerSecondMax;
    this.#bytes = bytes;
    return pauseMs;
  }
}
