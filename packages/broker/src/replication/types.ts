import type { ErrorName } from '../errors.ts';
import type { AbortedTransaction, LogSlice, TimestampedOffset } from '../storage/types.ts';

/** The end of a producer's transaction, as the coordinator has decided it. */
export interface TransactionEnd {
  readonly producerId: number;
  /** With transaction version 2 one more than that of the transaction's records (KIP-890), before that the same or a higher one. */
  readonly producerEpoch: number;
  readonly result: 'commit' | 'abort';
  /** Leader epoch of the coordinator's partition: an older one than that of the producer's last marker is fenced. */
  readonly coordinatorEpoch: number;
  /** `transaction.version` of the transaction. */
  readonly transactionVersion: number;
}

/** What a partition remembers of a producer. */
export interface ProducerDescription {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** -1: none in this epoch. */
  readonly lastSequence: number;
  readonly lastTimestampMs: number;
  /** Of its last marker; -1: none. */
  readonly coordinatorEpoch: number;
  /** The first offset of its open transaction; -1: none. */
  readonly transactionStartOffset: number;
}

/** What the data plane (topics/) sees of a partition that this broker hosts. */
export interface Partition {
  readonly topic: string;
  readonly topicId: string;
  readonly index: number;
  readonly leaderEpoch: number;
  /** Broker id, or -1. */
  readonly leader: number;
  readonly isLeader: boolean;
  readonly logStartOffset: number;
  readonly logEndOffset: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  /** KIP-207: false while a new leader's HW may lie below what clients were told before; then nobody is told it. */
  readonly highWatermarkIsCurrent: boolean;
  readonly isr: readonly number[];

  /**
   * Takes one batch (format v2, structurally checked, CRC verified) into the present turn: its sequence is checked, its offset reserved, base
   * offset and leader epoch are patched into `batch` in place. The bytes must stay untouched until the end of the turn, when all that
   * was reserved is written at once. `done` is called exactly once, never synchronously: after the write (acks 0, 1 under flush=os), after local durability (acks 1 under
   * fsync), after the HW passed the batch (acks -1), or with the error. A duplicate of a batch that is still on its way waits for that batch.
   */
  append(batch: Uint8Array, options: AppendOptions, done: (result: AppendResult) => void): void;

  /**
   * Writes the marker that ends a producer's transaction here, into the present turn; without one that is open it is written nevertheless, and
   * raises the producer's epoch. `done` as in `append` with acks -1. Errors beside those of the partition itself: INVALID_PRODUCER_EPOCH for a
   * marker that comes late, TRANSACTION_COORDINATOR_FENCED.
   */
  appendMarker(end: TransactionEnd, nowMs: number, done: (result: AppendResult) => void): void;

  /**
   * KIP-890: before a producer's transactional batch is appended, its coordinator has to be asked whether its transaction has this partition; this
   * begins that, and the append brings along what is returned, as `verification`. 0: the transaction is open here, and nobody has to be
   * asked. A marker that comes in between makes the append fail. With `isEpochBumped` (transactions of version 2) a producer without state has to
   * begin with sequence 0.
   */
  startVerification(
    producer: { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number },
    isEpochBumped: boolean,
    nowMs: number,
  ): number | ErrorName;

  /** Why `append` would refuse a coordinator's batch of that producer's transaction in the present turn, whatever is in it. */
  transactionRefusal(producer: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly verification: number;
  }): ErrorName | undefined;

  /** Why `appendMarker` would refuse the marker in the present turn. */
  markerRefusal(end: TransactionEnd): ErrorName | undefined;

  /** The idempotent and transactional producers that it remembers. */
  describeProducers(): ProducerDescription[];

  /** Why an append would be refused whatever is in it, as far as that is known now. */
  appendRefusal(requiredAcks: -1 | 0 | 1): ErrorName | undefined;

  /** Reads up to the bound that the isolation allows. The slice, if any, must be released. */
  read(options: PartitionReadOptions): PartitionReadOutcome;
  /** Undefined when `read` with these options will not wait for the disk; else loads and checks the range off the event loop. Never needed for correctness. */
  prepareRead(options: PartitionReadOptions): Promise<void> | undefined;

  /**
   * The aborted transactions that a consumer has to leave out of what it read of [fromOffset, toOffset) with `read_committed`; toOffset is the slice's
   * endOffset. Throws DiskError.
   */
  abortedTransactions(fromOffset: number, toOffset: number): readonly AbortedTransaction[];

  /** KIP-320 check of a consumer's or follower's view; undefined if it is in order. `leaderEpoch` -1 skips it. */
  checkLeaderEpoch(leaderEpoch: number): ErrorName | undefined;
  endOffsetForEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } | undefined;
  /** The leader epoch of the record at the offset, or of the one before it where the log ends; undefined if no epoch is known there. */
  epochAt(offset: number): number | undefined;
  offsetForTimestamp(timestamp: number, isolation: Isolation): Promise<TimestampedOffset | undefined>;
  offsetOfMaxTimestamp(isolation: Isolation): Promise<TimestampedOffset | undefined>;
  /**
   * -1 means the HW. Resolves with the new log start offset once the followers know it, or rejects with BrokerError. What is gone here is
   * durable before `bound` is asked how long to wait for the followers: it gets that wait, and is left out where there is none.
   */
  deleteRecords(offset: number, bound?: (followers: Promise<void>) => Promise<void>): Promise<number>;

  /**
   * Calls `wake` at the end of each turn in which HW, LSO or log start offset moved, or leadership changed, until the returned function is called.
   * Long polls and coordinators use it.
   */
  subscribe(wake: () => void): () => void;
}

export type Isolation = 'read_uncommitted' | 'read_committed' | 'log_end';

export interface AppendOptions {
  readonly requiredAcks: -1 | 0 | 1;
  readonly nowMs: number;
  /** Internal writers (coordinators) may write without sequences. */
  readonly origin: 'client' | 'coordinator';
  /** Of a transactional batch: what `startVerification` returned before the coordinator agreed. */
  readonly verification?: number;
}

export type AppendResult =
  | { readonly error: undefined; readonly baseOffset: number; readonly logStartOffset: number }
  | { readonly error: ErrorName; readonly message: string };

export interface PartitionReadOptions {
  readonly offset: number;
  readonly bytesMax: number;
  readonly atLeastOneBatch: boolean;
  readonly isolation: Isolation;
}

export type PartitionReadOutcome =
  | {
      readonly error: undefined;
      readonly slice: LogSlice;
      readonly highWatermark: number;
      readonly lastStableOffset: number;
      readonly logStartOffset: number;
    }
  | {
      readonly error: ErrorName;
      readonly highWatermark: number;
      readonly lastStableOffset: number;
      readonly logStartOffset: number;
    };
