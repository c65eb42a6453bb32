/** Entries per page: 4 KiB of an offset index, 6 KiB of a time index, 17 KiB of one of aborted transactions. */
const PAGE_ENTRIES = 512;
/** Pages kept broker-wide: at most 4.25 MiB. */
const PAGES_MAX = 256;

/** Reads entries from `firstEntry` on into the target; returns how many came. Throws DiskError. */
type ReadEntries = (target: Uint8Array, firstEntry: number) => number;

interface Page {
  owner: IndexPages;
  number: number;
  bytes: Uint8Array;
  /** Those that it holds, from its first on. */
  entries: number;
  used: boolean;
}

/** The pages of all index files, in a ring over which a hand goes that spares those used since it came by last. */
export class IndexPageCache {
  readonly #ring: Page[] = [];
  #hand = 0;

  /** A page without entries, maybe taken from another owner. */
  take(owner: IndexPages, number: number, bytes: number): Page {
    const ring = this.#ring;
    if (ring.length < PAGES_MAX) {
      const page = { owner, number, bytes: new Uint8Array(bytes), entries: 0, used: true };
      ring.push(page);
      return page;
    }
    let page = ring[this.#hand]!;
    while (page.used) {
      page.used = false;
      this.#hand = (this.#hand + 1) % PAGES_MAX;
      page = ring[this.#hand]!;
    }
    this.#hand = (this.#hand + 1) % PAGES_MAX;
    page.owner.lose(page.number);
    page.owner = owner;
    page.number = number;
    page.entries = 0;
    if (page.bytes.length < bytes) page.bytes = new Uint8Array(bytes);
    return page;
  }
}

/**
 * The stored entries of one index file, by pages in the memory that all files share. Stored entries never change; they are only cut
 * off, which {@link forgetFrom} must be told. Without it a binary search would cost a system call per step.
 */
export class IndexPages {
  readonly #cache: IndexPageCache;
  readonly #entryBytes: number;
  readonly #read: ReadEntries;
  #pages: (Page | undefined)[] | undefined;

  constructor(cache: IndexPageCache, entryBytes: number, read: ReadEntries) {
    this.#cache = cache;
    this.#entryBytes = entryBytes;
    this.#read = read;
  }

  /** Where the entry lies in `bytes`; valid until the next call of any index. `stored`: entries in the file. Throws DiskError. */
  find(entry: number, stored: number): { readonly bytes: Uint8Array; readonly at: number } {
    const number = Math.floor(entry / PAGE_ENTRIES);
    const first = number * PAGE_ENTRIES;
    let page = this.#pages?.[number];
    if (page === undefined || entry - first >= page.entries) {
      page ??= this.#take(number);
      const wanted = Math.min(PAGE_ENTRIES, stored - first);
      const target = page.bytes.subarray(0, wanted * this.#entryBytes);
      // Nothing counts until it has been read.
      page.entries = 0;
      page.entries = this.#read(target, first);
      // A file cut from outside: zeros are the smallest keys, so that a search ends early and the scan is longer.
      target.fill(0, page.entries * this.#entryBytes);
    }
    page.used = true;
    return { bytes: page.bytes, at: (entry - first) * this.#entryBytes };
  }

  /** The entries from this one on are cut off. */
  forgetFrom(entry: number): void {
    const pages = this.#pages;
    if (pages === undefined) return;
    for (let number = Math.floor(entry / PAGE_ENTRIES); number < pages.length; number++) {
      const page = pages[number];
      if (page !== undefined)
        page.entries = Math.min(page.entries, Math.max(0, entry - number * PAGE_ENTRIES));
    }
  }

  /** The cache gives the page to another file. */
  lose(number: number): void {
    this.#pages![number] = undefined;
  }

  #take(number: number): Page {
    const page = this.#cache.take(this, number, PAGE_ENTRIES * this.#entryBytes);
    this.#pages ??= [];
    this.#pages[number] = page;
    return page;
  }
}
