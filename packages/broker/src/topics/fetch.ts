import type { ErrorName } from '../errors.ts';
import type { TimerHandle, Timers } from '../platform/clock.ts';
import { DiskError } from '../platform/disk.ts';
import type { Isolation, Partition, PartitionReadOptions } from '../replication/types.ts';
import type { AbortedTransaction, LogSlice } from '../storage/types.ts';

/** One partition of a fetch. */
export interface FetchTarget {
  /** Undefined: the partition is not to be had here, for the reason that `error` gives. */
  readonly partition: Partition | undefined;
  readonly error: ErrorName | undefined;
  readonly offset: number;
  readonly bytesMax: number;
  /** The epoch the client believes in (KIP-320); -1: it does not say. */
  readonly leaderEpoch: number;
  /** Epoch of the record before `offset`; -1: it does not say. */
  readonly lastFetchedEpoch: number;
}

export interface FetchOptions {
  /** Wait until so much can be had, or an error, or the time is up. */
  readonly minBytes: number;
  readonly maxWaitMs: number;
  /** Over all partitions; the first batch is returned even if it is larger. */
  readonly bytesMax: number;
  readonly isolation: Isolation;
}

export type FetchedPartition =
  | {
      readonly kind: 'records';
      /** To be released by whoever takes the outcome; may be empty. */
      readonly slice: LogSlice;
      /** Whose records in the slice are to be left out. Undefined unless what was asked for is what is committed. */
      readonly aborted: readonly AbortedTransaction[] | undefined;
      readonly highWatermark: number;
      readonly lastStableOffset: number;
      readonly logStartOffset: number;
    }
  /** The client's log is another one from `endOffset` on, the end of the largest epoch that both may know. */
  | {
      readonly kind: 'diverged';
      readonly epoch: number;
      readonly endOffset: number;
      readonly highWatermark: number;
      readonly lastStableOffset: number;
      readonly logStartOffset: number;
    }
  | { readonly kind: 'error'; readonly error: ErrorName };

const NONE_ABORTED: readonly AbortedTransaction[] = [];

/** Reads all targets once, in their order. Outcomes stand at the index of their target. */
export function fetchNow(targets: readonly FetchTarget[], options: FetchOptions): FetchedPartition[] {
  const outcomes: FetchedPartition[] = [];
  try {
    readAll(targets, options, outcomes);
  } catch (error) {
    releaseOutcomes(outcomes);
    throw error;
  }
  return outcomes;
}

function readAll(targets: readonly FetchTarget[], options: FetchOptions, outcomes: FetchedPartition[]): void {
  let bytesLeft = options.bytesMax;
  let nothingYet = true;
  for (const target of targets) {
    const outcome = readTarget(target, options.isolation, Math.min(target.bytesMax, bytesLeft), nothingYet);
    if (outcome.kind === 'records' && outcome.slice.bytes > 0) {
      nothingYet = false;
      bytesLeft = Math.max(0, bytesLeft - outcome.slice.bytes);
    }
    outcomes.push(options.isolation === 'read_committed' ? withAborted(target, outcome) : outcome);
  }
}

/** In the turn of the read: later the segments that have the index may be gone, while the slice still holds on to its own. */
function withAborted({ partition, offset }: FetchTarget, outcome: FetchedPartition): FetchedPartition {
  if (outcome.kind !== 'records' || partition === undefined) return outcome;
  const { slice } = outcome;
  if (slice.bytes === 0) return { ...outcome, aborted: NONE_ABORTED };
  try {
    return { ...outcome, aborted: partition.abortedTransactions(offset, slice.endOffset) };
  } catch (error) {
    slice.release();
    if (error instanceof DiskError) return failed('KAFKA_STORAGE_ERROR');
    throw error;
  }
}

export function releaseOutcomes(outcomes: readonly FetchedPartition[]): void {
  for (const outcome of outcomes) if (outcome.kind === 'records') outcome.slice.release();
}

/**
 * Undefined if {@link fetchNow} will not wait for the disk; else loads what it will read off the event loop. Without it a read of
 * old records holds up everybody.
 */
function prepareFetch(targets: readonly FetchTarget[], options: FetchOptions): Promise<unknown> | undefined {
  const loading: Promise<void>[] = [];
  let bytesLeft = options.bytesMax;
  for (const { partition, offset, bytesMax } of targets) {
    if (partition === undefined) continue;
    const load = prepareRead(partition, {
      offset,
      bytesMax: Math.max(0, Math.min(bytesMax, bytesLeft)),
      atLeastOneBatch: loading.length === 0,
      isolation: options.isolation,
    });
    if (load === undefined) continue;
    loading.push(load);
    // Each of them may give as much as it was asked for: what is beyond the limit will hardly be read.
    bytesLeft -= bytesMax;
    if (bytesLeft <= 0) break;
  }
  return loading.length === 0 ? undefined : Promise.all(loading);
}

/** What the disk refuses here it refuses to the read that follows, which has an answer for it. */
function prepareRead(partition: Partition, options: PartitionReadOptions): Promise<void> | undefined {
  const giveUp = (error: unknown): undefined => {
    if (!(error instanceof DiskError)) throw error;
    return undefined;
  };
  try {
    return partition.prepareRead(options)?.catch(giveUp);
  } catch (error) {
    return giveUp(error);
  }
}

function readTarget(
  target: FetchTarget,
  isolation: Isolation,
  bytesMax: number,
  atLeastOneBatch: boolean,
): FetchedPartition {
  const { partition, offset } = target;
  if (partition === undefined) return failed(target.error ?? 'UNKNOWN_TOPIC_OR_PARTITION');
  if (!partition.isLeader) return failed('NOT_LEADER_OR_FOLLOWER');
  const epochError = partition.checkLeaderEpoch(target.leaderEpoch);
  if (epochError !== undefined) return failed(epochError);
  if (target.lastFetchedEpoch >= 0) {
    // KIP-595: a reader that knows records of an epoch which ended earlier here has to cut its log first.
    const end = partition.endOffsetForEpoch(target.lastFetchedEpoch);
    if (end === undefined) return failed('OFFSET_OUT_OF_RANGE');
    if (end.epoch < target.lastFetchedEpoch || end.endOffset < offset) {
      const { highWatermark, lastStableOffset, logStartOffset } = partition;
      return { kind: 'diverged', ...end, highWatermark, lastStableOffset, logStartOffset };
    }
  }
  const outcome = partition.read({ offset, bytesMax: Math.max(0, bytesMax), atLeastOneBatch, isolation });
  if (outcome.error !== undefined) return failed(outcome.error);
  const { slice, highWatermark, lastStableOffset, logStartOffset } = outcome;
  return { kind: 'records', slice, aborted: undefined, highWatermark, lastStableOffset, logStartOffset };
}

function failed(error: ErrorName): FetchedPartition {
  return { kind: 'error', error };
}

/**
 * A fetch that waits for `minBytes`. `done` gets the outcomes once, maybe before `start` returns; never after `cancel`. A bug that
 * shows while it waits, in a timer or on another connection's turn, goes to `broken` instead: it concerns this fetch alone.
 * While it waits it holds no slices: only numbers, a subscription per partition and a timer.
 */
export class LongPoll {
  readonly #targets: readonly FetchTarget[];
  readonly #options: FetchOptions;
  readonly #done: (outcomes: FetchedPartition[]) => void;
  readonly #broken: (error: unknown) => void;
  /** Bytes that each target could give when it was last looked at. */
  readonly #bytes: number[] = [];
  #totalBytes = 0;
  #unsubscribe: (() => void)[] = [];
  #timer: TimerHandle | undefined;
  #over = false;

  constructor(
    targets: readonly FetchTarget[],
    options: FetchOptions,
    ends: {
      readonly done: (outcomes: FetchedPartition[]) => void;
      readonly broken: (error: unknown) => void;
    },
  ) {
    this.#targets = targets;
    this.#options = options;
    this.#done = ends.done;
    this.#broken = ends.broken;
  }

  start(timers: Timers): void {
    const loading = prepareFetch(this.#targets, this.#options);
    if (loading === undefined) this.#begin(timers);
    else loading.then(() => this.#begin(timers)).catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    this.#stop();
    this.#broken(error);
  }

  #begin(timers: Timers): void {
    if (this.#over) return;
    const outcomes = fetchNow(this.#targets, this.#options);
    if (this.#isEnough(outcomes)) {
      this.#over = true;
      this.#done(outcomes);
      return;
    }
    releaseOutcomes(outcomes);
    for (let index = 0; index < this.#targets.length; index++) {
      const { partition } = this.#targets[index]!;
      if (partition !== undefined) this.#unsubscribe.push(partition.subscribe(() => this.#look(index)));
    }
    this.#timer = timers.after(this.#options.maxWaitMs, () => this.#finish());
  }

  cancel(): void {
    this.#stop();
  }

  #isEnough(outcomes: readonly FetchedPartition[]): boolean {
    let enough = this.#options.maxWaitMs <= 0 || this.#targets.length === 0;
    for (const outcome of outcomes) {
      const bytes = outcome.kind === 'records' ? outcome.slice.bytes : 0;
      this.#bytes.push(bytes);
      this.#totalBytes += bytes;
      if (outcome.kind !== 'records') enough = true;
    }
    return enough || this.#totalBytes >= this.#options.minBytes;
  }

  /** A partition moved. */
  #look(index: number): void {
    if (this.#over) return;
    try {
      if (this.#hasEnough(index)) this.#finish();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Looks at one partition anew. */
  #hasEnough(index: number): boolean {
    const target = this.#targets[index]!;
    const outcome = readTarget(target, this.#options.isolation, target.bytesMax, true);
    if (outcome.kind === 'records') {
      const { bytes } = outcome.slice;
      outcome.slice.release();
      this.#totalBytes += bytes - this.#bytes[index]!;
      this.#bytes[index] = bytes;
      return this.#totalBytes >= this.#options.minBytes;
    }
    return true;
  }

  #finish(): void {
    if (this.#over) return;
    this.#stop();
    try {
      this.#done(fetchNow(this.#targets, this.#options));
    } catch (error) {
      this.#broken(error);
    }
  }

  #stop(): void {
    this.#over = true;
    this.#timer?.cancel();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#unsubscribe = [];
  }
}
