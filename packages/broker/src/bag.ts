/** Knows its place in its bag; -1: it is in none. */
export interface BagEntry {
  bagIndex: number;
}

/**
 * A set without an order, of entries that come and go with every request; an entry is in one bag at most.
 *
 * A Set does the same, but a Set that changes all the time replaces its table all the time, and in V8 each table that it has left keeps the
 * entries that it last held, and points to the table that followed. As soon as one of them has grown old, collections of the young generation
 * take all of it for alive: a quarter of what produce requests allocated survived so.
 */
export class Bag<T extends BagEntry> {
  readonly #entries: T[] = [];

  get size(): number {
    return this.#entries.length;
  }

  /** In no order that means anything; valid until the next change. */
  get entries(): readonly T[] {
    return this.#entries;
  }

  add(entry: T): void {
    if (entry.bagIndex >= 0) throw new Error('the entry is in a bag already');
    entry.bagIndex = this.#entries.length;
    this.#entries.push(entry);
  }

  /** Whether it was in the bag. */
  delete(entry: T): boolean {
    const index = entry.bagIndex;
    if (index < 0) return false;
    const last = this.#entries.pop()!;
    if (last !== entry) {
      this.#entries[index] = last;
      last.bagIndex = index;
    }
    entry.bagIndex = -1;
    return true;
  }
}
