import {
  BASE_OFFSET_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_OVERHEAD_BYTES,
  type BatchHeader,
  type EndTransactionMarker,
  LAST_OFFSET_DELTA_AT,
  MAX_TIMESTAMP_AT,
  PARTITION_LEADER_EPOCH_AT,
} from '@polylog/record';
import { DiskError } from '../platform/disk.ts';
import { parentOf, writeLeaderEpochs, writePartitionMetadata } from './checkpoint-files.ts';
import type { StoreContext } from './context.ts';
import { int32At, int64At } from './index-file.ts';
import { LeaderEpochList } from './leader-epochs.ts';
import { cutSegments, removeSegments } from './log-cut.ts';
import { LogReader } from './log-reader.ts';
import { findMaxTimestamp, findTimestamp } from './log-timestamps.ts';
import { newestSnapshot, removeSnapshots, writeSnapshot } from './producer-snapshot.ts';
import { LOG_SUFFIX, Segment, type SegmentMark } from './segment.ts';
import type {
  AbortedTransaction,
  EpochEntry,
  Log,
  LogConfig,
  LogId,
  ProducerSnapshotEntry,
  ReadOptions,
  ReadOutcome,
  TimestampedOffset,
} from './types.ts';

/** What recovery, or a clean stop, knows of a log when the store opens. */
export interface LogState {
  readonly segments: Segment[];
  readonly startOffset: number;
  readonly endOffset: number;
  readonly recoveryPoint: number;
  /** As the checkpoint file has it. */
  readonly savedRecoveryPoint: number;
  readonly cleanedTo: number;
  readonly epochs: readonly EpochEntry[];
  /** Folder and `partition.metadata` are durable. */
  readonly folderDurable: boolean;
}

const NONE_ABORTED: readonly AbortedTransaction[] = [];

interface TurnMark {
  readonly segments: number;
  readonly active: SegmentMark | undefined;
  readonly endOffset: number;
  readonly epochs: readonly EpochEntry[];
  readonly epochsDirty: boolean;
}

/** One partition's log: its segments, oldest first, the last one active. Without traffic it is this object and little else. */
export class PartitionLog implements Log {
  readonly id: LogId;
  readonly folder: string;
  readonly epochs: LeaderEpochList;
  readonly segments: Segment[];
  readonly context: StoreContext;
  readonly #reader: LogReader;
  #config: LogConfig;
  #startOffset: number;
  #endOffset: number;
  #offline = false;
  /** Of the present append's rolls. */
  #snapshots: { readonly offset: number; readonly entries: readonly ProducerSnapshotEntry[] }[] = [];

  durableOffset: number;
  recoveryPoint: number;
  folderDurable: boolean;
  /** Where the round of the group commit that is under way will move durableOffset. */
  roundEnd = 0;
  /** In the list of logs whose bytes wait for the next round. */
  gathered = false;
  /** Its bytes of the present round are not (all) in the journal: its segments must be synced. */
  syncSegments = false;
  /** Grows when records are cut off. */
  cuts = 0;
  closed = false;
  /** A cut failed half-way: its fields say nothing about its files, and no checkpoint may vouch for them. */
  cutFailed = false;
  /** As it stands in the checkpoint file. */
  savedStartOffset: number;
  savedRecoveryPoint: number;
  /** Records below it were cleaned; what follows is dirty. Kept in `cleaner-offset-checkpoint`. */
  cleanedTo: number;

  snapshotSource: (() => readonly ProducerSnapshotEntry[]) | undefined;
  retentionBound: (() => number) | undefined;
  cleaningBound: (() => number) | undefined;
  onDurable: ((durableOffset: number) => void) | undefined;

  constructor(context: StoreContext, id: LogId, config: LogConfig, folder: string, state: LogState) {
    this.context = context;
    this.id = id;
    this.folder = folder;
    this.segments = state.segments;
    this.epochs = new LeaderEpochList(state.epochs);
    this.#config = config;
    this.#startOffset = state.startOffset;
    this.#endOffset = state.endOffset;
    this.durableOffset = state.endOffset;
    this.recoveryPoint = state.recoveryPoint;
    this.folderDurable = state.folderDurable;
    this.savedStartOffset = state.startOffset;
    this.savedRecoveryPoint = state.savedRecoveryPoint;
    this.cleanedTo = state.cleanedTo;
    this.#reader = new LogReader(this);
  }

  get config(): LogConfig {
    return this.#config;
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  get offline(): boolean {
    return this.#offline;
  }

  get sizeBytes(): number {
    let bytes = 0;
    for (const segment of this.segments) bytes += segment.sizeBytes;
    return bytes;
  }

  get active(): Segment | undefined {
    return this.segments.at(-1);
  }

  // Appending

  append(
    batches: readonly Uint8Array[],
    nowMs: number,
    aborted: readonly AbortedTransaction[] = NONE_ABORTED,
  ): void {
    if (batches.length === 0) return;
    this.#assertWritable('append');
    const baseOffset = this.#endOffset;
    const mark: TurnMark = {
      segments: this.segments.length,
      active: this.active?.mark(),
      endOffset: baseOffset,
      epochs: this.epochs.entries,
      epochsDirty: this.epochs.dirty,
    };
    let bytes: number;
    try {
      bytes = this.#appendAll(batches, nowMs, aborted);
    } catch (error) {
      this.#snapshots = [];
      this.#rollback(mark);
      throw error;
    }
    this.#writeSnapshots();
    const active = this.active!;
    active.appendedTotal = this.context.appendedBytes + bytes;
    if (this.#config.flush === 'os') this.durableOffset = this.#endOffset;
    this.context.appended(this, batches, bytes, baseOffset);
  }

  /** Indexes and writes: one gathered write per segment. Returns the bytes. */
  #appendAll(batches: readonly Uint8Array[], nowMs: number, aborted: readonly AbortedTransaction[]): number {
    let bytes = 0;
    let nextAborted = 0;
    let segment = this.active;
    /** What goes to `segment`; all of `batches` as a rule. */
    let run: readonly Uint8Array[] = batches;
    let runFrom = 0;
    let position = segment?.sizeBytes ?? 0;
    const batch = { lastOffset: 0, maxTimestamp: 0, bytes: 0 };
    for (let index = 0; index < batches.length; index++) {
      const buffer = batches[index]!;
      this.#scan(buffer, batch);
      if (segment === undefined || segment.mustRollFor(batch, this.#config, nowMs)) {
        run = batches.slice(runFrom, index);
        if (run.length > 0) segment!.handle.file().write(run, position);
        segment = this.#roll(nowMs);
        runFrom = index;
        position = 0;
      }
      segment.accept(batch.lastOffset, batch.maxTimestamp, batch.bytes, this.#config.indexIntervalBytes);
      if (nextAborted < aborted.length && aborted[nextAborted]!.lastOffset === batch.lastOffset)
        segment.acceptAborted(aborted[nextAborted++]!);
      segment.modifiedMs = nowMs;
      this.epochs.note(int32At(buffer, PARTITION_LEADER_EPOCH_AT), this.#endOffset);
      this.#endOffset = batch.lastOffset + 1;
      bytes += batch.bytes;
    }
    run = runFrom === 0 ? batches : batches.slice(runFrom);
    segment!.handle.file().write(run, position);
    return bytes;
  }

  /** Reads what storage needs of one batch, and asserts what its callers promise. */
  #scan(buffer: Uint8Array, batch: { lastOffset: number; maxTimestamp: number; bytes: number }): void {
    const bytes =
      buffer.length < BATCH_HEADER_BYTES ? -1 : int32At(buffer, BATCH_LENGTH_AT) + BATCH_OVERHEAD_BYTES;
    if (bytes !== buffer.length)
      throw new Error(`${this.folder}: not exactly one batch in a buffer of ${buffer.length} bytes`);
    const baseOffset = int64At(buffer, BASE_OFFSET_AT);
    if (baseOffset !== this.#endOffset)
      throw new Error(
        `${this.folder}: a batch at ${baseOffset} does not continue the log at ${this.#endOffset}`,
      );
    batch.lastOffset = baseOffset + int32At(buffer, LAST_OFFSET_DELTA_AT);
    batch.maxTimestamp = int64At(buffer, MAX_TIMESTAMP_AT);
    batch.bytes = bytes;
  }

  /** Completes the active segment and starts one at endOffset. Throws DiskError. */
  #roll(nowMs: number): Segment {
    this.active?.finish();
    if (this.segments.length > 0) this.#takeSnapshot();
    return this.startSegment(this.#endOffset, nowMs);
  }

  /** Throws DiskError, with nothing changed but perhaps an empty file, which the next try reuses. */
  startSegment(baseOffset: number, nowMs: number): Segment {
    if (this.segments.length === 0 && !this.folderDurable) this.#createFolder();
    const segment = Segment.empty(this.context.cache, this.folder, baseOffset, nowMs);
    this.segments.push(segment);
    segment.handle.create();
    return segment;
  }

  #createFolder(): void {
    const { disk, dataDirectory, logger } = this.context;
    const { topicId, partition } = this.id;
    if (
      disk.stat(this.folder) !== undefined &&
      disk.list(this.folder).some((name) => name.endsWith(LOG_SUFFIX))
    ) {
      // Recovery left it alone, since nothing says whose it is.
      let number = 1;
      while (disk.stat(`${dataDirectory}/${topicId}-${partition}-stray${number}`) !== undefined) number++;
      const stray = `${dataDirectory}/${topicId}-${partition}-stray${number}`;
      logger.warn(
        { folder: this.folder, stray },
        'A folder of an unknown topic is in the way: it is renamed',
      );
      disk.rename(this.folder, stray);
      disk.syncDirectory(dataDirectory);
    }
    disk.makeDirectory(this.folder);
    writePartitionMetadata(disk, this.folder, topicId);
  }

  /** Makes everything as before the append; where a file cannot be cut the log goes offline. */
  #rollback(mark: TurnMark): void {
    this.#endOffset = mark.endOffset;
    this.epochs.restore(mark.epochs);
    this.epochs.dirty = mark.epochsDirty;
    const { disk, logger } = this.context;
    const removed = this.segments.length > mark.segments;
    try {
      while (this.segments.length > mark.segments) {
        const added = this.segments.pop()!;
        added.closeFiles();
        // That of aborted transactions, too: found beside a later segment of the same offset it would be believed.
        added.dropAborted();
        disk.remove(added.handle.path);
      }
      if (mark.active !== undefined) this.active!.rollback(mark.active);
      // Or the file, back after a loss of power, ends the segment before it for recovery.
      if (removed) disk.syncDirectory(this.folder);
    } catch (error) {
      this.#offline = true;
      logger.error({ folder: this.folder, error }, 'A partial write could not be cut: the log is offline');
    }
  }

  #assertWritable(operation: string): void {
    if (!this.#offline && !this.closed) return;
    const detail = this.closed
      ? 'the log is closed'
      : 'the log is offline since a write or a cut of it failed';
    throw new DiskError({ code: 'EIO', operation, path: this.folder, detail });
  }

  /**
   * Kept until the turn's write has succeeded: a snapshot of a turn that was rolled back would, once the log has grown past it, answer retries with
   * "duplicate, success" for batches that do not exist.
   */
  #takeSnapshot(): void {
    if (this.snapshotSource !== undefined)
      this.#snapshots.push({ offset: this.#endOffset, entries: this.snapshotSource() });
  }

  /** Producer state may be lost: it is then replayed from more batches. */
  #writeSnapshots(): void {
    if (this.#snapshots.length === 0) return;
    const snapshots = this.#snapshots;
    this.#snapshots = [];
    try {
      for (const snapshot of snapshots)
        writeSnapshot(this.context.disk, this.folder, snapshot, this.durableOffset);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.context.logger.warn({ folder: this.folder, error }, 'A producer snapshot could not be written');
    }
  }

  // Cutting

  truncate(offset: number): void {
    if (offset >= this.#endOffset) return;
    this.#assertWritable('truncate');
    const endOffset = Math.max(offset, this.#startOffset);
    this.context.forgetJournalOf(this, endOffset);
    this.cutting(() => {
      const newEnd = cutSegments(this, endOffset);
      this.#afterCut(newEnd);
      this.epochs.truncate(newEnd);
      if (this.epochs.dirty) this.#writeEpochs();
    });
  }

  /**
   * For work that changes which files make up the log. If it fails half-way it leaves files and fields that do not fit, which recovery at the next
   * start puts right: the log goes offline.
   */
  cutting(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#offline = true;
      this.cutFailed = true;
      this.context.logger.error(
        { folder: this.folder, error },
        'Files of the log could not be changed: it is offline until the next start',
      );
      throw error;
    }
  }

  reset(offset: number): void {
    this.#assertWritable('reset');
    // Nothing of the log is vouched for any more: after a loss of power any of its segments may be gone, and any back.
    this.context.forgetJournalOf(this, 0);
    this.cutting(() => this.#resetTo(offset));
  }

  #resetTo(offset: number): void {
    removeSegments(this, 0);
    // Of what was there before nothing counts, transactions that were open above all.
    this.#afterCut(offset, () => true);
    this.#startOffset = offset;
    this.epochs.clear();
    const segment = this.startSegment(offset, this.context.clock.nowMs());
    segment.handle.file().datasync();
    this.syncFolder();
    segment.entryDurable = true;
    this.#writeEpochs();
    this.recoveryPoint = offset;
    this.durableOffset = offset;
    this.context.writeCheckpoints();
  }

  #afterCut(endOffset: number, isVoid = (at: number): boolean => at > endOffset): void {
    this.#endOffset = endOffset;
    this.durableOffset = Math.min(this.durableOffset, endOffset);
    this.roundEnd = Math.min(this.roundEnd, endOffset);
    this.recoveryPoint = Math.min(this.recoveryPoint, endOffset);
    this.cleanedTo = Math.min(this.cleanedTo, endOffset);
    this.cuts++;
    this.#reader.forget();
    const { disk } = this.context;
    // Durably: one that came back would speak of batches that are gone.
    if (removeSnapshots(disk, this.folder, isVoid)) disk.syncDirectory(this.folder);
  }

  #writeEpochs(): void {
    writeLeaderEpochs(this.context.disk, this.folder, this.epochs.entries);
    this.epochs.dirty = false;
  }

  /** Makes the folder's entries durable, and the folder itself with its metadata. Throws DiskError. */
  syncFolder(): void {
    const { disk } = this.context;
    if (!this.folderDurable) {
      const file = disk.open(`${this.folder}/partition.metadata`, 'write');
      try {
        file.datasync();
      } finally {
        file.close();
      }
      disk.syncDirectory(parentOf(this.folder));
    }
    disk.syncDirectory(this.folder);
    this.folderDurable = true;
    for (const segment of this.segments) segment.entryDurable = true;
  }

  advanceStartOffset(offset: number): void {
    this.#startOffset = Math.max(this.#startOffset, Math.min(offset, this.#endOffset));
  }

  get durableStartOffset(): number {
    return this.savedStartOffset;
  }

  persistStart(): Promise<void> {
    return this.savedStartOffset >= this.#startOffset ? Promise.resolve() : this.context.persistStarts();
  }

  // Reading

  read(options: ReadOptions): ReadOutcome {
    return this.#reader.read(options);
  }

  prepareRead(options: ReadOptions): Promise<void> | undefined {
    return this.#reader.prepare(options);
  }

  scanHeaders(
    fromOffset: number,
    visit: (header: BatchHeader, marker: EndTransactionMarker | undefined) => void,
  ): void {
    this.#reader.scanHeaders(fromOffset, visit);
  }

  abortedTransactions(fromOffset: number, toOffset: number): AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    if (this.segments.length === 0) return found;
    const first = this.segments.indexOf(this.#reader.segmentOf(fromOffset));
    for (let at = first; at < this.segments.length; at++) {
      const segment = this.segments[at]!;
      if (segment.abortedEntries === 0) continue;
      if (segment.abortedIndex.collect(fromOffset, toOffset, found)) break;
    }
    return found;
  }

  offsetForTimestamp(timestamp: number, endOffset: number): Promise<TimestampedOffset | undefined> {
    return findTimestamp(this, timestamp, endOffset);
  }

  offsetOfMaxTimestamp(endOffset: number): Promise<TimestampedOffset | undefined> {
    return findMaxTimestamp(this, endOffset);
  }

  loadProducerSnapshot(): {
    readonly entries: readonly ProducerSnapshotEntry[];
    readonly replayFrom: number;
  } {
    const newest = newestSnapshot(this.context.disk, this.folder, this.#endOffset);
    // Also from batches below the start offset, as long as they are there: their producers may still repeat them.
    const oldest = this.segments[0]?.baseOffset ?? this.#startOffset;
    return { entries: newest?.entries ?? [], replayFrom: Math.max(newest?.offset ?? 0, oldest) };
  }

  configure(config: LogConfig): void {
    this.#config = config;
  }

  // For the store

  /** Segments were replaced: positions that were found in them mean nothing any more. */
  forgetPositions(): void {
    this.#reader.forget();
  }

  get needsCheckpoint(): boolean {
    if (this.closed || this.cutFailed || this.segments.length === 0) return false;
    return this.recoveryPoint < this.#endOffset || this.epochs.dirty || !this.folderDurable;
  }

  /** Retention: a new active segment, so that the old one can go. Throws DiskError. */
  rollForRetention(nowMs: number): void {
    this.#roll(nowMs);
    this.#writeSnapshots();
  }

  /** Checkpoint: what the epochs file lacks. Throws DiskError. */
  flushEpochs(): void {
    if (this.epochs.dirty && this.segments.length > 0) this.#writeEpochs();
  }

  /** Clean stop: indexes complete, a snapshot at the end. Throws DiskError. */
  finish(): void {
    if (this.segments.length > 0 && !this.#offline) {
      this.active!.finish();
      this.#takeSnapshot();
      this.#writeSnapshots();
      removeSnapshots(this.context.disk, this.folder, (at) => at < this.#startOffset);
    }
    this.closed = true;
  }
}
