import type {
  CheckRecordsOptions,
  Compute,
  RecordsVerdict,
  RewriteOptions,
} from '../../packages/broker/src/platform/compute.ts';
import { assertAlive, type SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

const JOB_MS_MAX = 5;

/** The jobs of @polylog/record, done at once when their virtual time has come. */
export class SimCompute implements Compute {
  readonly #world: SimWorld;
  readonly #process: SimProcess;
  readonly #random: SimRandom;

  constructor(world: SimWorld, process: SimProcess) {
    this.#world = world;
    this.#process = process;
    this.#random = world.random.fork(`compute of ${process.name}`);
  }

  rewriteBatch(_batch: Uint8Array, _options: RewriteOptions): Promise<Uint8Array> {
    return this.#later(() => _batch);
  }

  checkRecords(_batch: Uint8Array, _options: CheckRecordsOptions): Promise<RecordsVerdict> {
    return this.#later(() => ({ ok: true }));
  }

  async close(): Promise<void> {
    assertAlive(this.#process);
  }

  #later<T>(job: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      assertAlive(this.#process);
      const run = (): void => {
        try {
          resolve(job());
        } catch (error) {
          reject(error as Error);
        }
      };
      this.#world.after(this.#random.fraction() * JOB_MS_MAX, run, this.#process);
    });
  }
}
