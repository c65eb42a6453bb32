import type { FileHandle } from './descriptor-cache.ts';
import { IndexFile, int64At, putInt64 } from './index-file.ts';
import type { AbortedTransaction } from './types.ts';

/*
 * `<base offset>.txnindex`, Kafka's index of aborted transactions, big-endian; there is none while a segment has no abort marker:
 *
 *    0 ┌────────────────────────────┐
 *      │ version           int16: 0 │ ┐
 *    2 │ producerId           int64 │ │
 *   10 │ firstOffset          int64 │ │ once per abort marker in the segment: 34 bytes
 *   18 │ lastOffset           int64 │ │   rising: that of the marker
 *   26 │ lastStableOffset     int64 │ ┘
 *   34 ├────────────────────────────┤
 *      │ …                          │
 *
 *   lastStableOffset   where the earliest transaction began that was open behind the marker, else the offset behind it: transactions that are aborted
 *                      later began at or above it
 */
export const ABORTED_ENTRY_BYTES = 34;
const VERSION = 0;
const PRODUCER_ID_AT = 2;
const FIRST_OFFSET_AT = 10;
const LAST_OFFSET_AT = 18;
const LAST_STABLE_OFFSET_AT = 26;

export class AbortedIndex {
  readonly file: IndexFile;

  constructor(handle: FileHandle, storedEntries: number) {
    this.file = new IndexFile(
      handle,
      ABORTED_ENTRY_BYTES,
      (bytes, at, key) => int64At(bytes, at + LAST_OFFSET_AT) <= key,
      storedEntries,
    );
  }

  /** Throws DiskError when a full tail cannot be written. */
  append(aborted: AbortedTransaction): void {
    this.file.makeRoom();
    const at = this.file.push();
    encodeAborted(aborted, this.file.tail, at);
  }

  entry(index: number): AbortedTransaction {
    const { bytes, at } = this.file.entry(index);
    return decodeAborted(bytes, at);
  }

  /**
   * Adds those that have records in [fromOffset, toOffset), or a marker behind such. Returns whether none that is aborted later can have any.
   */
  collect(fromOffset: number, toOffset: number, into: AbortedTransaction[]): boolean {
    const { entries } = this.file;
    for (let index = this.file.floor(fromOffset - 1) + 1; index < entries; index++) {
      const aborted = this.entry(index);
      if (aborted.firstOffset < toOffset) into.push(aborted);
      if (aborted.lastStableOffset >= toOffset) return true;
    }
    return false;
  }

  /** How many of the entries are of markers below the offset. */
  entriesBelow(endOffset: number): number {
    return this.file.floor(endOffset - 1) + 1;
  }
}

export function encodeAborted(aborted: AbortedTransaction, bytes: Uint8Array, at: number): void {
  bytes[at] = 0;
  bytes[at + 1] = VERSION;
  putInt64(bytes, at + PRODUCER_ID_AT, aborted.producerId);
  putInt64(bytes, at + FIRST_OFFSET_AT, aborted.firstOffset);
  putInt64(bytes, at + LAST_OFFSET_AT, aborted.lastOffset);
  putInt64(bytes, at + LAST_STABLE_OFFSET_AT, aborted.lastStableOffset);
}

export function decodeAborted(bytes: Uint8Array, at: number): AbortedTransaction {
  return {
    producerId: int64At(bytes, at + PRODUCER_ID_AT),
    firstOffset: int64At(bytes, at + FIRST_OFFSET_AT),
    lastOffset: int64At(bytes, at + LAST_OFFSET_AT),
    lastStableOffset: int64At(bytes, at + LAST_STABLE_OFFSET_AT),
  };
}
