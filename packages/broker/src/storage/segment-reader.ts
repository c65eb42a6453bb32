import { ANY_OFFSET, BatchCursor, FULL_SCAN_BYTES, HEADER_SCAN_BYTES } from './batch-cursor.ts';
import { findBatch } from './resync.ts';
import type { DamagedRange, Segment } from './segment.ts';

/*
 * Finding and checking batches in a segment. What is decided here about damage:
 *
 * - The structure of headers (format, length, dense offsets) is checked whenever a header is read.
 * - CRCs are checked the first time that a range is read which this process has neither written nor checked lately, before any of it is
 *   served. A check costs one more read from the page cache and about 0.1 ms per MiB; tailing consumers never pay it.
 * - A damaged batch becomes a range of the segment that answers `corrupt`; what lies before and behind is served. Where the length cannot be
 *   trusted either, the range goes to the next batch that has a valid CRC and fits the offsets.
 *
 * All of it is synchronous, so that the cursors can be shared.
 */
const headers = new BatchCursor(HEADER_SCAN_BYTES);
const checker = new BatchCursor(FULL_SCAN_BYTES);

export const DAMAGED = -1;

/**
 * The position of the batch that contains the offset, the segment's size at its end, or {@link DAMAGED}. Throws DiskError.
 */
export function locate(segment: Segment, offset: number): number {
  let from = segment.offsetIndex.positionFor(offset - segment.baseOffset);
  for (;;) {
    const position = walkTo(segment, offset, from);
    if (position !== undefined) return position;
    examine(segment);
    from = 0;
  }
}

/** Undefined where it comes upon bytes that are no batch, and that nobody has examined yet. */
function walkTo(segment: Segment, offset: number, from: number): number | undefined {
  const inside = segment.damage.find((range) => from > range.fromPosition && from < range.toPosition);
  if (inside !== undefined) from = inside.fromPosition;
  if (from >= segment.sizeBytes) from = 0;
  headers.seek(segment.handle, from, segment.sizeBytes, from === 0 ? segment.baseOffset : ANY_OFFSET);
  for (;;) {
    const range = damageAt(segment, headers.nextPosition);
    if (range !== undefined) {
      if (offset < range.toOffset) return DAMAGED;
      headers.skipTo(range.toPosition, range.toOffset);
    } else if (!headers.next()) {
      return headers.fault ? undefined : segment.sizeBytes;
    } else if (offset < headers.expectedOffset) {
      // An index entry that is not at the batch that it names leads too far.
      return offset < headers.header.baseOffset ? undefined : headers.position;
    }
  }
}

function damageAt(segment: Segment, position: number): DamagedRange | undefined {
  return segment.damage.length === 0
    ? undefined
    : segment.damage.find((range) => range.fromPosition === position);
}

/**
 * The position of the first batch at or behind `position` that has records and ends at or below `endOffset`; the segment's size if all up to its
 * end are empty; undefined if there is none. Throws DiskError.
 */
export function firstWithRecords(segment: Segment, position: number, endOffset: number): number | undefined {
  headers.seek(segment.handle, position, segment.sizeBytes, ANY_OFFSET);
  while (headers.next()) {
    if (headers.expectedOffset > endOffset) return undefined;
    if (headers.header.recordCount > 0) return headers.position;
  }
  return headers.fault ? undefined : segment.sizeBytes;
}

export interface RangeLimits {
  /** Batches that end above it do not belong to the range. */
  readonly endOffset: number;
  readonly bytesMax: number;
  readonly atLeastOneBatch: boolean;
}

/** Where the range that starts with the batch at `position` ends: behind whole batches, before any damage. */
export interface RangeEnd {
  position: number;
  /** The offset of the next batch. Undefined where it is not known without reading. */
  nextOffset: number | undefined;
}

export function findEnd(segment: Segment, position: number, limits: RangeLimits): RangeEnd {
  const damage = segment.damage.find((range) => range.fromPosition >= position);
  const limit = damage?.fromPosition ?? segment.sizeBytes;
  const limitOffset = damage?.fromOffset ?? segment.endOffset;
  if (limitOffset <= limits.endOffset && limit - position <= limits.bytesMax)
    return { position: limit, nextOffset: limitOffset };
  const byBytes = Math.min(position + limits.bytesMax, limit);
  const index = segment.offsetIndex;
  let start = index.positionAtOrBefore(byBytes);
  if (limits.endOffset < segment.endOffset)
    start = Math.min(start, index.positionFor(limits.endOffset - 1 - segment.baseOffset));
  start = Math.max(start, position);
  headers.seek(segment.handle, start, limit, ANY_OFFSET);
  const end: RangeEnd = { position: start, nextOffset: undefined };
  while (headers.next()) {
    const isFirst = headers.position === position;
    // Known even if this batch does not fit: the reader that comes back for it needs no index then.
    end.nextOffset ??= headers.header.baseOffset;
    if (headers.expectedOffset > limits.endOffset) break;
    if (headers.nextPosition > byBytes && !(isFirst && limits.atLeastOneBatch)) break;
    end.position = headers.nextPosition;
    end.nextOffset = headers.expectedOffset;
  }
  return end;
}

/** Whether this process has written or checked these bytes. */
export function isTrusted(segment: Segment, from: number, to: number): boolean {
  if (from >= segment.writtenFrom) return true;
  if (from < segment.checkedFrom) return false;
  return to <= segment.checkedTo || segment.checkedTo >= segment.writtenFrom;
}

/** Checks the CRCs of the batches in [from, to), and notes the damaged ones. `from` and `to` are bounds of batches. Throws DiskError. */
export function check(segment: Segment, from: number, to: number): void {
  checker.seek(segment.handle, from, to, from === 0 ? segment.baseOffset : ANY_OFFSET);
  for (;;) {
    const range = damageAt(segment, checker.nextPosition);
    if (range !== undefined) checker.skipTo(range.toPosition, range.toOffset);
    else if (!checker.next()) break;
    else if (!checker.crcMatches()) {
      const found = rangeOfBatch(segment, checker);
      addDamage(segment, found);
      checker.skipTo(found.toPosition, found.toOffset);
    }
  }
  if (checker.fault) return examine(segment);
  const touches = from <= segment.checkedTo && to >= segment.checkedFrom && segment.checkedTo > 0;
  segment.checkedFrom = touches ? Math.min(from, segment.checkedFrom) : from;
  segment.checkedTo = touches ? Math.max(to, segment.checkedTo) : to;
}

/**
 * Walks the whole segment and notes each range that is no valid batch: CRCs too, since a batch whose length is damaged leads to a place that
 * is no batch either. Where all is in order, an index entry had led
 * astray, and the indexes are dropped: without entries they are merely slow.
 */
export function examine(segment: Segment): void {
  const before = segment.damage.length;
  checker.seek(segment.handle, 0, segment.sizeBytes, segment.baseOffset);
  for (;;) {
    const range = damageAt(segment, checker.nextPosition);
    if (range !== undefined) checker.skipTo(range.toPosition, range.toOffset);
    else if (checker.next() ? checker.crcMatches() : !checker.fault) {
      if (checker.position >= segment.sizeBytes) break;
    } else {
      const found = checker.fault
        ? rangeOfDamage(segment, checker.position, checker.expectedOffset)
        : rangeOfBatch(segment, checker);
      addDamage(segment, found);
      checker.skipTo(found.toPosition, found.toOffset);
    }
  }
  if (segment.damage.length === before) segment.dropIndexes();
}

/** The damage of a batch whose CRC does not match; its length and last offset count only if another batch follows there. */
function rangeOfBatch(segment: Segment, cursor: BatchCursor): DamagedRange {
  const { position, nextPosition, expectedOffset, header } = cursor;
  headers.seek(segment.handle, nextPosition, segment.sizeBytes, expectedOffset);
  const leadsOn = nextPosition === segment.sizeBytes ? expectedOffset === segment.endOffset : headers.next();
  if (!leadsOn) return rangeOfDamage(segment, position, header.baseOffset);
  return {
    fromPosition: position,
    toPosition: nextPosition,
    fromOffset: header.baseOffset,
    toOffset: expectedOffset,
  };
}

/** How far the damage at a position reaches: to the next batch that is valid beyond doubt. */
export function rangeOfDamage(segment: Segment, position: number, expectedOffset: number): DamagedRange {
  const next = findBatch({
    handle: segment.handle,
    position,
    limit: segment.sizeBytes,
    offsetMin: expectedOffset,
    offsetMax: segment.endOffset,
  });
  return {
    fromPosition: position,
    toPosition: next?.position ?? segment.sizeBytes,
    fromOffset: expectedOffset,
    toOffset: next?.baseOffset ?? segment.endOffset,
  };
}

function addDamage(segment: Segment, range: DamagedRange): void {
  segment.damage.push(range);
  segment.damage.sort((a, b) => a.fromPosition - b.fromPosition);
}
