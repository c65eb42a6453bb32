import type { Log, LogStore } from '../../packages/broker/src/storage/types.ts';
import { patchBaseOffset, patchLeaderEpoch } from '../../packages/record/src/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import { type CrashKind, isProcessDead } from '../platform/world.ts';
import { type ModelBatch, ModelLog } from '../storage/model-log.ts';
import { markerAt, snapshotOf, transactionsOf } from '../storage/model-transactions.ts';
import { LOG_CONFIG } from '../workload/broker-node.ts';
import { batchOf } from '../workload/values.ts';

const PRODUCERS = 3;

/**
 * A log as a follower uses it, without a partition in front: append, truncate, reset, compared with a list of batches; and so is its index of aborted
 * transactions.
 */
export class BareLog {
  readonly #random: SimRandom;
  readonly #count: (path: string) => void;
  readonly #model = new ModelLog('bare', LOG_CONFIG);
  #log: Log | undefined;
  #epoch = 0;
  #values = 0;
  #cacheSurvived = true;
  /** A cut failed: where it leaves the log is known after the next start. */
  #cutFailed = false;

  constructor(random: SimRandom, count: (path: string) => void) {
    this.#random = random;
    this.#count = count;
  }

  crashed(kind: CrashKind): void {
    if (kind === 'power') this.#cacheSurvived = false;
  }

  closedCleanly(): void {
    if (!this.#cutFailed && this.#log?.offline === false) this.#model.durableOffset = this.#model.endOffset;
  }

  /** After a start: what is there must be a beginning of what was written, at least as long as what was durable. */
  open(log: Log, epoch: number): void {
    this.#log = log;
    log.snapshotSource = () => {
      const batches = [...this.#model.batches, ...this.#model.maybe];
      return snapshotOf(transactionsOf(batches.filter((batch) => batch.endOffset <= log.endOffset)));
    };
    this.#epoch = Math.max(this.#epoch, epoch);
    this.#model.adopt(log, { cacheSurvived: this.#cacheSurvived && !this.#cutFailed });
    // After a reset that did not happen the log starts where it did.
    this.#model.startOffset = log.startOffset;
    this.#cacheSurvived = true;
    this.#cutFailed = false;
    log.onDurable = (offset) => {
      if (this.#cutFailed) return;
      if (offset > this.#model.endOffset)
        throw new Violation('durable-beyond-end', `${offset} of ${this.#model.endOffset}`);
      this.#model.durableOffset = Math.max(this.#model.durableOffset, offset);
    };
  }

  operate(store: LogStore): void {
    const log = this.#log;
    if (log === undefined || log.offline || this.#cutFailed) return;
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
    if (log === undefined || log.offline || this.#cutFailed) return;
    this.#model.check(log);
    const { startOffset, endOffset } = log;
    const expected = transactionsOf(this.#model.batches).aborted;
    const found = log.abortedTransactions(startOffset, endOffset);
    if (JSON.stringify(found) === JSON.stringify(expected)) return;
    throw new Violation(
      'aborted-index',
      `of [${startOffset}, ${endOffset}): ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`,
    );
  }

  #append(log: Log, store: LogStore): void {
    this.#count('bare.append');
    if (this.#random.chance(0.1)) this.#epoch++;
    const model = this.#model;
    const added: ModelBatch[] = [];
    let offset = model.endOffset;
    for (let more = this.#random.between(1, 4); more > 0; more--) {
      const batch = this.#random.chance(0.2) ? this.#marker(offset) : this.#batch(offset);
      added.push(batch);
      offset = batch.endOffset;
    }
    const { aborted } = transactionsOf([...model.batches, ...added]);
    // Should it fail, or the process die in it, any part of it may come back after a crash.
    model.maybe = added;
    model.attempted(added);
    try {
      log.append(
        added.map((batch) => batch.bytes.slice()),
        this.#values,
        aborted.filter(({ lastOffset }) => lastOffset >= model.endOffset),
      );
    } catch (error) {
      if (!isProcessDead(error) && !log.offline) model.maybe = [];
      throw error;
    }
    model.batches.push(...added);
    model.maybe = [];
    store.flushTurn();
  }

  /** Of a transaction or of none. */
  #batch(baseOffset: number): ModelBatch {
    const values = Array.from({ length: this.#random.between(1, 3) }, () => ++this.#values);
    const producer = { producerId: this.#random.integer(PRODUCERS), producerEpoch: 0, baseSequence: 0 };
    const bytes = batchOf(values, {
      valueBytes: this.#random.pick([8, 60, 900]),
      timestamp: this.#values,
      ...(this.#random.chance(0.3) ? { ...producer, transactional: true } : {}),
    });
    patchBaseOffset(bytes, 0, baseOffset);
    patchLeaderEpoch(bytes, 0, this.#epoch);
    return { baseOffset, endOffset: baseOffset + values.length, epoch: this.#epoch, bytes };
  }

  #marker(baseOffset: number): ModelBatch {
    const type = this.#random.chance(0.7) ? 'abort' : 'commit';
    const producerId = this.#random.integer(PRODUCERS);
    const bytes = markerAt({ baseOffset, leaderEpoch: this.#epoch, producerId, type });
    return { baseOffset, endOffset: baseOffset + 1, epoch: this.#epoch, bytes };
  }

  #truncate(log: Log): void {
    const model = this.#model;
    if (model.batches.length === 0) return;
    this.#count('bare.truncate');
    const offset = this.#random.pick(model.batches).baseOffset;
    model.durableOffset = Math.min(model.durableOffset, offset);
    model.maybe = [];
    this.#cutFailed = true;
    log.truncate(offset);
    this.#cutFailed = false;
    model.cut(offset);
  }

  #reset(log: Log): void {
    const model = this.#model;
    this.#count('bare.reset');
    const offset = model.endOffset + this.#random.integer(100);
    model.maybeResetTo = offset;
    model.durableOffset = 0;
    model.startOffset = 0;
    model.startMax = Math.max(model.startMax, offset);
    this.#cutFailed = true;
    log.reset(offset);
    this.#cutFailed = false;
    model.batches = [];
    model.attempts.clear();
    model.startOffset = model.startMax = model.durableOffset = offset;
    model.maybeResetTo = undefined;
  }
}
