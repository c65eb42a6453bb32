import type { BatchHeader, EndTransactionMarker } from '@polylog/record';
import { DiskError } from '../platform/disk.ts';
import { BatchCursor, HEADER_SCAN_BYTES } from './batch-cursor.ts';
import type { PartitionLog } from './log.ts';
import type { Segment } from './segment.ts';
import {
  check,
  DAMAGED,
  examine,
  findEnd,
  firstWithRecords,
  isTrusted,
  locate,
  type RangeEnd,
} from './segment-reader.ts';
import type { LogSlice, ReadOptions, ReadOutcome } from './types.ts';
import { warmHeaders } from './warm-headers.ts';

/** Where recent reads ended, so that sequential consumers need neither index nor scan. */
const RECENT_ENDS_MAX = 64;
const PREPARE_BYTES = 256 * 1024;

interface RecentEnd {
  /** Of the record that follows. */
  readonly offset: number;
  readonly segment: Segment;
  readonly position: number;
}

const EMPTY_SLICE: LogSlice = {
  bytes: 0,
  endOffset: 0,
  hot: true,
  readInto: (target) => assertWithin(target.length === 0),
  readIntoAsync: async (target) => assertWithin(target.length === 0),
  release: () => undefined,
};
const EMPTY: ReadOutcome = { kind: 'records', slice: EMPTY_SLICE };
const OUT_OF_RANGE: ReadOutcome = { kind: 'out-of-range' };
const CORRUPT: ReadOutcome = { kind: 'corrupt' };

interface FoundRange {
  readonly segment: Segment;
  readonly position: number;
  readonly end: RangeEnd;
}

interface LastFound {
  readonly options: ReadOptions;
  readonly found: FoundRange;
  /** Of the segment, when it was found. */
  readonly sizeBytes: number;
  readonly damagedRanges: number;
}

/** Whether a search with these options would find the same again. Cuts and removals make the reader forget. */
function isStillFound({ options, found, sizeBytes, damagedRanges }: LastFound, wanted: ReadOptions): boolean {
  return (
    options.offset === wanted.offset &&
    options.endOffset === wanted.endOffset &&
    options.bytesMax === wanted.bytesMax &&
    options.atLeastOneBatch === wanted.atLeastOneBatch &&
    options.skipEmpty === wanted.skipEmpty &&
    found.segment.sizeBytes === sizeBytes &&
    found.segment.damage.length === damagedRanges
  );
}

export class LogReader {
  readonly #log: PartitionLog;
  /** A ring: the next one takes the place of the oldest. */
  #recent: RecentEnd[] = [];
  #nextRecent = 0;
  /** The last range found: `prepare` and `read` come in pairs. */
  #last: LastFound | undefined;

  constructor(log: PartitionLog) {
    this.#log = log;
  }

  /** After a cut nothing that was found holds any more. */
  forget(): void {
    this.#recent = [];
    this.#nextRecent = 0;
    this.#last = undefined;
  }

  read(options: ReadOptions): ReadOutcome {
    const early = this.#answerWithout(options);
    if (early !== undefined) return early;
    for (;;) {
      const found = this.#find(options);
      if (found === undefined) return CORRUPT;
      const { segment, position, end } = found;
      if (end.position <= position) return EMPTY;
      if (isTrusted(segment, position, end.position)) {
        if (end.nextOffset !== undefined) this.#remember(end.nextOffset, segment, end.position);
        const endOffset = end.nextOffset ?? Math.min(options.endOffset, this.#log.endOffset);
        return { kind: 'records', slice: this.#slice(segment, position, end.position, endOffset) };
      }
      this.#check(segment, position, end.position);
    }
  }

  /** Answers that need no file. */
  #answerWithout({ offset, endOffset }: ReadOptions): ReadOutcome | undefined {
    const log = this.#log;
    if (offset < log.startOffset || offset > log.endOffset) return OUT_OF_RANGE;
    if (offset >= Math.min(endOffset, log.endOffset)) return EMPTY;
    return undefined;
  }

  /** The range to return; undefined if the batch at the offset is damaged. */
  #find(options: ReadOptions): FoundRange | undefined {
    const last = this.#last;
    if (last !== undefined && isStillFound(last, options)) return last.found;
    const { offset } = options;
    const recent = this.#usableRecentAt(offset);
    let segment = recent?.segment ?? this.segmentOf(offset);
    let position = recent?.position ?? locate(segment, offset);
    if (position === DAMAGED) return undefined;
    if (options.skipEmpty === true && this.#mayHaveEmpty)
      ({ segment, position } = this.#behindEmpty(segment, position, options.endOffset));
    const found = { segment, position, end: findEnd(segment, position, options) };
    this.#last = { options, found, sizeBytes: segment.sizeBytes, damagedRanges: segment.damage.length };
    return found;
  }

  /** Only cleaning makes empty batches, here or on the leader of a follower. */
  get #mayHaveEmpty(): boolean {
    return this.#log.config.compaction !== undefined || this.#log.cleanedTo > 0;
  }

  /** The place of the first batch with records from here on; the same place if there is none below `endOffset`, or damage before it. */
  #behindEmpty(from: Segment, position: number, endOffset: number): { segment: Segment; position: number } {
    const { segments } = this.#log;
    const none = { segment: from, position };
    for (let index = segments.indexOf(from), at = position; index < segments.length; index++, at = 0) {
      const segment = segments[index]!;
      const found = firstWithRecords(segment, at, endOffset);
      if (found === undefined) return none;
      if (found < segment.sizeBytes) return { segment, position: found };
    }
    return none;
  }

  /** The segment that has the offset, which must be in the log. */
  segmentOf(offset: number): Segment {
    const { segments } = this.#log;
    let low = 0;
    let high = segments.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (segments[middle]!.baseOffset <= offset) low = middle;
      else high = middle;
    }
    return segments[low]!;
  }

  #check(segment: Segment, from: number, to: number): void {
    const before = segment.damage.length;
    // What it finds changes what a search finds: damage, or an index that led astray.
    this.#last = undefined;
    check(segment, from, to);
    for (const { fromOffset, toOffset, fromPosition, toPosition } of segment.damage.slice(before)) {
      this.#log.context.logger.error(
        { file: segment.handle.path, fromOffset, toOffset, fromPosition, toPosition },
        'Damaged records: they are kept, and reads of them are refused',
      );
    }
  }

  prepare(options: ReadOptions): Promise<void> | undefined {
    if (this.#answerWithout(options) !== undefined) return undefined;
    const recent = this.#usableRecentAt(options.offset);
    const segment = recent?.segment ?? this.segmentOf(options.offset);
    const from = recent?.position ?? segment.offsetIndex.positionFor(options.offset - segment.baseOffset);
    // The tail is in the page cache.
    if (this.#isHot(segment, from)) return this.#prepareFound(options);
    return this.#warm(segment, from, options).then(() => this.#prepareFound(options));
  }

  /**
   * Brings the batch headers that {@link #find} will look at into the page cache, off the event loop: on a busy disk each of them would hold up everybody
   * for milliseconds. What a damaged header leads to does not matter here.
   */
  async #warm(segment: Segment, from: number, { offset, bytesMax }: ReadOptions): Promise<void> {
    segment.retain();
    try {
      const position = await warmHeaders(
        segment,
        from,
        (header) => header.baseOffset + header.lastOffsetDelta >= offset,
      );
      const byBytes = position + bytesMax;
      const end = Math.max(position, segment.offsetIndex.positionAtOrBefore(byBytes));
      await warmHeaders(segment, end, (_header, at) => at >= byBytes);
    } finally {
      segment.release();
    }
  }

  #prepareFound(options: ReadOptions): Promise<void> | undefined {
    // It may have changed while headers were read.
    if (this.#log.closed || this.#answerWithout(options) !== undefined) return undefined;
    const found = this.#find(options);
    if (found === undefined || found.end.position <= found.position) return undefined;
    const { segment, position, end } = found;
    return isTrusted(segment, position, end.position)
      ? undefined
      : this.#prepare(segment, position, end.position);
  }

  /** Brings the range into the page cache off the event loop; the check itself then costs only computing. */
  async #prepare(segment: Segment, from: number, to: number): Promise<void> {
    const { cuts } = segment;
    const buffer = new Uint8Array(Math.min(PREPARE_BYTES, to - from));
    segment.retain();
    try {
      for (let at = from; at < to; at += buffer.length) {
        const part = buffer.subarray(0, Math.min(buffer.length, to - at));
        await segment.handle.pinned((file) => file.readAsync(part, at));
      }
    } finally {
      segment.release();
    }
    if (segment.cuts === cuts && !this.#log.closed) this.#check(segment, from, to);
  }

  #recentAt(offset: number): RecentEnd | undefined {
    const recent = this.#recent;
    for (let at = 0; at < recent.length; at++) if (recent[at]!.offset === offset) return recent[at];
    return undefined;
  }

  /** Unless nothing follows it in its segment, or only damage. */
  #usableRecentAt(offset: number): RecentEnd | undefined {
    const recent = this.#recentAt(offset);
    if (recent === undefined) return undefined;
    const { segment, position } = recent;
    const isUsable =
      position < segment.sizeBytes && !segment.damage.some((one) => one.fromPosition === position);
    return isUsable ? recent : undefined;
  }

  #remember(offset: number, segment: Segment, position: number): void {
    if (this.#recentAt(offset) !== undefined) return;
    this.#recent[this.#nextRecent] = { offset, segment, position };
    this.#nextRecent = (this.#nextRecent + 1) % RECENT_ENDS_MAX;
  }

  #slice(segment: Segment, from: number, to: number, endOffset: number): LogSlice {
    const range = { position: from, bytes: to - from, endOffset };
    return new FileSlice(segment, range, this.#isHot(segment, from));
  }

  /** A guess by the segment's last append: bytes of other logs may lie between. */
  #isHot(segment: Segment, from: number): boolean {
    const { appendedBytes, config } = this.#log.context;
    const newerBytes = appendedBytes - segment.appendedTotal + (segment.sizeBytes - from);
    return segment.appendedTotal >= 0 && newerBytes <= config.hotBytes && from >= segment.writtenFrom;
  }

  scanHeaders(
    fromOffset: number,
    visit: (header: BatchHeader, marker: EndTransactionMarker | undefined) => void,
  ): void {
    const log = this.#log;
    const { endOffset } = log;
    if (fromOffset >= endOffset || log.segments.length === 0) return;
    const first = this.segmentOf(Math.max(fromOffset, log.startOffset));
    const cursor = new BatchCursor(HEADER_SCAN_BYTES);
    for (const segment of log.segments.slice(log.segments.indexOf(first))) {
      scanSegment(segment, cursor, fromOffset, (header) => {
        visit(header, cursor.marker());
        return false;
      });
    }
  }
}

/** Visits the headers of the batches that end above `fromOffset`, but for damaged ones, until `visit` returns true. Throws DiskError. */
export function scanSegment(
  segment: Segment,
  cursor: BatchCursor,
  fromOffset: number,
  visit: (header: BatchHeader, position: number) => boolean,
): void {
  cursor.seek(segment.handle, 0, segment.sizeBytes, segment.baseOffset);
  if (fromOffset > segment.baseOffset) {
    const position = locate(segment, fromOffset);
    if (position !== DAMAGED) cursor.seek(segment.handle, position, segment.sizeBytes, -1);
  }
  for (;;) {
    const range = segment.damage.find((one) => one.fromPosition === cursor.nextPosition);
    if (range !== undefined) cursor.skipTo(range.toPosition, range.toOffset);
    else if (cursor.next()) {
      if (cursor.expectedOffset > fromOffset && visit(cursor.header, cursor.position)) return;
    } else if (cursor.fault) {
      const before = segment.damage.length;
      const { position } = cursor;
      examine(segment);
      if (segment.damage.length === before)
        throw new Error(`${segment.handle.path}: a header at ${position} changed while it was read`);
      cursor.skipTo(position, cursor.expectedOffset);
    } else return;
  }
}

class FileSlice implements LogSlice {
  readonly bytes: number;
  readonly endOffset: number;
  readonly hot: boolean;
  readonly #segment: Segment;
  readonly #position: number;
  #released = false;

  constructor(
    segment: Segment,
    range: { readonly position: number; readonly bytes: number; readonly endOffset: number },
    hot: boolean,
  ) {
    this.#segment = segment;
    this.#position = range.position;
    this.bytes = range.bytes;
    this.endOffset = range.endOffset;
    this.hot = hot;
    segment.retain();
  }

  readInto(target: Uint8Array, at: number): void {
    this.#assertUsable(target, at);
    const read = this.#segment.handle.file().read(target, this.#position + at);
    if (read < target.length) throw this.#short();
  }

  async readIntoAsync(target: Uint8Array, at: number): Promise<void> {
    this.#assertUsable(target, at);
    const read = await this.#segment.handle.pinned((file) => file.readAsync(target, this.#position + at));
    if (read < target.length) throw this.#short();
  }

  #assertUsable(target: Uint8Array, at: number): void {
    assertWithin(!this.#released && at >= 0 && at + target.length <= this.bytes);
  }

  #short(): DiskError {
    return new DiskError({
      code: 'EIO',
      operation: 'read',
      path: this.#segment.handle.path,
      detail: 'the records were truncated while they were read',
    });
  }

  release(): void {
    assertWithin(!this.#released);
    this.#released = true;
    this.#segment.release();
  }
}

function assertWithin(condition: boolean): void {
  if (!condition) throw new RangeError('a slice is read outside of its bytes, or after its release');
}
