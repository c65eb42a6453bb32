import type { Disk } from '../../platform/disk.ts';
import { DescriptorCache } from '../descriptor-cache.ts';
import {
  CLEANED_SUFFIX,
  Segment,
  SEGMENT_BYTES_MAX,
  SEGMENT_SUFFIXES,
  segmentName,
  type SegmentSummary,
} from '../segment.ts';
import type { AbortedTransaction } from '../types.ts';
import { CleaningError } from './types.ts';

/** Gathered before it is written. */
const WRITE_BYTES = 1024 * 1024;
/** Synced at a time: the group commit's syncs of the journal wait behind what a file system has to bring to the disk. */
const SYNC_BYTES = 16 * 1024 * 1024;
const OPEN_FILES_MAX = 8;

/** Writes the files of a cleaned segment, `<base offset>.log.cleaned` and its indexes. All methods throw DiskError. */
export class CleanedSegmentWriter {
  readonly #segment: Segment;
  readonly #cache: DescriptorCache;
  readonly #indexIntervalBytes: number;
  readonly #buffer = new Uint8Array(WRITE_BYTES);
  #buffered = 0;
  #written = 0;
  #synced = 0;

  constructor(options: {
    readonly disk: Disk;
    readonly folder: string;
    readonly baseOffset: number;
    readonly indexIntervalBytes: number;
    readonly modifiedMs: number;
  }) {
    const { disk, folder, baseOffset, modifiedMs } = options;
    this.#cache = new DescriptorCache(disk, OPEN_FILES_MAX);
    this.#indexIntervalBytes = options.indexIntervalBytes;
    this.#segment = Segment.empty(this.#cache, folder, baseOffset, modifiedMs, CLEANED_SUFFIX);
    this.#segment.handle.create();
    this.#segment.dropAborted();
  }

  get bytesWritten(): number {
    return this.#written;
  }

  /** The bytes are copied. Throws CleaningError `too-large`: more than a segment can hold. */
  append(batch: Uint8Array, lastOffset: number, maxTimestamp: number): void {
    const segment = this.#segment;
    if (segment.sizeBytes + batch.length > SEGMENT_BYTES_MAX)
      throw new CleaningError(
        'too-large',
        `${segment.handle.path}: batches grew beyond ${SEGMENT_BYTES_MAX} bytes`,
      );
    segment.accept(lastOffset, maxTimestamp, batch.length, this.#indexIntervalBytes);
    if (this.#buffered + batch.length > WRITE_BYTES) this.#flush();
    if (batch.length > WRITE_BYTES) return this.#write(batch);
    this.#buffer.set(batch, this.#buffered);
    this.#buffered += batch.length;
  }

  /** Indexes the transaction whose marker was appended last. */
  appendAborted(aborted: AbortedTransaction): void {
    this.#segment.acceptAborted(aborted);
  }

  #flush(): void {
    if (this.#buffered === 0) return;
    this.#write(this.#buffer.subarray(0, this.#buffered));
    this.#buffered = 0;
  }

  #write(bytes: Uint8Array): void {
    const file = this.#segment.handle.file();
    file.write([bytes], this.#written);
    this.#written += bytes.length;
    if (this.#written - this.#synced < SYNC_BYTES) return;
    file.datasync();
    this.#synced = this.#written;
  }

  /** Makes all of it durable, but for the directory entries. */
  finish(): SegmentSummary {
    this.#flush();
    const segment = this.#segment;
    segment.handle.file().datasync();
    segment.finish();
    segment.offsetIndex.file.handle.file().datasync();
    segment.timeIndex.file.handle.file().datasync();
    if (segment.abortedEntries > 0) segment.abortedIndex.file.handle.file().datasync();
    this.#cache.closeAll();
    return segment.summary();
  }

  discard(): void {
    this.#cache.closeAll();
    removeCleaned(this.#cache.disk, this.#segment.folder, this.#segment.baseOffset);
  }
}

/** Removes the files of a cleaned segment that takes nobody's place. Throws DiskError. */
export function removeCleaned(disk: Disk, folder: string, baseOffset: number): void {
  for (const suffix of SEGMENT_SUFFIXES)
    disk.remove(`${folder}/${segmentName(baseOffset)}${suffix}${CLEANED_SUFFIX}`);
}
