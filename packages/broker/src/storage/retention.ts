import type { StoreContext } from './context.ts';
import type { PartitionLog } from './log.ts';
import { hasSnapshotFrom, removeSnapshots } from './producer-snapshot.ts';
import type { Segment } from './segment.ts';

interface Removal {
  readonly log: PartitionLog;
  readonly segments: number;
}

/**
 * One pass of retention over all logs: by time, by size, and below the start offsets; from the oldest segment on, never past the bound
 * that the owner gives (HW). The start offsets are durable before the files go, so that after a loss of power no removed segment that
 * comes back makes a hole. Throws DiskError.
 */
export function retain(context: StoreContext, logs: readonly PartitionLog[], nowMs: number): void {
  const removals: Removal[] = [];
  let startsMoved = false;
  for (const log of logs) {
    const segments = removableSegments(log, nowMs);
    if (segments === log.segments.length && segments > 0) log.rollForRetention(nowMs);
    if (segments > 0 && knowsProducersWithout(log, segments)) {
      log.advanceStartOffset(log.segments[segments]!.baseOffset);
      removals.push({ log, segments });
    }
    startsMoved ||= log.startOffset !== log.savedStartOffset;
  }
  if (startsMoved) context.writeCheckpoints();
  for (const { log, segments } of removals) removeOldest(context, log, segments);
}

/** How many segments may go; all of them if the active one is expired too. */
function removableSegments(log: PartitionLog, nowMs: number): number {
  if (log.closed || log.offline) return 0;
  const bound = log.retentionBound?.() ?? log.durableOffset;
  const { retentionBytes, deleteOldSegments } = log.config;
  let excessBytes = deleteOldSegments && retentionBytes >= 0 ? log.sizeBytes - retentionBytes : -1;
  let count = 0;
  for (const segment of log.segments) {
    if (segment.sizeBytes === 0 || segment.endOffset > bound) break;
    const isOverSize = excessBytes >= segment.sizeBytes;
    const isExpired = deleteOldSegments && isOlder(segment, log.config.retentionMs, nowMs);
    if (!isOverSize && !isExpired && segment.endOffset > log.startOffset) break;
    // The active segment goes only when it is expired: an empty one takes its place.
    if (segment === log.active && !isExpired) break;
    excessBytes -= segment.sizeBytes;
    count++;
  }
  return count;
}

/** A snapshot that could not be written keeps segments until the next one. */
function knowsProducersWithout(log: PartitionLog, segments: number): boolean {
  if (log.snapshotSource === undefined) return true;
  const { baseOffset } = log.segments[segments]!;
  return hasSnapshotFrom(log.context.disk, log.folder, baseOffset, log.durableOffset);
}

function isOlder(segment: Segment, retentionMs: number, nowMs: number): boolean {
  if (retentionMs < 0) return false;
  const newestMs = segment.maxTimestamp >= 0 ? segment.maxTimestamp : segment.modifiedMs;
  return nowMs - newestMs > retentionMs;
}

function removeOldest(context: StoreContext, log: PartitionLog, count: number): void {
  const removed = log.segments.splice(0, count);
  for (const segment of removed) segment.renameAway();
  context.unlinkLater(removed, log.config.fileDeleteDelayMs);
  log.epochs.truncateBefore(log.startOffset);
  removeSnapshots(context.disk, log.folder, (offset) => offset < log.segments[0]!.baseOffset);
  context.logger.info(
    { folder: log.folder, segments: count, startOffset: log.startOffset },
    'Removed old segments',
  );
}

/** Checks of CRCs that are old are repeated by the next cold read: disks rot. */
export function expireVerification(context: StoreContext, logs: Iterable<PartitionLog>, nowMs: number): void {
  for (const log of logs) {
    for (const segment of log.segments) {
      if (nowMs - segment.modifiedMs < context.config.verifiedTrustMs) continue;
      if (segment.checkedAtMs < 0) segment.checkedAtMs = nowMs;
      if (nowMs - segment.checkedAtMs < context.config.verifiedTrustMs) continue;
      segment.checkedAtMs = -1;
      segment.writtenFrom = segment.sizeBytes;
      segment.checkedFrom = 0;
      segment.checkedTo = 0;
    }
  }
}
