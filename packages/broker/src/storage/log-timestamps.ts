import { MalformedError } from '@polylog/bytes';
import { type BatchHeader, decodeBatch, type LogRecord, readBatchHeader, sizeInBytes } from '@polylog/record';
import { BatchCursor, HEADER_SCAN_BYTES } from './batch-cursor.ts';
import type { PartitionLog } from './log.ts';
import { scanSegment } from './log-reader.ts';
import type { Segment } from './segment.ts';
import type { TimestampedOffset } from './types.ts';

/** Largest decompressed batch that is searched record by record; of larger ones the batch's first offset is the answer. */
const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

interface BatchPlace {
  readonly segment: Segment;
  readonly position: number;
  readonly header: BatchHeader;
}

/** The first record at or above the timestamp, below `endOffset`; undefined if there is none. Rejects with DiskError. */
export async function findTimestamp(
  log: PartitionLog,
  timestamp: number,
  endOffset: number,
): Promise<TimestampedOffset | undefined> {
  // A copy, retained: retention and cleaning may remove segments while this waits for the disk.
  const segments = [...log.segments];
  for (const segment of segments) segment.retain();
  try {
    return await findTimestampIn(segments, log.startOffset, timestamp, endOffset);
  } finally {
    for (const segment of segments) segment.release();
  }
}

async function findTimestampIn(
  segments: readonly Segment[],
  startOffset: number,
  timestamp: number,
  endOffset: number,
): Promise<TimestampedOffset | undefined> {
  for (const segment of segments) {
    if (segment.endOffset <= startOffset || segment.maxTimestamp < timestamp) continue;
    if (segment.baseOffset >= endOffset) break;
    // All records up to the one of the entry are older.
    const indexed = segment.baseOffset + segment.timeIndex.relativeOffsetFor(timestamp - 1);
    let from = Math.max(startOffset, indexed);
    for (;;) {
      const place = firstBatch(segment, from, (header) => header.maxTimestamp >= timestamp);
      if (place === undefined || place.header.baseOffset >= endOffset) break;
      const records = await recordsOf(place);
      const found = records.find((record) => record.timestamp >= timestamp && record.offset >= startOffset);
      if (found !== undefined) return found.offset < endOffset ? answer(place, found) : undefined;
      from = place.header.baseOffset + place.header.lastOffsetDelta + 1;
    }
  }
  return undefined;
}

/** The first record with the largest timestamp below `endOffset`; undefined if no record has one. Rejects with DiskError. */
export async function findMaxTimestamp(
  log: PartitionLog,
  endOffset: number,
): Promise<TimestampedOffset | undefined> {
  const { startOffset } = log;
  let best: BatchPlace | undefined;
  for (const segment of log.segments) {
    if (segment.endOffset <= startOffset || segment.baseOffset >= endOffset) continue;
    if (segment.maxTimestamp <= (best?.header.maxTimestamp ?? -1)) continue;
    const isWhole = segment.baseOffset >= startOffset && segment.endOffset <= endOffset;
    const from = isWhole ? segment.maxTimestampOffset : startOffset;
    scanSegment(segment, new BatchCursor(HEADER_SCAN_BYTES), from, (header, position) => {
      if (header.baseOffset + header.lastOffsetDelta >= endOffset) return true;
      if (header.maxTimestamp > (best?.header.maxTimestamp ?? -1))
        best = { segment, position, header: { ...header } };
      return isWhole;
    });
  }
  if (best === undefined) return undefined;
  const records = await recordsOf(best);
  const found = records.find(
    (record) => record.offset >= startOffset && record.timestamp === best!.header.maxTimestamp,
  );
  return found === undefined ? undefined : answer(best, found);
}

function firstBatch(
  segment: Segment,
  fromOffset: number,
  matches: (header: BatchHeader) => boolean,
): BatchPlace | undefined {
  let place: BatchPlace | undefined;
  if (fromOffset >= segment.endOffset) return undefined;
  scanSegment(segment, new BatchCursor(HEADER_SCAN_BYTES), fromOffset, (header, position) => {
    if (!matches(header)) return false;
    place = { segment, position, header: { ...header } };
    return true;
  });
  return place;
}

async function recordsOf({ segment, position, header }: BatchPlace): Promise<readonly LogRecord[]> {
  const batch = new Uint8Array(sizeInBytes(header));
  segment.retain();
  try {
    await segment.handle.pinned((file) => file.readAsync(batch, position));
  } finally {
    segment.release();
  }
  try {
    return decodeBatch(batch, { maxBytes: DECOMPRESSED_BYTES_MAX });
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    // Records that nobody can read, or too many bytes: what the header says is the best answer.
    const { baseOffset, maxTimestamp } = readBatchHeader(batch);
    return [{ offset: baseOffset, timestamp: maxTimestamp, key: null, value: null, headers: [] }];
  }
}

function answer({ header }: BatchPlace, record: LogRecord): TimestampedOffset {
  return { offset: record.offset, timestamp: record.timestamp, leaderEpoch: header.partitionLeaderEpoch };
}
