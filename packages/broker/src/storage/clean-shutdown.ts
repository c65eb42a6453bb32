import { crc32c } from '@polylog/bytes';
import type { Disk } from '../platform/disk.ts';
import { readWholeFile, replaceFileDurably } from './checkpoint-files.ts';
import type { StoreContext } from './context.ts';
import type { PartitionLog } from './log.ts';
import { Segment, type SegmentSummary } from './segment.ts';
import type { EpochEntry, LogId } from './types.ts';

/*
 * `.polylog_cleanshutdown`, written last at a clean stop and removed first at the next start: all that a start needs to know of the logs, so
 * that it reads none of them. One line of hexadecimal CRC-32C of the rest, then JSON.
 */
const CLEAN_SHUTDOWN_FILE = '.polylog_cleanshutdown';
/** 2: segments have `abortedEntries`. */
const VERSION = 2;

interface CleanShutdown {
  readonly version: number;
  readonly logs: readonly CleanLog[];
}

export interface CleanLog {
  readonly id: LogId;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly epochs: readonly EpochEntry[];
  readonly segments: readonly SegmentSummary[];
}

/** Throws DiskError. */
export function writeCleanShutdown(context: StoreContext, logs: readonly PartitionLog[]): void {
  const content: CleanShutdown = {
    version: VERSION,
    logs: logs
      .filter((log) => log.segments.length > 0)
      .map((log) => ({
        id: log.id,
        startOffset: log.startOffset,
        endOffset: log.endOffset,
        epochs: log.epochs.entries,
        // Damage is not remembered: reads find it again.
        segments: log.segments.map((segment) => segment.summary()),
      })),
  };
  const json = Buffer.from(JSON.stringify(content), 'utf8');
  replaceFileDurably(
    context.disk,
    `${context.dataDirectory}/${CLEAN_SHUTDOWN_FILE}`,
    Buffer.concat([Buffer.from(`${crc32c(json).toString(16)}\n`, 'latin1'), json]),
  );
}

/** By folder name; undefined if the last stop was not clean. Throws DiskError. */
export function readCleanShutdown(disk: Disk, dataDirectory: string): Map<string, CleanLog> | undefined {
  const bytes = readWholeFile(disk, `${dataDirectory}/${CLEAN_SHUTDOWN_FILE}`);
  const lineEnd = bytes?.indexOf(0x0a) ?? -1;
  if (bytes === undefined || lineEnd < 0) return undefined;
  const json = bytes.subarray(lineEnd + 1);
  if (Buffer.from(bytes.subarray(0, lineEnd)).toString('latin1') !== crc32c(json).toString(16))
    return undefined;
  const content = JSON.parse(Buffer.from(json).toString('utf8')) as CleanShutdown;
  if (content.version !== VERSION) return undefined;
  return new Map(content.logs.map((log) => [`${log.id.topic}-${log.id.partition}`, log]));
}

/** Durable when it returns. Throws DiskError. */
export function removeCleanShutdown(disk: Disk, dataDirectory: string): void {
  disk.remove(`${dataDirectory}/${CLEAN_SHUTDOWN_FILE}`);
  disk.syncDirectory(dataDirectory);
}

/** The segments of a log as the marker has them; undefined if the last one's file is not as it was left. */
export function segmentsOf(context: StoreContext, folder: string, clean: CleanLog): Segment[] | undefined {
  const segments = clean.segments.map((summary) => {
    const segment = new Segment(context.cache, folder, summary);
    segment.syncedBytes = segment.sizeBytes;
    segment.entryDurable = true;
    segment.indexesSynced = true;
    return segment;
  });
  const size = context.disk.stat(segments.at(-1)!.handle.path)?.sizeBytes;
  return size === segments.at(-1)!.sizeBytes ? segments : undefined;
}
