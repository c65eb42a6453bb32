import type { Disk } from '../../platform/disk.ts';
import { BatchCursor, FULL_SCAN_BYTES } from '../batch-cursor.ts';
import type { StoreContext } from '../context.ts';
import { FileHandle } from '../descriptor-cache.ts';
import type { PartitionLog } from '../log.ts';
import {
  ABORTED_INDEX_SUFFIX,
  CLEANED_SUFFIX,
  INDEX_SUFFIX,
  LOG_SUFFIX,
  Segment,
  segmentName,
  type SegmentSummary,
  SWAP_SUFFIX,
  TIME_INDEX_SUFFIX,
} from '../segment.ts';

/*
 * How a cleaned segment takes the place of those that it was made of. Its files are complete and synced, and named `….cleaned`:
 *
 * 1. They are renamed to `….swap`, the log last, and the folder is synced: from here on the swap will be done, whatever happens.
 * 2. The files of the old segments are renamed away, and the folder is synced: none of them can come back beside the new one.
 * 3. `….swap` gets its final name.
 *
 * After a crash a `….log.swap` is a swap that has to be done: what begins within its offsets is removed, and it takes its name. An index without it
 * is an orphan; an index that is missing is made again from the log. But that of aborted transactions is missing where there are none, too: so its
 * new name is durable before the log gets its own. All of it is synchronous: no append, cut or read comes in between.
 */

/** The log last: its name decides. */
const FILE_SUFFIXES = [INDEX_SUFFIX, TIME_INDEX_SUFFIX, ABORTED_INDEX_SUFFIX, LOG_SUFFIX] as const;
const SWAP_NAME = /^(\d{20})\.log\.swap$/;

/**
 * Puts the cleaned segment in the place of `count` segments of the log from number `first` on. Throws DiskError: then the log is as it was, or, from
 * step 2 on, offline until the next start does the rest.
 */
export function swapIn(
  log: PartitionLog,
  options: { readonly first: number; readonly count: number; readonly summary: SegmentSummary },
): void {
  const { disk } = log.context;
  const { first, count, summary } = options;
  const base = `${log.folder}/${segmentName(summary.baseOffset)}`;
  const suffixes = FILE_SUFFIXES.filter(
    (suffix) => suffix !== ABORTED_INDEX_SUFFIX || summary.abortedEntries > 0,
  );
  const renameAll = (from: string, to: string): void => {
    for (const suffix of suffixes) {
      if (suffix === LOG_SUFFIX && summary.abortedEntries > 0) disk.syncDirectory(log.folder);
      disk.rename(base + suffix + from, base + suffix + to);
    }
  };
  try {
    renameAll(CLEANED_SUFFIX, SWAP_SUFFIX);
  } catch (error) {
    log.cutting(() => undo(disk, base));
    throw error;
  }
  const old = log.segments.slice(first, first + count);
  log.cutting(() => {
    disk.syncDirectory(log.folder);
    for (const segment of old) segment.renameAway();
    disk.syncDirectory(log.folder);
    renameAll(SWAP_SUFFIX, '');
    disk.syncDirectory(log.folder);
  });
  log.segments.splice(first, count, segmentOf(log, summary, old));
  log.forgetPositions();
  log.context.unlinkLater(old, log.config.fileDeleteDelayMs);
}

/** The log first: without it the others are orphans. */
function undo(disk: Disk, base: string): void {
  for (const suffix of FILE_SUFFIXES.toReversed()) {
    disk.remove(base + suffix + SWAP_SUFFIX);
    disk.remove(base + suffix + CLEANED_SUFFIX);
  }
}

/** Reads check its CRCs: it was written by another thread, and read back by nobody. */
function segmentOf(log: PartitionLog, summary: SegmentSummary, old: readonly Segment[]): Segment {
  const modifiedMs = old.at(-1)!.modifiedMs;
  const segment = new Segment(log.context.cache, log.folder, { ...summary, modifiedMs });
  segment.syncedBytes = segment.sizeBytes;
  segment.entryDurable = true;
  segment.indexesSynced = true;
  return segment;
}

/**
 * In recovery, before anything else is read of a folder: does the swaps that a crash has left half-way, and removes what no swap was begun for.
 * Returns whether names changed, which the caller makes durable. Throws DiskError.
 */
export function finishSwaps(context: StoreContext, folder: string): boolean {
  const { disk } = context;
  const names = disk.list(folder);
  const swaps = names.filter((name) => SWAP_NAME.test(name)).sort();
  for (const name of swaps) finishSwap(context, folder, Number(SWAP_NAME.exec(name)![1]));
  const isLeft = (name: string): boolean => name.endsWith(CLEANED_SUFFIX) || name.endsWith(SWAP_SUFFIX);
  const left = disk.list(folder).filter(isLeft);
  for (const name of left) disk.remove(`${folder}/${name}`);
  return swaps.length > 0 || left.length > 0;
}

function finishSwap(context: StoreContext, folder: string, baseOffset: number): void {
  const { disk, logger } = context;
  const base = `${folder}/${segmentName(baseOffset)}`;
  const endOffset = endOf(context, base + LOG_SUFFIX + SWAP_SUFFIX, baseOffset);
  if (endOffset === undefined && disk.stat(base + LOG_SUFFIX) !== undefined) {
    logger.error({ folder, baseOffset }, 'A cleaned segment is damaged: those that it was made of stay');
    disk.remove(base + LOG_SUFFIX + SWAP_SUFFIX);
    return;
  }
  logger.warn({ folder, baseOffset, endOffset }, 'A cleaned segment takes its place, as it was about to');
  const isThere = (suffix: string): boolean => disk.stat(base + suffix) !== undefined;
  if (isThere(ABORTED_INDEX_SUFFIX) && !isThere(ABORTED_INDEX_SUFFIX + SWAP_SUFFIX)) {
    // It may be the new one, and goes with the old: without the offset index the log is scanned, and that is made again.
    disk.remove(base + INDEX_SUFFIX + SWAP_SUFFIX);
    disk.syncDirectory(folder);
  }
  for (const name of disk.list(folder)) {
    const match = /^(\d{20})(?:\.log|\.index|\.timeindex|\.txnindex)$/.exec(name);
    const offset = match === null ? -1 : Number(match[1]);
    if (offset >= baseOffset && offset < (endOffset ?? baseOffset + 1)) disk.remove(`${folder}/${name}`);
  }
  disk.syncDirectory(folder);
  const present = FILE_SUFFIXES.filter((suffix) => isThere(suffix + SWAP_SUFFIX));
  for (const suffix of present) {
    if (suffix === LOG_SUFFIX && present.includes(ABORTED_INDEX_SUFFIX)) disk.syncDirectory(folder);
    disk.rename(base + suffix + SWAP_SUFFIX, base + suffix);
  }
}

/** The offset behind the last batch of a file; undefined if it is not batches from end to end. */
function endOf(context: StoreContext, path: string, baseOffset: number): number | undefined {
  const handle = new FileHandle(context.cache, path);
  try {
    const cursor = new BatchCursor(FULL_SCAN_BYTES);
    cursor.seek(handle, 0, handle.file().size(), baseOffset);
    while (cursor.next()) if (!cursor.crcMatches()) return undefined;
    return cursor.fault || cursor.expectedOffset === baseOffset ? undefined : cursor.expectedOffset;
  } finally {
    handle.close();
  }
}
