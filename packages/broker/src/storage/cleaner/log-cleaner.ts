import { DiskError } from '../../platform/disk.ts';
import type { StoreContext } from '../context.ts';
import type { PartitionLog } from '../log.ts';
import type { Segment } from '../segment.ts';
import type { CleaningReport } from '../types.ts';
import { removeCleaned } from './cleaned-segment-writer.ts';
import { byUrgency, type Dirtiness, dirtinessOf, isDue, oldestMsOf } from './dirtiness.ts';
import { swapIn } from './segment-swap.ts';
import {
  type CleanedGroup,
  CleaningError,
  type CleaningCounts,
  type CleaningRequest,
  type CleaningRun,
  type CleaningRunner,
  type CleaningStep,
  noCounts,
} from './types.ts';

/** One log's cleaning that is under way. */
interface Present {
  readonly log: PartitionLog;
  /** As they were when it began. */
  readonly segments: readonly Segment[];
  readonly cuts: number;
  run: CleaningRun | undefined;
  counts: CleaningCounts;
  swapError: Error | undefined;
}

type Outcome = 'cleaned' | 'later' | 'never';

/**
 * Cleans the compacted logs of a store, the most urgent one first, one at a time. Reading and writing is the runner's; here a log is chosen, and
 * what is cleaned put in its place. A log whose cleaning fails, but for want of room, is left alone until the next start: the broker goes on.
 */
export class LogCleaner {
  readonly #context: StoreContext;
  readonly #logs: () => Iterable<PartitionLog>;
  readonly #runner: CleaningRunner;
  readonly #writeCheckpoint: () => void;
  readonly #uncleanable = new Set<PartitionLog>();
  readonly #total = noCounts();
  #pass: Promise<void> | undefined;
  #present: Present | undefined;
  #stopped = false;
  #passes = 0;
  #failures = 0;
  #lastEndedMs: number | undefined;
  #dirtyRatioMax = 0;
  #lateMsMax = 0;

  constructor(options: {
    readonly context: StoreContext;
    readonly logs: () => Iterable<PartitionLog>;
    readonly runner: CleaningRunner;
    /** Makes the logs' `cleanedTo` durable. Throws DiskError. */
    readonly writeCheckpoint: () => void;
  }) {
    this.#context = options.context;
    this.#logs = options.logs;
    this.#runner = options.runner;
    this.#writeCheckpoint = options.writeCheckpoint;
  }

  get report(): CleaningReport {
    const { clock } = this.#context;
    return {
      ...this.#total,
      passes: this.#passes,
      failures: this.#failures,
      isRunning: this.#present !== undefined,
      sinceLastMs: this.#lastEndedMs === undefined ? undefined : clock.monotonicMs() - this.#lastEndedMs,
      uncleanableLogs: [...this.#uncleanable].filter((log) => !log.closed).length,
      dirtyRatioMax: this.#dirtyRatioMax,
      lateMsMax: this.#lateMsMax,
    };
  }

  /**
   * Whether a log is due but for the checkpoint that vouches for its segments: checkpoints are far less frequent than passes, and
   * max.compaction.lag.ms may be short.
   */
  get waitsForCheckpoint(): boolean {
    const nowMs = this.#context.clock.nowMs();
    for (const log of this.#logs()) {
      if (this.#uncleanable.has(log)) continue;
      const synced = this.#look(log, nowMs, { ifSynced: true });
      if (synced === undefined || !isDue(synced)) continue;
      const present = this.#look(log, nowMs);
      if (present !== undefined && present.segments < synced.segments) return true;
    }
    return false;
  }

  /** Cleans until no log is due. Rejects for a bug only. */
  pass(): Promise<void> {
    this.#pass ??= this.#cleanAll().finally(() => {
      this.#pass = undefined;
    });
    return this.#pass;
  }

  /** The log is about to be deleted. */
  abort(log: PartitionLog): void {
    this.#uncleanable.delete(log);
    if (this.#present?.log === log) this.#present.run?.abort();
  }

  /** Nothing is put in place any more. */
  stop(): void {
    this.#stopped = true;
    this.#present?.run?.abort();
  }

  /** Resolves when nothing touches the disk any more. */
  async close(): Promise<void> {
    this.stop();
    await this.#pass;
    this.#runner.idle();
  }

  async #cleanAll(): Promise<void> {
    const skipped = new Set<PartitionLog>();
    while (!this.#stopped) {
      const chosen = this.#choose(skipped);
      if (chosen === undefined) break;
      const outcome = await this.#clean(chosen);
      if (outcome === 'never') this.#uncleanable.add(chosen.log);
      if (outcome !== 'cleaned') skipped.add(chosen.log);
    }
    if (!this.#stopped) this.#runner.idle();
  }

  #choose(skipped: ReadonlySet<PartitionLog>): Dirtiness | undefined {
    const nowMs = this.#context.clock.nowMs();
    this.#dirtyRatioMax = 0;
    this.#lateMsMax = 0;
    const due: Dirtiness[] = [];
    for (const log of this.#logs()) {
      if (this.#uncleanable.has(log)) continue;
      const dirtiness = this.#look(log, nowMs);
      if (dirtiness === undefined) continue;
      this.#dirtyRatioMax = Math.max(this.#dirtyRatioMax, dirtiness.ratio);
      this.#lateMsMax = Math.max(this.#lateMsMax, dirtiness.lateMs);
      if (isDue(dirtiness) && !skipped.has(log)) due.push(dirtiness);
    }
    return due.sort(byUrgency)[0];
  }

  #look(log: PartitionLog, nowMs: number, options?: { readonly ifSynced: boolean }): Dirtiness | undefined {
    try {
      this.#rollIfLate(log, nowMs);
      return dirtinessOf(log, nowMs, options);
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#context.logger.warn({ folder: log.folder, error }, 'A log could not be looked at for cleaning');
      return undefined;
    }
  }

  /** The active segment is never cleaned: records in it that are late need another one behind them. */
  #rollIfLate(log: PartitionLog, nowMs: number): void {
    const { active } = log;
    const { compaction } = log.config;
    if (compaction === undefined || active === undefined || log.closed || log.offline) return;
    if (active.sizeBytes === 0 || nowMs - compaction.maxLagMs < 0) return;
    if (nowMs - oldestMsOf(active) > compaction.maxLagMs) log.rollForRetention(nowMs);
  }

  // One log

  async #clean({ log, segments: count, dirtyFrom }: Dirtiness): Promise<Outcome> {
    const { logger, config, clock } = this.#context;
    const segments = log.segments.slice(0, count);
    const present: Present = {
      log,
      segments,
      cuts: log.cuts,
      run: undefined,
      counts: noCounts(),
      swapError: undefined,
    };
    this.#present = present;
    const startedMs = clock.monotonicMs();
    try {
      if (!this.#hasRoomFor(log, segments)) return 'later';
      const limits = { bytesPerSecondMax: config.cleanerBytesPerSecondMax };
      present.run = this.#runner.start(this.#requestFor(log, segments, dirtyFrom), limits, (step) =>
        this.#step(present, step),
      );
      const { cleanedTo, keys } = await present.run.result;
      if (present.swapError !== undefined) throw present.swapError;
      if (!isCurrent(present)) return 'later';
      log.cleanedTo = cleanedTo;
      this.#writeCheckpoint();
      this.#passes++;
      const ms = Math.round(clock.monotonicMs() - startedMs);
      logger.info({ folder: log.folder, cleanedTo, keys, ms, ...present.counts }, 'Cleaned a log');
      return cleanedTo > dirtyFrom ? 'cleaned' : 'later';
    } catch (error) {
      return this.#failed(present, error as Error);
    } finally {
      this.#present = undefined;
      this.#lastEndedMs = clock.monotonicMs();
    }
  }

  #requestFor(log: PartitionLog, segments: readonly Segment[], dirtyFrom: number): CleaningRequest {
    const { config } = log;
    const producers = log.snapshotSource?.();
    const { endOffset } = segments.at(-1)!;
    return {
      folder: log.folder,
      segments: segments.map((segment) => ({
        baseOffset: segment.baseOffset,
        endOffset: segment.endOffset,
        sizeBytes: segment.sizeBytes,
        offsetEntries: segment.offsetEntries,
        timeEntries: segment.timeEntries,
        abortedEntries: segment.abortedEntries,
      })),
      dirtyFrom,
      nowMs: this.#context.clock.nowMs(),
      deleteRetentionMs: config.compaction!.deleteRetentionMs,
      segmentBytes: config.segmentBytes,
      segmentIndexBytes: config.segmentIndexBytes,
      indexIntervalBytes: config.indexIntervalBytes,
      lastOffsets:
        producers && new Map(producers.map(({ producerId, lastOffset }) => [producerId, lastOffset])),
      markerEpochs: new Map(
        producers
          ?.filter(({ lastOffset }) => lastOffset < 0)
          .map(({ producerId, producerEpoch }) => [producerId, producerEpoch]),
      ),
      abortedBeyond: log.abortedTransactions(endOffset, endOffset),
      dedupeBytes: this.#context.config.cleanerDedupeBytes,
    };
  }

  /** Both the old files and the new ones are there for a while: a cleaning must not be what fills the disk. */
  #hasRoomFor(log: PartitionLog, segments: readonly Segment[]): boolean {
    const { disk, dataDirectory, config, logger } = this.#context;
    const bytes = segments.reduce((sum, segment) => sum + segment.sizeBytes, 0);
    const largest = segments.reduce((most, segment) => Math.max(most, segment.sizeBytes), 0);
    const wantedBytes = Math.min(bytes, Math.max(log.config.segmentBytes, largest));
    const { freeBytes } = disk.freeSpace(dataDirectory);
    if (freeBytes - wantedBytes >= config.freeSpaceReserveBytes) return true;
    logger.warn({ folder: log.folder, freeBytes, wantedBytes }, 'No room to clean a log: it has to wait');
    return false;
  }

  #step(present: Present, step: CleaningStep): void {
    if (step.kind === 'progress') this.#count(present, step.counts);
    else this.#take(present, step.group);
    if (!isCurrent(present)) present.run?.abort();
  }

  #count(present: Present, counts: CleaningCounts): void {
    for (const name of Object.keys(counts) as (keyof CleaningCounts)[])
      this.#total[name] += counts[name] - present.counts[name];
    present.counts = counts;
  }

  /** In the order of the groups: an old value must go before the tombstone that hides it. */
  #take(present: Present, { first, end, summary }: CleanedGroup): void {
    const { log, segments } = present;
    const at = log.segments.indexOf(segments[first]!);
    const isThere = segments
      .slice(first, end)
      .every((segment, index) => log.segments[at + index] === segment);
    try {
      if (at < 0 || !isThere || !isCurrent(present) || this.#stopped || present.swapError !== undefined) {
        present.run?.abort();
        if (!log.closed) removeCleaned(this.#context.disk, log.folder, summary.baseOffset);
      } else swapIn(log, { first: at, count: end - first, summary });
    } catch (error) {
      present.swapError = error as Error;
      present.run?.abort();
    }
  }

  #failed(present: Present, thrown: Error): Outcome {
    const { logger } = this.#context;
    const { log } = present;
    const error = present.swapError ?? thrown;
    if (
      error instanceof DiskError &&
      (error.operation === 'datasync' || error.operation === 'syncDirectory')
    ) {
      this.#context.fatal(error);
      return 'never';
    }
    // The files were renamed or removed under it.
    if (!isCurrent(present) && !log.offline) return 'later';
    if (error instanceof CleaningError && error.code === 'aborted') return 'later';
    this.#failures++;
    if (error instanceof DiskError && error.code === 'ENOSPC') {
      logger.warn({ folder: log.folder, error }, 'No room to clean a log: it has to wait');
      return 'later';
    }
    logger.error(
      { folder: log.folder, error },
      'A log could not be cleaned: it is left alone until the next start',
    );
    return 'never';
  }
}

/** Whether what was read for the cleaning is still what the log has, and the log is still to be cleaned. */
function isCurrent({ log, cuts }: Present): boolean {
  return !log.closed && !log.offline && log.cuts === cuts && log.config.compaction !== undefined;
}
