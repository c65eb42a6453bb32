import type { FileHandle } from './descriptor-cache.ts';
import { IndexFile, int32At, int64At, putInt32, putInt64 } from './index-file.ts';

/*
 * `<base offset>.timeindex`, Kafka's time index, big-endian:
 *
 *    0 ┌─────────────────────────────┬──────────────────────┐
 *      │ timestamp          int64 ms │ relativeOffset int32 │   both rising
 *   12 ├─────────────────────────────┼──────────────────────┤
 *      │ …                                                  │
 *
 *   timestamp        the largest in the segment up to where the entry was added, with each entry of the offset index and at the roll
 *   relativeOffset   the last offset of the first batch that has it - the segment's base offset
 */
export const TIME_ENTRY_BYTES = 12;
const RELATIVE_OFFSET_AT = 8;

export interface TimeEntry {
  readonly timestamp: number;
  readonly relativeOffset: number;
}

export class TimeIndex {
  readonly file: IndexFile;
  /** The timestamp of the last entry; -1 if there is none. */
  #lastTimestamp: number;

  constructor(handle: FileHandle, storedEntries: number) {
    this.file = new IndexFile(
      handle,
      TIME_ENTRY_BYTES,
      (bytes, at, key) => int64At(bytes, at) <= key,
      storedEntries,
    );
    this.#lastTimestamp = storedEntries === 0 ? -1 : this.entry(storedEntries - 1).timestamp;
  }

  /** Adds an entry if the timestamp is larger than the last one's. */
  maybeAppend(timestamp: number, relativeOffset: number): void {
    if (timestamp <= this.#lastTimestamp) return;
    const at = this.file.push();
    putInt64(this.file.tail, at, timestamp);
    putInt32(this.file.tail, at + RELATIVE_OFFSET_AT, relativeOffset);
    this.#lastTimestamp = timestamp;
  }

  /** An offset before which (inclusive) all timestamps are at most this one; 0 where the index knows nothing. */
  relativeOffsetFor(timestamp: number): number {
    const index = this.file.floor(timestamp);
    return index < 0 ? 0 : this.entry(index).relativeOffset;
  }

  entry(index: number): TimeEntry {
    const { bytes, at } = this.file.entry(index);
    return { timestamp: int64At(bytes, at), relativeOffset: int32At(bytes, at + RELATIVE_OFFSET_AT) };
  }

  /** Removes the entries whose batch is at or above the offset. */
  truncateToOffset(relativeOffset: number): void {
    let low = -1;
    let high = this.file.entries;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.entry(middle).relativeOffset < relativeOffset) low = middle;
      else high = middle;
    }
    this.truncateToEntries(low + 1);
  }

  truncateToEntries(entries: number): void {
    this.file.truncate(entries);
    this.#lastTimestamp = entries === 0 ? -1 : this.entry(entries - 1).timestamp;
  }
}
