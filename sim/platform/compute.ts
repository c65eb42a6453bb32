import { checkRecordsNow, rewriteBatchNow } from '../../packages/broker/src/platform/compute-jobs.ts';
import type {
  CheckRecordsOptions,
  Compute,
  RecordsVerdict,
  RewriteOptions,
} from '../../packages/broker/src/platform/compute.ts';
import { ComputeError } from '../../packages/broker/src/platform/compute.ts';
import { assertAlive, type SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

const JOB_MS_MAX = 5;

/** Jobs that take virtual time, and therefore come back in any order. */
export class SimCompute implements Compute {
  readonly #world: SimWorld;
  readonly #process: SimProcess;
  readonly #random: SimRandom;
  #closed = false;

  constructor(world: SimWorld, process: SimProcess) {
    this.#world = world;
    this.#process = process;
    this.#random = world.random.fork(`compute of ${process.name}`);
  }

  rewriteBatch(batch: Uint8Array, options: RewriteOptions): Promise<Uint8Array> {
    const copy = new Uint8Array(batch);
    return this.#later(() => rewriteBatchNow(copy, options));
  }

  checkRecords(batch: Uint8Array, options: CheckRecordsOptions): Promise<RecordsVerdict> {
    const copy = new Uint8Array(batch);
    return this.#later(() => checkRecordsNow(copy, options));
  }

  async close(): Promise<void> {
    assertAlive(this.#process);
    this.#closed = true;
  }

  #later<T>(job: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      assertAlive(this.#process);
      const run = (): void => {
        try {
          if (this.#closed) throw new ComputeError('CLOSED', 'the broker stops');
          resolve(job());
        } catch (error) {
          reject(error);
        }
      };
      this.#world.after(this.#random.fraction() * JOB_MS_MAX, run, this.#process);
    });
  }
}
