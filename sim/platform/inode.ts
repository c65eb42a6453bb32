import type { SimRandom } from './random.ts';

export const PAGE_BYTES = 4096;
/** What a disk writes at once: a page may be torn between sectors. */
const SECTOR_BYTES = 512;

/** A page of a file. A frozen one is shared with the durable state or a snapshot, and is cloned before it changes. */
export interface Page {
  readonly bytes: Uint8Array;
  /** Grows with each clone: of two states of one page, the newer has the higher version. */
  readonly version: number;
  frozen: boolean;
}

const ZERO_BYTES = new Uint8Array(PAGE_BYTES);

export interface FileNode {
  readonly kind: 'file';
  readonly id: number;
  readonly content: FileContent;
  modifiedMs: number;
  openHandles: number;
  linked: boolean;
}

export interface DirectoryNode {
  readonly kind: 'directory';
  readonly id: number;
  entries: Map<string, Node>;
  durableEntries: Map<string, Node>;
  modifiedMs: number;
}

export type Node = FileNode | DirectoryNode;

/** What a datasync found unsynced at its start. */
export interface DirtySnapshot {
  readonly pages: readonly (readonly [number, Page])[];
  readonly sizeBytes: number;
  readonly sizeVersion: number;
}

export interface PowerLossCounts {
  lost: number;
  kept: number;
  torn: number;
  lengthCut: number;
  zeroTail: number;
}

/**
 * A file's bytes as the page cache has them and as the disk has them. A page that is in neither map is zeros. Bytes of the
 * last page past the size are always zeros.
 */
export class FileContent {
  readonly #cached = new Map<number, Page>();
  readonly #durable = new Map<number, Page>();
  readonly #dirty = new Set<number>();
  #sizeBytes = 0;
  #sizeVersion = 0;
  #durableSizeBytes = 0;
  #durableSizeVersion = 0;
  #versions = 0;

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get durableSizeBytes(): number {
    return this.#durableSizeBytes;
  }

  get pageCount(): number {
    return this.#cached.size;
  }

  get dirtyPageCount(): number {
    return this.#dirty.size;
  }

  /** Pages that a write of this range would add. */
  newPages(position: number, length: number): number {
    let pages = 0;
    for (let page = pageOf(position); page * PAGE_BYTES < position + length; page++) {
      if (!this.#cached.has(page)) pages++;
    }
    return pages;
  }

  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.#sizeBytes - position));
    for (let done = 0; done < length;) {
      const page = this.#cached.get(pageOf(position + done));
      const offset = (position + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - offset, length - done);
      if (page === undefined) target.fill(0, done, done + count);
      else target.set(page.bytes.subarray(offset, offset + count), done);
      done += count;
    }
    return length;
  }

  write(source: Uint8Array, position: number): void {
    for (let done = 0; done < source.length;) {
      const offset = (position + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - offset, source.length - done);
      const page = this.#writablePage(pageOf(position + done));
      page.bytes.set(source.subarray(done, done + count), offset);
      done += count;
    }
    if (position + source.length > this.#sizeBytes) this.#resize(position + source.length);
  }

  /** Extends the file by zeros whose blocks are taken now. */
  preallocate(sizeBytes: number): void {
    if (sizeBytes <= this.#sizeBytes) return;
    for (let page = pageOf(this.#sizeBytes); page * PAGE_BYTES < sizeBytes; page++) {
      if (!this.#cached.has(page)) this.#putZeros(page);
    }
    this.#resize(sizeBytes);
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) {
      const kept = sizeBytes % PAGE_BYTES;
      if (kept !== 0 && this.#cached.has(pageOf(sizeBytes))) {
        this.#writablePage(pageOf(sizeBytes)).bytes.fill(0, kept);
      }
      const firstGone = Math.ceil(sizeBytes / PAGE_BYTES);
      for (const page of this.#cached.keys()) if (page >= firstGone) this.#drop(page);
    }
    if (sizeBytes !== this.#sizeBytes) this.#resize(sizeBytes);
  }

  /** Removes a page from the cache; where the disk has one, zeros must come to it, should the file grow again. */
  #drop(page: number): void {
    this.#cached.delete(page);
    if (this.#durable.has(page)) this.#dirty.add(page);
    else this.#dirty.delete(page);
  }

  #resize(sizeBytes: number): void {
    this.#sizeBytes = sizeBytes;
    this.#sizeVersion = ++this.#versions;
  }

  #putZeros(number: number): void {
    this.#cached.set(number, { bytes: ZERO_BYTES, version: ++this.#versions, frozen: true });
    this.#dirty.add(number);
  }

  #writablePage(number: number): Page {
    this.#dirty.add(number);
    const page = this.#cached.get(number);
    if (page !== undefined && !page.frozen) return page;
    const bytes = page === undefined ? new Uint8Array(PAGE_BYTES) : page.bytes.slice();
    const fresh = { bytes, version: ++this.#versions, frozen: false };
    this.#cached.set(number, fresh);
    return fresh;
  }

  /** What is unsynced now; stays as it is whatever is written later. */
  snapshot(): DirtySnapshot {
    const pages: [number, Page][] = [];
    for (const number of this.#dirty) pages.push([number, this.#frozenPage(number)]);
    return { pages, sizeBytes: this.#sizeBytes, sizeVersion: this.#sizeVersion };
  }

  #frozenPage(number: number): Page {
    const page = this.#cached.get(number);
    if (page === undefined) return { bytes: ZERO_BYTES, version: ++this.#versions, frozen: true };
    page.frozen = true;
    return page;
  }

  /** Brings a snapshot to the disk. */
  makeDurable(snapshot: DirtySnapshot): void {
    for (const [number, page] of snapshot.pages) this.#makePageDurable(number, page);
    if (snapshot.sizeVersion > this.#durableSizeVersion) {
      this.#durableSizeBytes = snapshot.sizeBytes;
      this.#durableSizeVersion = snapshot.sizeVersion;
    }
  }

  #makePageDurable(number: number, page: Page): void {
    const durable = this.#durable.get(number);
    if (durable === undefined || durable.version < page.version) this.#durable.set(number, page);
    const cached = this.#cached.get(number);
    if (cached === page || (cached === undefined && page.bytes === ZERO_BYTES)) this.#dirty.delete(number);
    // Cut off since the snapshot: zeros must follow, should the file grow again.
    else if (cached === undefined) this.#dirty.add(number);
  }

  /** The kernel writes a page back on its own: it is durable though nobody asked; the size follows it. */
  writeBackOne(random: SimRandom): boolean {
    if (this.#dirty.size === 0) return false;
    const number = random.pick([...this.#dirty]);
    this.#makePageDurable(number, this.#frozenPage(number));
    const endBytes = Math.min(this.#sizeBytes, (number + 1) * PAGE_BYTES);
    if (endBytes > this.#durableSizeBytes) this.#durableSizeBytes = endBytes;
    return true;
  }

  /** What a failed datasync leaves: some unsynced pages count as clean, and will never come to the disk. */
  forgetDirty(random: SimRandom): number {
    let forgotten = 0;
    for (const number of this.#dirty) {
      if (random.chance(0.5)) continue;
      this.#frozenPage(number);
      this.#dirty.delete(number);
      forgotten++;
    }
    return forgotten;
  }

  /** Leaves what the disk has, with any part of what was unsynced. */
  losePower(random: SimRandom, counts: PowerLossCounts): void {
    const dirty = [...this.#dirty].sort((a, b) => a - b);
    // Often all or nothing arrives: mixes alone would seldom leave a file whole.
    const keptFraction = random.pick([0, 1, 0.5, random.fraction()]);
    for (const number of dirty) {
      if (!random.chance(keptFraction)) {
        counts.lost++;
        continue;
      }
      const page = this.#frozenPage(number);
      const torn = random.chance(0.2);
      this.#durable.set(number, torn ? this.#tornPage(number, page, random) : page);
      if (torn) counts.torn++;
      else counts.kept++;
    }
    this.#restart(this.#sizeAfterPowerLoss(keptFraction, random, counts));
  }

  #sizeAfterPowerLoss(keptFraction: number, random: SimRandom, counts: PowerLossCounts): number {
    const durableBytes = this.#durableSizeBytes;
    const cachedBytes = this.#sizeBytes;
    if (durableBytes === cachedBytes) return durableBytes;
    const choice = random.fraction();
    if (choice < 0.5 && keptFraction > 0) {
      // The length came to the disk, with or without the bytes.
      if (cachedBytes > durableBytes) counts.zeroTail++;
      return cachedBytes;
    }
    counts.lengthCut++;
    if (choice < 0.75 || cachedBytes < durableBytes) return durableBytes;
    return random.between(durableBytes, cachedBytes);
  }

  #tornPage(number: number, page: Page, random: SimRandom): Page {
    const bytes = this.#durable.get(number)?.bytes.slice() ?? new Uint8Array(PAGE_BYTES);
    for (let offset = 0; offset < PAGE_BYTES; offset += SECTOR_BYTES) {
      if (random.chance(0.5)) bytes.set(page.bytes.subarray(offset, offset + SECTOR_BYTES), offset);
    }
    return { bytes, version: ++this.#versions, frozen: true };
  }

  /** The cache starts again from the disk. */
  #restart(sizeBytes: number): void {
    this.#dirty.clear();
    this.#cached.clear();
    const pages = Math.ceil(sizeBytes / PAGE_BYTES);
    for (const number of this.#durable.keys()) if (number >= pages) this.#durable.delete(number);
    const last = this.#durable.get(pages - 1);
    const used = sizeBytes % PAGE_BYTES;
    if (last !== undefined && used !== 0) {
      const bytes = last.bytes.slice().fill(0, used);
      this.#durable.set(pages - 1, { bytes, version: ++this.#versions, frozen: true });
    }
    for (const [number, page] of this.#durable) this.#cached.set(number, page);
    this.#resize(sizeBytes);
    this.#durableSizeBytes = sizeBytes;
    this.#durableSizeVersion = this.#sizeVersion;
  }

  /** Changes a bit in the cache and on the disk alike, without marking the page unsynced. */
  flipBit(offset: number, bit: number): void {
    const number = pageOf(offset);
    for (const pages of [this.#cached, this.#durable]) {
      const page = pages.get(number);
      const bytes = page?.bytes.slice() ?? new Uint8Array(PAGE_BYTES);
      bytes[offset % PAGE_BYTES] = bytes[offset % PAGE_BYTES]! ^ (1 << bit);
      pages.set(number, { bytes, version: page?.version ?? ++this.#versions, frozen: true });
    }
  }

  /** The bytes that a loss of power could not take. For checks of scenarios. */
  durableBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#durableSizeBytes);
    for (const [number, page] of this.#durable) {
      const start = number * PAGE_BYTES;
      if (start < bytes.length) bytes.set(page.bytes.subarray(0, bytes.length - start), start);
    }
    return bytes;
  }
}

function pageOf(position: number): number {
  return Math.floor(position / PAGE_BYTES);
}
