/**
 * The storage contract: what replication, metadata and topics see of it. Bytes are record batches (format v2), complete, already
 * validated, stamped with base offset and leader epoch. One broker has one {@link LogStore} per data folder.
 */

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
}

/**
 * A range of a segment's file. It keeps the segment from being unlinked until `release`, which must be called exactly once.
 * `hot`: recently appended, so that reading it synchronously will not wait for the disk.
 */
export interface LogSlice {
  readonly bytes: number;
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
  /** LEO: the offset of the next record. */
  readonly endOffset: number;
  /** Records below it are durable in the sense of the config's `flush`; <= endOffset. */
  readonly durableOffset: number;
  readonly sizeBytes: number;
  readonly epochs: LeaderEpochs;
  /** Set when writing failed and the partial write could not be cut: no more writes; reads answer what they can. */
  readonly offline: boolean;

  /**
   * Appends complete, contiguous, stamped batches, the first at `endOffset`: one gathered write per segment it touches, rolling
   * where due. The bytes may be reused as soon as it returns. It makes them readable, not durable: see {@link LogStore.flushTurn}.
   * Throws DiskError: then nothing was appended, the partial write has been cut; or, if that failed too, the log is offline.
   */
  append(batches: readonly Uint8Array[], nowMs: number): void;
  /** Fills endOffset etc. at or below it: removes records at and above `offset`. A no-op at or above endOffset. Durable before it returns. */
  truncate(offset: number): void;
  /** Empties the log and starts it at `offset`. Durable before it returns. */
  reset(offset: number): void;
  /** Moves startOffset up, never down, to at most `endOffset`; whole segments below it are removed later. */
  advanceStartOffset(offset: number): void;
  read(options: ReadOptions): ReadOutcome;
  /** The first record at or above the timestamp (milliseconds), from records below `endOffset`; reads batches where the index is not exact. */
  offsetForTimestamp(timestamp: number, endOffset: number): Promise<TimestampedOffset | undefined>;
  /** The record with the largest timestamp below `endOffset`. */
  offsetOfMaxTimestamp(endOffset: number): Promise<TimestampedOffset | undefined>;
  configure(config: LogConfig): void;

  /**
   * Producer state is the partition core's; the log only keeps its snapshots, `<offset>.snapshot` in Kafka's format, at rolls and clean stops.
   * Restores in two steps: the entries of the newest snapshot at or below endOffset, and the offset from which headers must be replayed.
   */
  loadProducerSnapshot(): { readonly entries: readonly ProducerSnapshotEntry[]; readonly replayFrom: number };
  /** Headers of all batches from `fromOffset` on, in order; the header object is reused between calls. */
  scanHeaders(fromOffset: number, visit: (header: import('@polylog/record').BatchHeader) => void): void;
  /** Asked at each roll and clean stop for the state that belongs to exactly `endOffset`. */
  snapshotSource: (() => readonly ProducerSnapshotEntry[]) | undefined;
  /** Called when durableOffset rose. */
  onDurable: ((durableOffset: number) => void) | undefined;
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

export interface LogStore {
  readonly dataDirectory: string;
  get(topic: string, partition: number): Log | undefined;
  logs(): Iterable<Log>;
  /** Creates it in memory; files come with the first append. Throws if a log of that name and partition exists. */
  create(id: LogId, config: LogConfig): Log;
  /** Renames the folder away (durable before it resolves) and removes it after the config's delay. */
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
  /** Clean stop: snapshots, syncs, checkpoints, and the clean-shutdown marker last. */
  close(): Promise<void>;
}
