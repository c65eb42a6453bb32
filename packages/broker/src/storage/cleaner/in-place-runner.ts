import type { Timers } from '../../platform/clock.ts';
import type { Disk } from '../../platform/disk.ts';
import { cleanSegments } from './cleaning-job.ts';
import { SECRET_WORDS } from './key-hash.ts';
import { Pace } from './pace.ts';
import {
  CleaningError,
  type CleaningRequest,
  type CleaningResult,
  type CleaningRun,
  type CleaningRunner,
  type CleaningStep,
} from './types.ts';

/**
 * Cleans on the event loop, a slice at a time: for the simulator and for tests. Its secret is a constant, so that who knows the keys' hash can make
 * keys collide: a broker that others write to runs its cleanings elsewhere, under a random one.
 */
export class InPlaceRunner implements CleaningRunner {
  readonly #disk: Disk;
  readonly #timers: Timers;
  readonly #secret = Uint32Array.from({ length: SECRET_WORDS }, (_, index) => index + 1);

  constructor(options: { readonly disk: Disk; readonly timers: Timers }) {
    this.#disk = options.disk;
    this.#timers = options.timers;
  }

  start(
    request: CleaningRequest,
    limits: { readonly bytesPerSecondMax: number },
    onStep: (step: CleaningStep) => void,
  ): CleaningRun {
    const job = cleanSegments(this.#disk, request, this.#secret);
    const pace = new Pace(limits.bytesPerSecondMax);
    let aborted = false;
    const result = new Promise<CleaningResult>((resolve, reject) => {
      const slice = (): void => {
        try {
          if (aborted) {
            job.return(undefined as never);
            throw new CleaningError('aborted', 'the cleaning was given up');
          }
          const { done, value } = job.next();
          if (done === true) return resolve(value);
          onStep(value);
          this.#timers.after(pace.pauseMs(value), slice);
        } catch (error) {
          reject(error);
        }
      };
      this.#timers.after(0, slice);
    });
    return { result, abort: () => void (aborted = true) };
  }

  idle(): void {
    // It holds nothing between two cleanings.
  }
}
