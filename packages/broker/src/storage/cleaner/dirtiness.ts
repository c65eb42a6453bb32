import { BatchCursor, HEADER_SCAN_BYTES } from '../batch-cursor.ts';
import type { PartitionLog } from '../log.ts';
import type { Segment } from '../segment.ts';
import type { CompactionConfig } from '../types.ts';

/** What of a log could be cleaned now, and how much it needs it. */
export interface Dirtiness {
  readonly log: PartitionLog;
  /** So many of its oldest segments may be cleaned. */
  readonly segments: number;
  readonly dirtyFrom: number;
  /** Dirty bytes among those of these segments; 0 if there are none. */
  readonly ratio: number;
  /** How far its oldest dirty record is beyond max.compaction.lag.ms; 0 if it is not. */
  readonly lateMs: number;
}

/**
 * Undefined for a log that is not compacted, or not now. Throws DiskError.
 * @param ifSynced as it would be if a checkpoint had just been written
 */
export function dirtinessOf(
  log: PartitionLog,
  nowMs: number,
  { ifSynced = false }: { readonly ifSynced?: boolean } = {},
): Dirtiness | undefined {
  const { compaction } = log.config;
  const stable = log.cleaningBound?.();
  if (
    compaction === undefined ||
    stable === undefined ||
    log.closed ||
    log.offline ||
    log.segments.length === 0
  )
    return undefined;
  const dirtyFrom = Math.max(log.cleanedTo, log.startOffset);
  const synced = ifSynced ? Infinity : Math.min(log.recoveryPoint, log.savedRecoveryPoint);
  const bound = Math.min(stable, synced);
  const segments = cleanableSegments(log, compaction, { dirtyFrom, bound, nowMs });
  let dirtyBytes = 0;
  let bytes = 0;
  for (const segment of log.segments.slice(0, segments)) {
    bytes += segment.sizeBytes;
    if (segment.endOffset > dirtyFrom) dirtyBytes += segment.sizeBytes;
  }
  const ratio = dirtyBytes === 0 ? 0 : dirtyBytes / bytes;
  return { log, segments, dirtyFrom, ratio, lateMs: latenessOf(log, compaction, dirtyFrom, nowMs) };
}

export function isDue({ log, ratio, lateMs }: Dirtiness): boolean {
  return ratio > 0 && (lateMs > 0 || ratio > (log.config.compaction?.minDirtyRatio ?? 1));
}

/** The most urgent one first: the latest, then the dirtiest. */
export function byUrgency(left: Dirtiness, right: Dirtiness): number {
  return right.lateMs - left.lateMs || right.ratio - left.ratio;
}

/**
 * Never the active segment, nothing above the LSO, nothing that is not synced by the recovery point's own word on the disk: recovery must never look
 * for the old bytes of what was cleaned in the journal.
 */
function cleanableSegments(
  log: PartitionLog,
  { minLagMs }: CompactionConfig,
  { dirtyFrom, bound, nowMs }: { readonly dirtyFrom: number; readonly bound: number; readonly nowMs: number },
): number {
  let count = 0;
  for (const segment of log.segments.slice(0, -1)) {
    if (segment.endOffset > bound) break;
    if (segment.endOffset > dirtyFrom && newestMs(segment) > nowMs - minLagMs) break;
    count++;
  }
  return count;
}

function newestMs(segment: Segment): number {
  return segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.modifiedMs;
}

function latenessOf(
  log: PartitionLog,
  { maxLagMs }: CompactionConfig,
  dirtyFrom: number,
  nowMs: number,
): number {
  let oldestMs = Infinity;
  for (const segment of log.segments) {
    if (segment.endOffset <= dirtyFrom || segment.sizeBytes === 0) continue;
    // Without a limit nobody has to know.
    if (nowMs - maxLagMs < 0) return 0;
    oldestMs = Math.min(oldestMs, oldestMsOf(segment));
  }
  return Math.max(0, nowMs - oldestMs - maxLagMs);
}

/** By the first batch, as segment.ms counts too. */
export function oldestMsOf(segment: Segment): number {
  if (segment.firstTimestamp < 0) {
    const cursor = new BatchCursor(HEADER_SCAN_BYTES);
    cursor.seek(segment.handle, 0, segment.sizeBytes, segment.baseOffset);
    if (cursor.next()) segment.firstTimestamp = cursor.header.maxTimestamp;
  }
  return segment.firstTimestamp >= 0 ? segment.firstTimestamp : segment.modifiedMs;
}
