import { LOCK_ENTRY } from '../platform/disk.ts';
import { BatchCursor, FULL_SCAN_BYTES } from './batch-cursor.ts';
import { LOG_SUFFIX } from './segment.ts';
import {
  CLEANER_FILE,
  LOG_START_FILE,
  MalformedFileError,
  readOffsetCheckpoint,
  readPartitionMetadata,
  RECOVERY_POINT_FILE,
  TEMPORARY_SUFFIX,
} from './checkpoint-files.ts';
import { readCleanShutdown, removeCleanShutdown, segmentsOf, type CleanLog } from './clean-shutdown.ts';
import type { StoreContext } from './context.ts';
import type { JournalEntry } from './journal-format.ts';
import { JOURNAL_DIRECTORY, type JournalContents, readJournalFloor, scanJournal } from './journal-scan.ts';
import { PartitionLog } from './log.ts';
import { inLanes } from './group-commit.ts';
import { scanLog, type RecoveryCounts, type ScannedLog } from './recover-log.ts';
import type { LogConfig, LogId, RecoveryReport } from './types.ts';

/*
 * How a data folder is recovered. After a clean stop the marker says all. Otherwise, whatever ended the process:
 *
 * 1. The journal's entries are read: by log, in order, without those of deleted logs and those below a journal-floor.
 * 2. Each log is scanned (recover-log.ts): headers below its recovery point, CRCs above. A batch that is not valid is repaired from the
 *    journal; else, above the recovery point it is a torn tail, and is cut off; below it is damage, and is kept.
 * 3. All segments that were touched are synced, those of many logs side by side, then their folders; then the recovery points are written,
 *    then a new generation voids the journal.
 *
 * Each step may be cut short by another crash: nothing that the next attempt needs is removed before what replaces it is durable. A kill
 * and a loss of power are treated alike; the boot id only says which of them it was. Segments that end below the recovery point keep
 * their indexes and are not read; of the others the indexes are made again, from their first header on.
 */

const FOLDER_NAME = /^([a-zA-Z0-9._-]{1,249})-(\d{1,9})$/;
const DELETED_FOLDER_SUFFIX = '-delete';
const BOOT_ID_FILE = '.polylog_boot';
/** Logs that are scanned before the syncs of all of them: many, so that the syncs find company. */
const LOGS_PER_SYNC_MAX = 256;
/** Syncs that run at once: nothing waits behind them, and a file system joins those that come together. */
const SYNC_LANES = 16;

export interface Recovered {
  readonly logs: readonly PartitionLog[];
  readonly journal: JournalContents;
  /** Nothing in the journal matters. */
  readonly journalIsVoid: boolean;
  readonly report: RecoveryReport;
  readonly removeMarker: () => void;
}

interface Folder {
  readonly name: string;
  readonly topic: string;
  readonly partition: number;
}

interface Scanned {
  readonly id: LogId;
  readonly config: LogConfig;
  readonly path: string;
  readonly log: ScannedLog;
}

export async function recover(
  context: StoreContext,
  logConfigOf: (id: LogId) => LogConfig,
): Promise<Recovered> {
  const { disk, dataDirectory, logger } = context;
  const clean = readCleanShutdown(disk, dataDirectory);
  const journal = scanJournal(disk, dataDirectory, logger, { withEntries: clean === undefined });
  const folders = cleanUpFolders(context);
  const recovery = new Recovery(context, logConfigOf, journal, clean);
  for (const folder of folders) await recovery.addFolder(folder);
  for (const entry of journal.entries) await recovery.addLostFolder(entry);
  await recovery.syncScanned();
  // The folders that were found, and those that were made.
  if (clean === undefined) disk.syncDirectory(dataDirectory);
  const isFresh = folders.length === 0 && journal.fileNames.length === 0;
  const kind = clean !== undefined ? 'clean' : isFresh ? 'fresh' : recovery.crashKind;
  const report = { ...recovery.counts, kind, logs: recovery.logs.length } as const;
  if (kind !== 'clean' && kind !== 'fresh') logger.warn({ ...report }, 'Recovered after an unclean stop');
  return {
    logs: recovery.logs,
    journal,
    journalIsVoid: clean !== undefined,
    report,
    removeMarker: () => {
      recovery.noteBoot();
      if (clean !== undefined) removeCleanShutdown(disk, dataDirectory);
    },
  };
}

/** Removes what was on its way out, or half-way in. Returns the folders that may be logs. */
function cleanUpFolders({ disk, dataDirectory, logger }: StoreContext): Folder[] {
  const folders: Folder[] = [];
  for (const name of disk.list(dataDirectory)) {
    const path = `${dataDirectory}/${name}`;
    if (name === JOURNAL_DIRECTORY || name === LOCK_ENTRY) continue;
    if (name.endsWith(TEMPORARY_SUFFIX)) {
      if (disk.stat(path)?.isDirectory === false) disk.remove(path);
    } else if (disk.stat(path)?.isDirectory === true) {
      const match = FOLDER_NAME.exec(name);
      if (name.endsWith(DELETED_FOLDER_SUFFIX)) disk.removeTree(path);
      else if (match === null) logger.warn({ path }, 'A folder that is no log is left alone');
      else folders.push({ name, topic: match[1]!, partition: Number(match[2]) });
    }
  }
  return folders;
}

class Recovery {
  readonly logs: PartitionLog[] = [];
  readonly counts: RecoveryCounts = { scannedBytes: 0, cutBytes: 0, journalBatches: 0, corruptRanges: 0 };
  readonly crashKind: 'process-crash' | 'power-loss';
  readonly #context: StoreContext;
  readonly #logConfigOf: (id: LogId) => LogConfig;
  readonly #journal: JournalContents;
  readonly #clean: ReadonlyMap<string, CleanLog> | undefined;
  readonly #recoveryPoints: ReadonlyMap<string, number> | undefined;
  readonly #startOffsets: ReadonlyMap<string, number> | undefined;
  readonly #cleanedTo: ReadonlyMap<string, number> | undefined;
  readonly #entries = new Map<string, JournalEntry[]>();
  readonly #known = new Set<string>();
  readonly #cursor = new BatchCursor(FULL_SCAN_BYTES);
  #scanned: Scanned[] = [];

  constructor(
    context: StoreContext,
    logConfigOf: (id: LogId) => LogConfig,
    journal: JournalContents,
    clean: ReadonlyMap<string, CleanLog> | undefined,
  ) {
    this.#context = context;
    this.#logConfigOf = logConfigOf;
    this.#journal = journal;
    this.#clean = clean;
    this.#recoveryPoints = this.#readOffsets(RECOVERY_POINT_FILE);
    this.#startOffsets = this.#readOffsets(LOG_START_FILE);
    this.#cleanedTo = this.#readOffsets(CLEANER_FILE);
    for (const entry of journal.entries) {
      const name = `${entry.topic}-${entry.partition}`;
      const entries = this.#entries.get(name);
      if (entries === undefined) this.#entries.set(name, [entry]);
      else entries.push(entry);
    }
    this.crashKind = this.#isSameBoot() ? 'process-crash' : 'power-loss';
  }

  /** A damaged checkpoint file costs a longer scan. */
  #readOffsets(name: string): Map<string, number> | undefined {
    const { disk, dataDirectory, logger } = this.#context;
    try {
      return readOffsetCheckpoint(disk, `${dataDirectory}/${name}`);
    } catch (error) {
      if (!(error instanceof MalformedFileError)) throw error;
      logger.error(
        { error },
        'A checkpoint file is damaged: the logs are scanned, or cleaned, from their starts',
      );
      return undefined;
    }
  }

  #isSameBoot(): boolean {
    const { disk, dataDirectory } = this.#context;
    const path = `${dataDirectory}/${BOOT_ID_FILE}`;
    if (disk.stat(path) === undefined) return false;
    const file = disk.open(path, 'read');
    try {
      const bytes = new Uint8Array(file.size());
      file.read(bytes, 0);
      return Buffer.from(bytes).toString('utf8') === disk.bootId();
    } finally {
      file.close();
    }
  }

  /** So that the next start can tell a kill from a loss of power; need not be durable, since what it vouches for is not either. */
  noteBoot(): void {
    const { disk, dataDirectory } = this.#context;
    const file = disk.open(`${dataDirectory}/${BOOT_ID_FILE}`, 'create');
    try {
      file.truncate(0);
      file.write([Buffer.from(disk.bootId(), 'utf8')], 0);
    } finally {
      file.close();
    }
  }

  async addFolder(folder: Folder): Promise<void> {
    const { logger, dataDirectory } = this.#context;
    const path = `${dataDirectory}/${folder.name}`;
    this.#known.add(folder.name);
    const cleanLog = this.#clean?.get(folder.name);
    if (cleanLog !== undefined && this.#addClean(cleanLog, path)) return;
    const topicIdInFile = readPartitionMetadata(this.#context.disk, path);
    const topicId = topicIdInFile ?? this.#entries.get(folder.name)?.at(-1)?.topicId;
    if (topicId === undefined) {
      const isEmpty = this.#context.disk.list(path).every((name) => !name.endsWith(LOG_SUFFIX));
      logger.warn({ path, isEmpty }, 'A folder without a topic id is left alone');
      return;
    }
    const id = { topic: folder.topic, topicId, partition: folder.partition };
    await this.#addScanned(id, path, topicIdInFile !== undefined);
  }

  /** Trusts the marker, unless the files are not as it says. */
  #addClean(clean: CleanLog, path: string): boolean {
    const segments = segmentsOf(this.#context, path, clean);
    if (segments === undefined) return false;
    const { id, startOffset, endOffset, epochs } = clean;
    const state = {
      segments,
      startOffset,
      endOffset,
      recoveryPoint: endOffset,
      savedRecoveryPoint: this.#recoveryPoints?.get(`${id.topic}-${id.partition}`) ?? 0,
      cleanedTo: this.#cleanedOf(`${id.topic}-${id.partition}`, endOffset),
      epochs,
      folderDurable: true,
    };
    this.#add(new PartitionLog(this.#context, id, this.#logConfigOf(id), path, state));
    return true;
  }

  #add(log: PartitionLog): void {
    this.logs.push(log);
  }

  /** A log that ends below it is not the one that was cleaned so far: all of it counts as dirty. */
  #cleanedOf(name: string, endOffset: number): number {
    const cleanedTo = this.#cleanedTo?.get(name) ?? 0;
    return cleanedTo <= endOffset ? cleanedTo : 0;
  }

  /** Makes durable what was scanned, and opens it. */
  async syncScanned(): Promise<void> {
    const scanned = this.#scanned;
    this.#scanned = [];
    await inLanes(scanned, SYNC_LANES, ({ log }) => log.syncFiles());
    await inLanes(scanned, SYNC_LANES, ({ log }) => log.syncFolder());
    for (const { id, config, path, log } of scanned) {
      const state = log.state();
      const cleanedTo = this.#cleanedOf(`${id.topic}-${id.partition}`, state.endOffset);
      this.#add(
        new PartitionLog(this.#context, id, config, path, { ...state, savedRecoveryPoint: 0, cleanedTo }),
      );
    }
  }

  async #addScanned(id: LogId, path: string, hasMetadata: boolean): Promise<void> {
    const name = `${id.topic}-${id.partition}`;
    const floor = readJournalFloor(this.#context.disk, path);
    const entries = (this.#entries.get(name) ?? []).filter(
      ({ topicId, sequence }) =>
        topicId === id.topicId &&
        (floor?.generation !== this.#journal.generation || sequence >= floor.sequence),
    );
    const config = this.#logConfigOf(id);
    // Only what was synced is cleaned: where the file of points is damaged that is known at least, or the journal's old bytes would come back.
    const recoveryPoint = (this.#recoveryPoints ?? this.#cleanedTo)?.get(name) ?? 0;
    const log = scanLog(this.#context, {
      id,
      config,
      folder: path,
      recoveryPoint,
      // A log that was never checkpointed starts at 0; but if nothing is known of any, it starts where its files do.
      startOffset: this.#startOffsets === undefined ? undefined : (this.#startOffsets.get(name) ?? 0),
      entries,
      counts: this.counts,
      metadataDurable: hasMetadata && recoveryPoint > 0,
      cursor: this.#cursor,
    });
    this.#scanned.push({ id, config, path, log });
    if (this.#scanned.length >= LOGS_PER_SYNC_MAX) await this.syncScanned();
  }

  /** A log all of whose files were lost with their folder, and which the journal has from its first record on. */
  async addLostFolder(entry: JournalEntry): Promise<void> {
    const name = `${entry.topic}-${entry.partition}`;
    if (this.#known.has(name) || entry.baseOffset !== 0) return;
    const { disk, dataDirectory } = this.#context;
    const path = `${dataDirectory}/${name}`;
    disk.makeDirectory(path);
    this.#known.add(name);
    const id = { topic: entry.topic, topicId: entry.topicId, partition: entry.partition };
    await this.#addScanned(id, path, false);
  }
}
