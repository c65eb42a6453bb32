import { readBatchHeader } from '../../packages/record/src/index.ts';
import type { Log, LogConfig } from '../../packages/broker/src/storage/types.ts';
import { Violation } from '../invariants/history.ts';
import { takeBytes } from './slices.ts';

export interface ModelBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

/** What one log must hold: the batches in order, and how much of them was reported durable. */
export class ModelLog {
  readonly name: string;
  readonly config: LogConfig;
  batches: ModelBatch[] = [];
  /** The log's start; retention may have moved it up to `startMax`. */
  startOffset = 0;
  startMax = 0;
  durableOffset = 0;
  /** Batches of an append that may or may not have happened: the process died in it, or the log went offline. */
  maybe: ModelBatch[] = [];
  /** All that was tried since, by offset: under a power loss a failed append may come to the disk, and what followed it not. */
  readonly attempts = new Map<number, ModelBatch[]>();
  /** What was tried before the last reset: a deletion that is not over takes the mark away which hides it from a replay of the journal. */
  attemptsBeforeReset = new Map<number, ModelBatch[]>();
  /** The log may also be empty here: the process died in a reset. */
  maybeResetTo: number | undefined;

  constructor(name: string, config: LogConfig) {
    this.name = name;
    this.config = config;
  }

  get endOffset(): number {
    return this.batches.at(-1)?.endOffset ?? this.startOffset;
  }

  /** Compares the log with the model; returns the number of batches read. */
  check(log: Log): number {
    this.#expect(log.endOffset === this.endOffset, `ends at ${log.endOffset}, not at ${this.endOffset}`);
    this.#checkStart(log);
    this.#expect(log.durableOffset <= log.endOffset, 'is durable beyond its end');
    let read = 0;
    for (const batch of this.batches) {
      if (batch.endOffset <= log.startOffset) continue;
      const offset = Math.max(batch.baseOffset, log.startOffset);
      const bytes = readOne(log, offset, batch.endOffset);
      this.#expect(bytes !== undefined, `does not serve ${offset}`);
      this.#expect(Buffer.compare(bytes!, batch.bytes) === 0, `has other bytes at ${offset}`);
      this.#expect(log.epochs.epochAt(offset) === batch.epoch, `has another epoch at ${offset}`);
      read++;
    }
    return read;
  }

  #checkStart(log: Log): void {
    const isWithin = log.startOffset >= this.startOffset && log.startOffset <= this.startMax;
    this.#expect(isWithin, `starts at ${log.startOffset}, not in [${this.startOffset}, ${this.startMax}]`);
  }

  /** After a crash: the log must be a beginning of what was written that has all that was durable. What it has becomes the model. */
  adopt(log: Log, options: { readonly cacheSurvived: boolean }): void {
    const { maybeResetTo } = this;
    const isReset =
      maybeResetTo !== undefined && log.startOffset === maybeResetTo && log.endOffset === maybeResetTo;
    if (isReset) {
      this.batches = [];
      this.startOffset = this.durableOffset = maybeResetTo;
      this.startMax = Math.max(this.startMax, maybeResetTo);
    }
    this.#expect(
      log.endOffset >= this.durableOffset,
      `ends at ${log.endOffset}, but ${this.durableOffset} was durable`,
    );
    if (options.cacheSurvived && this.maybe.length === 0 && !isReset) {
      this.#expect(
        log.endOffset >= this.endOffset,
        `ends at ${log.endOffset} after a kill, ${this.endOffset} was written`,
      );
    }
    this.batches = this.#found(log);
    // A log whose start was moved may lose what it had, under flush=os.
    if (this.endOffset < log.startOffset && log.startOffset === log.endOffset) {
      this.batches = [];
      this.startOffset = log.startOffset;
    }
    this.startMax = Math.max(this.startMax, this.startOffset);
    this.maybe = [];
    this.maybeResetTo = undefined;
    this.check(log);
    this.durableOffset = log.endOffset;
  }

  /** What a log has after a crash: durable batches as they are; behind them any that were tried at the offset, failed ones too. */
  #found(log: Log): ModelBatch[] {
    const found: ModelBatch[] = [];
    for (let offset = log.startOffset; offset < log.endOffset;) {
      const bytes = readOne(log, offset, log.endOffset);
      this.#expect(bytes !== undefined, `does not serve ${offset}`);
      const known = this.batches.find((one) => one.baseOffset <= offset && offset < one.endOffset);
      const candidates = [
        known,
        ...(offset < this.durableOffset ? [] : (this.attempts.get(readBatchHeader(bytes!).baseOffset) ?? [])),
      ];
      const match = candidates.find((one) => one !== undefined && Buffer.compare(one.bytes, bytes!) === 0);
      this.#expect(match !== undefined, `has bytes at ${offset} that were not written there`);
      found.push(match!);
      offset = match!.endOffset;
    }
    return found;
  }

  /** The log was emptied. */
  wasReset(): void {
    this.batches = [];
    this.attemptsBeforeReset = new Map([...this.attemptsBeforeReset, ...this.attempts]);
    this.attempts.clear();
  }

  /** All that was ever tried may come back. */
  deletionBegins(): void {
    for (const [offset, batches] of this.attemptsBeforeReset)
      this.attempts.set(offset, [...(this.attempts.get(offset) ?? []), ...batches]);
  }

  attempted(batches: readonly ModelBatch[]): void {
    for (const batch of batches) {
      const others = this.attempts.get(batch.baseOffset) ?? [];
      this.attempts.set(batch.baseOffset, [...others, batch]);
    }
  }

  cut(offset: number): void {
    for (const base of this.attempts.keys()) if (base >= offset) this.attempts.delete(base);
    this.batches = this.batches.filter((batch) => batch.endOffset <= offset);
    this.durableOffset = Math.min(this.durableOffset, this.endOffset);
  }

  #expect(condition: boolean, message: string): void {
    if (!condition) throw new Violation('storage', `log ${this.name} ${message}`);
  }
}

export function readOne(log: Log, offset: number, endOffset: number): Uint8Array | undefined {
  const outcome = log.read({ offset, endOffset, bytesMax: 1, atLeastOneBatch: true });
  if (outcome.kind !== 'records') return undefined;
  return takeBytes(outcome.slice);
}
