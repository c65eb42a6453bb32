import type { Disk, DiskFile } from '../../platform/disk.ts';
import { ABORTED_ENTRY_BYTES, decodeAborted } from '../aborted-index.ts';
import { ABORTED_INDEX_SUFFIX, segmentName } from '../segment.ts';
import type { AbortedTransaction } from '../types.ts';
import { CleaningError, type SegmentToClean } from './types.ts';

/** Entries read at a time. */
const READ_ENTRIES = 256;

/**
 * Tells, for batches in the order of the log, whether their transaction was aborted: from the segments' indexes, of which it reads only as far as entries may
 * concern the present batch, and what the log knows of markers behind those segments. Only for what lies below the last
 * stable offset, where every transaction has ended.
 */
export class TransactionFates {
  readonly #disk: Disk;
  readonly #folder: string;
  readonly #segments: readonly SegmentToClean[];
  readonly #beyond: readonly AbortedTransaction[];
  readonly #buffer = new Uint8Array(READ_ENTRIES * ABORTED_ENTRY_BYTES);
  /** The buffer's entries [#at, #count), of the segment before number `#nextSegment`. */
  #at = 0;
  #count = 0;
  #nextSegment: number;
  #file: DiskFile | undefined;
  #filePosition = 0;
  #entriesLeft = 0;
  #nextBeyond = 0;
  /** Transactions that were aborted later than those that were read began at or above it. */
  #readTo = 0;
  /** What was read and not passed, by producer, in the order of the markers. */
  readonly #byProducer = new Map<number, AbortedTransaction[]>();

  /** @param firstSegment where the first batch is that will be asked about */
  constructor(
    disk: Disk,
    request: {
      readonly folder: string;
      readonly segments: readonly SegmentToClean[];
      readonly abortedBeyond: readonly AbortedTransaction[];
    },
    firstSegment = 0,
  ) {
    this.#disk = disk;
    this.#folder = request.folder;
    this.#segments = request.segments;
    this.#beyond = request.abortedBeyond;
    this.#nextSegment = firstSegment;
  }

  /** The transaction of the producer that was aborted and has records, or its marker, at the offset; undefined if there is none. Throws DiskError. */
  abortedAt(producerId: number, offset: number): AbortedTransaction | undefined {
    while (this.#readTo <= offset) {
      const read = this.#read();
      if (read === undefined) {
        this.#readTo = Infinity;
        break;
      }
      this.#readTo = read.lastStableOffset;
      const known = this.#byProducer.get(read.producerId);
      if (known === undefined) this.#byProducer.set(read.producerId, [read]);
      else known.push(read);
    }
    this.pass(producerId, offset - 1);
    const next = this.#byProducer.get(producerId)?.[0];
    return next !== undefined && next.firstOffset <= offset ? next : undefined;
  }

  /** The producer's marker at the offset was passed: what it ended concerns nothing that follows. */
  pass(producerId: number, offset: number): void {
    const ahead = this.#byProducer.get(producerId);
    if (ahead === undefined) return;
    while (ahead.length > 0 && ahead[0]!.lastOffset <= offset) ahead.shift();
    if (ahead.length === 0) this.#byProducer.delete(producerId);
  }

  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #read(): AbortedTransaction | undefined {
    while (this.#at === this.#count) {
      if (this.#entriesLeft > 0) this.#fill();
      else if (!this.#openNext()) return this.#beyond[this.#nextBeyond++];
    }
    return decodeAborted(this.#buffer, this.#at++ * ABORTED_ENTRY_BYTES);
  }

  #openNext(): boolean {
    this.close();
    while (this.#nextSegment < this.#segments.length) {
      const { baseOffset, abortedEntries } = this.#segments[this.#nextSegment++]!;
      if (abortedEntries === 0) continue;
      const path = `${this.#folder}/${segmentName(baseOffset)}${ABORTED_INDEX_SUFFIX}`;
      this.#file = this.#disk.open(path, 'read');
      this.#filePosition = 0;
      this.#entriesLeft = abortedEntries;
      return true;
    }
    return false;
  }

  #fill(): void {
    const file = this.#file!;
    const count = Math.min(READ_ENTRIES, this.#entriesLeft);
    const target = this.#buffer.subarray(0, count * ABORTED_ENTRY_BYTES);
    if (file.read(target, this.#filePosition) < target.length)
      throw new CleaningError('corrupt', `${file.path}: ${this.#entriesLeft} entries are missing`);
    this.#filePosition += target.length;
    this.#entriesLeft -= count;
    this.#at = 0;
    this.#count = count;
  }
}
