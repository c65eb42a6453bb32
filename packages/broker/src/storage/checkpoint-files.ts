import { DiskError, type Disk, type DiskFile } from '../platform/disk.ts';
import type { EpochEntry } from './types.ts';

/*
 * Small text files that are replaced as a whole, in Kafka's formats:
 *
 *   recovery-point-offset-checkpoint,           leader-epoch-checkpoint      partition.metadata
 *   log-start-offset-checkpoint,
 *   cleaner-offset-checkpoint
 *     0                    version                0                            version: 0
 *     2                    entries                2                            topic_id: Kx2…22 characters
 *     orders 0 1200        topic partition offset 0 0        epoch startOffset
 *     orders 1 80                                 3 1200
 */
const CHECKPOINT_VERSION = '0';

export const RECOVERY_POINT_FILE = 'recovery-point-offset-checkpoint';
export const LOG_START_FILE = 'log-start-offset-checkpoint';
export const CLEANER_FILE = 'cleaner-offset-checkpoint';
export const LEADER_EPOCH_FILE = 'leader-epoch-checkpoint';
export const PARTITION_METADATA_FILE = 'partition.metadata';

/** What a write leaves behind if it is interrupted; removed in recovery. */
export const TEMPORARY_SUFFIX = '.tmp';

/** A file of ours that does not follow its format, as torn or damaged ones do. */
export class MalformedFileError extends Error {
  override readonly name = 'MalformedFileError';
  readonly path: string;

  constructor(path: string, detail: string) {
    super(`${path}: ${detail}`);
    this.path = path;
  }
}

export interface TopicPartitionOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Replaces a file so that after a loss of power it is the old one or the new one; durable when it returns. Throws DiskError. */
export function replaceFileDurably(disk: Disk, path: string, content: Uint8Array | string): void {
  const file = openReplacement(disk, path, content);
  try {
    file.datasync();
  } finally {
    file.close();
  }
  disk.rename(path + TEMPORARY_SUFFIX, path);
  disk.syncDirectory(parentOf(path));
}

/** The same off the event loop, and durable only once the caller has synced the folder. Rejects with DiskError. */
async function replaceFile(disk: Disk, path: string, content: string): Promise<void> {
  const file = openReplacement(disk, path, content);
  try {
    await file.datasyncAsync();
  } finally {
    file.close();
  }
  disk.rename(path + TEMPORARY_SUFFIX, path);
}

function openReplacement(disk: Disk, path: string, content: Uint8Array | string): DiskFile {
  const file = disk.open(path + TEMPORARY_SUFFIX, 'create');
  try {
    const bytes = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
    file.truncate(0);
    file.write([bytes], 0);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The whole file, or undefined if there is none. Throws DiskError. */
export function readWholeFile(disk: Disk, path: string): Uint8Array | undefined {
  const file = openIfPresent(disk, path);
  if (file === undefined) return undefined;
  try {
    const bytes = new Uint8Array(file.size());
    return bytes.subarray(0, file.read(bytes, 0));
  } finally {
    file.close();
  }
}

function openIfPresent(disk: Disk, path: string): ReturnType<Disk['open']> | undefined {
  try {
    return disk.open(path, 'read');
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '.' : path.slice(0, slash);
}

/** Creates a folder, and those above it that are missing, durably. Throws DiskError. */
export function makeDirectoryDurably(disk: Disk, path: string): void {
  const made: string[] = [];
  for (let folder = path; folder !== '' && folder !== '.' && disk.stat(folder) === undefined;) {
    made.push(folder);
    folder = parentOf(folder);
  }
  if (made.length === 0) return;
  disk.makeDirectory(path);
  for (const folder of made) disk.syncDirectory(parentOf(folder) || '/');
}

/** Decodes the lines of a checkpoint. Throws MalformedFileError: such a file was replaced atomically, so this is damage. */
function linesOf(path: string, bytes: Uint8Array): string[] {
  const lines = Buffer.from(bytes).toString('utf8').split('\n');
  if (lines[0] !== CHECKPOINT_VERSION) throw new MalformedFileError(path, `unknown version '${lines[0]}'`);
  const count = Number(lines[1]);
  const entries = lines.slice(2).filter((line) => line !== '');
  if (entries.length !== count)
    throw new MalformedFileError(path, `${entries.length} lines instead of ${count}`);
  return entries;
}

function textOf(entries: readonly string[]): string {
  return `${[CHECKPOINT_VERSION, String(entries.length), ...entries].join('\n')}\n`;
}

function numberIn(path: string, text: string | undefined): number {
  const value = Number(text);
  if (text === undefined || text === '' || !Number.isSafeInteger(value))
    throw new MalformedFileError(path, `'${text}' is not a number`);
  return value;
}

export function writeOffsetCheckpoint(
  disk: Disk,
  path: string,
  entries: readonly TopicPartitionOffset[],
): void {
  replaceFileDurably(disk, path, textOfOffsets(entries));
}

/**
 * The same off the event loop. Meanwhile {@link writeOffsetCheckpoint} may write the file, as `isCurrent` then tells, which is asked just before the file
 * would be replaced: what that has written stays. Rejects with DiskError.
 */
export async function replaceOffsetCheckpoint(
  disk: Disk,
  path: string,
  entries: readonly TopicPartitionOffset[],
  isCurrent: () => boolean,
): Promise<void> {
  const temporary = `${path}.later`;
  const file = openReplacement(disk, temporary, textOfOffsets(entries));
  try {
    await file.datasyncAsync();
  } finally {
    file.close();
  }
  if (isCurrent()) {
    disk.rename(temporary + TEMPORARY_SUFFIX, path);
    await disk.syncDirectoryAsync(parentOf(path));
  } else disk.remove(temporary + TEMPORARY_SUFFIX);
}

function textOfOffsets(entries: readonly TopicPartitionOffset[]): string {
  return textOf(entries.map(({ topic, partition, offset }) => `${topic} ${partition} ${offset}`));
}

/** Offsets by folder name `<topic>-<partition>`; undefined if there is no file. Throws DiskError, MalformedFileError. */
export function readOffsetCheckpoint(disk: Disk, path: string): Map<string, number> | undefined {
  const offsets = new Map<string, number>();
  const bytes = readWholeFile(disk, path);
  if (bytes === undefined) return undefined;
  for (const line of linesOf(path, bytes)) {
    const [topic, partition, offset] = line.split(' ');
    offsets.set(`${topic}-${numberIn(path, partition)}`, numberIn(path, offset));
  }
  return offsets;
}

export function writeLeaderEpochs(disk: Disk, folder: string, entries: readonly EpochEntry[]): void {
  replaceFileDurably(disk, `${folder}/${LEADER_EPOCH_FILE}`, textOfEpochs(entries));
}

/** The same off the event loop, and durable only once the caller has synced the folder. Rejects with DiskError. */
export function replaceLeaderEpochs(
  disk: Disk,
  folder: string,
  entries: readonly EpochEntry[],
): Promise<void> {
  return replaceFile(disk, `${folder}/${LEADER_EPOCH_FILE}`, textOfEpochs(entries));
}

function textOfEpochs(entries: readonly EpochEntry[]): string {
  return textOf(entries.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`));
}

/** Empty if there is no file. Throws DiskError, MalformedFileError. */
export function readLeaderEpochs(disk: Disk, folder: string): EpochEntry[] {
  const path = `${folder}/${LEADER_EPOCH_FILE}`;
  const bytes = readWholeFile(disk, path);
  if (bytes === undefined) return [];
  return linesOf(path, bytes).map((line) => {
    const [epoch, startOffset] = line.split(' ');
    return { epoch: numberIn(path, epoch), startOffset: numberIn(path, startOffset) };
  });
}

/** Not synced: the journal, or the sync of the folder's first segment, carries the id until a checkpoint has synced the folder. */
export function writePartitionMetadata(disk: Disk, folder: string, topicId: string): void {
  const file = disk.open(`${folder}/${PARTITION_METADATA_FILE}`, 'create');
  try {
    file.write([Buffer.from(`version: 0\ntopic_id: ${topicId}`, 'utf8')], 0);
  } finally {
    file.close();
  }
}

/** The topic's id, or undefined if there is no such file or it is torn. */
export function readPartitionMetadata(disk: Disk, folder: string): string | undefined {
  const bytes = readWholeFile(disk, `${folder}/${PARTITION_METADATA_FILE}`);
  if (bytes === undefined) return undefined;
  const match = /^version: 0\ntopic_id: ([\w-]{22})\s*$/.exec(Buffer.from(bytes).toString('utf8'));
  return match?.[1];
}
