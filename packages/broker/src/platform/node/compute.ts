import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { DecompressionLimitError } from '@polylog/bytes';
import {
  ComputeError,
  type CheckRecordsOptions,
  type Compute,
  type RecordsVerdict,
  type RewriteOptions,
} from '../compute.ts';
import {
  errorOf,
  runJob,
  type Job,
  type JobAnswer,
  type JobRequest,
  type JobResult,
} from './compute-messages.ts';

/** A batch up to this size is done at once: it takes less time than the way to a thread and back. */
export const IN_PLACE_BATCH_BYTES_MAX = 16 * 1024;
/** And expands to this at most: a small batch can hold a great many zeros. */
export const IN_PLACE_EXPANDED_BYTES_MAX = 256 * 1024;
/** More than this waiting for the worker is refused. */
export const WAITING_BYTES_MAX = 128 * 1024 * 1024;
export const WAITING_JOBS_MAX = 4096;

interface Waiting {
  readonly bytes: number;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: Error) => void;
}

/** The compiled worker lies beside the compiled form of this file. */
const WORKER_URL = new URL(`./compute-worker${extname(import.meta.url)}`, import.meta.url);

/** Jobs in a worker thread, which is started with the first one and again after a crash; small ones in place. */
export class NodeCompute implements Compute {
  readonly #waiting = new Map<number, Waiting>();
  readonly #workerUrl: URL;
  readonly #waitingBytesMax: number;
  #waitingBytes = 0;
  #worker: Worker | undefined;
  #lastId = 0;
  #closed = false;

  /** The options are for tests. */
  constructor(options: { readonly workerUrl?: URL; readonly waitingBytesMax?: number } = {}) {
    this.#workerUrl = options.workerUrl ?? WORKER_URL;
    this.#waitingBytesMax = options.waitingBytesMax ?? WAITING_BYTES_MAX;
  }

  async rewriteBatch(batch: Uint8Array, options: RewriteOptions): Promise<Uint8Array> {
    return (await this.#run({ kind: 'rewriteBatch', batch, options })) as Uint8Array;
  }

  async checkRecords(batch: Uint8Array, options: CheckRecordsOptions): Promise<RecordsVerdict> {
    return (await this.#run({ kind: 'checkRecords', batch, options })) as RecordsVerdict;
  }

  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#rejectAll(new ComputeError('CLOSED', 'the broker stops'));
    await worker?.terminate();
  }

  #run(job: Job): Promise<JobResult> | JobResult {
    if (this.#closed) throw new ComputeError('CLOSED', 'the broker stops');
    if (job.batch.length <= IN_PLACE_BATCH_BYTES_MAX) {
      const result = runInPlace(job);
      if (result !== undefined) return result;
    }
    return this.#runInWorker(job);
  }

  #runInWorker(job: Job): Promise<JobResult> {
    const bytes = job.batch.length;
    if (this.#waiting.size >= WAITING_JOBS_MAX || this.#waitingBytes + bytes > this.#waitingBytesMax) {
      throw new ComputeError(
        'BUSY',
        `${this.#waiting.size} jobs with ${this.#waitingBytes} bytes wait already`,
      );
    }
    const worker = (this.#worker ??= this.#startWorker());
    const batch = new Uint8Array(job.batch);
    const request: JobRequest = { id: ++this.#lastId, job: { ...job, batch } };
    return new Promise((resolve, reject) => {
      this.#waiting.set(request.id, { bytes, resolve, reject });
      this.#waitingBytes += bytes;
      worker.postMessage(request, [batch.buffer]);
    });
  }

  #startWorker(): Worker {
    const worker = new Worker(this.#workerUrl);
    worker.unref();
    let cause: unknown;
    worker.on('message', (answer: JobAnswer) => this.#answered(answer));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', (code) => {
      if (this.#worker !== worker) return;
      this.#rejectAll(new ComputeError('CRASHED', `the compute worker ended with code ${code}`, { cause }));
    });
    return worker;
  }

  #answered({ id, outcome }: JobAnswer): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    this.#waitingBytes -= waiting.bytes;
    if ('result' in outcome) waiting.resolve(outcome.result);
    else waiting.reject(errorOf(outcome.error));
  }

  /** Gives up the worker and all that waits for it; the next job starts another. */
  #rejectAll(error: ComputeError): void {
    this.#worker = undefined;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#waitingBytes = 0;
    for (const { reject } of waiting) reject(error);
  }
}

/** Undefined when the batch turns out to expand too far for the loop. */
function runInPlace(job: Job): JobResult | undefined {
  const bytesMax = Math.min(job.options.bytesMax, IN_PLACE_EXPANDED_BYTES_MAX);
  const isLimited = bytesMax < job.options.bytesMax;
  try {
    const result = runJob({ ...job, options: { ...job.options, bytesMax } } as Job);
    const isTooLarge = 'ok' in result && !result.ok && result.reason === 'too-large';
    return isTooLarge && isLimited ? undefined : result;
  } catch (error) {
    if (error instanceof DecompressionLimitError && isLimited) return undefined;
    throw error;
  }
}
