import {
  type BatchHeader,
  BATCH_HEADER_BYTES,
  emptyBatchHeader,
  readBatchHeaderInto,
  sizeInBytes,
  verifyCrc,
} from '@polylog/record';
import type { Disk, DiskFile } from '../../platform/disk.ts';
import { isPlausible } from '../batch-cursor.ts';
import { CleaningError } from './types.ts';

/** Read at once; a larger batch gets a larger buffer. */
const READ_BYTES = 1024 * 1024;
const LARGE_BUFFER_BYTES = 4 * READ_BYTES;

/** Reads a segment's batches one after the other, whole, and checks their offsets and CRCs. One buffer serves many segments. */
export class SegmentScan {
  /** The present batch's; the object is reused. */
  readonly header: BatchHeader = emptyBatchHeader();
  /** The present batch; valid until the next call. */
  batch: Uint8Array = new Uint8Array(0);
  bytesRead = 0;
  readonly #disk: Disk;
  #buffer = new Uint8Array(READ_BYTES);
  /** The buffer holds the file's bytes [#start, #end). */
  #start = 0;
  #end = 0;
  #position = 0;
  #expectedOffset = 0;
  #endOffset = 0;
  #sizeBytes = 0;
  #file: DiskFile | undefined;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** Throws DiskError. */
  open(path: string, segment: { baseOffset: number; endOffset: number; sizeBytes: number }): void {
    this.close();
    this.#file = this.#disk.open(path, 'read');
    this.#start = this.#end = this.#position = 0;
    this.#expectedOffset = segment.baseOffset;
    this.#endOffset = segment.endOffset;
    this.#sizeBytes = segment.sizeBytes;
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  /** Moves to the next batch; false behind the last one. Throws DiskError, CleaningError `corrupt`. */
  next(): boolean {
    if (this.#position >= this.#sizeBytes) {
      if (this.#expectedOffset !== this.#endOffset)
        throw this.#corrupt(`the segment ends at ${this.#expectedOffset}`);
      return false;
    }
    const { header } = this;
    if (!this.#fill(BATCH_HEADER_BYTES)) throw this.#corrupt('a cut header');
    readBatchHeaderInto(header, this.#buffer, this.#position - this.#start);
    if (!isPlausible(header, this.#sizeBytes - this.#position)) throw this.#corrupt('no header of a batch');
    if (header.baseOffset !== this.#expectedOffset)
      throw this.#corrupt(`a batch at ${header.baseOffset} instead of ${this.#expectedOffset}`);
    const bytes = sizeInBytes(header);
    if (!this.#fill(bytes)) throw this.#corrupt('a cut batch');
    const at = this.#position - this.#start;
    this.batch = this.#buffer.subarray(at, at + bytes);
    if (!verifyCrc(this.batch)) throw this.#corrupt(`the batch at ${header.baseOffset} has another CRC`);
    this.#position += bytes;
    this.#expectedOffset = header.baseOffset + header.lastOffsetDelta + 1;
    return true;
  }

  #corrupt(detail: string): CleaningError {
    return new CleaningError('corrupt', `${this.#file?.path}: ${detail}, at position ${this.#position}`);
  }

  /** Makes the buffer hold `bytes` bytes from the position on; false if the file is too short. */
  #fill(bytes: number): boolean {
    if (this.#position + bytes <= this.#end) return true;
    const kept = this.#buffer.subarray(this.#position - this.#start, this.#end - this.#start);
    const size = sizeFor(bytes, this.#buffer.length);
    if (size === this.#buffer.length) {
      this.#buffer.copyWithin(0, this.#position - this.#start, this.#end - this.#start);
    } else {
      this.#buffer = new Uint8Array(size);
      this.#buffer.set(kept);
    }
    this.#start = this.#position;
    const wanted = Math.min(size, this.#sizeBytes - this.#start);
    const read = this.#file!.read(this.#buffer.subarray(kept.length, wanted), this.#start + kept.length);
    this.bytesRead += read;
    this.#end = this.#start + kept.length + read;
    return this.#position + bytes <= this.#end;
  }
}

/** What a very large batch needed is not kept for good. */
function sizeFor(bytes: number, present: number): number {
  if (bytes > present) return bytes;
  return present > LARGE_BUFFER_BYTES ? Math.max(bytes, READ_BYTES) : present;
}
