import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type CleaningAnswer, cleaningErrorOf, type CleaningOrder } from './cleaning-messages.ts';
import {
  CleaningError,
  type CleaningRequest,
  type CleaningResult,
  type CleaningRun,
  type CleaningRunner,
  type CleaningStep,
} from './storage/cleaner/types.ts';

/** The compiled worker lies beside the compiled form of this file. */
const WORKER_URL = new URL(`./cleaning-worker${extname(import.meta.url)}`, import.meta.url);
/** A cleaning holds its table of keys outside of the heap; what is on it is small and short-lived. */
const YOUNG_HEAP_MIB = 4;
const OLD_HEAP_MIB = 48;

interface Present {
  readonly onStep: (step: CleaningStep) => void;
  readonly resolve: (result: CleaningResult) => void;
  readonly reject: (error: Error) => void;
}

/** Cleans logs in a thread of its own, which is started with the first one, and ended when there is nothing to clean. */
export class CleaningThread implements CleaningRunner {
  #worker: Worker | undefined;
  #present: Present | undefined;

  start(
    request: CleaningRequest,
    limits: { readonly bytesPerSecondMax: number },
    onStep: (step: CleaningStep) => void,
  ): CleaningRun {
    if (this.#present !== undefined) throw new Error('a log is being cleaned already');
    const worker = (this.#worker ??= this.#startWorker());
    const abort = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const result = new Promise<CleaningResult>((resolve, reject) => {
      this.#present = { onStep, resolve, reject };
    });
    const order: CleaningOrder = { request, ...limits, abort };
    worker.postMessage(order);
    return {
      result,
      abort: () => {
        Atomics.store(abort, 0, 1);
        Atomics.notify(abort, 0);
      },
    };
  }

  idle(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
  }

  #startWorker(): Worker {
    const worker = new Worker(WORKER_URL, {
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_HEAP_MIB, maxOldGenerationSizeMb: OLD_HEAP_MIB },
    });
    worker.unref();
    let cause: unknown;
    worker.on('message', (answer: CleaningAnswer) => this.#answered(answer));
    worker.on('error', (error) => {
      cause = error;
    });
    worker.on('exit', (code) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#end()?.reject(
        new CleaningError('crashed', `the thread that cleans logs ended with code ${code}`, { cause }),
      );
    });
    return worker;
  }

  #answered(answer: CleaningAnswer): void {
    if (answer.kind === 'step') this.#present?.onStep(answer.step);
    else if (answer.kind === 'result') this.#end()?.resolve(answer.result);
    else this.#end()?.reject(cleaningErrorOf(answer.error));
  }

  #end(): Present | undefined {
    const present = this.#present;
    this.#present = undefined;
    return present;
  }
}
