import type { FileHandle } from './descriptor-cache.ts';
import { IndexFile, int32At, putInt32 } from './index-file.ts';

/*
 * `<base offset>.index`, Kafka's offset index, big-endian:
 *
 *   0 ┌──────────────────────┬──────────────────────┐
 *     │ relativeOffset int32 │ position       int32 │   one per index.interval.bytes of log, both rising
 *   8 ├──────────────────────┼──────────────────────┤
 *     │ …                                           │
 *
 *   relativeOffset   the batch's last offset - the segment's base offset
 *   position         where that batch starts in the .log file
 */
export const OFFSET_ENTRY_BYTES = 8;
const POSITION_AT = 4;

export interface OffsetEntry {
  readonly relativeOffset: number;
  readonly position: number;
}

export class OffsetIndex {
  readonly file: IndexFile;

  constructor(handle: FileHandle, storedEntries: number) {
    this.file = new IndexFile(
      handle,
      OFFSET_ENTRY_BYTES,
      (bytes, at, key) => int32At(bytes, at) <= key,
      storedEntries,
    );
  }

  append(relativeOffset: number, position: number): void {
    const at = this.file.push();
    putInt32(this.file.tail, at, relativeOffset);
    putInt32(this.file.tail, at + POSITION_AT, position);
  }

  /** A position at which a batch starts that is at or before the one with the offset; 0 where the index knows nothing. */
  positionFor(relativeOffset: number): number {
    const index = this.file.floor(relativeOffset);
    return index < 0 ? 0 : this.entry(index).position;
  }

  /** The start of the last indexed batch that starts at or before `position`. Positions rise with offsets. */
  positionAtOrBefore(position: number): number {
    const index = this.indexAtOrBefore(position);
    return index < 0 ? 0 : this.entry(index).position;
  }

  /** The number of the last entry with a position at or below this one, or -1. */
  indexAtOrBefore(position: number): number {
    let low = -1;
    let high = this.file.entries;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.entry(middle).position <= position) low = middle;
      else high = middle;
    }
    return low;
  }

  entry(index: number): OffsetEntry {
    const { bytes, at } = this.file.entry(index);
    return { relativeOffset: int32At(bytes, at), position: int32At(bytes, at + POSITION_AT) };
  }

  /** Removes the entries of batches that start at or after `position`. */
  truncateToPosition(position: number): void {
    this.file.truncate(this.indexAtOrBefore(position - 1) + 1);
  }
}
