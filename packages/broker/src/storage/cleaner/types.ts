import type { SegmentSummary } from '../segment.ts';
import type { AbortedTransaction } from '../types.ts';

/** What is cleaned, how, and up to where. Plain data: it may cross to another thread. */
export interface CleaningRequest {
  readonly folder: string;
  /** The log's first segments, adjacent; synced as a whole, and never appended to again. */
  readonly segments: readonly SegmentToClean[];
  /** Records below it are compared with each other already; keys are gathered from here to the end of the segments. */
  readonly dirtyFrom: number;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  /** A group of segments becomes one if it has at most so many bytes, and so many of offset index. */
  readonly segmentBytes: number;
  readonly segmentIndexBytes: number;
  readonly indexIntervalBytes: number;
  /** The last offset of each producer's last batch in the log, whose header must stay. Undefined: those of all batches stay. */
  readonly lastOffsets: ReadonlyMap<number, number> | undefined;
  /** Epochs of the producers that have no batch in their epoch: the marker that raised it is all that tells it. */
  readonly markerEpochs: ReadonlyMap<number, number>;
  /** The aborted transactions with records in the segments whose marker lies behind them. */
  readonly abortedBeyond: readonly AbortedTransaction[];
  /** Memory for the table of keys. */
  readonly dedupeBytes: number;
}

export interface SegmentToClean {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly sizeBytes: number;
  readonly offsetEntries: number;
  readonly timeEntries: number;
  readonly abortedEntries: number;
}

/** Since the start of a cleaning, or of the process. */
export interface CleaningCounts {
  bytesRead: number;
  bytesWritten: number;
  /** Of the pass that decides what stays. */
  recordsRead: number;
  recordsRetained: number;
  /** Batches that nobody can decode, kept as they are. */
  undecodableBatches: number;
}

export function noCounts(): CleaningCounts {
  return { bytesRead: 0, bytesWritten: 0, recordsRead: 0, recordsRetained: 0, undecodableBatches: 0 };
}

export type CleaningStep =
  | { readonly kind: 'progress'; readonly counts: CleaningCounts }
  /** Files that may take the place of some segments of the request: written, synced, and named `….cleaned`. */
  | { readonly kind: 'group'; readonly group: CleanedGroup };

export interface CleanedGroup {
  /** Positions in the request's segments: from `first` on, without `end`. */
  readonly first: number;
  readonly end: number;
  readonly summary: SegmentSummary;
}

export interface CleaningResult {
  /** Where the next cleaning's dirty part begins: the end of the segments, or where the table of keys was full. */
  readonly cleanedTo: number;
  readonly keys: number;
}

/** What ends a cleaning beside a DiskError. `corrupt`, `too-small`: it would be so again. `crashed`: the thread died. */
export type CleaningErrorCode = 'corrupt' | 'too-small' | 'too-large' | 'aborted' | 'crashed';

export class CleaningError extends Error {
  override readonly name = 'CleaningError';
  readonly code: CleaningErrorCode;

  constructor(code: CleaningErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** One cleaning that is under way. */
export interface CleaningRun {
  /** Rejects with CleaningError or DiskError; after an abort with code `aborted`, once nothing of it touches the disk any more. */
  readonly result: Promise<CleaningResult>;
  abort(): void;
}

/** Where cleanings run, one at a time. */
export interface CleaningRunner {
  /** @param onStep called in order, before `result` settles */
  start(
    request: CleaningRequest,
    limits: { readonly bytesPerSecondMax: number },
    onStep: (step: CleaningStep) => void,
  ): CleaningRun;
  /** Nothing is to be cleaned for now: what it holds can be freed. */
  idle(): void;
}
