import type { ErrorName } from '../errors.ts';

/** The time of a decision. Cores never hold a clock. */
export interface Instant {
  /** Monotonic milliseconds: deadlines. */
  readonly monotonicMs: number;
  /** Milliseconds since the epoch: what is written. */
  readonly wallMs: number;
}

/** Why something could not be done now; undefined: it is durable. */
export type Durability = ErrorName | undefined;

/** A key and what it stands for from now on; null deletes it. */
export interface StateRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** In whose transaction records are written. */
export interface TransactionProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Of `Partition.startVerification`. */
  readonly verification: number;
}

/** What a coordinator's core asks of the shard that drives it. */
export interface CoordinatorSink {
  /**
   * Writes records of a change that the core has made already, in the present turn. `done` is called once, never synchronously, when they are
   * committed, or with the error that clients get: then the whole core is given up, and loaded again from the log.
   *
   * @param producer in whose transaction they are written, if in one: they count when {@link CoordinatorCore.endTransaction} says so
   */
  append(
    records: readonly StateRecord[],
    done: (failure: Durability, now: Instant) => void,
    producer?: TransactionProducer,
  ): void;
  /** Why the log would take no record of this producer's transaction now: then nothing may be changed for it. */
  transactionRefusal(producer: TransactionProducer): ErrorName | undefined;
  /** Whether an append would be refused at once, as on a full disk: nothing should be changed then that has to be written. */
  isWritable(): boolean;
  /** Calls back once all that was appended so far is committed (at once if it is), or given up: for answers that tell of the state. */
  whenCommitted(done: (failure: Durability) => void): void;
}

/** A deterministic state machine whose log is one partition of an internal topic. */
export interface CoordinatorCore {
  /**
   * One record of the log, oldest first, before {@link loaded}. Throws MalformedError for what it cannot read.
   *
   * @param producerId in whose transaction it was written, or NO_PRODUCER_ID
   */
  replay(record: StateRecord, now: Instant, producerId: number): void;
  /**
   * A producer's transaction has ended: its marker is being appended in the present turn, or has been read before {@link loaded}. Left out by cores
   * that write nothing in transactions.
   */
  endTransaction?(producerId: number, result: 'commit' | 'abort'): void;
  /** The log has been read; from here on the core decides. */
  loaded(now: Instant): void;
  /** Monotonic ms of the next call of {@link tick}; Infinity: none. */
  readonly nextDeadlineMs: number;
  tick(now: Instant): void;
  /** The core is given up: who waits in it is answered with the error. */
  close(error: ErrorName): void;
}

/** The broker that coordinates what was asked for, or why it cannot be told. */
export type CoordinatorFound =
  | { readonly error: ErrorName }
  | { readonly error: undefined; readonly brokerId: number };
