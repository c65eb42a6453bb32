import type { FileHandle } from './descriptor-cache.ts';
import { IndexPages } from './index-pages.ts';

/** Entries that wait in memory before they are written; with 4 KiB of log per entry, 1 MiB to 2 MiB of log. */
const TAIL_ENTRIES_MAX = 256;
const TAIL_ENTRIES_MIN = 16;

/** Compares the key of the entry at `at` in `bytes` with the key searched for: true if it is at most that. */
export type AtMost = (bytes: Uint8Array, at: number, key: number) => boolean;

/**
 * A file of entries of one size whose keys rise: the frame of offset and time index. An index is derived from its segment, so it is written
 * lazily: new entries gather in memory (`tail`) and go to the file when the tail is full, at checkpoints and at rolls; after
 * a crash what is missing is made again from the segment. The file never holds more than whole valid entries, so that
 * Kafka's tools find nothing to trim.
 */
export class IndexFile {
  readonly handle: FileHandle;
  readonly entryBytes: number;
  readonly #atMost: AtMost;
  /** Entries in the file. */
  #stored: number;
  readonly #pages: IndexPages;
  #tail: Uint8Array | undefined;
  #tailEntries = 0;

  constructor(handle: FileHandle, entryBytes: number, atMost: AtMost, storedEntries: number) {
    this.handle = handle;
    this.entryBytes = entryBytes;
    this.#atMost = atMost;
    this.#stored = storedEntries;
    this.#pages = new IndexPages(handle.indexPages, entryBytes, (target, first) =>
      Math.floor(this.handle.file().read(target, first * entryBytes) / entryBytes),
    );
  }

  get entries(): number {
    return this.#stored + this.#tailEntries;
  }

  get storedEntries(): number {
    return this.#stored;
  }

  /** Where the next entry must be encoded, as a position in {@link tail}; counts it. {@link makeRoom} must have been called before. */
  push(): number {
    if (this.#tail === undefined || this.#tailEntries * this.entryBytes === this.#tail.length)
      this.#growTail();
    return this.#tailEntries++ * this.entryBytes;
  }

  get tail(): Uint8Array {
    return this.#tail!;
  }

  #growTail(): void {
    const entries = this.#tail === undefined ? TAIL_ENTRIES_MIN : 2 * this.#tailEntries;
    const grown = new Uint8Array(entries * this.entryBytes);
    if (this.#tail !== undefined) grown.set(this.#tail);
    this.#tail = grown;
  }

  /** Writes the tail if it has become long. Throws DiskError, with everything as it was. */
  makeRoom(): void {
    if (this.#tailEntries >= TAIL_ENTRIES_MAX) this.flush();
  }

  /** Writes what is only in memory. Throws DiskError, with everything as it was. */
  flush(): void {
    if (this.#tailEntries === 0) return;
    const position = this.#stored * this.entryBytes;
    const file = this.#stored === 0 ? this.handle.create() : this.handle.file();
    file.write([this.#tail!.subarray(0, this.#tailEntries * this.entryBytes)], position);
    this.#stored += this.#tailEntries;
    this.#tailEntries = 0;
  }

  /** For a segment that gets no more records: the file exists, has all entries, and memory is freed. */
  finish(): void {
    this.flush();
    const file = this.#stored === 0 ? this.handle.create() : this.handle.file();
    // What a cut that failed has left.
    if (file.size() > this.#stored * this.entryBytes) file.truncate(this.#stored * this.entryBytes);
    this.#tail = undefined;
  }

  /** Removes the entries from the n-th on. Throws DiskError if the file cannot be cut; the roll repeats it. */
  truncate(entries: number): void {
    if (entries >= this.entries) return;
    this.#tailEntries = Math.max(0, entries - this.#stored);
    if (entries >= this.#stored) return;
    this.#stored = entries;
    this.#pages.forgetFrom(entries);
    this.handle.file().truncate(entries * this.entryBytes);
  }

  /** The bytes of an entry; valid until the next call of any index. Returns where it starts in `bytes`. */
  entry(index: number): { readonly bytes: Uint8Array; readonly at: number } {
    if (index >= this.#stored) return { bytes: this.#tail!, at: (index - this.#stored) * this.entryBytes };
    return this.#pages.find(index, this.#stored);
  }

  /** The index of the last entry whose key is at most `key`; -1 if there is none. */
  floor(key: number): number {
    if (this.#tailEntries > 0 && this.#atMost(this.#tail!, 0, key))
      return this.#stored + this.#floorIn(this.#tail!, this.#tailEntries, key);
    let low = -1;
    let high = this.#stored;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const { bytes, at } = this.#pages.find(middle, this.#stored);
      if (this.#atMost(bytes, at, key)) low = middle;
      else high = middle;
    }
    return low;
  }

  #floorIn(bytes: Uint8Array, entries: number, key: number): number {
    let low = -1;
    let high = entries;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#atMost(bytes, middle * this.entryBytes, key)) low = middle;
      else high = middle;
    }
    return low;
  }
}

export function int32At(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function int64At(bytes: Uint8Array, at: number): number {
  return int32At(bytes, at) * 0x1_0000_0000 + (int32At(bytes, at + 4) >>> 0);
}

export function putInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}

export function putInt64(bytes: Uint8Array, at: number, value: number): void {
  putInt32(bytes, at, Math.floor(value / 0x1_0000_0000));
  putInt32(bytes, at + 4, value >>> 0);
}
