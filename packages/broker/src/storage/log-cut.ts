import { locate, DAMAGED } from './segment-reader.ts';
import type { PartitionLog } from './log.ts';
import type { Segment } from './segment.ts';
import { rebuildSegment } from './rebuild.ts';

/**
 * Removes the records at and above `offset` (at least that of their whole batches), newest files first, so that a crash half-way leaves
 * a log that is merely too long. Durable when it returns. Returns the new end: below `offset` if that lies inside a batch. Throws DiskError.
 */
export function cutSegments(log: PartitionLog, offset: number): number {
  let keep = log.segments.length;
  while (keep > 0 && log.segments[keep - 1]!.baseOffset >= offset) keep--;
  // The log must not lose its place: the oldest segment stays, if only empty.
  keep = Math.max(keep, 1);
  removeSegments(log, keep);
  const segment = log.segments[keep - 1];
  if (segment === undefined || segment.endOffset <= offset) return segment?.endOffset ?? offset;
  const located = offset <= segment.baseOffset ? 0 : locate(segment, offset);
  const position = located === DAMAGED ? damageStart(segment, offset) : located;
  cutSegment(log, segment, position);
  log.syncFolder();
  return segment.endOffset;
}

function damageStart(segment: Segment, offset: number): number {
  return segment.damage.find((range) => offset < range.toOffset)!.fromPosition;
}

function cutSegment(log: PartitionLog, segment: Segment, position: number): void {
  segment.offsetIndex.truncateToPosition(position);
  segment.cutFile(position);
  segment.sizeBytes = position;
  segment.damage = segment.damage.filter((range) => range.fromPosition < position);
  segment.writtenFrom = Math.min(segment.writtenFrom, position);
  rebuildSegment(segment, log.config.indexIntervalBytes);
  segment.truncateAborted(segment.endOffset);
  segment.syncNow();
}

/** Renames the files of the segments from number `first` on away, and has them unlinked later. Durable when it returns. Throws DiskError. */
export function removeSegments(log: PartitionLog, first: number): void {
  const removed = log.segments.splice(first);
  if (removed.length === 0) return;
  for (const segment of removed.toReversed()) segment.renameAway();
  log.context.disk.syncDirectory(log.folder);
  log.context.unlinkLater(removed, log.config.fileDeleteDelayMs);
}
