import { MalformedError } from '@polylog/bytes';
import {
  batchBody,
  type BatchHeader,
  emptiedBatch,
  endTransactionOf,
  fillerBatch,
  hasDeleteHorizon,
  isControl,
  isTransactional,
  lastOffset,
  NO_TIMESTAMP,
  readBatchHeader,
  RecordCursor,
  type RetainedRecords,
  retainRecords,
} from '@polylog/record';
import type { Disk } from '../../platform/disk.ts';
import { OFFSET_ENTRY_BYTES } from '../offset-index.ts';
import { LOG_SUFFIX, RELATIVE_OFFSET_MAX, segmentName } from '../segment.ts';
import { TIME_ENTRY_BYTES } from '../time-index.ts';
import { CleanedSegmentWriter } from './cleaned-segment-writer.ts';
import { OffsetMap } from './offset-map.ts';
import { SegmentScan } from './segment-scan.ts';
import { TransactionFates } from './transaction-fates.ts';
import {
  CleaningError,
  type CleaningCounts,
  type CleaningRequest,
  type CleaningResult,
  type CleaningStep,
  noCounts,
  type SegmentToClean,
} from './types.ts';

/*
 * One cleaning of one log (Kafka's log cleaner; tombstones as in KIP-534):
 *
 * 1. The keys of the dirty part are gathered with the last offset of each, up to where the table is full.
 * 2. All segments up to there are written anew, adjacent ones together: a record stays unless a later one has its key. A tombstone stays, too,
 *    until its batch's delete horizon, which is stamped when it is first cleaned.
 *
 * The log stays dense: runs of batches of which nothing is left become one empty batch over their offsets, within one leader epoch. Batches that
 * stay keep their offsets, sequences and epoch. What is not understood is not touched: batches that cannot be decoded; and above such a batch tombstones
 * stay, since it may hold a record that they hide.
 *
 * Transactions (KIP-98): all that is cleaned is below the last stable offset, so each has ended. The records of an aborted one go, whatever their keys;
 * those of a committed one are like others. A marker stays as long as a batch of its transaction was there when the cleaning came by; after that, like a
 * tombstone, for `delete.retention.ms`: who reads meanwhile still needs it. The index of aborted transactions has an entry as long as such a batch is there.
 *
 * It reads and writes files only, and touches none that the log uses. It gives way every {@link SLICE_BYTES}: a runner may pause or end it there.
 */

const SLICE_BYTES = 256 * 1024;
/** A batch that expands to more is kept as it is. */
const DECOMPRESSED_BYTES_MAX = 32 * 1024 * 1024;

/** Batches of which nothing is left, one after the other, of one leader epoch. */
interface Run {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  lastOffset: number;
  batches: number;
}

export function* cleanSegments(
  disk: Disk,
  request: CleaningRequest,
  secret: Uint32Array,
): Generator<CleaningStep, CleaningResult> {
  const job = new CleaningJob(disk, request, secret);
  return yield* job.run();
}

class CleaningJob {
  readonly #disk: Disk;
  readonly #request: CleaningRequest;
  readonly #map: OffsetMap;
  readonly #scan: SegmentScan;
  readonly #counts: CleaningCounts = noCounts();
  /** Keys below it are in the table. */
  #mapEnd: number;
  /** The end of the segments: what lies above may still be lost, and so may the last batch of a producer there. */
  readonly #endOffset: number;
  /** Of producers that went on above the end: the last offset of their last batch in the dirty part. */
  readonly #lastScanned = new Map<number, number>();
  /** Something that is not understood came before: it may hold a value that a tombstone hides. */
  #keepTombstones = false;
  #yieldedBytes = 0;
  #writtenBefore = 0;

  /** Producers of whose present transaction a batch was there. */
  readonly #withBatches = new Set<number>();
  #fates: TransactionFates;

  // Of the present group.
  #writer: CleanedSegmentWriter | undefined;
  #run: Run | undefined;
  #changed = false;

  constructor(disk: Disk, request: CleaningRequest, secret: Uint32Array) {
    this.#disk = disk;
    this.#request = request;
    this.#scan = new SegmentScan(disk);
    const firstDirty = request.segments.findIndex(({ endOffset }) => endOffset > request.dirtyFrom);
    this.#fates = new TransactionFates(disk, request, Math.max(0, firstDirty));
    this.#mapEnd = request.dirtyFrom;
    this.#endOffset = request.segments.at(-1)?.endOffset ?? request.dirtyFrom;
    this.#map = new OffsetMap({
      bytesMax: request.dedupeBytes,
      keysMax: Math.max(0, this.#endOffset - request.dirtyFrom),
      secret,
    });
  }

  *run(): Generator<CleaningStep, CleaningResult> {
    try {
      yield* this.#gatherKeys();
      this.#fates.close();
      this.#fates = new TransactionFates(this.#disk, this.#request);
      const { segments } = this.#request;
      const end = segments.findIndex((segment) => segment.baseOffset >= this.#mapEnd);
      const count = end < 0 ? segments.length : end;
      for (let first = 0; first < count;) {
        const groupEnd = this.#groupEnd(first, count);
        yield* this.#cleanGroup(first, groupEnd);
        first = groupEnd;
      }
      yield this.#progress();
      return { cleanedTo: this.#mapEnd, keys: this.#map.size };
    } finally {
      this.#scan.close();
      this.#fates.close();
    }
  }

  // Keys

  *#gatherKeys(): Generator<CleaningStep> {
    const { dirtyFrom, segments } = this.#request;
    for (const segment of segments) {
      if (segment.endOffset <= dirtyFrom) continue;
      this.#open(segment);
      while (this.#scan.next()) {
        const { header } = this.#scan;
        if (lastOffset(header) >= dirtyFrom && this.#hasKeys(header) && !this.#gatherFrom(header)) return;
        this.#mapEnd = Math.max(this.#mapEnd, lastOffset(header) + 1);
        this.#noteProducer(header);
        if (this.#isSliceOver()) yield this.#progress();
      }
    }
  }

  /** Whether later records count against earlier ones of the same keys. */
  #hasKeys(header: BatchHeader): boolean {
    const { attributes, producerId, baseOffset, recordCount } = header;
    if (isControl(attributes)) this.#fates.pass(producerId, baseOffset);
    if (isControl(attributes) || recordCount === 0) return false;
    return !isTransactional(attributes) || this.#fates.abortedAt(producerId, baseOffset) === undefined;
  }

  /** False, with nothing more than more keys, when the table is full. Throws CleaningError `too-small`. */
  #gatherFrom(header: BatchHeader): boolean {
    const { dirtyFrom, dedupeBytes } = this.#request;
    const cursor = this.#recordsOf(header);
    if (cursor === undefined) return true;
    while (cursor.next()) {
      const offset = header.baseOffset + cursor.offsetDelta;
      if (cursor.key === null || offset < dirtyFrom || this.#map.put(cursor.key, offset)) continue;
      if (this.#mapEnd > dirtyFrom) return false;
      throw new CleaningError(
        'too-small',
        `${this.#request.folder}: log.cleaner.dedupe.buffer.size (${dedupeBytes} bytes) has no room for the ${header.recordCount} keys of the batch at ${header.baseOffset}`,
      );
    }
    return true;
  }

  /** Undefined for records that cannot be decoded: all are looked at before the first is used. */
  #recordsOf(header: BatchHeader): RecordCursor | undefined {
    try {
      const body = batchBody(this.#scan.batch, header, { maxBytes: DECOMPRESSED_BYTES_MAX });
      const check = new RecordCursor(body, header.recordCount);
      while (check.next());
      return new RecordCursor(body, header.recordCount);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      return undefined;
    }
  }

  // Groups

  /** As many segments as fit into one, by what they have now. */
  #groupEnd(first: number, count: number): number {
    const { segments, segmentBytes, segmentIndexBytes } = this.#request;
    const { baseOffset } = segments[first]!;
    let { sizeBytes, offsetEntries, timeEntries } = segments[first]!;
    let end = first + 1;
    for (; end < count; end++) {
      const next = segments[end]!;
      sizeBytes += next.sizeBytes;
      offsetEntries += next.offsetEntries;
      timeEntries += next.timeEntries;
      if (sizeBytes > segmentBytes || offsetEntries * OFFSET_ENTRY_BYTES > segmentIndexBytes) break;
      if (timeEntries * TIME_ENTRY_BYTES > segmentIndexBytes) break;
      if (next.endOffset - 1 - baseOffset > RELATIVE_OFFSET_MAX) break;
    }
    return end;
  }

  *#cleanGroup(first: number, end: number): Generator<CleaningStep> {
    const { folder, indexIntervalBytes, segments, nowMs } = this.#request;
    const { baseOffset } = segments[first]!;
    const disk = this.#disk;
    const writer = new CleanedSegmentWriter({
      disk,
      folder,
      baseOffset,
      indexIntervalBytes,
      modifiedMs: nowMs,
    });
    this.#writer = writer;
    this.#changed = end - first > 1;
    let isKept = false;
    try {
      for (const segment of segments.slice(first, end)) {
        this.#open(segment);
        while (this.#scan.next()) {
          this.#clean(this.#scan.header, this.#scan.batch);
          if (this.#isSliceOver()) yield this.#progress();
        }
      }
      this.#endRun();
      const summary = writer.finish();
      yield this.#progress();
      if (!this.#changed) return;
      isKept = true;
      yield { kind: 'group', group: { first, end, summary } };
    } finally {
      this.#writtenBefore += writer.bytesWritten;
      this.#writer = undefined;
      if (!isKept) writer.discard();
    }
  }

  #open(segment: SegmentToClean): void {
    this.#scan.open(`${this.#request.folder}/${segmentName(segment.baseOffset)}${LOG_SUFFIX}`, segment);
  }

  // Batches

  #clean(header: BatchHeader, batch: Uint8Array): void {
    const isAbove = header.baseOffset >= this.#mapEnd;
    if (isControl(header.attributes)) return this.#cleanMarker(header, batch, isAbove);
    const isAborted = this.#noteTransaction(header);
    if (isAbove) return this.#keep(header, batch);
    if (header.recordCount === 0) {
      if (this.#isLastOfProducer(header)) this.#keep(header, batch);
      else this.#remove(header);
      return;
    }
    const retained = isAborted ? this.#none(header) : this.#retain(header, batch);
    if (retained === undefined) return this.#keep(header, batch);
    if (retained.batch !== undefined) {
      this.#changed = true;
      const { maxTimestamp } = readBatchHeader(retained.batch);
      this.#keep({ ...header, maxTimestamp }, retained.batch);
    } else if (retained.retained > 0) {
      this.#keep(header, batch);
    } else if (this.#isLastOfProducer(header)) {
      this.#changed = true;
      this.#keep({ ...header, maxTimestamp: NO_TIMESTAMP }, emptiedBatch(header));
    } else {
      this.#remove(header);
    }
  }

  /** Whether it belongs to a transaction that was aborted. */
  #noteTransaction({ attributes, producerId, baseOffset }: BatchHeader): boolean {
    if (!isTransactional(attributes)) return false;
    this.#withBatches.add(producerId);
    return this.#fates.abortedAt(producerId, baseOffset) !== undefined;
  }

  #none({ recordCount }: BatchHeader): RetainedRecords {
    this.#counts.recordsRead += recordCount;
    return { batch: undefined, retained: 0, removed: recordCount };
  }

  /** The end of a transaction; what other control batches say is for brokers of other kinds, and stays. */
  #cleanMarker(header: BatchHeader, batch: Uint8Array, isAbove: boolean): void {
    const marker = endTransactionOf(batch, header);
    if (marker === undefined) return this.#keep(header, batch);
    const { producerId, baseOffset } = header;
    const hadBatches = this.#withBatches.delete(producerId);
    const aborted = marker.type === 'abort' ? this.#fates.abortedAt(producerId, baseOffset) : undefined;
    this.#fates.pass(producerId, baseOffset);
    if (hadBatches || isAbove || this.#isLastMarkOfProducer(header)) {
      this.#keep(header, batch);
      if (hadBatches && aborted !== undefined) this.#writer!.appendAborted(aborted);
      return;
    }
    const { nowMs } = this.#request;
    if (!hasDeleteHorizon(header.attributes)) this.#keepUntilHorizon(header, batch);
    else if (nowMs >= header.baseTimestamp) this.#remove(header);
    else this.#keep(header, batch);
  }

  #keepUntilHorizon(header: BatchHeader, batch: Uint8Array): void {
    const { nowMs, deleteRetentionMs } = this.#request;
    const stamped = retainRecords(batch, header, {
      maxBytes: DECOMPRESSED_BYTES_MAX,
      deleteHorizonMs: nowMs + deleteRetentionMs,
      stampAlways: true,
      retain: () => true,
    });
    this.#changed = true;
    this.#keep(header, stamped.batch ?? batch);
  }

  /** Whether the marker is all that tells the epoch of its producer. */
  #isLastMarkOfProducer({ producerId, producerEpoch }: BatchHeader): boolean {
    const { lastOffsets, markerEpochs } = this.#request;
    return lastOffsets === undefined || markerEpochs.get(producerId) === producerEpoch;
  }

  /** Undefined for a batch that cannot be decoded. */
  #retain(header: BatchHeader, batch: Uint8Array): RetainedRecords | undefined {
    const { nowMs, deleteRetentionMs } = this.#request;
    const mayDropTombstones =
      hasDeleteHorizon(header.attributes) && nowMs >= header.baseTimestamp && !this.#keepTombstones;
    try {
      const retained = retainRecords(batch, header, {
        maxBytes: DECOMPRESSED_BYTES_MAX,
        deleteHorizonMs: nowMs + deleteRetentionMs,
        retain: (record) => this.#isRetained(header, record, mayDropTombstones),
      });
      this.#counts.recordsRead += header.recordCount;
      this.#counts.recordsRetained += retained.retained;
      return retained;
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#counts.undecodableBatches++;
      this.#keepTombstones = true;
      return undefined;
    }
  }

  /** A record without a key, from before the topic was compacted, goes: nothing could ever replace it. */
  #isRetained(header: BatchHeader, record: RecordCursor, mayDropTombstones: boolean): boolean {
    if (record.key === null) return false;
    if (header.baseOffset + record.offsetDelta < this.#map.get(record.key)) return false;
    return record.value !== null || !mayDropTombstones;
  }

  #isLastOfProducer(header: BatchHeader): boolean {
    if (header.producerId < 0) return false;
    const { lastOffsets } = this.#request;
    if (lastOffsets === undefined) return true;
    // A producer that is forgotten needs nothing.
    const last = lastOffsets.get(header.producerId) ?? -1;
    if (last < this.#endOffset) return last === lastOffset(header);
    return lastOffset(header) >= (this.#lastScanned.get(header.producerId) ?? 0);
  }

  #noteProducer(header: BatchHeader): void {
    const { producerId } = header;
    if (isControl(header.attributes)) return;
    if (producerId >= 0 && (this.#request.lastOffsets?.get(producerId) ?? -1) >= this.#endOffset)
      this.#lastScanned.set(producerId, lastOffset(header));
  }

  #keep(header: BatchHeader, batch: Uint8Array): void {
    this.#endRun();
    this.#writer!.append(batch, lastOffset(header), header.maxTimestamp);
  }

  #remove(header: BatchHeader): void {
    if (this.#run !== undefined && this.#run.leaderEpoch !== header.partitionLeaderEpoch) this.#endRun();
    const wasFiller = header.recordCount === 0 && header.producerId < 0;
    if (this.#run === undefined) {
      const { baseOffset, partitionLeaderEpoch: leaderEpoch } = header;
      this.#run = { baseOffset, leaderEpoch, lastOffset: lastOffset(header), batches: 1 };
      this.#changed ||= !wasFiller;
    } else {
      this.#run.lastOffset = lastOffset(header);
      this.#run.batches++;
      this.#changed = true;
    }
  }

  #endRun(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    this.#writer!.append(fillerBatch(run), run.lastOffset, NO_TIMESTAMP);
  }

  // Slices

  get #bytesWritten(): number {
    return this.#writtenBefore + (this.#writer?.bytesWritten ?? 0);
  }

  #isSliceOver(): boolean {
    return this.#scan.bytesRead + this.#bytesWritten - this.#yieldedBytes >= SLICE_BYTES;
  }

  #progress(): CleaningStep {
    this.#counts.bytesRead = this.#scan.bytesRead;
    this.#counts.bytesWritten = this.#bytesWritten;
    this.#yieldedBytes = this.#counts.bytesRead + this.#counts.bytesWritten;
    return { kind: 'progress', counts: { ...this.#counts } };
  }
}
