import { BatchCursor, FULL_SCAN_BYTES } from './batch-cursor.ts';
import { rangeOfDamage } from './segment-reader.ts';
import type { Segment } from './segment.ts';

/**
 * Makes a segment's fields and indexes again from its bytes, by headers alone. What is no batch becomes damage; the file is not
 * changed. Throws DiskError.
 */
export function rebuildSegment(segment: Segment, indexIntervalBytes: number): void {
  const limit = segment.sizeBytes;
  const knownEnd = segment.endOffset;
  resetSegment(segment);
  const cursor = new BatchCursor(FULL_SCAN_BYTES);
  cursor.seek(segment.handle, 0, limit, segment.baseOffset);
  for (;;) {
    const range = segment.damage.find((one) => one.fromPosition === cursor.nextPosition);
    if (range !== undefined) {
      skipDamage(segment, range.toPosition, range.toOffset);
      cursor.skipTo(range.toPosition, range.toOffset);
    } else if (cursor.next()) {
      const { header } = cursor;
      segment.accept(
        cursor.expectedOffset - 1,
        header.maxTimestamp,
        cursor.nextPosition - cursor.position,
        indexIntervalBytes,
      );
    } else if (cursor.fault) {
      segment.sizeBytes = limit;
      segment.endOffset = knownEnd;
      segment.damage.push(rangeOfDamage(segment, cursor.position, cursor.expectedOffset));
      segment.damage.sort((a, b) => a.fromPosition - b.fromPosition);
      segment.sizeBytes = cursor.position;
      segment.endOffset = cursor.expectedOffset;
    } else {
      return;
    }
  }
}

/** Before a scan from the start: an empty segment, whose file is as it was. */
export function resetSegment(segment: Segment): void {
  segment.dropIndexes();
  segment.sizeBytes = 0;
  segment.endOffset = segment.baseOffset;
  segment.maxTimestamp = -1;
  segment.maxTimestampOffset = segment.baseOffset;
  segment.firstTimestamp = -1;
  segment.bytesSinceIndexEntry = 0;
}

/** Counts damaged bytes as a part of the segment. */
export function skipDamage(segment: Segment, toPosition: number, toOffset: number): void {
  segment.bytesSinceIndexEntry += toPosition - segment.sizeBytes;
  segment.sizeBytes = toPosition;
  segment.endOffset = toOffset;
}
