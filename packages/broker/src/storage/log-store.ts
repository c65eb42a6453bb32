import { type DirectoryLock, DiskError } from '../platform/disk.ts';
import type { TimerHandle } from '../platform/clock.ts';
import { checkpointLog } from './checkpoint.ts';
import { InPlaceRunner } from './cleaner/in-place-runner.ts';
import { LogCleaner } from './cleaner/log-cleaner.ts';
import {
  CLEANER_FILE,
  makeDirectoryDurably,
  RECOVERY_POINT_FILE,
  writeOffsetCheckpoint,
} from './checkpoint-files.ts';
import { writeCleanShutdown } from './clean-shutdown.ts';
import type { StoreContext } from './context.ts';
import { DescriptorCache } from './descriptor-cache.ts';
import { FreeSpaceWatch } from './free-space.ts';
import { GroupCommit, inLanes } from './group-commit.ts';
import { Journal } from './journal.ts';
import { writeJournalFloor } from './journal-scan.ts';
import { PartitionLog } from './log.ts';
import { recover } from './recovery.ts';
import { expireVerification, retain } from './retention.ts';
import type { Segment } from './segment.ts';
import { StartOffsets } from './start-offsets.ts';
import { guardSyncs } from './sync-guard.ts';
import {
  type CleanerLimits,
  type CleaningReport,
  DEFAULT_STORAGE_CONFIG,
  type Log,
  type LogConfig,
  type LogId,
  type LogStore,
  type LogStoreOptions,
  type RecoveryReport,
  type StorageConfig,
  type StorageStatistics,
} from './types.ts';

/*
 * What lies in a data folder:
 *
 *   .polylog_cleanshutdown              only after a clean stop: see clean-shutdown.ts
 *   recovery-point-offset-checkpoint    below it segments are synced
 *   log-start-offset-checkpoint
 *   cleaner-offset-checkpoint           below it compacted logs were cleaned; not before the first cleaning
 *   journal/0000.journal …              see journal-format.ts
 *   <topic>-<partition>/                a log, from its first record on
 *     partition.metadata                the topic's id
 *     <base offset>.log .index .timeindex .snapshot
 *     leader-epoch-checkpoint
 *     ….cleaned, ….swap                 a cleaned segment on its way: see cleaner/segment-swap.ts
 *     journal-floor                     after a truncation: see journal-scan.ts
 *   <topic id>-<partition>-delete/      a deleted log, until it is removed
 */

/** Segment syncs of a checkpoint that run at once: few, since the group commit waits behind them. */
const CHECKPOINT_LANES = 2;
/** At a stop nothing waits behind them, and a file system joins syncs that come together. */
const CLOSE_LANES = 16;
/** A journal that is so full calls for a checkpoint at once. */
const JOURNAL_FILL_MAX = 0.5;

/**
 * Takes the data folder for this process, recovers its logs, and returns the store. Rejects with DiskError: code `LOCKED` if another broker has
 * the folder.
 */
export async function openLogStore(options: LogStoreOptions): Promise<LogStore> {
  const { disk, dataDirectory } = options;
  makeDirectoryDurably(disk, dataDirectory);
  const lock = await disk.lock(dataDirectory);
  try {
    options.onLocked?.();
    const config = { ...DEFAULT_STORAGE_CONFIG, ...options.config };
    const store = new DiskLogStore(options, config, lock);
    await store.recoverAll(options.logConfigOf);
    return store;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

class DiskLogStore implements LogStore {
  readonly dataDirectory: string;
  recovery: RecoveryReport;
  onFatal: ((error: Error) => void) | undefined;
  readonly #context: StoreContext & { appendedBytes: number; config: StorageConfig };
  readonly #lock: DirectoryLock;
  readonly #logs = new Map<string, PartitionLog>();
  readonly #starts: StartOffsets;
  readonly #space: FreeSpaceWatch;
  readonly #cleaner: LogCleaner;
  /** What the cleaner's checkpoint file holds, as far as it was written or read by this process. */
  #savedCleaned = '[]';
  #journal!: Journal;
  #commit!: GroupCommit;
  #failed: Error | undefined;
  #closing = false;
  #checkpoint: Promise<void> | undefined;
  #retention: Promise<void> | undefined;
  readonly #timers = new Set<TimerHandle>();
  /** Removed segments that wait for their delay. */
  readonly #unlinking = new Set<Segment>();
  readonly #unlinks = new Set<Promise<void>>();
  #segmentsRemoved = 0;
  #checkpoints = { completed: 0, failed: 0, totalMs: 0, lastMs: 0 };
  /** Logs with flush=os that got records since the last flushTurn and whose owner wants to hear of it. */
  #writtenOs: PartitionLog[] = [];

  constructor(options: LogStoreOptions, config: StorageConfig, lock: DirectoryLock) {
    const { clock, timers, logger, dataDirectory } = options;
    const disk = guardSyncs(options.disk, (error) => this.#fatal(error));
    this.dataDirectory = dataDirectory;
    this.#lock = lock;
    this.recovery = {
      kind: 'fresh',
      logs: 0,
      scannedBytes: 0,
      cutBytes: 0,
      journalBatches: 0,
      corruptRanges: 0,
    };
    this.#context = {
      disk,
      clock,
      timers,
      logger,
      config,
      dataDirectory,
      cache: new DescriptorCache(disk, config.openFilesMax),
      appendedBytes: 0,
      appended: (log, batches, bytes, baseOffset) => this.#appended(log, batches, bytes, baseOffset),
      forgetJournalOf: (log, endOffset) => this.#forgetJournalOf(log, endOffset),
      writeCheckpoints: () => this.#writeCheckpoints(),
      persistStarts: () => this.#starts.persist(),
      unlinkLater: (segments, delayMs) => this.#unlinkLater(segments, delayMs),
      fatal: (error) => this.#fatal(error),
    };
    this.#starts = new StartOffsets({ disk, dataDirectory, logs: () => this.#logsToSave() });
    this.#space = new FreeSpaceWatch(disk, dataDirectory, config, logger);
    this.#cleaner = new LogCleaner({
      context: this.#context,
      logs: () => this.#logs.values(),
      runner: options.cleaningRunner ?? new InPlaceRunner({ disk, timers }),
      writeCheckpoint: () => this.#writeCleanerCheckpoint(),
    });
  }

  async recoverAll(logConfigOf: (id: LogId) => LogConfig): Promise<void> {
    const context = this.#context;
    const { disk, dataDirectory, config, logger } = context;
    const found = await recover(context, logConfigOf);
    for (const log of found.logs) this.#logs.set(keyOf(log.id.topic, log.id.partition), log);
    this.recovery = found.report;
    // One that is there may name logs that are gone: it is written anew with the first checkpoint.
    if (disk.stat(`${dataDirectory}/${CLEANER_FILE}`) !== undefined) this.#savedCleaned = '';
    this.#journal = new Journal({ disk, dataDirectory, config, logger, contents: found.journal });
    this.#commit = new GroupCommit({
      clock: context.clock,
      journal: this.#journal,
      onFull: () => this.checkpoint(),
      onFatal: (error) => this.#fatal(error),
    });
    // From here on the logs do without the journal and without the marker: first the points, then what they make needless.
    if (found.report.kind !== 'clean') this.#writeCheckpoints();
    if (!found.journalIsVoid && found.report.kind !== 'fresh') this.#journal.startGeneration();
    found.removeMarker();
    this.#space.poll();
    this.#every(
      () => config.checkpointMs,
      () => this.checkpoint(),
    );
    this.#every(
      () => config.retentionCheckMs,
      () => this.retentionPass(context.clock.nowMs()),
    );
    if (config.cleanerEnabled)
      this.#every(
        () => context.config.cleanerBackoffMs,
        () => this.cleaningPass(),
      );
    this.#every(
      () => config.freeSpacePollMs,
      async () => this.#space.poll(),
    );
  }

  /** Repeats the work, each time after the last has ended. */
  #every(intervalMs: () => number, work: () => Promise<void>): void {
    const again = (): void => {
      const timer = this.#context.timers.after(intervalMs(), () => {
        this.#timers.delete(timer);
        work()
          .then(() => this.#closing || this.#failed !== undefined || again())
          .catch((error: unknown) => this.#fatal(error as Error));
      });
      this.#timers.add(timer);
    };
    again();
  }

  configureCleaner(limits: CleanerLimits): void {
    this.#context.config = { ...this.#context.config, ...limits };
  }

  get diskFull(): boolean {
    return this.#space.isFull;
  }

  statistics(): StorageStatistics {
    const { cache, appendedBytes } = this.#context;
    const logs = { bytes: 0, segments: 0, offline: 0, damagedRanges: 0 };
    for (const log of this.#logs.values()) {
      logs.segments += log.segments.length;
      if (log.offline) logs.offline++;
      for (const { sizeBytes, damage } of log.segments) {
        logs.bytes += sizeBytes;
        logs.damagedRanges += damage.length;
      }
    }
    const { freeBytes, totalBytes, reserveBytes, releaseBytes } = this.#space;
    return {
      logs: {
        ...logs,
        appendedBytes,
        segmentsLeaving: this.#unlinking.size,
        segmentsRemoved: this.#segmentsRemoved,
      },
      files: { open: cache.openFiles, openMax: cache.openFilesMax },
      journal: this.#journal.statistics(),
      commits: this.#commit.durations,
      checkpoints: { ...this.#checkpoints },
      space: { freeBytes, totalBytes, reserveBytes, releaseBytes },
    };
  }

  get(topic: string, partition: number): Log | undefined {
    return this.#logs.get(keyOf(topic, partition));
  }

  logs(): Iterable<Log> {
    return this.#logs.values();
  }

  create(id: LogId, config: LogConfig): Log {
    const key = keyOf(id.topic, id.partition);
    if (this.#logs.has(key)) throw new Error(`the log ${key} exists`);
    const log = new PartitionLog(this.#context, id, config, `${this.dataDirectory}/${key}`, {
      segments: [],
      startOffset: 0,
      endOffset: 0,
      recoveryPoint: 0,
      savedRecoveryPoint: 0,
      cleanedTo: 0,
      epochs: [],
      folderDurable: false,
    });
    this.#logs.set(key, log);
    return log;
  }

  async delete(log: Log): Promise<void> {
    const owned = this.#logs.get(keyOf(log.id.topic, log.id.partition));
    if (owned === undefined || owned !== log) throw new Error('the log does not belong to this store');
    const key = keyOf(log.id.topic, log.id.partition);
    const { disk } = this.#context;
    this.#logs.delete(key);
    this.#cleaner.abort(owned);
    if (disk.stat(owned.folder) === undefined) {
      owned.closed = true;
      return;
    }
    const gone = `${this.dataDirectory}/${log.id.topicId}-${log.id.partition}-delete`;
    try {
      // A later log of this name must not find this one's offsets.
      this.#writeCheckpoints();
      disk.removeTree(gone);
      disk.rename(owned.folder, gone);
    } catch (error) {
      // Its folder is still where a later log of this name would look.
      this.#logs.set(key, owned);
      throw error;
    }
    owned.closed = true;
    for (const segment of owned.segments) segment.closeFiles();
    disk.syncDirectory(this.dataDirectory);
    for (const segment of owned.segments) segment.movedTo(gone);
    this.#journal.stageDeletion(log.id);
    await this.#commit.nextRound();
    if (this.#journal.hasStagedDeletion(log.id)) {
      // A full journal took no round: a checkpoint frees it, unless it holds what a log that is offline needs.
      await this.checkpoint();
      await this.#commit.nextRound();
    }
    this.#after(owned.config.fileDeleteDelayMs, () => this.#track(this.#removeFolder(owned.segments, gone)));
  }

  /** Large files go off the event loop, once nobody reads them. */
  async #removeFolder(segments: readonly Segment[], folder: string): Promise<void> {
    for (const segment of segments) {
      await new Promise<void>((resolve) => segment.whenUnused(resolve));
      await segment.unlink();
    }
    this.#context.disk.removeTree(folder);
  }

  // The group commit

  #appended(log: PartitionLog, batches: readonly Uint8Array[], bytes: number, baseOffset: number): void {
    this.#context.appendedBytes += bytes;
    this.#space.spent(bytes);
    if (log.config.flush === 'os') {
      if (log.onDurable !== undefined && !log.gathered) {
        log.gathered = true;
        this.#writtenOs.push(log);
      }
      return;
    }
    this.#commit.gather(log);
    const isLarge = batches.some((batch) => batch.length > this.#context.config.journalBatchBytesMax);
    if (isLarge || !this.#journal.stage(log, batches, bytes, baseOffset)) log.syncSegments = true;
  }

  flushTurn(): void {
    if (this.#failed !== undefined) return;
    this.#commit.flush();
    if (this.#checkpoint === undefined && this.#journal.fill > JOURNAL_FILL_MAX) void this.checkpoint();
    if (this.#writtenOs.length === 0) return;
    const written = this.#writtenOs;
    this.#writtenOs = [];
    for (const log of written) {
      log.gathered = false;
      log.onDurable?.(log.durableOffset);
    }
  }

  #forgetJournalOf(log: PartitionLog, endOffset: number): void {
    const { disk } = this.#context;
    // A cut may take the whole batch around the offset, but no more than its segment.
    const dirtyFrom = log.segments.findLast((segment) => segment.baseOffset <= endOffset)?.baseOffset ?? 0;
    const isCleaned = log.cleanedTo > dirtyFrom;
    log.cleanedTo = Math.min(log.cleanedTo, dirtyFrom);
    if (log.recoveryPoint > endOffset) {
      log.recoveryPoint = endOffset;
      this.#writeCheckpoints();
    } else if (isCleaned) this.#writeCleanerCheckpoint();
    // Without files of its own it has nothing in the journal either.
    if (log.segments.length === 0 && !log.folderDurable) return;
    // Below the cut the segments must do without the journal too.
    for (const segment of log.segments) segment.syncNow();
    writeJournalFloor(disk, log.folder, {
      generation: this.#journal.generation,
      sequence: this.#journal.nextSequence,
    });
    if (!log.folderDurable) log.syncFolder();
  }

  #fatal(error: Error): void {
    if (this.#failed !== undefined) return;
    this.#failed = error;
    this.#commit?.stop();
    this.#cleaner.stop();
    this.#context.logger.error({ error }, 'Storage failed: the broker must stop and recover');
    this.onFatal?.(error);
  }

  // Background work

  checkpoint(): Promise<void> {
    this.#checkpoint ??= this.#runCheckpoint().finally(() => {
      this.#checkpoint = undefined;
    });
    return this.#checkpoint;
  }

  async #runCheckpoint(): Promise<void> {
    if (this.#failed !== undefined) return;
    const { clock } = this.#context;
    const startedMs = clock.monotonicMs();
    const dirty = [...this.#logs.values()].filter((log) => log.needsCheckpoint);
    try {
      await inLanes(dirty, CHECKPOINT_LANES, (log) => checkpointLog(log));
      this.#writeCheckpoints();
      this.#journal.recycle();
      this.#checkpoints.completed++;
      this.#checkpoints.lastMs = clock.nowMs();
    } catch (error) {
      this.#checkpoints.failed++;
      this.#backgroundError(error, 'A checkpoint could not be written; it will be tried again');
    }
    this.#checkpoints.totalMs += clock.monotonicMs() - startedMs;
  }

  retentionPass(nowMs: number): Promise<void> {
    this.#retention ??= this.#runRetention(nowMs).finally(() => {
      this.#retention = undefined;
    });
    return this.#retention;
  }

  async #runRetention(nowMs: number): Promise<void> {
    if (this.#failed !== undefined || this.#closing) return;
    try {
      retain(this.#context, [...this.#logs.values()], nowMs);
      expireVerification(this.#context, this.#logs.values(), nowMs);
    } catch (error) {
      this.#backgroundError(error, 'Old segments could not be removed; it will be tried again');
    }
  }

  async cleaningPass(): Promise<void> {
    if (this.#failed !== undefined || this.#closing) return;
    if (this.#cleaner.waitsForCheckpoint) await this.checkpoint();
    await this.#cleaner.pass();
  }

  get cleaning(): CleaningReport {
    return this.#cleaner.report;
  }

  /** A failed sync is fatal, and so is a bug. Other errors of the disk, a full one above all, may pass. */
  #backgroundError(error: unknown, message: string): void {
    const mayPass =
      error instanceof DiskError && error.operation !== 'datasync' && error.operation !== 'syncDirectory';
    if (mayPass) this.#context.logger.warn({ error }, message);
    else this.#fatal(error as Error);
  }

  #writeCheckpoints(): void {
    const { disk } = this.#context;
    const logs = this.#logsToSave();
    writeOffsetCheckpoint(
      disk,
      `${this.dataDirectory}/${RECOVERY_POINT_FILE}`,
      logs.map(({ id, recoveryPoint }) => ({ ...id, offset: recoveryPoint })),
    );
    for (const log of logs) log.savedRecoveryPoint = log.recoveryPoint;
    this.#starts.write();
    this.#writeCleanerCheckpoint();
  }

  #logsToSave(): PartitionLog[] {
    return [...this.#logs.values()].filter((log) => log.segments.length > 0 || log.startOffset > 0);
  }

  /** Only when it changes: folders without compacted logs have no such file. */
  #writeCleanerCheckpoint(): void {
    const entries = [...this.#logs.values()]
      .filter((log) => log.cleanedTo > 0)
      .map((log) => ({ topic: log.id.topic, partition: log.id.partition, offset: log.cleanedTo }));
    const content = JSON.stringify(entries);
    if (content === this.#savedCleaned) return;
    writeOffsetCheckpoint(this.#context.disk, `${this.dataDirectory}/${CLEANER_FILE}`, entries);
    this.#savedCleaned = content;
  }

  #unlinkLater(segments: readonly Segment[], delayMs: number): void {
    for (const segment of segments) this.#unlinking.add(segment);
    this.#segmentsRemoved += segments.length;
    this.#after(delayMs, () => {
      for (const segment of segments) segment.whenUnused(() => this.#track(this.#unlink(segment)));
    });
  }

  async #unlink(segment: Segment): Promise<void> {
    await segment.unlink();
    this.#unlinking.delete(segment);
  }

  #after(delayMs: number, work: () => void): void {
    const timer = this.#context.timers.after(delayMs, () => {
      this.#timers.delete(timer);
      work();
    });
    this.#timers.add(timer);
  }

  /** Files that could not be removed are removed at the next start. */
  #track(work: Promise<void>): void {
    const ended = work.catch((error: unknown) =>
      this.#backgroundError(error, 'A deleted file could not be removed'),
    );
    this.#unlinks.add(ended);
    void ended.then(() => this.#unlinks.delete(ended));
  }

  // The end

  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const timer of this.#timers) timer.cancel();
    await this.#retention;
    await this.#cleaner.close();
    await this.#checkpoint;
    await this.#starts.settled();
    if (this.#failed === undefined) await this.#commit.drained();
    // A start after a clean stop looks into no folder of a log: what waits for its delay would stay for good.
    for (const segment of this.#unlinking) this.#track(this.#unlink(segment));
    await Promise.all(this.#unlinks);
    if (this.#failed === undefined) await this.#closeCleanly();
    this.#commit.stop();
    for (const log of this.#logs.values()) log.closed = true;
    this.#journal.close();
    this.#context.cache.closeAll();
    await this.#lock.release();
  }

  /** Without the marker, which needs all of it to succeed, the next start recovers. */
  async #closeCleanly(): Promise<void> {
    const logs = [...this.#logs.values()];
    try {
      for (const log of logs) log.finish();
      await inLanes(
        logs.filter((log) => log.segments.length > 0),
        CLOSE_LANES,
        (log) => checkpointLog(log, { isLast: true }),
      );
      this.#writeCheckpoints();
      this.#journal.startGeneration();
      if (logs.every((log) => !log.offline)) writeCleanShutdown(this.#context, logs);
    } catch (error) {
      this.#backgroundError(error, 'The store could not be closed cleanly: the next start recovers it');
    }
  }
}

function keyOf(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}
