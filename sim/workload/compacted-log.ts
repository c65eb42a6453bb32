import type {
  Log,
  LogConfig,
  LogStore,
  ProducerSnapshotEntry,
} from '../../packages/broker/src/storage/types.ts';
import {
  BatchBuilder,
  type BatchHeader,
  decodeBatch,
  lastSequence,
  readBatchHeader,
  sizeInBytes,
  verifyCrc,
} from '../../packages/record/src/index.ts';
import { Violation } from '../invariants/history.ts';
import { takeBytes } from '../storage/slices.ts';
import type { SimRandom } from '../platform/random.ts';
import { isProcessDead } from '../platform/world.ts';

/** Few, so that nearly every record replaces another one. */
const KEYS = 12;
const PRODUCERS = 3;
const DELETE_RETENTION_MS = 40;

export const COMPACTED_CONFIG: LogConfig = {
  segmentBytes: 3 * 1024,
  segmentMs: 60_000,
  segmentIndexBytes: 4096,
  indexIntervalBytes: 300,
  retentionMs: -1,
  retentionBytes: -1,
  deleteOldSegments: false,
  fileDeleteDelayMs: 20,
  flush: 'fsync',
  compaction: { minLagMs: 0, maxLagMs: 150, minDirtyRatio: 0.2, deleteRetentionMs: DELETE_RETENTION_MS },
};

interface ModelRecord {
  readonly offset: number;
  readonly key: string;
  /** Null: a tombstone. */
  readonly value: string | null;
  readonly timestamp: number;
}

interface ModelBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly epoch: number;
  readonly producerId: number;
  readonly baseSequence: number;
  readonly records: readonly ModelRecord[];
  readonly appendedMs: number;
}

/**
 * A compacted log and all that was ever written to it. The last value of each key must stay, at its offset; of a key whose last record is a
 * tombstone that record must stay for its time, and when it is gone no other may be there; what is gone once stays gone; epochs and
 * producers' sequences must be told from the log as if nothing had been cleaned.
 */
export class CompactedLog {
  readonly #random: SimRandom;
  readonly #count: (path: string) => void;
  readonly #nowMs: () => number;
  readonly #mayFail: () => boolean;
  #log: Log | undefined;
  #batches: ModelBatch[] = [];
  /** Of an append in which the process died. */
  #maybe: ModelBatch[] = [];
  /** By base offset: what a loss of power may bring to the disk above what is durable. */
  readonly #attempts = new Map<number, ModelBatch[]>();
  readonly #gone = new Set<number>();
  readonly #sequences = new Map<number, number>();
  #startOffset = 0;
  #durableOffset = 0;
  /** Never cut below: cleaning goes no further. */
  #stableOffset = 0;
  #maybeResetTo: number | undefined;
  /** The process died in a reset: what is left of the log means nothing. It is reset again before anything else. */
  #mustReset = false;
  #cutFailed = false;
  #epoch = 0;
  #values = 0;

  constructor(options: {
    readonly random: SimRandom;
    readonly count: (path: string) => void;
    /** Wall clock. */
    readonly nowMs: () => number;
    /** The disk has had faults since the start: a cleaning that met one is not tried again. */
    readonly mayFail: () => boolean;
  }) {
    this.#mayFail = options.mayFail;
    this.#random = options.random;
    this.#count = options.count;
    this.#nowMs = options.nowMs;
  }

  get endOffset(): number {
    return this.#batches.at(-1)?.endOffset ?? this.#startOffset;
  }

  /** After a start. */
  open(log: Log): void {
    this.#log = log;
    log.cleaningBound = () => this.#stableOffset;
    log.snapshotSource = () => this.#snapshot(log.endOffset);
    this.#mustReset ||= this.#maybeResetTo !== undefined;
    if (!this.#mustReset) this.#adopt(log);
    this.#cutFailed = false;
    this.#maybe = [];
    this.#maybeResetTo = undefined;
    log.onDurable = (offset) => {
      if (!this.#cutFailed) this.#durableOffset = Math.max(this.#durableOffset, offset);
    };
    this.check();
  }

  closedCleanly(): void {
    if (!this.#cutFailed && this.#log?.offline === false) this.#durableOffset = this.endOffset;
  }

  operate(store: LogStore): void {
    const log = this.#log;
    if (log === undefined || log.offline || this.#cutFailed) return;
    const dice = this.#random.fraction();
    if (store.cleaning.uncleanableLogs > 0 && !this.#mayFail())
      throw new Violation('compaction', 'a log could not be cleaned');
    try {
      if (this.#mustReset) this.#reset(log);
      else if (dice < 0.7) this.#append(log, store);
      else if (dice < 0.75) this.#checkpoint(store);
      else if (dice < 0.85)
        this.#stableOffset = this.#random.between(this.#stableOffset, this.#durableOffset);
      else if (dice < 0.9) this.#truncate(log);
      else if (dice < 0.905) this.#reset(log);
      else this.check();
    } catch (error) {
      if (isProcessDead(error) || !(error instanceof Error) || error.name !== 'DiskError') throw error;
      this.#count('compacted.disk-error');
    }
  }

  /** Compares all that the log serves with the model. */
  check(): void {
    const log = this.#log;
    if (log === undefined || log.offline || this.#cutFailed || this.#mustReset) return;
    expect(log.endOffset === this.endOffset, `ends at ${log.endOffset}, not at ${this.endOffset}`);
    const present = new Set<number>();
    const producers = new Map<number, number>();
    for (const { header, records } of readBatches(log)) {
      this.#checkBatch(header, records);
      for (const { offset } of records) present.add(offset);
      if (header.producerId >= 0) producers.set(header.producerId, lastSequence(header));
    }
    this.#checkEpochs(log);
    this.#checkKeys(present);
    for (const [producerId, sequence] of lastSequences(this.#batches))
      expect(
        producers.get(producerId) === sequence,
        `tells ${producers.get(producerId)} as the last sequence of ${producerId}, not ${sequence}`,
      );
    this.#checkGone(present);
  }

  #checkBatch(header: BatchHeader, records: readonly ModelRecord[]): void {
    const endOffset = header.baseOffset + header.lastOffsetDelta + 1;
    const covered = this.#batches.filter(
      (batch) => batch.endOffset > header.baseOffset && batch.baseOffset < endOffset,
    );
    for (const { epoch } of covered)
      expect(
        epoch === header.partitionLeaderEpoch,
        `has epoch ${header.partitionLeaderEpoch} at ${header.baseOffset}, not ${epoch}`,
      );
    if (header.recordCount === 0 && header.producerId < 0) return;
    const [batch] = covered;
    expect(
      covered.length === 1 && isSameBatch(batch!, header, records),
      `has another batch at ${header.baseOffset}`,
    );
  }

  #checkEpochs(log: Log): void {
    for (const { baseOffset, epoch } of this.#batches)
      expect(
        log.epochs.epochAt(baseOffset) === epoch,
        `tells epoch ${log.epochs.epochAt(baseOffset)} at ${baseOffset}, not ${epoch}`,
      );
  }

  #checkKeys(present: ReadonlySet<number>): void {
    const last = new Map<string, { record: ModelRecord; batch: ModelBatch }>();
    for (const batch of this.#batches)
      for (const record of batch.records) last.set(record.key, { record, batch });
    const nowMs = this.#nowMs();
    for (const batch of this.#batches) {
      for (const { key, offset } of batch.records) {
        const { record, batch: lastBatch } = last.get(key)!;
        if (present.has(record.offset)) continue;
        expect(record.value === null, `has lost the last value of ${key}, at ${record.offset}`);
        expect(
          nowMs - lastBatch.appendedMs >= DELETE_RETENTION_MS,
          `dropped the tombstone of ${key} too early`,
        );
        expect(
          !present.has(offset),
          `shows ${key} at ${offset} again, which was deleted at ${record.offset}`,
        );
      }
    }
  }

  #checkGone(present: ReadonlySet<number>): void {
    for (const offset of this.#gone) expect(!present.has(offset), `has a record at ${offset} again`);
    for (const { records } of this.#batches) {
      for (const { offset } of records) {
        if (present.has(offset) || this.#gone.has(offset)) continue;
        this.#gone.add(offset);
        this.#count('compacted.removed');
      }
    }
  }

  // After a crash

  #adopt(log: Log): void {
    expect(
      log.endOffset >= this.#durableOffset,
      `ends at ${log.endOffset}, but ${this.#durableOffset} was durable`,
    );
    const batches = this.#batches.filter((batch) => batch.endOffset <= this.#durableOffset);
    for (const { header, records } of readBatches(log)) {
      if (header.baseOffset < this.#durableOffset || header.baseOffset < (batches.at(-1)?.endOffset ?? 0))
        continue;
      const known = this.#batches.find((batch) => batch.baseOffset === header.baseOffset);
      const candidates = [known, ...(this.#attempts.get(header.baseOffset) ?? [])];
      const match = candidates.find((batch) => batch !== undefined && isSameBatch(batch, header, records));
      // What was cut off is known no more, but its place may have been cleaned before.
      expect(match !== undefined, `has a batch at ${header.baseOffset} that was not written there`);
      batches.push(match!);
    }
    this.#batches = batches;
    this.#durableOffset = this.endOffset;
    for (const offset of this.#gone) if (offset >= this.endOffset) this.#gone.delete(offset);
  }

  #wasReset(offset: number): void {
    this.#batches = [];
    this.#attempts.clear();
    this.#gone.clear();
    this.#startOffset = this.#durableOffset = this.#stableOffset = offset;
  }

  // Operations

  #append(log: Log, store: LogStore): void {
    if (this.#random.chance(0.05)) this.#epoch++;
    const added: ModelBatch[] = [];
    const bytes: Uint8Array[] = [];
    let offset = this.endOffset;
    for (let more = this.#random.between(1, 4); more > 0; more--) {
      const batch = this.#makeBatch(offset);
      added.push(batch);
      bytes.push(encode(batch, this.#random.pick(['none', 'none', 'gzip', 'lz4'] as const)));
      this.#attempts.set(offset, [...(this.#attempts.get(offset) ?? []), batch]);
      offset = batch.endOffset;
    }
    this.#maybe = added;
    try {
      log.append(bytes, this.#nowMs());
    } catch (error) {
      if (!isProcessDead(error) && !log.offline) this.#maybe = [];
      throw error;
    }
    this.#batches.push(...added);
    this.#maybe = [];
    this.#count('compacted.append');
    store.flushTurn();
  }

  /** Only what a checkpoint has synced is cleaned. */
  #checkpoint(store: LogStore): void {
    store.checkpoint().catch((error: unknown) => {
      if (!isProcessDead(error)) throw error;
    });
  }

  #makeBatch(baseOffset: number): ModelBatch {
    const count = this.#random.between(1, 4);
    const producerId = this.#random.chance(0.4) ? this.#random.integer(PRODUCERS) : -1;
    const appendedMs = this.#nowMs();
    const records = Array.from({ length: count }, (_, index) => ({
      offset: baseOffset + index,
      key: `k${this.#random.integer(KEYS)}`,
      value: this.#random.chance(0.25)
        ? null
        : `${++this.#values}`.padEnd(this.#random.pick([4, 40, 300]), '.'),
      timestamp: appendedMs - this.#random.integer(20),
    }));
    const baseSequence = producerId < 0 ? -1 : (this.#sequences.get(producerId) ?? 0);
    if (producerId >= 0) this.#sequences.set(producerId, baseSequence + count);
    return {
      baseOffset,
      endOffset: baseOffset + count,
      epoch: this.#epoch,
      producerId,
      baseSequence,
      records,
      appendedMs,
    };
  }

  #truncate(log: Log): void {
    const batches = this.#batches.filter((batch) => batch.baseOffset >= this.#stableOffset);
    if (batches.length === 0) return;
    this.#count('compacted.truncate');
    const offset = this.#random.pick(batches).baseOffset;
    this.#durableOffset = Math.min(this.#durableOffset, offset);
    this.#cutFailed = true;
    log.truncate(offset);
    this.#cutFailed = false;
    for (const base of this.#attempts.keys()) if (base >= offset) this.#attempts.delete(base);
    for (const one of this.#gone) if (one >= offset) this.#gone.delete(one);
    this.#batches = this.#batches.filter((batch) => batch.endOffset <= offset);
  }

  #reset(log: Log): void {
    this.#count('compacted.reset');
    const offset = Math.max(this.endOffset, log.endOffset) + this.#random.integer(50);
    this.#maybeResetTo = offset;
    this.#cutFailed = true;
    log.reset(offset);
    this.#cutFailed = false;
    this.#mustReset = false;
    this.#maybeResetTo = undefined;
    this.#wasReset(offset);
  }

  #snapshot(endOffset: number): ProducerSnapshotEntry[] {
    const entries = new Map<number, ProducerSnapshotEntry>();
    for (const batch of [...this.#batches, ...this.#maybe]) {
      if (batch.producerId < 0 || batch.endOffset > endOffset) continue;
      const { producerId, baseSequence, records, appendedMs: timestamp } = batch;
      const offsetDelta = records.length - 1;
      const lastOffset = batch.endOffset - 1;
      const rest = {
        producerEpoch: 0,
        offsetDelta,
        timestamp,
        coordinatorEpoch: -1,
        currentTxnFirstOffset: -1,
      };
      entries.set(producerId, { producerId, lastSequence: baseSequence + offsetDelta, lastOffset, ...rest });
    }
    return [...entries.values()];
  }
}

function encode(batch: ModelBatch, codec: 'none' | 'gzip' | 'lz4'): Uint8Array {
  const { baseOffset, epoch, producerId, baseSequence, records } = batch;
  const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence };
  const builder = new BatchBuilder({ baseOffset, leaderEpoch: epoch, codec, ...producer });
  for (const { key, value, timestamp } of records)
    builder.append({ key: Buffer.from(key), value: value === null ? null : Buffer.from(value), timestamp });
  return builder.build();
}

/** Whether the batch in the log can be what is left of the model's. */
function isSameBatch(batch: ModelBatch, header: BatchHeader, records: readonly ModelRecord[]): boolean {
  const isSame =
    header.baseOffset === batch.baseOffset &&
    header.baseOffset + header.lastOffsetDelta + 1 === batch.endOffset &&
    header.producerId === batch.producerId &&
    header.baseSequence === batch.baseSequence;
  return (
    isSame &&
    records.every((record) => {
      const written = batch.records[record.offset - batch.baseOffset];
      return (
        written?.key === record.key &&
        written.value === record.value &&
        written.timestamp === record.timestamp
      );
    })
  );
}

function lastSequences(batches: readonly ModelBatch[]): Map<number, number> {
  const last = new Map<number, number>();
  for (const { producerId, baseSequence, records } of batches)
    if (producerId >= 0) last.set(producerId, baseSequence + records.length - 1);
  return last;
}

interface FoundBatch {
  readonly header: BatchHeader;
  readonly records: readonly ModelRecord[];
}

function readBatches(log: Log): FoundBatch[] {
  const found: FoundBatch[] = [];
  for (let offset = log.startOffset; offset < log.endOffset;) {
    const outcome = log.read({ offset, endOffset: log.endOffset, bytesMax: 4000, atLeastOneBatch: true });
    if (outcome.kind !== 'records') throw new Violation('compaction', `${outcome.kind} at ${offset}`);
    const bytes = takeBytes(outcome.slice);
    for (let at = 0; at < bytes.length;) {
      expect(verifyCrc(bytes, at), `serves a bad CRC at ${offset}`);
      const header = readBatchHeader(bytes, at);
      const end = at + sizeInBytes(header);
      expect(
        header.baseOffset <= offset && (found.length === 0 || header.baseOffset === offset),
        `has a hole at ${offset}`,
      );
      found.push({ header, records: recordsOf(bytes.subarray(at, end)) });
      offset = header.baseOffset + header.lastOffsetDelta + 1;
      at = end;
    }
    expect(bytes.length > 0, `serves nothing at ${offset}`);
  }
  return found;
}

function recordsOf(batch: Uint8Array): ModelRecord[] {
  return decodeBatch(batch, { maxBytes: 1_000_000 }).map(({ offset, key, value, timestamp }) => ({
    offset,
    key: Buffer.from(key!).toString(),
    value: value === null ? null : Buffer.from(value).toString(),
    timestamp,
  }));
}

function expect(condition: boolean, message: string): void {
  if (!condition) throw new Violation('compaction', `the log ${message}`);
}
