import { BatchCursor, FULL_SCAN_BYTES } from './batch-cursor.ts';
import { PartitionLog } from './log.ts';
import type { Segment } from './segment.ts';
import type { Log } from './types.ts';

/**
 * Reads a log as a whole and checks it: CRCs, dense offsets, and that each index entry says what its batch says. Damage that is already
 * known counts too. Returns what is wrong, in words; empty if nothing is. Synchronous: for tests and tools. Throws DiskError.
 */
export function verifyLog(log: Log): string[] {
  if (!(log instanceof PartitionLog)) throw new TypeError('verifyLog takes a log of openLogStore');
  const faults: string[] = [];
  let expected = log.segments[0]?.baseOffset;
  for (const segment of log.segments) {
    if (segment.baseOffset !== expected)
      faults.push(`${segment.handle.path}: the segment before ends at ${expected}`);
    verifySegment(segment, faults);
    expected = segment.endOffset;
  }
  if (expected !== undefined && expected !== log.endOffset)
    faults.push(`${log.folder}: the last segment ends at ${expected}, the log at ${log.endOffset}`);
  return faults;
}

/** What the index entries are compared with. */
interface SeenBatch {
  readonly position: number;
  readonly maxTimestamp: number;
}

function verifySegment(segment: Segment, faults: string[]): void {
  const { path } = segment.handle;
  const batches = new Map<number, SeenBatch>();
  const cursor = new BatchCursor(FULL_SCAN_BYTES);
  cursor.seek(segment.handle, 0, segment.sizeBytes, segment.baseOffset);
  let maxTimestamp = -1;
  for (;;) {
    const damage = segment.damage.find((range) => range.fromPosition === cursor.nextPosition);
    if (damage !== undefined) {
      faults.push(`${path}: offsets ${damage.fromOffset} to ${damage.toOffset} are damaged`);
      cursor.skipTo(damage.toPosition, damage.toOffset);
    } else if (cursor.next()) {
      const { header, position, expectedOffset } = cursor;
      if (!cursor.crcMatches()) faults.push(`${path}: the batch at ${header.baseOffset} has another CRC`);
      batches.set(expectedOffset - 1, { position, maxTimestamp: header.maxTimestamp });
      maxTimestamp = Math.max(maxTimestamp, header.maxTimestamp);
    } else break;
  }
  if (cursor.fault) faults.push(`${path}: no batch at position ${cursor.position}`);
  if (cursor.expectedOffset !== segment.endOffset)
    faults.push(`${path}: does not end at ${segment.endOffset}`);
  if (segment.damage.length === 0 && maxTimestamp !== segment.maxTimestamp)
    faults.push(`${path}: the largest timestamp is ${maxTimestamp}, not ${segment.maxTimestamp}`);
  const fileBytes = segment.handle.file().size();
  if (fileBytes !== segment.sizeBytes)
    faults.push(`${path}: has ${fileBytes} bytes instead of ${segment.sizeBytes}`);
  verifyOffsetIndex(segment, batches, faults);
  verifyTimeIndex(segment, batches, faults);
}

function verifyOffsetIndex(
  segment: Segment,
  batches: ReadonlyMap<number, SeenBatch>,
  faults: string[],
): void {
  const { file } = segment.offsetIndex;
  let last = -1;
  for (let index = 0; index < file.entries; index++) {
    const { relativeOffset, position } = segment.offsetIndex.entry(index);
    const batch = batches.get(segment.baseOffset + relativeOffset);
    if (batch?.position !== position)
      faults.push(`${file.handle.path}: entry ${index} (${relativeOffset}, ${position}) has no such batch`);
    if (relativeOffset <= last) faults.push(`${file.handle.path}: entry ${index} does not rise`);
    last = relativeOffset;
  }
}

function verifyTimeIndex(segment: Segment, batches: ReadonlyMap<number, SeenBatch>, faults: string[]): void {
  const { file } = segment.timeIndex;
  let last = { timestamp: -1, relativeOffset: -1 };
  for (let index = 0; index < file.entries; index++) {
    const entry = segment.timeIndex.entry(index);
    const batch = batches.get(segment.baseOffset + entry.relativeOffset);
    if (batch?.maxTimestamp !== entry.timestamp)
      faults.push(`${file.handle.path}: entry ${index} (${entry.timestamp}) is not its batch's timestamp`);
    if (entry.timestamp <= last.timestamp || entry.relativeOffset < last.relativeOffset)
      faults.push(`${file.handle.path}: entry ${index} does not rise`);
    last = entry;
  }
}
