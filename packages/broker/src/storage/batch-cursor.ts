import { crc32c } from '@polylog/bytes';
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_MIN,
  type BatchHeader,
  CONTROL_BATCH_BYTES_MAX,
  emptyBatchHeader,
  endTransactionOf,
  type EndTransactionMarker,
  isControl,
  MAGIC_V2,
  readBatchHeaderInto,
  sizeInBytes,
  verifyCrc,
} from '@polylog/record';
import type { FileHandle } from './descriptor-cache.ts';

/** Enough for many small batches; a header is all that is needed of large ones. */
export const HEADER_SCAN_BYTES = 8 * 1024;
/** For scans that read the batches whole, to check them. */
export const FULL_SCAN_BYTES = 256 * 1024;

/** Offset unknown: the first batch may have any. */
export const ANY_OFFSET = -1;

/**
 * Walks the batches of a file by their headers. It stops (`next` returns false) at the limit, or where the bytes are not a
 * batch that continues the offsets: then `fault` is set. Logs are dense here: each batch starts where the one before ended.
 */
export class BatchCursor {
  /** The present batch's; the object is reused. */
  readonly header: BatchHeader = emptyBatchHeader();
  /** Where the present batch starts, or, when `next` has returned false, where it would. */
  position = 0;
  fault = false;
  /** The offset that the next batch must have, or ANY_OFFSET. */
  expectedOffset = ANY_OFFSET;
  readonly #buffer: Uint8Array;
  #handle: FileHandle | undefined;
  #limit = 0;
  #nextPosition = 0;
  /** The buffer holds the file's bytes [#bufferStart, #bufferEnd). */
  #bufferStart = 0;
  #bufferEnd = 0;

  constructor(bufferBytes: number) {
    this.#buffer = new Uint8Array(bufferBytes);
  }

  /** Starts at a position where a batch starts; the batches must end at or before `limit`. */
  seek(handle: FileHandle, position: number, limit: number, expectedOffset: number): void {
    this.#handle = handle;
    this.#limit = limit;
    this.position = position;
    this.#nextPosition = position;
    this.expectedOffset = expectedOffset;
    this.fault = false;
    this.#bufferStart = this.#bufferEnd = position;
  }

  /** Goes on behind a range that is no batch. */
  skipTo(position: number, expectedOffset: number): void {
    this.position = position;
    this.#nextPosition = position;
    this.expectedOffset = expectedOffset;
    this.fault = false;
  }

  /** Moves to the next batch. Throws DiskError. */
  next(): boolean {
    const position = this.#nextPosition;
    this.position = position;
    if (position >= this.#limit) return false;
    const { header } = this;
    if (this.#limit - position < BATCH_HEADER_BYTES || !this.#fill(position, BATCH_HEADER_BYTES))
      return this.#stop();
    readBatchHeaderInto(header, this.#buffer, position - this.#bufferStart);
    if (!isPlausible(header, this.#limit - position)) return this.#stop();
    if (this.expectedOffset !== ANY_OFFSET && header.baseOffset !== this.expectedOffset) return this.#stop();
    this.#nextPosition = position + sizeInBytes(header);
    this.expectedOffset = header.baseOffset + header.lastOffsetDelta + 1;
    return true;
  }

  #stop(): false {
    this.fault = true;
    return false;
  }

  get nextPosition(): number {
    return this.#nextPosition;
  }

  /** What the present batch says if it ends a transaction; undefined also where it is damaged: a flipped bit could abort what was committed. Throws DiskError. */
  marker(): EndTransactionMarker | undefined {
    const { header, position } = this;
    const bytes = this.#nextPosition - position;
    if (!isControl(header.attributes) || bytes > Math.min(CONTROL_BATCH_BYTES_MAX, this.#buffer.length))
      return undefined;
    if (!this.#fill(position, bytes)) return undefined;
    const batch = this.#buffer.subarray(position - this.#bufferStart, position - this.#bufferStart + bytes);
    return verifyCrc(batch) ? endTransactionOf(batch, header) : undefined;
  }

  /** Reads the present batch and compares its CRC. Throws DiskError. */
  crcMatches(): boolean {
    const end = this.#nextPosition;
    let crc = 0;
    for (let at = this.position + ATTRIBUTES_AT; at < end;) {
      if (at < this.#bufferStart || at >= this.#bufferEnd) {
        if (!this.#fill(at, 1)) return false;
      }
      const count = Math.min(end, this.#bufferEnd) - at;
      const start = at - this.#bufferStart;
      crc = crc32c(this.#buffer.subarray(start, start + count), crc);
      at += count;
    }
    return crc === this.header.crc;
  }

  /** Makes the buffer hold `bytes` bytes from `position`; false if the file is too short. */
  #fill(position: number, bytes: number): boolean {
    if (position >= this.#bufferStart && position + bytes <= this.#bufferEnd) return true;
    const wanted = Math.min(this.#buffer.length, this.#limit - position);
    const read = this.#handle!.file().read(this.#buffer.subarray(0, wanted), position);
    this.#bufferStart = position;
    this.#bufferEnd = position + read;
    return read >= bytes;
  }
}

/** Whether these can be the fields of a batch that has at most so many bytes. */
export function isPlausible(header: BatchHeader, bytesMax: number): boolean {
  return (
    header.magic === MAGIC_V2 &&
    header.batchLength >= BATCH_LENGTH_MIN &&
    sizeInBytes(header) <= bytesMax &&
    header.lastOffsetDelta >= 0 &&
    header.baseOffset >= 0 &&
    Number.isSafeInteger(header.baseOffset)
  );
}
