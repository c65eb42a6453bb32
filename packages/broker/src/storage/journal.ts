import { PARTITION_LEADER_EPOCH_AT } from '@polylog/record';
import { DiskError, type Disk, type DiskFile } from '../platform/disk.ts';
import type { Logger } from '../platform/log.ts';
import { makeDirectoryDurably } from './checkpoint-files.ts';
import { int32At } from './index-file.ts';
import {
  encodeEntry,
  encodeFileHeader,
  encodeRoundHeader,
  ENTRY_BATCHES,
  ENTRY_DELETED,
  ENTRY_HEADER_BYTES,
  JOURNAL_BLOCK_BYTES,
  ROUND_HEADER_BYTES,
} from './journal-format.ts';
import { JOURNAL_DIRECTORY, journalFileName, type JournalContents, writeGeneration } from './journal-scan.ts';
import type { PartitionLog } from './log.ts';
import type { LogId, StorageConfig, StorageStatistics } from './types.ts';

/** What one round may gather; beyond it logs sync their segments. A small journal has less. */
const STAGED_BYTES_MAX = 8 * 1024 * 1024;
/** A staging buffer that has grown larger is not kept. */
const STAGED_BYTES_KEPT = 1024 * 1024;
const STAGED_BYTES_MIN = 16 * 1024;
const PADDING = new Uint8Array(JOURNAL_BLOCK_BYTES);

interface JournalFile {
  readonly path: string;
  file: DiskFile | undefined;
  /** Preallocated, and its directory entry durable. */
  ready: boolean;
  /** Where the next round goes. */
  position: number;
  /** The end of what each log has in this file. */
  readonly coverage: Map<PartitionLog, number>;
}

/**
 * The journal of one data folder: what logs with flush=fsync append goes here too, so that one sync per round makes all of
 * them durable. Entries are copied when they are staged, since the appended bytes are only lent.
 *
 * A file is used again when all segments that it covers are synced. Files that nobody covers any more may still hold old
 * entries; a replay of those finds that the logs have them already.
 */
export class Journal {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #config: StorageConfig;
  readonly #logger: Logger;
  readonly #stagedBytesMax: number;
  #generation: number;
  #nextSequence = 1;
  #nextRound = 1;
  #nextFileNumber: number;
  #current: JournalFile | undefined;
  /** Full files, oldest first. */
  #sealed: JournalFile[] = [];
  #free: JournalFile[] = [];
  #files = 0;
  #writtenBytes = 0;
  #rounds = 0;
  #roundsWithoutFile = 0;

  #staged = new Uint8Array(STAGED_BYTES_MIN);
  #stagedBytes = ROUND_HEADER_BYTES;
  readonly #stagedLogs = new Map<PartitionLog, number>();
  #deletions: LogId[] = [];
  readonly #names = new WeakMap<PartitionLog, Uint8Array>();

  constructor(options: {
    readonly disk: Disk;
    readonly dataDirectory: string;
    readonly config: StorageConfig;
    readonly logger: Logger;
    readonly contents: JournalContents;
  }) {
    this.#disk = options.disk;
    this.#directory = `${options.dataDirectory}/${JOURNAL_DIRECTORY}`;
    this.#config = options.config;
    this.#logger = options.logger;
    this.#generation = options.contents.generation;
    this.#nextFileNumber = options.contents.fileNumberMax + 1;
    this.#stagedBytesMax = Math.min(STAGED_BYTES_MAX, options.config.journalFileBytes - JOURNAL_BLOCK_BYTES);
    for (const name of options.contents.fileNames) this.#addFile(`${this.#directory}/${name}`);
  }

  #addFile(path: string): JournalFile {
    const added = { path, file: undefined, ready: false, position: JOURNAL_BLOCK_BYTES, coverage: new Map() };
    this.#free.push(added);
    this.#files++;
    return added;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Entries staged from now on have this sequence or a higher one. */
  get nextSequence(): number {
    return this.#nextSequence;
  }

  /** Files that cannot be used again yet, as a part of all that there may be. */
  get fill(): number {
    return this.#filesInUse / this.#config.journalFilesMax;
  }

  get #filesInUse(): number {
    return this.#sealed.length + (this.#current === undefined ? 0 : 1);
  }

  statistics(): StorageStatistics['journal'] {
    return {
      files: this.#files,
      filesMax: this.#config.journalFilesMax,
      filesInUse: this.#filesInUse,
      fileBytes: this.#config.journalFileBytes,
      writtenBytes: this.#writtenBytes,
      rounds: this.#rounds,
      roundsWithoutFile: this.#roundsWithoutFile,
    };
  }

  get hasWork(): boolean {
    return this.#stagedBytes > ROUND_HEADER_BYTES || this.#deletions.length > 0;
  }

  /** Copies what a log has just appended into the coming round; false if there is no room for it. */
  stage(log: PartitionLog, batches: readonly Uint8Array[], bytes: number, baseOffset: number): boolean {
    const name = this.#nameOf(log);
    const needed = ENTRY_HEADER_BYTES + name.length + bytes;
    if (!this.#reserve(needed)) return false;
    const entry = {
      kind: ENTRY_BATCHES,
      sequence: this.#nextSequence++,
      topic: log.id.topic,
      topicId: log.id.topicId,
      partition: log.id.partition,
      baseOffset,
      endOffset: log.endOffset,
      leaderEpoch: int32At(batches[0]!, PARTITION_LEADER_EPOCH_AT),
      bytes,
    };
    let at = encodeEntry(this.#staged, this.#stagedBytes, entry, name, batches);
    for (const batch of batches) {
      this.#staged.set(batch, at);
      at += batch.length;
    }
    this.#stagedBytes = at;
    this.#stagedLogs.set(log, log.endOffset);
    return true;
  }

  #nameOf(log: PartitionLog): Uint8Array {
    let name = this.#names.get(log);
    if (name === undefined) {
      name = Buffer.from(log.id.topic, 'utf8');
      this.#names.set(log, name);
    }
    return name;
  }

  #reserve(bytes: number): boolean {
    const needed = this.#stagedBytes + bytes;
    if (needed > this.#stagedBytesMax) return false;
    if (needed <= this.#staged.length) return true;
    const grown = new Uint8Array(Math.min(this.#stagedBytesMax, Math.max(needed, 2 * this.#staged.length)));
    grown.set(this.#staged.subarray(0, this.#stagedBytes));
    this.#staged = grown;
    return true;
  }

  /** With the coming round: a replay must not make this log again. */
  stageDeletion(id: LogId): void {
    this.#deletions.push(id);
  }

  /** It was not written yet: the journal was full. */
  hasStagedDeletion(id: LogId): boolean {
    return this.#deletions.includes(id);
  }

  /**
   * Writes what is staged and starts its sync. Undefined when no file is free, or one cannot be written: then the logs must sync their segments.
   * Rejects with DiskError: fatal.
   */
  writeRound(): Promise<void> | undefined {
    this.#stageDeletions();
    const padded = Math.ceil(this.#stagedBytes / JOURNAL_BLOCK_BYTES) * JOURNAL_BLOCK_BYTES;
    const written = this.#write(padded);
    if (written !== undefined) {
      for (const [log, endOffset] of this.#stagedLogs) {
        written.coverage.set(log, Math.max(endOffset, written.coverage.get(log) ?? 0));
      }
      this.#deletions = [];
      this.#rounds++;
      this.#writtenBytes += padded;
    } else this.#roundsWithoutFile++;
    this.#stagedLogs.clear();
    this.#stagedBytes = ROUND_HEADER_BYTES;
    if (this.#staged.length > STAGED_BYTES_KEPT) this.#staged = new Uint8Array(STAGED_BYTES_MIN);
    return written?.file!.datasyncAsync();
  }

  #stageDeletions(): void {
    for (const id of this.#deletions) {
      const name = Buffer.from(id.topic, 'utf8');
      if (!this.#reserve(ENTRY_HEADER_BYTES + name.length)) return;
      const entry = {
        ...id,
        kind: ENTRY_DELETED,
        sequence: this.#nextSequence++,
        baseOffset: 0,
        endOffset: 0,
        leaderEpoch: 0,
        bytes: 0,
      };
      this.#stagedBytes = encodeEntry(this.#staged, this.#stagedBytes, entry, name, []);
    }
  }

  #write(paddedBytes: number): JournalFile | undefined {
    try {
      const target = this.#fileFor(paddedBytes);
      if (target === undefined) return undefined;
      const isNew = target.position === JOURNAL_BLOCK_BYTES;
      const fileNumber = isNew ? this.#nextFileNumber : this.#nextFileNumber - 1;
      encodeRoundHeader(this.#staged, {
        generation: this.#generation,
        round: this.#nextRound,
        bytes: this.#stagedBytes - ROUND_HEADER_BYTES,
        fileNumber,
      });
      const round: Uint8Array[] = [
        this.#staged.subarray(0, this.#stagedBytes),
        PADDING.subarray(0, paddedBytes - this.#stagedBytes),
      ];
      if (isNew) round.unshift(encodeFileHeader({ generation: this.#generation, fileNumber }));
      target.file!.write(round, isNew ? 0 : target.position);
      if (isNew) this.#nextFileNumber++;
      this.#nextRound++;
      target.position += paddedBytes;
      return target;
    } catch (error) {
      if (!(error instanceof DiskError) || error.operation === 'syncDirectory') throw error;
      this.#logger.warn({ error }, 'The journal could not be written: segments are synced instead');
      return undefined;
    }
  }

  /** The file for a round of so many bytes, opened; undefined if all are in use. Throws DiskError. */
  #fileFor(bytes: number): JournalFile | undefined {
    const current = this.#current;
    if (current !== undefined && current.position + bytes <= this.#config.journalFileBytes) return current;
    const next = this.#free[0] ?? this.#newFile();
    if (next === undefined) return undefined;
    if (!next.ready) {
      next.file ??= this.#disk.open(next.path, 'create');
      next.file.preallocate(this.#config.journalFileBytes);
      this.#disk.syncDirectory(this.#directory);
      next.ready = true;
    }
    next.position = JOURNAL_BLOCK_BYTES;
    next.coverage.clear();
    this.#free.shift();
    if (current !== undefined) this.#sealed.push(current);
    this.#current = next;
    return next;
  }

  #newFile(): JournalFile | undefined {
    if (this.#files >= this.#config.journalFilesMax) return undefined;
    makeDirectoryDurably(this.#disk, this.#directory);
    return this.#addFile(`${this.#directory}/${journalFileName(this.#files)}`);
  }

  /** Frees the files whose logs have synced what is in them, oldest first. */
  recycle(): void {
    while (this.#sealed.length > 0 && isCovered(this.#sealed[0]!)) {
      const file = this.#sealed.shift()!;
      file.coverage.clear();
      this.#free.push(file);
    }
  }

  /**
   * When all segments are synced: all that was written becomes void, durably, so that a later replay cannot bring it back; so do the floors of logs,
   * whose sequences count within a generation. Throws DiskError.
   */
  startGeneration(): void {
    writeGeneration(this.#disk, this.#directory, this.#generation + 1);
    this.#generation++;
    this.#nextSequence = 1;
    this.#nextRound = 1;
    this.#free = [...this.#free, ...this.#sealed, ...(this.#current === undefined ? [] : [this.#current])];
    this.#sealed = [];
    this.#current = undefined;
    for (const file of this.#free) file.coverage.clear();
  }

  close(): void {
    for (const file of [...this.#free, ...this.#sealed, this.#current]) file?.file?.close();
  }
}

function isCovered({ coverage }: JournalFile): boolean {
  for (const [log, endOffset] of coverage) {
    // After a cut, or one that failed, what the journal has of the log is void.
    if (!log.closed && !log.cutFailed && log.recoveryPoint < Math.min(endOffset, log.endOffset)) return false;
  }
  return true;
}
