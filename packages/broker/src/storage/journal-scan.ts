import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/log.ts';
import {
  makeDirectoryDurably,
  MalformedFileError,
  readWholeFile,
  replaceFileDurably,
} from './checkpoint-files.ts';
import {
  decodeEntries,
  decodeFileHeader,
  decodeRoundHeader,
  ENTRY_DELETED,
  type FileHeader,
  JOURNAL_BLOCK_BYTES,
  type JournalEntry,
  ROUND_HEADER_BYTES,
} from './journal-format.ts';

export const JOURNAL_DIRECTORY = 'journal';
const NUMBER_DIGITS = 4;
const NAME = /^\d{4}\.journal$/;

/*
 * `journal/generation`: the number in decimal, replaced as a whole. Files of any other generation are void. It stands apart from the
 * files, whose headers are written in place and may be torn.
 */
const GENERATION_FILE = 'generation';

/** Durable when it returns. Throws DiskError. */
export function writeGeneration(disk: Disk, directory: string, generation: number): void {
  makeDirectoryDurably(disk, directory);
  replaceFileDurably(disk, `${directory}/${GENERATION_FILE}`, `${generation}\n`);
}

/** 0 if there is none yet. Throws DiskError, MalformedFileError. */
function readGeneration(disk: Disk, directory: string): number {
  const path = `${directory}/${GENERATION_FILE}`;
  const bytes = readWholeFile(disk, path);
  if (bytes === undefined) return 0;
  const match = /^(\d+)\n$/.exec(Buffer.from(bytes).toString('latin1'));
  if (match === null) throw new MalformedFileError(path, 'not a number');
  return Number(match[1]);
}

export function journalFileName(index: number): string {
  return `${String(index).padStart(NUMBER_DIGITS, '0')}.journal`;
}

export interface JournalContents {
  readonly generation: number;
  readonly fileNumberMax: number;
  readonly fileNames: readonly string[];
  /** By sequence; those of deleted logs are left out. */
  readonly entries: readonly JournalEntry[];
}

/** Reads the names and headers, and, if asked, the entries of the present generation. Throws DiskError, MalformedFileError. */
export function scanJournal(
  disk: Disk,
  dataDirectory: string,
  logger: Logger,
  options: { readonly withEntries: boolean },
): JournalContents {
  const directory = `${dataDirectory}/${JOURNAL_DIRECTORY}`;
  const isThere = disk.stat(directory) !== undefined;
  const fileNames = isThere
    ? disk
        .list(directory)
        .filter((name) => NAME.test(name))
        .sort()
    : [];
  const files: { readonly path: string; readonly header: FileHeader }[] = [];
  for (const name of fileNames) {
    const path = `${directory}/${name}`;
    const header = readHeader(disk, path);
    if (header !== undefined) files.push({ path, header });
  }
  const generation = readGeneration(disk, directory);
  const fileNumberMax = Math.max(0, ...files.map(({ header }) => header.fileNumber));
  const entries: JournalEntry[] = [];
  if (options.withEntries) {
    const live = files.filter(({ header }) => header.generation === generation);
    live.sort((a, b) => a.header.fileNumber - b.header.fileNumber);
    for (const { path, header } of live)
      readRounds(readWholeFile(disk, path)!, header, entries, path, logger);
  }
  return { generation, fileNumberMax, fileNames, entries: withoutDeleted(entries) };
}

function readHeader(disk: Disk, path: string): FileHeader | undefined {
  const file = disk.open(path, 'read');
  try {
    const bytes = new Uint8Array(JOURNAL_BLOCK_BYTES);
    return decodeFileHeader(bytes.subarray(0, file.read(bytes, 0)));
  } finally {
    file.close();
  }
}

/**
 * Collects the entries of one file. A round that is not whole is as a rule the last one, torn, which nobody was told is durable. If
 * valid rounds follow, it is damage: what can be read of it is used, and so is what follows.
 */
function readRounds(
  bytes: Uint8Array,
  file: FileHeader,
  entries: JournalEntry[],
  path: string,
  logger: Logger,
): void {
  let lastRound = 0;
  let damagedAt: number | undefined;
  for (let at = JOURNAL_BLOCK_BYTES; at < bytes.length;) {
    const round = decodeRoundHeader(bytes.subarray(at, at + ROUND_HEADER_BYTES));
    const isNext =
      round !== undefined &&
      round.generation === file.generation &&
      round.fileNumber === file.fileNumber &&
      round.round > lastRound;
    if (!isNext) {
      damagedAt ??= at;
      at += JOURNAL_BLOCK_BYTES;
      continue;
    }
    if (damagedAt !== undefined) {
      logger.error({ path, position: damagedAt }, 'A round of the journal is damaged');
      damagedAt = undefined;
    }
    const end = at + ROUND_HEADER_BYTES + round.bytes;
    const decoded = decodeEntries(bytes.subarray(at + ROUND_HEADER_BYTES, end));
    entries.push(...decoded.entries);
    if (!decoded.complete) damagedAt = at;
    lastRound = round.round;
    at = Math.ceil(end / JOURNAL_BLOCK_BYTES) * JOURNAL_BLOCK_BYTES;
  }
}

function withoutDeleted(entries: readonly JournalEntry[]): JournalEntry[] {
  const deleted = new Map<string, number>();
  for (const entry of entries) if (entry.kind === ENTRY_DELETED) deleted.set(keyOf(entry), entry.sequence);
  return entries.filter(
    (entry) => entry.kind !== ENTRY_DELETED && entry.sequence > (deleted.get(keyOf(entry)) ?? 0),
  );
}

function keyOf(entry: { readonly topicId: string; readonly partition: number }): string {
  return `${entry.topicId}-${entry.partition}`;
}

/*
 * `journal-floor` in a log's folder: entries of that generation with a lower sequence are void for this log, since it was truncated or reset
 * after they were written. One line: generation, space, sequence.
 */
export const JOURNAL_FLOOR_FILE = 'journal-floor';

export interface JournalFloor {
  readonly generation: number;
  readonly sequence: number;
}

export function writeJournalFloor(disk: Disk, folder: string, floor: JournalFloor): void {
  replaceFileDurably(disk, `${folder}/${JOURNAL_FLOOR_FILE}`, `${floor.generation} ${floor.sequence}\n`);
}

export function readJournalFloor(disk: Disk, folder: string): JournalFloor | undefined {
  const bytes = readWholeFile(disk, `${folder}/${JOURNAL_FLOOR_FILE}`);
  const match = bytes === undefined ? null : /^(\d+) (\d+)\n$/.exec(Buffer.from(bytes).toString('latin1'));
  return match === null ? undefined : { generation: Number(match[1]), sequence: Number(match[2]) };
}
