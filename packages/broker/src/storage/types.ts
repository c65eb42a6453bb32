/**
 * The storage contract: what replication, metadata and topics see of it. Bytes are record batches (format v2), complete, already
 * validated, stamped with base offset and leader epoch. One broker has one {@link LogStore} per data folder.
 *
 * Made by `openLogStore` in log-store.ts.
 */

import type { BatchHeader, EndTransactionMarker } from '@polylog/record';
import type { Histogram } from '../metrics/histogram.ts';

/** Which partition a log belongs to. The folder is `<topic>-<partition>`; the topic's id inside it tells a topic from its deleted namesake. */
export interface LogId {
  /** The topic's kafkaName: legal as a folder name, at most 249 characters. */
  readonly topic: string;
  /** 22 characters of base64url. */
  readonly topicId: string;
  readonly partition: number;
}

/** What of a topic's config concerns its logs; changed at any time by {@link Log.configure}. -1 means no limit. */
export interface LogConfig {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentIndexBytes: number;
  readonly indexIntervalBytes: number;
  readonly retentionMs: number;
  readonly retentionBytes: number;
  /** Whether retention deletes whole segments (cleanup.policy contains delete). */
  readonly deleteOldSegments: boolean;
  readonly fileDeleteDelayMs: number;
  /** What "durable" means for this log: `fsync` on the disk, `os` in the page cache. */
  readonly flush: 'fsync' | 'os';
  /** Set if only the last record of each key is kept (cleanup.policy contains compact). */
  readonly compaction?: CompactionConfig;
}

/** How a log is cleaned. */
export interface CompactionConfig {
  /** Segments with a record that is younger are left alone. */
  readonly minLagMs: number;
  /** A record that is older calls for a cleaning, however little of the log is dirty. */
  readonly maxLagMs: number;
  /** The dirty share of the log, by bytes, above which it is cleaned. */
  readonly minDirtyRatio: number;
  /** How long tombstones stay after their first cleaning. */
  readonly deleteRetentionMs: number;
}

/** A leader epoch and the first offset that was written in it (KIP-101). */
export interface EpochEntry {
  readonly epoch: number;
  readonly startOffset: number;
}

/** Epochs and start offsets rise strictly. Kept in `leader-epoch-checkpoint`, and rebuilt from batch headers in recovery. */
export interface LeaderEpochs {
  readonly entries: readonly EpochEntry[];
  readonly latest: number | undefined;
  /**
   * The end of the largest epoch that is <= `epoch`: the start of the following one, or `logEndOffset` if it is the latest.
   * `undefined` where nothing is known: a request for an epoch above the latest, or below the first.
   */
  endOffsetOf(
    epoch: number,
    logEndOffset: number,
  ): { readonly epoch: number; readonly endOffset: number } | undefined;
  epochAt(offset: number): number | undefined;
}

export type ReadOutcome =
  /** Whole batches from the one that contains the offset; empty at the end of the log. */
  | { readonly kind: 'records'; readonly slice: LogSlice }
  | { readonly kind: 'out-of-range' }
  /** A batch at or after the offset is damaged below the recovery point: error 56 for it; nothing is cut. */
  | { readonly kind: 'corrupt' };

export interface ReadOptions {
  readonly offset: number;
  /** Batches that end above it are not returned: HW, LSO or LEO. */
  readonly endOffset: number;
  readonly bytesMax: number;
  /** Return the first batch even if it is larger than bytesMax. */
  readonly atLeastOneBatch: boolean;
  /**
   * Begin with the first batch that has records, if there is one: some clients do not get past an answer all of whose batches are empty, as
   * cleaning leaves them.
   */
  readonly skipEmpty?: boolean;
}

/**
 * A range of a segment's file. It keeps the segment from being unlinked until `release`, which must be called exactly once.
 * `hot`: recently appended, so that reading it synchronously will not wait for the disk.
 */
export interface LogSlice {
  readonly bytes: number;
  /** Behind its last record; where that is not known, the bound of the read. */
  readonly endOffset: number;
  readonly hot: boolean;
  /** Fills `target` from `at` bytes within the slice, for as many bytes as `target` has; never short. Throws DiskError. */
  readInto(target: Uint8Array, at: number): void;
  readIntoAsync(target: Uint8Array, at: number): Promise<void>;
  release(): void;
}

export interface TimestampedOffset {
  readonly offset: number;
  readonly timestamp: number;
  readonly leaderEpoch: number;
}

export interface Log {
  readonly id: LogId;
  readonly config: LogConfig;
  /** First offset that may be read; moved by retention and DeleteRecords. */
  readonly startOffset: number;
  /** Where it would start after a crash; <= startOffset. */
  readonly durableStartOffset: number;
  /** LEO: the offset of the next record. */
  readonly endOffset: number;
  /** Records below it are durable in the sense of the config's `flush`; <= endOffset. */
  readonly durableOffset: number;
  /** Records below it are synced in their segments, not only in the journal: damage below it is bit rot, not a torn tail. */
  readonly recoveryPoint: number;
  readonly sizeBytes: number;
  readonly epochs: LeaderEpochs;
  /** Set when writing failed and the partial write could not be cut: no more writes; reads answer what they can. */
  readonly offline: boolean;

  /**
   * Appends complete, contiguous, stamped batches, the first at `endOffset`: one gathered write per segment it touches, rolling
   * where due. `aborted`: the transactions that markers among them abort, in the order of those. The bytes may be reused as soon as it returns. It makes them readable, not durable: see {@link LogStore.flushTurn}.
   * Throws DiskError: then nothing was appended, the partial write has been cut; or, if that failed too, the log is offline.
   */
  append(batches: readonly Uint8Array[], nowMs: number, aborted?: readonly AbortedTransaction[]): void;
  /** Fills endOffset etc. at or below it: removes records at and above `offset`. A no-op at or above endOffset. Durable before it returns. */
  truncate(offset: number): void;
  /** Empties the log and starts it at `offset`. Durable before it returns. */
  reset(offset: number): void;
  /** Moves startOffset up, never down, to at most `endOffset`; whole segments below it are removed later. Durable with the next checkpoint. */
  advanceStartOffset(offset: number): void;
  /** Makes the present start durable, off the event loop. Rejects with DiskError. */
  persistStart(): Promise<void>;
  /**
   * Checks the CRCs of what it returns, unless this process wrote or checked those bytes lately; that may read from the disk
   * synchronously: await {@link prepareRead} first to keep it off the event loop. Throws DiskError.
   */
  read(options: ReadOptions): ReadOutcome;
  /** Undefined when `read` with these options will not wait for the disk; otherwise checks the range asynchronously. Never needed for correctness. */
  prepareRead(options: ReadOptions): Promise<void> | undefined;
  /** The first record at or above the timestamp (milliseconds), from records below `endOffset`; reads batches where the index is not exact. */
  offsetForTimestamp(timestamp: number, endOffset: number): Promise<TimestampedOffset | undefined>;
  /** The record with the largest timestamp below `endOffset`. */
  offsetOfMaxTimestamp(endOffset: number): Promise<TimestampedOffset | undefined>;
  /**
   * The aborted transactions of which there are records in [fromOffset, toOffset), in the order of their markers, which may lie further on. Those
   * of a range may be told though their records are gone. Throws DiskError.
   */
  abortedTransactions(fromOffset: number, toOffset: number): AbortedTransaction[];
  configure(config: LogConfig): void;

  /**
   * Producer state is the partition core's; the log only keeps its snapshots, `<offset>.snapshot` in Kafka's format, at rolls and clean stops.
   * Restores in two steps: the entries of the newest snapshot at or below endOffset, and the offset from which headers must be replayed.
   */
  loadProducerSnapshot(): { readonly entries: readonly ProducerSnapshotEntry[]; readonly replayFrom: number };
  /** Headers of all batches from `fromOffset` on, in order, with what those that end a transaction say; the header object is reused between calls. */
  scanHeaders(
    fromOffset: number,
    visit: (header: BatchHeader, marker: EndTransactionMarker | undefined) => void,
  ): void;
  /** Asked at each roll and clean stop for the state that belongs to exactly `endOffset`. */
  snapshotSource: (() => readonly ProducerSnapshotEntry[]) | undefined;
  /** Retention deletes only segments that end at or below it: the HW. Without it, durableOffset bounds. */
  retentionBound: (() => number) | undefined;
  /**
   * Cleaning leaves records at and above it alone: the LSO, which is at most the HW. Without it nothing is cleaned: before somebody has read which
   * transactions are open, as after a start, a record of one that will be aborted would count against what is committed.
   */
  cleaningBound: (() => number) | undefined;
  /** Called when durableOffset rose. */
  onDurable: ((durableOffset: number) => void) | undefined;
}

/** A transaction that was aborted: an entry of the index of those, beside the segment that has its marker. */
export interface AbortedTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of its marker. */
  readonly lastOffset: number;
  /** Where the earliest transaction began that was still open behind the marker; if none was, the offset behind it. */
  readonly lastStableOffset: number;
}

/** One producer in a snapshot; the format keeps the last batch only, as Kafka's does. */
export interface ProducerSnapshotEntry {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  readonly lastOffset: number;
  readonly offsetDelta: number;
  readonly timestamp: number;
  readonly coordinatorEpoch: number;
  /** -1: no open transaction. */
  readonly currentTxnFirstOffset: number;
}

/** What the store found when it opened. `process-crash`: the same boot, so that the page cache survived; `power-loss`: another one. */
export interface RecoveryReport {
  readonly kind: 'clean' | 'process-crash' | 'power-loss' | 'fresh';
  readonly logs: number;
  /** Bytes that were read and checked. */
  readonly scannedBytes: number;
  /** Torn bytes that were cut off the ends of logs. */
  readonly cutBytes: number;
  /** Batches that the journal gave back. */
  readonly journalBatches: number;
  /** Damaged ranges below recovery points: kept, and answered as `corrupt`. */
  readonly corruptRanges: number;
}

/** What an operator wants to know of a store. Counts and times are since it was opened. */
export interface StorageStatistics {
  readonly logs: {
    readonly bytes: number;
    readonly segments: number;
    /** Removed segments whose files are still there. */
    readonly segmentsLeaving: number;
    readonly segmentsRemoved: number;
    /** Logs that take no more writes. */
    readonly offline: number;
    /** Damaged ranges that are known: kept, and answered as `corrupt`. */
    readonly damagedRanges: number;
    readonly appendedBytes: number;
  };
  readonly files: { readonly open: number; readonly openMax: number };
  readonly journal: {
    readonly files: number;
    readonly filesMax: number;
    /** Files with rounds whose segments are not all synced. */
    readonly filesInUse: number;
    readonly fileBytes: number;
    readonly writtenBytes: number;
    readonly rounds: number;
    /** Rounds that synced segments, because no file was free or none could be written. */
    readonly roundsWithoutFile: number;
  };
  /** Seconds from the start of a round of the group commit to its durability. */
  readonly commits: Histogram;
  readonly checkpoints: {
    readonly completed: number;
    readonly failed: number;
    readonly totalMs: number;
    /** When the last one was complete; 0 before the first. */
    readonly lastMs: number;
  };
  readonly space: {
    readonly freeBytes: number;
    readonly totalBytes: number;
    /** Below it writes are refused, until `releaseBytes` are free again. */
    readonly reserveBytes: number;
    readonly releaseBytes: number;
  };
}

export interface LogStore {
  readonly dataDirectory: string;
  readonly recovery: RecoveryReport;
  /** Visits every segment: for scrapes, not for requests. */
  statistics(): StorageStatistics;
  get(topic: string, partition: number): Log | undefined;
  logs(): Iterable<Log>;
  /** Creates it in memory; files come with the first append. Throws if a log of that name and partition exists. */
  create(id: LogId, config: LogConfig): Log;
  /**
   * Renames the folder away (durable before it resolves) and removes it after the config's delay. When it rejects with DiskError the log is still
   * there, and a log of that name must not be created before a repetition has succeeded.
   */
  delete(log: Log): Promise<void>;
  /**
   * The end of a turn: everything that was appended since the last call to logs with flush=fsync goes to the journal (or, if large, to a sync
   * of its segment) and one group commit is started or joined; `onDurable` tells when. Never called half-way through a turn's appends.
   */
  flushTurn(): void;
  /** Set when the free space has fallen below the watermark: produce is refused with a retriable error, reads go on. */
  readonly diskFull: boolean;
  /** A datasync failed or the journal could not be written: the process must stop now and recover at its next start. */
  onFatal: ((error: Error) => void) | undefined;
  /**
   * Removes what retention no longer keeps and what lies below the start offsets; rolls active segments of which all is expired. The store's
   * timer does it every `retentionCheckMs`; tests and owners may call it too.
   */
  retentionPass(nowMs: number): Promise<void>;
  /** Cleans the logs that are due, one after the other, until none is. The store's timer does it every `cleanerBackoffMs`. */
  cleaningPass(): Promise<void>;
  /** From the next pass and the next cleaning of a log on. */
  configureCleaner(limits: CleanerLimits): void;
  readonly cleaning: CleaningReport;
  /** Syncs all segments, moves the recovery points and frees the journal. The store's timer does it every `checkpointMs`. */
  checkpoint(): Promise<void>;
  /** Clean stop: snapshots, syncs, checkpoints, and the clean-shutdown marker last. */
  close(): Promise<void>;
}

/** What the log cleaner has done since the start, and what there is to do. */
export interface CleaningReport {
  /** Cleanings of one log that came to their end. */
  readonly passes: number;
  readonly failures: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly recordsRead: number;
  readonly recordsRetained: number;
  readonly undecodableBatches: number;
  /** A log is being cleaned. */
  readonly isRunning: boolean;
  /** Milliseconds since the last cleaning of a log ended; undefined before the first. */
  readonly sinceLastMs: number | undefined;
  /** Logs that are not cleaned any more because a cleaning of them failed. */
  readonly uncleanableLogs: number;
  /** Of all logs, when they were looked at last. */
  readonly dirtyRatioMax: number;
  /** How far the oldest dirty record is beyond max.compaction.lag.ms, when the logs were looked at last; 0 if none is. */
  readonly lateMsMax: number;
}

/** Limits and intervals of a data folder. */
export interface StorageConfig {
  /** Files open at once; those in use by an asynchronous call may exceed it. */
  readonly openFilesMax: number;
  /** Bytes appended last, broker-wide, that count as being in the page cache. */
  readonly hotBytes: number;
  /** One preallocated file of the journal. */
  readonly journalFileBytes: number;
  /** Files of the journal; when all are in use, rounds sync the segments themselves until a checkpoint has freed one. */
  readonly journalFilesMax: number;
  /** Larger batches are not written to the journal: their segment is synced instead. */
  readonly journalBatchBytesMax: number;
  readonly checkpointMs: number;
  readonly retentionCheckMs: number;
  /** Free space below which {@link LogStore.diskFull} is set. */
  readonly freeSpaceReserveBytes: number;
  readonly freeSpacePollMs: number;
  /** How long a check of CRCs is trusted before a cold read repeats it. */
  readonly verifiedTrustMs: number;
  /** Whether logs with {@link LogConfig.compaction} are cleaned. */
  readonly cleanerEnabled: boolean;
  /** Pause between two looks for a log to clean, when the last one found none. */
  readonly cleanerBackoffMs: number;
  /** Memory for the table of keys of one cleaning. */
  readonly cleanerDedupeBytes: number;
  /** Read and written by cleaning, per second. */
  readonly cleanerBytesPerSecondMax: number;
}

/** Those that may change while the store is open. */
export type CleanerLimits = Pick<
  StorageConfig,
  'cleanerBackoffMs' | 'cleanerDedupeBytes' | 'cleanerBytesPerSecondMax'
>;

export const DEFAULT_STORAGE_CONFIG: StorageConfig = {
  openFilesMax: 2000,
  hotBytes: 256 * 1024 * 1024,
  journalFileBytes: 16 * 1024 * 1024,
  journalFilesMax: 16,
  journalBatchBytesMax: 256 * 1024,
  checkpointMs: 30_000,
  retentionCheckMs: 60_000,
  freeSpaceReserveBytes: 64 * 1024 * 1024,
  freeSpacePollMs: 1000,
  verifiedTrustMs: 600_000,
  cleanerEnabled: true,
  cleanerBackoffMs: 15_000,
  cleanerDedupeBytes: 32 * 1024 * 1024,
  cleanerBytesPerSecondMax: Infinity,
};

export interface LogStoreOptions {
  readonly disk: import('../platform/disk.ts').Disk;
  readonly clock: import('../platform/clock.ts').Clock;
  readonly timers: import('../platform/clock.ts').Timers;
  readonly logger: import('../platform/log.ts').Logger;
  readonly dataDirectory: string;
  readonly config?: Partial<StorageConfig>;
  /** The config of a log found on the disk; its owner may call {@link Log.configure} later, when it knows better. */
  readonly logConfigOf: (id: LogId) => LogConfig;
  /** Where logs are cleaned; on the event loop, in slices, if left out. */
  readonly cleaningRunner?: import('./cleaner/types.ts').CleaningRunner;
  /** Called once the folder is locked, before anything in it is read or changed: for files of the owner such as `meta.properties`. */
  readonly onLocked?: () => void;
}
