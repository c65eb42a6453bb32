import {
  type BatchHeader,
  emptyBatchHeader,
  endTransactionOf,
  type EndTransactionMarker,
  readBatchHeader,
  readBatchHeaderInto,
  sizeInBytes,
} from '@polylog/record';
import { ABORTED_ENTRY_BYTES } from './aborted-index.ts';
import { BatchCursor, HEADER_SCAN_BYTES } from './batch-cursor.ts';
import {
  MalformedFileError,
  PARTITION_METADATA_FILE,
  readLeaderEpochs,
  replaceLeaderEpochs,
  TEMPORARY_SUFFIX,
  writePartitionMetadata,
} from './checkpoint-files.ts';
import { finishSwaps } from './cleaner/segment-swap.ts';
import type { StoreContext } from './context.ts';
import type { JournalEntry } from './journal-format.ts';
import { LeaderEpochList } from './leader-epochs.ts';
import { scanSegment } from './log-reader.ts';
import type { LogState } from './log.ts';
import { OFFSET_ENTRY_BYTES } from './offset-index.ts';
import { concernsTransactions, OpenTransactions } from './open-transactions.ts';
import { newestSnapshot, removeSnapshots } from './producer-snapshot.ts';
import { resetSegment, skipDamage } from './rebuild.ts';
import { findBatch } from './resync.ts';
import {
  ABORTED_INDEX_SUFFIX,
  DELETED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  Segment,
  SEGMENT_SUFFIXES,
  segmentName,
  TIME_INDEX_SUFFIX,
} from './segment.ts';
import { TIME_ENTRY_BYTES } from './time-index.ts';
import type { EpochEntry, LogConfig, LogId } from './types.ts';

export interface RecoveryCounts {
  scannedBytes: number;
  cutBytes: number;
  journalBatches: number;
  corruptRanges: number;
}

/** What the files of a log tell; the rest stands in checkpoint files. */
type RecoveredState = Omit<LogState, 'savedRecoveryPoint' | 'cleanedTo'>;

export interface LogToRecover {
  readonly id: LogId;
  readonly config: LogConfig;
  readonly folder: string;
  /** Below it everything was synced, segments that end below it with their indexes. */
  readonly recoveryPoint: number;
  /** Undefined: where the first segment begins. */
  readonly startOffset: number | undefined;
  /** What the journal has for this log, in order. */
  readonly entries: readonly JournalEntry[];
  readonly counts: RecoveryCounts;
  /** `partition.metadata` has the topic's id, and was synced when the log had its first checkpoint. */
  readonly metadataDurable: boolean;
  /** Used by one scan at a time. */
  readonly cursor: BatchCursor;
}

/**
 * A log whose files are right, but not yet durable. The steps are apart so that those of many logs can run side by side, and so that the file
 * system makes the entries of all folders durable with the few commits that the files needed.
 */
export interface ScannedLog {
  /** Makes durable what the scan changed or relied on, but for directory entries. Rejects with DiskError: fatal. */
  syncFiles(): Promise<void>;
  /** Afterwards: makes the directory entries durable. Rejects with DiskError: fatal. */
  syncFolder(): Promise<void>;
  /** Of the durable log. */
  state(): RecoveredState;
}

const NAME = /^(\d{20})\.log$/;
const INDEX_NAME = /\.(?:index|timeindex|txnindex)$/;
const REWRITE_BYTES = 1024 * 1024;

/** Scans one log and puts its files right. Throws DiskError. */
export function scanLog(context: StoreContext, log: LogToRecover): ScannedLog {
  const recovery = new LogRecovery(context, log);
  recovery.scanAll();
  return recovery;
}

class LogRecovery implements ScannedLog {
  readonly #context: StoreContext;
  readonly #log: LogToRecover;
  readonly #epochs: LeaderEpochList;
  readonly #epochsInFile: readonly EpochEntry[];
  readonly #segments: Segment[] = [];
  /** Batches of the journal by base offset; a later one replaces an earlier one. */
  readonly #journal: ReadonlyMap<number, Uint8Array>;
  readonly #touched = new Set<Segment>();
  /** Where the bytes of a segment start that no sync is known to have brought to the disk. */
  readonly #unsureFrom = new Map<Segment, number>();
  readonly #cursor: BatchCursor;
  /** Where the batches begin that this scan visits: none between it and where it is was left out. */
  #scannedFrom: number | undefined;
  /** Transactions that are open where the scan is; undefined until it comes upon a batch of one, since nearly all logs have none. */
  #open: OpenTransactions | undefined;
  #startOffset: number;
  #endOffset: number;
  #folderChanged = false;

  constructor(context: StoreContext, log: LogToRecover) {
    this.#context = context;
    this.#log = log;
    this.#cursor = log.cursor;
    this.#startOffset = log.startOffset ?? 0;
    this.#endOffset = 0;
    this.#journal = batchesByOffset(log.entries);
    this.#epochsInFile = this.#readEpochs();
    this.#epochs = new LeaderEpochList(this.#epochsInFile);
    // What starts above the recovery point is found again by the scan, and may have been cut off since it was written.
    this.#epochs.truncate(log.recoveryPoint);
  }

  #readEpochs(): ReturnType<typeof readLeaderEpochs> {
    try {
      return readLeaderEpochs(this.#context.disk, this.#log.folder);
    } catch (error) {
      if (!(error instanceof MalformedFileError)) throw error;
      this.#context.logger.error({ error }, 'The leader epochs are damaged: they are read from the batches');
      return [];
    }
  }

  scanAll(): void {
    const bases = this.#findSegments();
    if (this.#log.startOffset === undefined) this.#startOffset = bases[0] ?? 0;
    this.#endOffset = this.#startOffset;
    for (let index = 0; index < bases.length; index++) {
      if (!this.#addSegment(bases[index]!, bases[index + 1])) {
        this.#removeFrom(bases.slice(index + 1));
        break;
      }
    }
    this.#fillFromJournal(Infinity);
    this.#settleStart();
    const { disk } = this.#context;
    if (removeSnapshots(disk, this.#log.folder, (offset) => offset > this.#endOffset))
      this.#folderChanged = true;
  }

  /** Removes orphans, and segments that end below the start offset. Returns the base offsets of the others, rising. */
  #findSegments(): number[] {
    const { disk } = this.#context;
    const { folder } = this.#log;
    const bases: number[] = [];
    if (finishSwaps(this.#context, folder)) this.#folderChanged = true;
    for (const name of disk.list(folder)) {
      if (name.endsWith(DELETED_SUFFIX) || name.endsWith(TEMPORARY_SUFFIX)) disk.remove(`${folder}/${name}`);
      const match = NAME.exec(name);
      if (match !== null) bases.push(Number(match[1]));
    }
    bases.sort((a, b) => a - b);
    let first = 0;
    while (first + 1 < bases.length && bases[first + 1]! <= this.#startOffset) first++;
    for (const base of bases.slice(0, first)) this.#removeFiles(base);
    const kept = bases.slice(first);
    for (const name of disk.list(folder)) {
      const isIndex = INDEX_NAME.test(name);
      if (isIndex && !kept.some((base) => name.startsWith(`${segmentName(base)}.`)))
        disk.remove(`${folder}/${name}`);
    }
    return kept;
  }

  #removeFiles(base: number): void {
    for (const suffix of SEGMENT_SUFFIXES)
      this.#context.disk.remove(`${this.#log.folder}/${segmentName(base)}${suffix}`);
  }

  /** Segments behind the end of the log: never reported durable, since the log does not lead to them. */
  #removeFrom(bases: readonly number[]): void {
    const { disk } = this.#context;
    for (const base of bases.toReversed()) {
      const stat = disk.stat(`${this.#log.folder}/${segmentName(base)}${LOG_SUFFIX}`);
      this.#log.counts.cutBytes += stat?.sizeBytes ?? 0;
      this.#removeFiles(base);
    }
  }

  /** False when the log ends in this segment, though others follow. */
  #addSegment(base: number, nextBase: number | undefined): boolean {
    const { recoveryPoint, folder } = this.#log;
    const { cache, disk, clock } = this.#context;
    const path = `${folder}/${segmentName(base)}${LOG_SUFFIX}`;
    const stat = disk.stat(path)!;
    this.#fillFromJournal(base);
    // The first one may begin below the start offset.
    const isGap = this.#segments.length > 0 ? base !== this.#endOffset : base > this.#endOffset;
    if (isGap) {
      const isTail = base >= recoveryPoint || base < this.#endOffset;
      if (isTail) {
        this.#removeFrom([base]);
        return false;
      }
      this.#log.counts.corruptRanges++;
      this.#context.logger.error(
        { folder, fromOffset: this.#endOffset, toOffset: base },
        'Records are missing between two segments',
      );
    }
    const trusted = nextBase !== undefined && nextBase < recoveryPoint;
    const segment =
      (trusted ? this.#trustedSegment(base, nextBase, stat) : undefined) ??
      Segment.empty(cache, folder, base, clock.nowMs());
    segment.modifiedMs = stat.modifiedMs;
    segment.entryDurable = base < recoveryPoint;
    this.#segments.push(segment);
    if (segment.sizeBytes === 0) this.#scan(segment, stat.sizeBytes, nextBase);
    else this.#leaveOut();
    this.#endOffset = segment.endOffset;
    if (nextBase === undefined || segment.endOffset === nextBase) return true;
    // Records between this segment and the next are missing. Below the recovery point that is damage, and what follows stays.
    return segment.endOffset < nextBase && nextBase <= recoveryPoint;
  }

  /** A segment that was synced as a whole, with its indexes: nothing is read of it but the last time index entry. */
  #trustedSegment(
    base: number,
    nextBase: number,
    stat: { readonly sizeBytes: number; readonly modifiedMs: number },
  ): Segment | undefined {
    const { disk, cache } = this.#context;
    const { folder } = this.#log;
    const name = `${folder}/${segmentName(base)}`;
    const indexBytes = disk.stat(name + INDEX_SUFFIX)?.sizeBytes ?? -1;
    const timeBytes = disk.stat(name + TIME_INDEX_SUFFIX)?.sizeBytes ?? -1;
    if (stat.sizeBytes === 0 || indexBytes < 0 || timeBytes < 0) return undefined;
    if (indexBytes % OFFSET_ENTRY_BYTES !== 0 || timeBytes % TIME_ENTRY_BYTES !== 0) return undefined;
    const abortedBytes = disk.stat(name + ABORTED_INDEX_SUFFIX)?.sizeBytes ?? 0;
    if (abortedBytes % ABORTED_ENTRY_BYTES !== 0) return undefined;
    const segment = new Segment(cache, folder, {
      baseOffset: base,
      endOffset: nextBase,
      sizeBytes: stat.sizeBytes,
      maxTimestamp: -1,
      maxTimestampOffset: base,
      firstTimestamp: -1,
      bytesSinceIndexEntry: 0,
      offsetEntries: indexBytes / OFFSET_ENTRY_BYTES,
      timeEntries: timeBytes / TIME_ENTRY_BYTES,
      abortedEntries: abortedBytes / ABORTED_ENTRY_BYTES,
      modifiedMs: stat.modifiedMs,
    });
    if (segment.timeEntries > 0) {
      const last = segment.timeIndex.entry(segment.timeEntries - 1);
      segment.maxTimestamp = last.timestamp;
      segment.maxTimestampOffset = base + last.relativeOffset;
    }
    segment.syncedBytes = stat.sizeBytes;
    segment.indexesSynced = true;
    return segment;
  }

  /** Walks a segment from its start: see the rules in recovery.ts. With `checkAll` it checks CRCs below the recovery point too. */
  #scan(segment: Segment, fileBytes: number, nextBase: number | undefined, checkAll = false): void {
    const { recoveryPoint, config, counts } = this.#log;
    const cursor = this.#cursor;
    const openBefore = this.#open?.copy();
    this.#scannedFrom ??= segment.baseOffset;
    resetSegment(segment);
    segment.dropAborted();
    cursor.seek(segment.handle, 0, fileBytes, segment.baseOffset);
    counts.scannedBytes += fileBytes;
    for (;;) {
      const isBatch = cursor.next();
      const isBelow = isBatch
        ? cursor.expectedOffset <= recoveryPoint
        : cursor.expectedOffset < recoveryPoint;
      const isTaken = isBelow && !checkAll;
      // Past where the next segment begins there is only what a failed append has left.
      if (nextBase !== undefined && isBatch && !isBelow && cursor.expectedOffset > nextBase)
        return this.#cut(segment, fileBytes);
      if (isBatch && (isTaken || ((isBelow || this.#isCurrent()) && cursor.crcMatches()))) {
        if (!isBelow && !this.#unsureFrom.has(segment)) this.#unsureFrom.set(segment, cursor.position);
        this.#accept(segment, config.indexIntervalBytes);
        continue;
      }
      const expected = isBatch ? cursor.header.baseOffset : cursor.expectedOffset;
      if (expected === nextBase) return this.#cut(segment, fileBytes);
      const repaired = this.#repair(segment, expected);
      if (repaired > 0) {
        fileBytes = Math.max(fileBytes, segment.sizeBytes + repaired);
        cursor.seek(segment.handle, segment.sizeBytes, fileBytes, expected);
        continue;
      }
      if (!isBatch && !cursor.fault) return;
      if (!isBelow || expected >= recoveryPoint) return this.#cut(segment, fileBytes);
      // The batch before may have led here by a damaged length.
      if (!checkAll) {
        this.#open = openBefore;
        return this.#scan(segment, fileBytes, nextBase, true);
      }
      this.#keepDamage(segment, fileBytes, expected, nextBase);
    }
  }

  /**
   * Whether the present batch is the one that was written last at its offset, as far as that can be told: a failed append that was cut off may
   * have left a valid batch on the disk, that another one, in the journal or of a newer epoch, has replaced.
   */
  #isCurrent(): boolean {
    const { header } = this.#cursor;
    // Epochs never fall within a log.
    const { latest } = this.#epochs;
    if (latest !== undefined && header.partitionLeaderEpoch >= 0 && header.partitionLeaderEpoch < latest)
      return false;
    const batch = this.#journal.get(header.baseOffset);
    if (batch === undefined) return true;
    const { crc, batchLength, partitionLeaderEpoch } = readBatchHeader(batch);
    return (
      crc === header.crc &&
      batchLength === header.batchLength &&
      partitionLeaderEpoch === header.partitionLeaderEpoch
    );
  }

  #accept(segment: Segment, indexIntervalBytes: number): void {
    const { header, expectedOffset, nextPosition, position } = this.#cursor;
    this.#epochs.note(header.partitionLeaderEpoch, header.baseOffset);
    segment.accept(expectedOffset - 1, header.maxTimestamp, nextPosition - position, indexIntervalBytes);
    if (concernsTransactions(header)) this.#stepTransactions(segment, header, this.#cursor.marker());
    if (segment.offsetIndex.file.storedEntries > 0) this.#touched.add(segment);
  }

  /** A segment is not scanned: what is open behind it has to be asked of the snapshot again. */
  #leaveOut(): void {
    this.#scannedFrom = undefined;
    this.#open = undefined;
  }

  /** Makes the index of aborted transactions again. */
  #stepTransactions(segment: Segment, header: BatchHeader, marker: EndTransactionMarker | undefined): void {
    this.#open ??= this.#openAt(this.#scannedFrom ?? segment.baseOffset);
    const aborted = this.#open.step(header, marker);
    if (aborted !== undefined) segment.acceptAborted(aborted);
  }

  /** What the newest producer snapshot below the offset says, and the batches between them. */
  #openAt(offset: number): OpenTransactions {
    const snapshot = newestSnapshot(this.#context.disk, this.#log.folder, offset);
    const open = OpenTransactions.of(snapshot?.entries ?? []);
    const from = snapshot?.offset ?? 0;
    const cursor = new BatchCursor(HEADER_SCAN_BYTES);
    for (const segment of this.#segments) {
      if (segment.baseOffset >= offset || segment.endOffset <= from) continue;
      scanSegment(segment, cursor, from, (header) => {
        if (concernsTransactions(header)) open.step(header, cursor.marker());
        return false;
      });
    }
    return open;
  }

  /** Writes the batch that the journal has for the offset to the end of the valid bytes. Returns its size; 0 if the journal has none. */
  #repair(segment: Segment, offset: number): number {
    const batch = this.#journal.get(offset);
    if (batch === undefined) return 0;
    segment.handle.file().write([batch], segment.sizeBytes);
    this.#touched.add(segment);
    this.#log.counts.journalBatches++;
    return batch.length;
  }

  /** A torn tail: nobody was told that it is durable. */
  #cut(segment: Segment, fileBytes: number): void {
    if (fileBytes === segment.sizeBytes) return;
    this.#log.counts.cutBytes += fileBytes - segment.sizeBytes;
    segment.handle.file().truncate(segment.sizeBytes);
    this.#touched.add(segment);
  }

  /** Damage below the recovery point: the bytes stay, and the scan goes on behind them. */
  #keepDamage(segment: Segment, fileBytes: number, fromOffset: number, nextBase: number | undefined): void {
    const { recoveryPoint, folder, counts } = this.#log;
    const position = segment.sizeBytes;
    const offsetMax = nextBase ?? Number.MAX_SAFE_INTEGER;
    const handle = segment.handle;
    const next = findBatch({ handle, position, limit: fileBytes, offsetMin: fromOffset, offsetMax });
    const range = {
      fromPosition: position,
      toPosition: next?.position ?? fileBytes,
      fromOffset,
      toOffset: next?.baseOffset ?? nextBase ?? Math.max(recoveryPoint, fromOffset + 1),
    };
    segment.damage.push(range);
    skipDamage(segment, range.toPosition, range.toOffset);
    this.#cursor.seek(handle, range.toPosition, fileBytes, range.toOffset);
    counts.corruptRanges++;
    this.#context.logger.error(
      { folder, ...range },
      'Damaged records below the recovery point: they are kept, and reads of them are refused',
    );
  }

  /** Appends what the journal has up to an offset, as when the folder entries of segments were lost. */
  #fillFromJournal(endOffset: number): void {
    const { config, folder } = this.#log;
    const { clock, cache } = this.#context;
    const header = emptyBatchHeader();
    while (this.#endOffset < endOffset) {
      const batch = this.#journal.get(this.#endOffset);
      if (batch === undefined) return;
      readBatchHeaderInto(header, batch);
      const lastOffset = header.baseOffset + header.lastOffsetDelta;
      const summary = { lastOffset, maxTimestamp: header.maxTimestamp, bytes: batch.length };
      let segment = this.#segments.at(-1);
      if (segment === undefined || segment.mustRollFor(summary, config, clock.nowMs())) {
        segment?.finish();
        segment = Segment.empty(cache, folder, this.#endOffset, clock.nowMs());
        segment.handle.create();
        segment.dropAborted();
        this.#segments.push(segment);
      }
      this.#scannedFrom ??= this.#endOffset;
      this.#repair(segment, this.#endOffset);
      this.#epochs.note(header.partitionLeaderEpoch, header.baseOffset);
      segment.accept(lastOffset, header.maxTimestamp, batch.length, config.indexIntervalBytes);
      if (concernsTransactions(header))
        this.#stepTransactions(segment, header, endTransactionOf(batch, header));
      this.#endOffset = lastOffset + 1;
    }
  }

  #settleStart(): void {
    const first = this.#segments[0];
    if (first === undefined) {
      this.#endOffset = this.#startOffset;
      this.#epochs.truncate(this.#endOffset);
      return;
    }
    this.#startOffset = Math.max(this.#startOffset, first.baseOffset);
    if (this.#endOffset < this.#startOffset) this.#startAnew(this.#startOffset);
    this.#epochs.truncate(this.#endOffset);
    this.#epochs.truncateBefore(this.#startOffset);
  }

  /** The end was lost beyond the start offset (flush=os): an empty log that goes on at its start offset. */
  #startAnew(startOffset: number): void {
    const { cache, clock } = this.#context;
    for (const segment of this.#segments.splice(0).toReversed()) {
      segment.closeFiles();
      this.#removeFiles(segment.baseOffset);
      this.#touched.delete(segment);
    }
    const segment = Segment.empty(cache, this.#log.folder, startOffset, clock.nowMs());
    segment.handle.create();
    this.#segments.push(segment);
    this.#touched.add(segment);
    this.#endOffset = startOffset;
  }

  async syncFiles(): Promise<void> {
    const { disk } = this.#context;
    const { folder, recoveryPoint } = this.#log;
    for (const [index, segment] of this.#segments.entries()) {
      const isActive = index === this.#segments.length - 1;
      // Reads check what this scan has not.
      segment.writtenFrom = segment.sizeBytes;
      // One that ends at the recovery point may have been cut there by a process that was killed before it synced the cut.
      const isPassed = this.#endOffset > recoveryPoint && segment.endOffset >= recoveryPoint;
      const isUnsure = isPassed || this.#touched.has(segment);
      segment.syncedBytes = isUnsure ? -1 : segment.sizeBytes;
      await this.#writeAnew(segment);
      await segment.syncData();
      // While the recovery point stays there, the next recovery scans it again: the sync can wait for the next records.
      if (!isUnsure && (isActive || segment.endOffset === recoveryPoint)) segment.noteUnsyncedCut();
      if (!isActive) await segment.syncIndexes();
    }
    if (recoveryPoint === 0 || this.#touched.size > 0 || this.#endOffset !== recoveryPoint)
      this.#folderChanged = true;
    if (!this.#log.metadataDurable) await this.#writeMetadata();
    // The file was synced before it got its name: what it says needs no second time.
    if (!sameEpochs(this.#epochs.entries, this.#epochsInFile)) {
      await replaceLeaderEpochs(disk, folder, this.#epochs.entries);
      this.#folderChanged = true;
    }
  }

  async #writeMetadata(): Promise<void> {
    const { disk } = this.#context;
    const { folder, id } = this.#log;
    writePartitionMetadata(disk, folder, id.topicId);
    const file = disk.open(`${folder}/${PARTITION_METADATA_FILE}`, 'write');
    try {
      await file.datasyncAsync();
    } finally {
      file.close();
    }
    this.#folderChanged = true;
  }

  async syncFolder(): Promise<void> {
    if (!this.#folderChanged && this.#segments.every((segment) => segment.entryDurable)) return;
    await this.#context.disk.syncDirectoryAsync(this.#log.folder);
    for (const segment of this.#segments) segment.entryDurable = true;
  }

  /**
   * Writes again what lies above the recovery point. It was read from the page cache, and may be nowhere else: after a failed sync, which ended the
   * last process, the kernel counts pages as clean that never came to the disk, and a sync of them would succeed and do nothing.
   */
  async #writeAnew(segment: Segment): Promise<void> {
    const from = this.#unsureFrom.get(segment);
    if (from === undefined) return;
    const buffer = new Uint8Array(Math.min(REWRITE_BYTES, segment.sizeBytes - from));
    for (let position = from; position < segment.sizeBytes; position += buffer.length) {
      const chunk = buffer.subarray(0, Math.min(buffer.length, segment.sizeBytes - position));
      await segment.handle.pinned((file) => file.readAsync(chunk, position));
      await segment.handle.pinned((file) => file.writeAsync([chunk], position));
    }
  }

  state(): RecoveredState {
    return {
      segments: this.#segments,
      startOffset: this.#startOffset,
      endOffset: this.#endOffset,
      recoveryPoint: this.#endOffset,
      epochs: this.#epochs.entries,
      folderDurable: true,
    };
  }
}

function sameEpochs(left: readonly EpochEntry[], right: readonly EpochEntry[]): boolean {
  return (
    left.length === right.length &&
    left.every(
      ({ epoch, startOffset }, index) =>
        epoch === right[index]!.epoch && startOffset === right[index]!.startOffset,
    )
  );
}

function batchesByOffset(entries: readonly JournalEntry[]): Map<number, Uint8Array> {
  const batches = new Map<number, Uint8Array>();
  const header = emptyBatchHeader();
  for (const { batches: bytes } of entries) {
    for (let at = 0; at < bytes.length; at += sizeInBytes(header)) {
      readBatchHeaderInto(header, bytes, at);
      batches.set(header.baseOffset, bytes.subarray(at, at + sizeInBytes(header)));
    }
  }
  return batches;
}
