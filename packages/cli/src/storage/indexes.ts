import { readFile } from 'node:fs/promises';
import type { BatchHeader } from '@polylog/record';

const OFFSET_ENTRY_BYTES = 8;
const TIME_ENTRY_BYTES = 12;
/** An index larger than this belongs to no segment that anyone writes: entries are at least one per KiB of log. */
const INDEX_BYTES_MAX = 256 * 1024 * 1024;

export interface IndexEntry {
  /** Of the last record of the batch. */
  readonly offset: number;
  readonly position: number;
}

export interface TimeIndexEntry {
  readonly timestamp: number;
  /** Of the last record of the batch that has the timestamp. */
  readonly offset: number;
}

/**
 * A `.index` file: int32 offset - base offset, int32 position, both rising. Kafka fills the file of an active segment up with zeros.
 */
export async function readOffsetIndex(path: string, baseOffset: number): Promise<IndexEntry[] | undefined> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  const end = usedBytes(bytes, OFFSET_ENTRY_BYTES);
  const entries: IndexEntry[] = [];
  for (let at = 0; at < end; at += OFFSET_ENTRY_BYTES) {
    const [relative, position] = [bytes.readInt32BE(at), bytes.readInt32BE(at + 4)];
    entries.push({ offset: baseOffset + relative, position });
  }
  return entries;
}

/** A `.timeindex` file: int64 timestamp, int32 offset - base offset, both rising; zeros as in `.index`. */
export async function readTimeIndex(path: string, baseOffset: number): Promise<TimeIndexEntry[] | undefined> {
  const bytes = await readIfThere(path);
  if (bytes === undefined) return undefined;
  const end = usedBytes(bytes, TIME_ENTRY_BYTES);
  const entries: TimeIndexEntry[] = [];
  for (let at = 0; at < end; at += TIME_ENTRY_BYTES) {
    const [timestamp, relative] = [Number(bytes.readBigInt64BE(at)), bytes.readInt32BE(at + 8)];
    entries.push({ timestamp, offset: baseOffset + relative });
  }
  return entries;
}

/** Up to the last entry that is not all zeros. */
function usedBytes(bytes: Buffer, entryBytes: number): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  const whole = bytes.length - (bytes.length % entryBytes);
  return Math.min(Math.ceil(end / entryBytes) * entryBytes, whole);
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    const bytes = await readFile(path);
    return bytes.length > INDEX_BYTES_MAX ? bytes.subarray(0, INDEX_BYTES_MAX) : bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Compares the entries of a segment's indexes with its batches while these go by, so that neither list is held twice. An entry that
 * no batch matches is wrong: a reader would start in the middle of a batch, or behind what it looks for.
 */
export class IndexCheck {
  readonly #offsets: readonly IndexEntry[];
  readonly #times: readonly TimeIndexEntry[];
  #nextOffset = 0;
  #nextTime = 0;
  readonly faults: string[] = [];

  constructor(offsets: readonly IndexEntry[] | undefined, times: readonly TimeIndexEntry[] | undefined) {
    this.#offsets = offsets ?? [];
    this.#times = times ?? [];
  }

  batch(header: BatchHeader, position: number): void {
    const lastOffset = header.baseOffset + header.lastOffsetDelta;
    for (; this.#nextOffset < this.#offsets.length; this.#nextOffset++) {
      const entry = this.#offsets[this.#nextOffset]!;
      if (entry.position > position) break;
      if (entry.position === position && entry.offset === lastOffset) continue;
      this.#fault('index', this.#nextOffset, `offset ${entry.offset} at byte ${entry.position}`);
    }
    for (; this.#nextTime < this.#times.length; this.#nextTime++) {
      const entry = this.#times[this.#nextTime]!;
      if (entry.offset > lastOffset) break;
      if (entry.offset === lastOffset && entry.timestamp === header.maxTimestamp) continue;
      this.#fault('timeindex', this.#nextTime, `timestamp ${entry.timestamp} at offset ${entry.offset}`);
    }
  }

  /** Behind the last batch; entries that are left point behind the end. */
  end(): void {
    for (; this.#nextOffset < this.#offsets.length; this.#nextOffset++) {
      const entry = this.#offsets[this.#nextOffset]!;
      this.#fault('index', this.#nextOffset, `offset ${entry.offset} at byte ${entry.position}`);
    }
    for (; this.#nextTime < this.#times.length; this.#nextTime++) {
      const entry = this.#times[this.#nextTime]!;
      this.#fault('timeindex', this.#nextTime, `timestamp ${entry.timestamp} at offset ${entry.offset}`);
    }
  }

  #fault(file: 'index' | 'timeindex', index: number, text: string): void {
    this.faults.push(`.${file} entry ${index} (${text}) matches no batch`);
  }
}
