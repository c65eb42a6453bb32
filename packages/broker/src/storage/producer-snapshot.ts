import { crc32cRange, Reader, Writer } from '@polylog/bytes';
import type { Disk } from '../platform/disk.ts';
import { readWholeFile } from './checkpoint-files.ts';
import { segmentName } from './segment.ts';
import type { ProducerSnapshotEntry } from './types.ts';

/*
 * `<offset>.snapshot`, Kafka's ProducerSnapshot version 1, big-endian: the producers' state before the record at that offset.
 *
 *    0 ┌────────────────────────────┐
 *      │ version           int16: 1 │
 *    2 ├────────────────────────────┤
 *      │ crc                 uint32 │   CRC-32C of all that follows
 *    6 ├────────────────────────────┤
 *      │ entries              int32 │
 *   10 ├────────────────────────────┤
 *      │ producerId           int64 │ ┐
 *      │ epoch                int16 │ │
 *      │ lastSequence         int32 │ │
 *      │ lastOffset           int64 │ │ once per producer: 46 bytes
 *      │ offsetDelta          int32 │ │
 *      │ timestamp         int64 ms │ │
 *      │ coordinatorEpoch     int32 │ │
 *      │ currentTxnFirstOffset      │ │
 *      │               int64, or -1 │ ┘
 */
const VERSION = 1;
const CRC_AT = 2;
const ENTRIES_AT = 6;
const HEADER_BYTES = 10;
const ENTRY_BYTES = 46;

const SUFFIX = '.snapshot';
const NAME = /^(\d{20})\.snapshot$/;
/** A torn newest one leaves an older one to start from. */
const SNAPSHOTS_KEPT = 2;

export function encodeSnapshot(entries: readonly ProducerSnapshotEntry[]): Uint8Array {
  const writer = new Writer(HEADER_BYTES + entries.length * ENTRY_BYTES);
  writer.int16(VERSION);
  writer.uint32(0);
  writer.int32(entries.length);
  for (const entry of entries) {
    writer.int64(entry.producerId);
    writer.int16(entry.producerEpoch);
    writer.int32(entry.lastSequence);
    writer.int64(entry.lastOffset);
    writer.int32(entry.offsetDelta);
    writer.int64(entry.timestamp);
    writer.int32(entry.coordinatorEpoch);
    writer.int64(entry.currentTxnFirstOffset);
  }
  const bytes = writer.finish();
  const crc = crc32cRange(bytes, ENTRIES_AT, bytes.length);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(CRC_AT, crc);
  return bytes;
}

/** Undefined if the bytes are no whole snapshot. */
export function decodeSnapshot(bytes: Uint8Array): ProducerSnapshotEntry[] | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const reader = new Reader(bytes);
  if (reader.int16() !== VERSION) return undefined;
  if (reader.uint32() !== crc32cRange(bytes, ENTRIES_AT, bytes.length)) return undefined;
  const count = reader.int32();
  if (bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) return undefined;
  return Array.from({ length: count }, () => ({
    producerId: reader.int64(),
    producerEpoch: reader.int16(),
    lastSequence: reader.int32(),
    lastOffset: reader.int64(),
    offsetDelta: reader.int32(),
    timestamp: reader.int64(),
    coordinatorEpoch: reader.int32(),
    currentTxnFirstOffset: reader.int64(),
  }));
}

/**
 * Durable when it returns: once older segments are removed, a snapshot is all that is left of their producers. Keeps the newest ones, and
 * of those that a loss of power cannot make void, because they lie above the end that it leaves, {@link SNAPSHOTS_KEPT}. Throws DiskError.
 */
export function writeSnapshot(
  disk: Disk,
  folder: string,
  snapshot: { readonly offset: number; readonly entries: readonly ProducerSnapshotEntry[] },
  durableOffset: number,
): void {
  const file = disk.open(`${folder}/${segmentName(snapshot.offset)}${SUFFIX}`, 'create');
  try {
    const bytes = encodeSnapshot(snapshot.entries);
    file.write([bytes], 0);
    file.truncate(bytes.length);
    file.datasync();
  } finally {
    file.close();
  }
  disk.syncDirectory(folder);
  const safe = snapshotOffsets(disk, folder).filter((one) => one <= durableOffset);
  const oldestKept = safe[SNAPSHOTS_KEPT - 1] ?? 0;
  removeSnapshots(disk, folder, (one) => one < oldestKept);
}

/** Whether the producers of what lies below `offset` are known without it, also after a loss of power. Throws DiskError. */
export function hasSnapshotFrom(disk: Disk, folder: string, offset: number, durableOffset: number): boolean {
  return (newestSnapshot(disk, folder, durableOffset)?.offset ?? -1) >= offset;
}

/** Newest first. */
function snapshotOffsets(disk: Disk, folder: string): number[] {
  if (disk.stat(folder) === undefined) return [];
  const offsets: number[] = [];
  for (const name of disk.list(folder)) {
    const match = NAME.exec(name);
    if (match !== null) offsets.push(Number(match[1]));
  }
  return offsets.sort((a, b) => b - a);
}

/** The newest valid snapshot at or below the offset. Throws DiskError. */
export function newestSnapshot(
  disk: Disk,
  folder: string,
  endOffset: number,
): { readonly offset: number; readonly entries: ProducerSnapshotEntry[] } | undefined {
  for (const offset of snapshotOffsets(disk, folder)) {
    if (offset > endOffset) continue;
    const bytes = readWholeFile(disk, `${folder}/${segmentName(offset)}${SUFFIX}`);
    const entries = bytes === undefined ? undefined : decodeSnapshot(bytes);
    if (entries !== undefined) return { offset, entries };
  }
  return undefined;
}

/** Returns whether there were any; the caller syncs the folder if they must not come back. Throws DiskError. */
export function removeSnapshots(disk: Disk, folder: string, which: (offset: number) => boolean): boolean {
  const removed = snapshotOffsets(disk, folder).filter(which);
  for (const offset of removed) disk.remove(`${folder}/${segmentName(offset)}${SUFFIX}`);
  return removed.length > 0;
}
