import { Histogram } from '../metrics/histogram.ts';
import type { Clock } from '../platform/clock.ts';
import type { Journal } from './journal.ts';
import type { PartitionLog } from './log.ts';

/** Segment syncs that run at once. */
const SYNC_LANES = 4;

/** Runs the work for all items, a few at a time; rejects with the first error, when those that had started have ended. */
export async function inLanes<T>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, items.length) }, lane));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/**
 * Group commit. Logs that got records gather; a round makes what all of them have at its start durable, with one sync of the journal, and syncs of the
 * segments of logs whose batches were too large for it. While a round runs the next one gathers.
 */
export class GroupCommit {
  /** Seconds that rounds took. */
  readonly durations = new Histogram();
  readonly #clock: Clock;
  readonly #journal: Journal;
  readonly #onFull: () => Promise<void>;
  readonly #onFatal: (error: Error) => void;
  #gathered: PartitionLog[] = [];
  #running = false;
  #flushWanted = false;
  #waiting: (() => void)[] = [];
  #stopped = false;
  #roundStartedMs = 0;
  /** For the last round. */
  #journalIsFull = false;

  constructor(options: {
    clock: Clock;
    journal: Journal;
    onFull: () => Promise<void>;
    onFatal: (error: Error) => void;
  }) {
    this.#clock = options.clock;
    this.#journal = options.journal;
    this.#onFull = options.onFull;
    this.#onFatal = options.onFatal;
  }

  gather(log: PartitionLog): void {
    if (log.gathered) return;
    log.gathered = true;
    this.#gathered.push(log);
  }

  /** Starts a round, or has one follow the one that runs. */
  flush(): void {
    if (this.#gathered.length === 0 && !this.#journal.hasWork) return;
    if (this.#running) this.#flushWanted = true;
    else this.#startRound();
  }

  /** Resolves when a round that starts now or later has ended; also when storage has failed, so that a stop does not wait for ever. */
  nextRound(): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.flush();
    });
  }

  /**
   * Resolves when no round runs and none is wanted. Deletions that a full journal does not take, even after a checkpoint, are not waited for: the stop
   * makes the whole journal void.
   */
  async drained(): Promise<void> {
    let isFreed = false;
    while ((this.#running || this.#journal.hasWork || this.#gathered.length > 0) && !this.#stopped) {
      await this.nextRound();
      if (!this.#journalIsFull || this.#gathered.length > 0) continue;
      if (isFreed) return;
      await this.#onFull();
      isFreed = true;
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #startRound(): void {
    if (this.#stopped) return;
    const logs = this.#gathered;
    const waiting = this.#waiting;
    this.#gathered = [];
    this.#waiting = [];
    this.#flushWanted = false;
    this.#running = true;
    this.#roundStartedMs = this.#clock.monotonicMs();
    for (const log of logs) {
      log.gathered = false;
      log.roundEnd = log.endOffset;
    }
    const fail = (error: unknown): void => {
      this.#stopped = true;
      this.#onFatal(error as Error);
      for (const resolve of [...waiting, ...this.#waiting]) resolve();
    };
    try {
      this.#sync(logs).then(() => this.#finish(logs, waiting), fail);
    } catch (error) {
      fail(error);
    }
  }

  #sync(logs: readonly PartitionLog[]): Promise<void> {
    const inJournal = this.#journal.hasWork ? this.#journal.writeRound() : Promise.resolve();
    this.#journalIsFull = inJournal === undefined;
    if (inJournal === undefined) {
      void this.#onFull();
      for (const log of logs) log.syncSegments = true;
    }
    const direct = logs.filter((log) => log.syncSegments);
    if (direct.length === 0) return inJournal ?? Promise.resolve();
    for (const log of direct) log.syncSegments = false;
    const inSegments = inLanes(direct, SYNC_LANES, syncNewSegments);
    return Promise.all([inJournal, inSegments]).then(() => undefined);
  }

  #finish(logs: readonly PartitionLog[], waiting: readonly (() => void)[]): void {
    if (this.#stopped) return;
    this.durations.observe((this.#clock.monotonicMs() - this.#roundStartedMs) / 1000);
    const risen = logs.filter((log) => log.roundEnd > log.durableOffset);
    for (const log of risen) log.durableOffset = log.roundEnd;
    this.#running = false;
    // The disk works on the next round while the owners hear of this one.
    if (this.#flushWanted || this.#waiting.length > 0) this.#startRound();
    for (const log of risen) log.onDurable?.(log.durableOffset);
    for (const resolve of waiting) resolve();
  }
}

/**
 * Syncs the segments that hold what is not yet durable, and those with a cut that is not: what a failed append left at the end of one would, back
 * after a loss of power, hide the segment that follows.
 */
async function syncNewSegments(log: PartitionLog): Promise<void> {
  if (log.closed) return;
  if (!log.folderDurable) log.syncFolder();
  const { durableOffset } = log;
  for (const segment of log.segments.filter((one) => one.endOffset > durableOffset || one.hasUnsyncedCut)) {
    segment.retain();
    try {
      await segment.sync();
    } finally {
      segment.release();
    }
  }
}
