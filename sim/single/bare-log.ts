import type { Log, LogStore } from '../../packages/broker/src/storage/types.ts';
import { patchBaseOffset, patchLeaderEpoch } from '../../packages/record/src/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import { batchOf } from '../workload/values.ts';

interface ModelBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

/** A log as a follower uses it, without a partition in front: append, truncate, reset, compared with a list of batches. */
export class BareLog {
  readonly #random: SimRandom;
  readonly #count: (path: string) => void;
  #log: Log | undefined;
  #model: ModelBatch[] = [];
  #startOffset = 0;
  #durable = 0;
  #epoch = 0;
  #values = 0;
  #unsure = false;
  /** While a cut is under way, and after one that failed: where it leaves the log is known after the next start. */
  #suspended = false;

  constructor(random: SimRandom, count: (path: string) => void) {
    this.#random = random;
    this.#count = count;
  }

  /** After a start: what is there must be a beginning of what was written, at least as long as what was durable. */
  open(log: Log, epoch: number): void {
    this.#log = log;
    this.#epoch = Math.max(this.#epoch, epoch);
    if (log.endOffset < this.#durable) {
      throw new Violation(
        'lost-durable',
        `the bare log ends at ${log.endOffset}, ${this.#durable} was durable`,
      );
    }
    if (log.endOffset > this.#endOffset && !this.#unsure) {
      throw new Violation(
        'phantom',
        `the bare log ends at ${log.endOffset}, written up to ${this.#endOffset}`,
      );
    }
    if (this.#unsure) this.#adoptUnsure(log);
    this.#model = this.#model.filter((batch) => batch.endOffset <= log.endOffset);
    this.#unsure = false;
    this.#suspended = false;
    this.#durable = Math.max(this.#durable, log.durableOffset);
    this.check();
    log.onDurable = (offset) => {
      if (offset > this.#endOffset)
        throw new Violation('durable-beyond-end', `${offset} of ${this.#endOffset}`);
      if (!this.#suspended) this.#durable = offset;
    };
  }

  closedCleanly(): void {
    if (!this.#suspended) this.#durable = this.#endOffset;
  }

  operate(store: LogStore): void {
    const log = this.#log;
    if (log === undefined || log.offline || this.#suspended) return;
    const dice = this.#random.fraction();
    try {
      if (dice < 0.7) this.#append(log, store);
      else if (dice < 0.85) this.#truncate(log);
      else if (dice < 0.87) this.#reset(log);
      else this.check();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'DiskError') throw error;
      this.#count('bare.disk-error');
    }
  }

  /** Everything that the log serves is what was written. */
  check(): void {
    const log = this.#log;
    if (log === undefined || log.offline || this.#suspended) return;
    if (log.endOffset !== this.#endOffset || log.startOffset !== this.#startOffset) {
      throw new Violation(
        'bare-log',
        `the log is [${log.startOffset}, ${log.endOffset}), the model [${this.#startOffset}, ${this.#endOffset})`,
      );
    }
    for (const batch of this.#model) {
      const outcome = log.read({
        offset: batch.baseOffset,
        endOffset: batch.endOffset,
        bytesMax: 1,
        atLeastOneBatch: true,
      });
      if (outcome.kind !== 'records')
        throw new Violation('bare-log', `${outcome.kind} at ${batch.baseOffset}`);
      const bytes = new Uint8Array(outcome.slice.bytes);
      try {
        outcome.slice.readInto(bytes, 0);
      } finally {
        outcome.slice.release();
      }
      if (Buffer.compare(bytes, batch.bytes) !== 0)
        throw new Violation('bare-log', `other bytes at ${batch.baseOffset}`);
      if (log.epochs.epochAt(batch.baseOffset) !== batch.epoch)
        throw new Violation('bare-log', `another epoch at ${batch.baseOffset}`);
    }
  }

  get #endOffset(): number {
    return this.#model.at(-1)?.endOffset ?? this.#startOffset;
  }

  #append(log: Log, store: LogStore): void {
    this.#count('bare.append');
    if (this.#random.chance(0.1)) this.#epoch++;
    const added: ModelBatch[] = [];
    let offset = this.#endOffset;
    for (let more = this.#random.between(1, 4); more > 0; more--) {
      const values = Array.from({ length: this.#random.between(1, 3) }, () => ++this.#values);
      const bytes = batchOf(values, { valueBytes: this.#random.pick([8, 60, 900]), timestamp: this.#values });
      patchBaseOffset(bytes, 0, offset);
      patchLeaderEpoch(bytes, 0, this.#epoch);
      added.push({ baseOffset: offset, endOffset: offset + values.length, epoch: this.#epoch, bytes });
      offset += values.length;
    }
    // Until it is known whether it failed, any part of it may come back after a crash.
    this.#unsure = true;
    this.#tail = added;
    log.append(
      added.map((batch) => batch.bytes.slice()),
      this.#values,
    );
    this.#model.push(...added);
    this.#tail = [];
    this.#unsure = false;
    store.flushTurn();
  }

  #tail: ModelBatch[] = [];

  #truncate(log: Log): void {
    if (this.#model.length === 0) return;
    this.#count('bare.truncate');
    const keep = this.#random.integer(this.#model.length);
    const offset = this.#model[keep]!.baseOffset;
    this.#durable = Math.min(this.#durable, offset);
    this.#unsure = true;
    this.#tail = [];
    this.#suspended = true;
    log.truncate(offset);
    this.#suspended = false;
    this.#model.length = keep;
    this.#durable = offset;
    this.#unsure = false;
  }

  #reset(log: Log): void {
    this.#count('bare.reset');
    const offset = this.#endOffset + this.#random.integer(100);
    this.#durable = 0;
    this.#resetTo = offset;
    this.#unsure = true;
    this.#suspended = true;
    log.reset(offset);
    this.#suspended = false;
    this.#model = [];
    this.#startOffset = offset;
    this.#durable = offset;
    this.#resetTo = -1;
    this.#unsure = false;
  }

  #resetTo = -1;

  /** A crash or an error came in the middle of a change: before and after are both right. */
  #adoptUnsure(log: Log): void {
    if (this.#resetTo >= 0 && log.startOffset === this.#resetTo) {
      this.#model = [];
      this.#startOffset = this.#resetTo;
    } else if (this.#tail.length > 0 && log.endOffset > this.#endOffset) {
      this.#model.push(...this.#tail.filter((batch) => batch.endOffset <= log.endOffset));
    }
    this.#resetTo = -1;
    this.#tail = [];
  }
}
