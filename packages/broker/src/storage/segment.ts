import { AbortedIndex } from './aborted-index.ts';
import type { DescriptorCache } from './descriptor-cache.ts';
import { FileHandle } from './descriptor-cache.ts';
import { OFFSET_ENTRY_BYTES, OffsetIndex } from './offset-index.ts';
import { TIME_ENTRY_BYTES, TimeIndex } from './time-index.ts';
import type { AbortedTransaction } from './types.ts';

const BASE_OFFSET_DIGITS = 20;
export const RELATIVE_OFFSET_MAX = 0x7fff_ffff;
/** Positions are int32 in the offset index. */
export const SEGMENT_BYTES_MAX = 0x7fff_ffff;

export const LOG_SUFFIX = '.log';
export const INDEX_SUFFIX = '.index';
export const TIME_INDEX_SUFFIX = '.timeindex';
export const ABORTED_INDEX_SUFFIX = '.txnindex';
/** All that a segment may have. */
export const SEGMENT_SUFFIXES = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, ABORTED_INDEX_SUFFIX] as const;
export const DELETED_SUFFIX = '.deleted';
/** A cleaned segment that is being written, or waits to take its place. */
export const CLEANED_SUFFIX = '.cleaned';
/** A cleaned segment that takes its place, also if a crash comes in between. */
export const SWAP_SUFFIX = '.swap';
const NO_TIMESTAMP = -1;

/** The file name without its ending: the base offset in 20 digits. */
export function segmentName(baseOffset: number): string {
  return String(baseOffset).padStart(BASE_OFFSET_DIGITS, '0');
}

/** A range of a segment's file that is no valid batch, with the offsets that it stands for; kept as it is, and never served. */
export interface DamagedRange {
  readonly fromPosition: number;
  readonly toPosition: number;
  readonly fromOffset: number;
  readonly toOffset: number;
}

/** What is known of a segment without reading it. */
export interface SegmentSummary {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly sizeBytes: number;
  readonly maxTimestamp: number;
  readonly maxTimestampOffset: number;
  /** The first batch's largest timestamp, from which segment.ms counts. */
  readonly firstTimestamp: number;
  readonly bytesSinceIndexEntry: number;
  readonly offsetEntries: number;
  readonly timeEntries: number;
  readonly abortedEntries: number;
  readonly modifiedMs: number;
}

export type SegmentMark = Omit<SegmentSummary, 'modifiedMs'> & { readonly writtenFrom: number };

/**
 * One segment: a `.log` file of batches, its two indexes, and that of aborted transactions if it has any. It holds the file's state, and takes part in a turn by {@link mark} and
 * {@link rollback}. Who reads from it retains it: files of a removed segment go only when nobody does.
 */
export class Segment {
  folder: string;
  readonly baseOffset: number;
  readonly handle: FileHandle;
  readonly #cache: DescriptorCache;
  #offsetIndex: OffsetIndex | undefined;
  #timeIndex: TimeIndex | undefined;
  #abortedIndex: AbortedIndex | undefined;
  #offsetEntries: number;
  #timeEntries: number;
  #abortedEntries: number;

  /** The offset that follows the last record. */
  endOffset: number;
  sizeBytes: number;
  maxTimestamp: number;
  /** The last offset of the first batch that has maxTimestamp. */
  maxTimestampOffset: number;
  firstTimestamp: number;
  bytesSinceIndexEntry: number;
  /** When it was last appended to; of old ones, what the file says. */
  modifiedMs: number;

  /** Bytes below it are synced. */
  syncedBytes = 0;
  /** Its directory entries, those of synced indexes included, are durable. */
  entryDurable = false;
  /** All index files are complete and synced. */
  indexesSynced = false;
  /** Grows with each cut, so that a sync that started before it does not count for what was written after it. */
  cuts = 0;
  /** The file was cut and not synced since: a loss of power may bring back what was cut off. */
  #cutUnsynced = false;
  damage: DamagedRange[] = [];

  /** This process wrote, and so checked, the bytes from here to the end. */
  writtenFrom: number;
  /** This process has checked the CRCs of [checkedFrom, checkedTo). */
  checkedFrom = 0;
  checkedTo = 0;
  /** When checks began to grow old; -1: they are fresh. */
  checkedAtMs = -1;
  /** Bytes appended broker-wide when this segment was last appended to; -1: not by this process. */
  appendedTotal = -1;

  #readers = 0;
  /** Behind the names of its files while they are not, or no longer, the log's. */
  #suffix: string;
  #onUnused: (() => void) | undefined;

  constructor(cache: DescriptorCache, folder: string, summary: SegmentSummary, suffix = '') {
    this.#cache = cache;
    this.folder = folder;
    this.#suffix = suffix;
    this.baseOffset = summary.baseOffset;
    this.handle = new FileHandle(cache, this.pathOf(LOG_SUFFIX));
    this.endOffset = summary.endOffset;
    this.sizeBytes = summary.sizeBytes;
    this.maxTimestamp = summary.maxTimestamp;
    this.maxTimestampOffset = summary.maxTimestampOffset;
    this.firstTimestamp = summary.firstTimestamp;
    this.bytesSinceIndexEntry = summary.bytesSinceIndexEntry;
    this.#offsetEntries = summary.offsetEntries;
    this.#timeEntries = summary.timeEntries;
    this.#abortedEntries = summary.abortedEntries;
    this.modifiedMs = summary.modifiedMs;
    this.writtenFrom = summary.sizeBytes;
  }

  static empty(
    cache: DescriptorCache,
    folder: string,
    baseOffset: number,
    nowMs: number,
    suffix = '',
  ): Segment {
    const summary = {
      baseOffset,
      endOffset: baseOffset,
      sizeBytes: 0,
      maxTimestamp: NO_TIMESTAMP,
      maxTimestampOffset: baseOffset,
      firstTimestamp: NO_TIMESTAMP,
      bytesSinceIndexEntry: 0,
      offsetEntries: 0,
      timeEntries: 0,
      abortedEntries: 0,
      modifiedMs: nowMs,
    };
    return new Segment(cache, folder, summary, suffix);
  }

  get offsetIndex(): OffsetIndex {
    this.#offsetIndex ??= new OffsetIndex(
      new FileHandle(this.#cache, this.pathOf(INDEX_SUFFIX)),
      this.#offsetEntries,
    );
    return this.#offsetIndex;
  }

  get timeIndex(): TimeIndex {
    this.#timeIndex ??= new TimeIndex(
      new FileHandle(this.#cache, this.pathOf(TIME_INDEX_SUFFIX)),
      this.#timeEntries,
    );
    return this.#timeIndex;
  }

  get abortedIndex(): AbortedIndex {
    this.#abortedIndex ??= new AbortedIndex(
      new FileHandle(this.#cache, this.pathOf(ABORTED_INDEX_SUFFIX)),
      this.#abortedEntries,
    );
    return this.#abortedIndex;
  }

  pathOf(suffix: string): string {
    return `${this.folder}/${segmentName(this.baseOffset)}${suffix}${this.#suffix}`;
  }

  summary(): SegmentSummary {
    return { ...this.mark(), modifiedMs: this.modifiedMs };
  }

  // Appending

  /** Counts a batch that will be, or has been, written at the end, and indexes it as Kafka does. Throws DiskError when a full index tail cannot be written. */
  accept(lastOffset: number, maxTimestamp: number, bytes: number, indexIntervalBytes: number): void {
    if (this.sizeBytes === 0) this.firstTimestamp = maxTimestamp;
    if (maxTimestamp > this.maxTimestamp) {
      this.maxTimestamp = maxTimestamp;
      this.maxTimestampOffset = lastOffset;
    }
    if (this.bytesSinceIndexEntry > indexIntervalBytes) {
      this.offsetIndex.file.makeRoom();
      this.timeIndex.file.makeRoom();
      this.offsetIndex.append(lastOffset - this.baseOffset, this.sizeBytes);
      this.timeIndex.maybeAppend(this.maxTimestamp, this.maxTimestampOffset - this.baseOffset);
      this.bytesSinceIndexEntry = 0;
    }
    this.indexesSynced = false;
    this.bytesSinceIndexEntry += bytes;
    this.sizeBytes += bytes;
    this.endOffset = lastOffset + 1;
  }

  /** Indexes the transaction that the last accepted batch has aborted. Throws DiskError as {@link accept}. */
  acceptAborted(aborted: AbortedTransaction): void {
    this.abortedIndex.append(aborted);
  }

  /** Whether a batch must go to a new segment, by Kafka's rules. */
  mustRollFor(
    batch: { lastOffset: number; maxTimestamp: number; bytes: number },
    limits: { segmentBytes: number; segmentMs: number; segmentIndexBytes: number },
    nowMs: number,
  ): boolean {
    if (this.sizeBytes === 0) return batch.lastOffset - this.baseOffset > RELATIVE_OFFSET_MAX;
    if (this.sizeBytes + batch.bytes > Math.min(limits.segmentBytes, SEGMENT_BYTES_MAX)) return true;
    if (batch.lastOffset - this.baseOffset > RELATIVE_OFFSET_MAX) return true;
    if (limits.segmentMs >= 0) {
      const waitedMs =
        this.firstTimestamp >= 0 && batch.maxTimestamp >= 0
          ? batch.maxTimestamp - this.firstTimestamp
          : nowMs - this.modifiedMs;
      if (waitedMs > limits.segmentMs) return true;
    }
    return (
      this.offsetEntries >= Math.floor(limits.segmentIndexBytes / OFFSET_ENTRY_BYTES) ||
      // Kafka keeps the last slot for the entry that the roll adds.
      this.timeEntries >= Math.floor(limits.segmentIndexBytes / TIME_ENTRY_BYTES) - 1
    );
  }

  get offsetEntries(): number {
    return this.#offsetIndex?.file.entries ?? this.#offsetEntries;
  }

  get timeEntries(): number {
    return this.#timeIndex?.file.entries ?? this.#timeEntries;
  }

  /** Transactions whose abort marker is in this segment. */
  get abortedEntries(): number {
    return this.#abortedIndex?.file.entries ?? this.#abortedEntries;
  }

  mark(): SegmentMark {
    return {
      baseOffset: this.baseOffset,
      endOffset: this.endOffset,
      sizeBytes: this.sizeBytes,
      maxTimestamp: this.maxTimestamp,
      maxTimestampOffset: this.maxTimestampOffset,
      firstTimestamp: this.firstTimestamp,
      bytesSinceIndexEntry: this.bytesSinceIndexEntry,
      offsetEntries: this.offsetEntries,
      timeEntries: this.timeEntries,
      abortedEntries: this.abortedEntries,
      writtenFrom: this.writtenFrom,
    };
  }

  /**
   * Makes everything as it was at the mark, the file included, and its cut durable: after a loss of power what was cut off could else come back as
   * valid batches, between older and newer ones. Throws DiskError when that failed.
   */
  rollback(mark: SegmentMark): void {
    this.endOffset = mark.endOffset;
    this.sizeBytes = mark.sizeBytes;
    this.maxTimestamp = mark.maxTimestamp;
    this.maxTimestampOffset = mark.maxTimestampOffset;
    this.firstTimestamp = mark.firstTimestamp;
    this.bytesSinceIndexEntry = mark.bytesSinceIndexEntry;
    this.writtenFrom = mark.writtenFrom;
    this.#offsetIndex?.file.truncate(mark.offsetEntries);
    this.#timeIndex?.truncateToEntries(mark.timeEntries);
    if (this.#abortedIndex !== undefined) this.#keepAborted(mark.abortedEntries);
    if (this.handle.file().size() === mark.sizeBytes) return;
    this.cutFile(mark.sizeBytes);
    this.handle.file().datasync();
    this.syncedBytes = mark.sizeBytes;
    this.#cutUnsynced = false;
  }

  /** Cuts the file itself. Throws DiskError. */
  cutFile(sizeBytes: number): void {
    this.cuts++;
    this.#cutUnsynced = true;
    this.syncedBytes = Math.min(this.syncedBytes, sizeBytes);
    this.checkedTo = Math.min(this.checkedTo, sizeBytes);
    this.handle.file().truncate(sizeBytes);
  }

  /** No more records: adds the last time index entry and completes the index files. Throws DiskError. */
  finish(): void {
    this.timeIndex.maybeAppend(this.maxTimestamp, this.maxTimestampOffset - this.baseOffset);
    this.offsetIndex.file.finish();
    this.timeIndex.file.finish();
    if (this.abortedEntries > 0) this.abortedIndex.file.finish();
  }

  /** Writes the index entries that are in memory only. Throws DiskError. */
  flushIndexes(): void {
    this.#offsetIndex?.file.flush();
    this.#timeIndex?.file.flush();
    this.#abortedIndex?.file.flush();
  }

  /** Starts offset and time index anew, empty, as the segment is scanned again. */
  dropIndexes(): void {
    this.#offsetIndex?.file.handle.close();
    this.#timeIndex?.file.handle.close();
    this.#offsetIndex = undefined;
    this.#timeIndex = undefined;
    this.#offsetEntries = 0;
    this.#timeEntries = 0;
    this.indexesSynced = false;
  }

  /** The records from the offset on are gone. Throws DiskError. */
  truncateAborted(endOffset: number): void {
    if (this.abortedEntries > 0) this.#keepAborted(this.abortedIndex.entriesBelow(endOffset));
  }

  /** A file without entries is not synced any more: it goes, or a loss of power could bring back what it had. */
  #keepAborted(entries: number): void {
    if (entries === 0) this.dropAborted();
    else this.abortedIndex.file.truncate(entries);
  }

  /** Starts the index of aborted transactions anew. A file of it that is left says nothing. Throws DiskError. */
  dropAborted(): void {
    this.#abortedIndex?.file.handle.close();
    this.#abortedIndex = undefined;
    this.#abortedEntries = 0;
    this.handle.disk.remove(this.pathOf(ABORTED_INDEX_SUFFIX));
  }

  // Durability

  get isSynced(): boolean {
    return this.#bytesSynced && this.entryDurable;
  }

  get hasUnsyncedCut(): boolean {
    return this.#cutUnsynced;
  }

  /** An earlier process may have cut the file without a sync: the next sync of this one is not left out. */
  noteUnsyncedCut(): void {
    this.#cutUnsynced = true;
  }

  get #bytesSynced(): boolean {
    return this.syncedBytes >= this.sizeBytes && !this.#cutUnsynced;
  }

  /** Makes what is written now durable, and its directory entry. Rejects with DiskError: fatal. */
  async sync(): Promise<void> {
    if (!this.entryDurable) {
      this.handle.disk.syncDirectory(this.folder);
      this.entryDurable = true;
    }
    await this.syncData();
  }

  /** The same without the directory entry. */
  async syncData(): Promise<void> {
    if (this.#bytesSynced) return;
    const { sizeBytes, cuts } = this;
    await this.handle.pinned((file) => file.datasyncAsync());
    if (this.cuts !== cuts) return;
    this.syncedBytes = Math.max(this.syncedBytes, sizeBytes);
    this.#cutUnsynced = false;
  }

  /** The same at once. Throws DiskError: fatal. */
  syncNow(): void {
    if (!this.entryDurable) this.handle.disk.syncDirectory(this.folder);
    this.entryDurable = true;
    if (this.#bytesSynced) return;
    this.handle.file().datasync();
    this.syncedBytes = this.sizeBytes;
    this.#cutUnsynced = false;
  }

  /** For a finished segment: makes its index files durable, but for their directory entries. Rejects with DiskError: fatal. */
  async syncIndexes(): Promise<void> {
    if (this.indexesSynced) return;
    this.entryDurable = false;
    this.finish();
    const { sizeBytes, cuts } = this;
    await this.offsetIndex.file.handle.pinned((file) => file.datasyncAsync());
    await this.timeIndex.file.handle.pinned((file) => file.datasyncAsync());
    if (this.abortedEntries > 0) await this.abortedIndex.file.handle.pinned((file) => file.datasyncAsync());
    // A truncation may have made it the active segment again.
    this.indexesSynced = this.sizeBytes === sizeBytes && this.cuts === cuts;
  }

  // Readers and removal

  retain(): void {
    this.#readers++;
  }

  release(): void {
    this.#readers--;
    if (this.#readers === 0 && this.#onUnused !== undefined) {
      const onUnused = this.#onUnused;
      this.#onUnused = undefined;
      onUnused();
    }
  }

  /** Calls back when nobody reads from it any more; at once if so. */
  whenUnused(callback: () => void): void {
    if (this.#readers === 0) callback();
    else this.#onUnused = callback;
  }

  /** Renames the files away; readers go on. The caller syncs the folder. Throws DiskError. */
  renameAway(): void {
    const { disk } = this.handle;
    const present = SEGMENT_SUFFIXES.filter((suffix) => disk.stat(this.pathOf(suffix)) !== undefined);
    // The number keeps it apart from a namesake that was removed a moment ago and is still being read.
    const removedSuffix = `.${this.#cache.nextRemoval()}${DELETED_SUFFIX}`;
    for (const suffix of present) disk.rename(this.pathOf(suffix), this.pathOf(suffix) + removedSuffix);
    this.#suffix = removedSuffix;
    this.#namesChanged();
  }

  /** The folder has been renamed. */
  movedTo(folder: string): void {
    this.folder = folder;
    this.#namesChanged();
  }

  #namesChanged(): void {
    this.handle.renamed(this.pathOf(LOG_SUFFIX));
    this.#offsetIndex?.file.handle.renamed(this.pathOf(INDEX_SUFFIX));
    this.#timeIndex?.file.handle.renamed(this.pathOf(TIME_INDEX_SUFFIX));
    this.#abortedIndex?.file.handle.renamed(this.pathOf(ABORTED_INDEX_SUFFIX));
  }

  closeFiles(): void {
    this.handle.close();
    this.#offsetIndex?.file.handle.close();
    this.#timeIndex?.file.handle.close();
    this.#abortedIndex?.file.handle.close();
  }

  /** Unlinks the files of a segment that was renamed away. */
  async unlink(): Promise<void> {
    this.closeFiles();
    for (const suffix of SEGMENT_SUFFIXES) await this.handle.disk.removeAsync(this.pathOf(suffix));
  }
}
