import type { Loop } from '../../platform/loop.ts';
import type { Connection } from '../../platform/network.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { RecordsHole } from './handler.ts';

/**
 * Record bytes in memory per response at a time: the next part is read once the socket has taken this one, in the next turn at the earliest,
 * so that a large response does not hold up the others. Steps of a half or a quarter cost the system more than they save.
 */
export const STREAM_STEP_BYTES = 1024 * 1024;

/** Memory that a socket still reads from. */
export interface UnsentBuffer {
  readonly buffer: Buffer;
  readonly chargedBytes: number;
}

export interface ResponseStreamOptions {
  readonly connection: Connection;
  readonly budget: ByteBudget;
  readonly pool: BufferPool;
  readonly loop: Loop;
  readonly chunks: readonly Uint8Array[];
  /** In the order of their placeholders in `chunks`. The stream releases them. */
  readonly holes: readonly RecordsHole[];
  /** The system has taken a step at once. */
  readonly taken: () => void;
  /** The stream wrote from this buffer: it is given back when the connection has drained or closed. */
  readonly unsent: (buffer: UnsentBuffer) => void;
  readonly done: () => void;
  /** A read failed after the head of the response was sent: only closing the connection can tell the client. */
  readonly failed: (error: unknown) => void;
}

/**
 * One response whose records come from files: its chunks go out in order, each placeholder replaced by the bytes of its source,
 * about {@link STREAM_STEP_BYTES} at a time.
 *
 *   waiting for budget -> reading -> writing -> waiting for drain, or for the next turn -> waiting for budget -> … -> done
 */
export class ResponseStream {
  readonly #options: ResponseStreamOptions;
  #state: 'idle' | 'budget' | 'reading' | 'draining' | 'resting' | 'over' = 'idle';
  #chunkIndex = 0;
  #holeIndex = 0;
  /** Bytes of the present hole that were written. */
  #holeAt = 0;
  #bytesLeft: number;
  #leaveLine: (() => void) | undefined;
  #aborted = false;

  constructor(options: ResponseStreamOptions) {
    this.#options = options;
    let bytes = 0;
    for (const hole of options.holes) bytes += hole.source.bytes;
    this.#bytesLeft = bytes;
  }

  start(): void {
    this.#next();
  }

  readonly #nextTurn = (): void => {
    if (this.#state !== 'resting') return;
    this.#state = 'idle';
    this.#next();
  };

  drained(): void {
    if (this.#state !== 'draining') return;
    this.#state = 'idle';
    this.#next();
  }

  abort(): void {
    this.#aborted = true;
    this.#leaveLine?.();
    this.#leaveLine = undefined;
    // A read that is under way still needs its slice; it releases when it returns.
    if (this.#state !== 'reading') this.#end();
  }

  #next(): void {
    const bytes = Math.min(this.#bytesLeft, STREAM_STEP_BYTES);
    if (this.#options.budget.tryTake(bytes)) {
      this.#fill(bytes);
      return;
    }
    this.#state = 'budget';
    this.#leaveLine = this.#options.budget.wait(bytes, () => {
      this.#leaveLine = undefined;
      this.#fill(bytes);
    });
  }

  #fill(bytes: number): void {
    const { pool, unsent } = this.#options;
    const buffer = pool.take(bytes);
    const step: Step = { buffer, bytes, at: 0, out: [] };
    this.#state = 'reading';
    try {
      if (this.#fillHot(step)) {
        this.#write(step);
        return;
      }
    } catch (error) {
      unsent({ buffer, chargedBytes: bytes });
      this.#fail(error);
      return;
    }
    this.#fillCold(step).then(
      () => {
        if (!this.#aborted) {
          this.#write(step);
          return;
        }
        unsent({ buffer, chargedBytes: bytes });
        this.#end();
      },
      (error: unknown) => {
        unsent({ buffer, chargedBytes: bytes });
        this.#fail(error);
      },
    );
  }

  /** Fills from memory-resident sources; false when it meets one that has to be waited for. */
  #fillHot(step: Step): boolean {
    for (let hole = this.#gather(step); hole !== undefined; hole = this.#gather(step)) {
      if (!hole.source.hot) return false;
      const target = this.#target(step, hole);
      hole.source.readInto(target, this.#holeAt);
      this.#advance(step, target);
    }
    return true;
  }

  async #fillCold(step: Step): Promise<void> {
    for (let hole = this.#gather(step); hole !== undefined && !this.#aborted; hole = this.#gather(step)) {
      const target = this.#target(step, hole);
      await hole.source.readIntoAsync(target, this.#holeAt);
      this.#advance(step, target);
    }
  }

  /** Takes over plain chunks up to the next hole, which it returns; undefined when the step is full, or nothing is left. */
  #gather(step: Step): RecordsHole | undefined {
    const { chunks, holes } = this.#options;
    const hole = holes[this.#holeIndex];
    for (; this.#chunkIndex < chunks.length; this.#chunkIndex++) {
      const chunk = chunks[this.#chunkIndex]!;
      if (chunk === hole?.placeholder) return step.at < step.bytes ? hole : undefined;
      step.out.push(chunk);
    }
    if (hole !== undefined) throw new Error('a placeholder is missing in the encoded response');
    return undefined;
  }

  #target(step: Step, hole: RecordsHole): Uint8Array {
    const bytes = Math.min(hole.source.bytes - this.#holeAt, step.bytes - step.at);
    return step.buffer.subarray(step.at, step.at + bytes);
  }

  #advance(step: Step, filled: Uint8Array): void {
    step.out.push(filled);
    step.at += filled.length;
    this.#holeAt += filled.length;
    this.#bytesLeft -= filled.length;
    const hole = this.#options.holes[this.#holeIndex]!;
    if (this.#holeAt < hole.source.bytes) return;
    hole.source.release();
    this.#holeIndex++;
    this.#chunkIndex++;
    this.#holeAt = 0;
  }

  #write(step: Step): void {
    const { connection, pool, budget, loop, taken, unsent, done } = this.#options;
    const over = this.#chunkIndex === this.#options.chunks.length;
    connection.write(step.out);
    if (connection.flush() > 0) {
      this.#state = over ? 'over' : 'draining';
      unsent({ buffer: step.buffer, chargedBytes: step.bytes });
      if (over) done();
      return;
    }
    // Whoever takes it next finds it in the processor's cache.
    pool.give(step.buffer);
    budget.give(step.bytes);
    taken();
    if (over) {
      this.#state = 'over';
      done();
      return;
    }
    this.#state = 'resting';
    loop.afterTurn(this.#nextTurn);
  }

  #fail(error: unknown): void {
    this.#end();
    if (!this.#aborted) this.#options.failed(error);
  }

  #end(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    const { holes } = this.#options;
    for (; this.#holeIndex < holes.length; this.#holeIndex++) holes[this.#holeIndex]!.source.release();
  }
}

interface Step {
  readonly buffer: Buffer;
  /** To be filled, and charged. */
  readonly bytes: number;
  at: number;
  readonly out: Uint8Array[];
}
