const STILL_OPEN = -1;

/** A transaction of one producer in this partition, from its first record on until its marker is replicated. */
export class UnstableTransaction {
  readonly firstOffset: number;
  /** Of its marker; -1 while it is open. */
  markerOffset = STILL_OPEN;
  older: UnstableTransaction | undefined;
  newer: UnstableTransaction | undefined;

  constructor(firstOffset: number) {
    this.firstOffset = firstOffset;
  }
}

/**
 * The transactions that hold back the last stable offset: those that are open, and those whose marker lies above the high watermark and so may still be
 * lost. Linked in the order of their first offsets, which is the order in which they begin; the completed ones wait in the order of
 * their markers, too. Every step costs the same, however many there are.
 */
export class UnstableTransactions {
  #oldest: UnstableTransaction | undefined;
  #newest: UnstableTransaction | undefined;
  /** No transaction before it is open. */
  #firstOpen: UnstableTransaction | undefined;
  /** From `#replicated` on: those that are complete and not replicated, in the order of their markers. */
  #completed: UnstableTransaction[] = [];
  #replicated = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The first offset of the earliest of them, or undefined. */
  get firstOffset(): number | undefined {
    return this.#oldest?.firstOffset;
  }

  /** The first offset of the earliest that is open, or undefined. */
  get firstOpenOffset(): number | undefined {
    while (this.#firstOpen !== undefined && this.#firstOpen.markerOffset !== STILL_OPEN)
      this.#firstOpen = this.#firstOpen.newer;
    return this.#firstOpen?.firstOffset;
  }

  /** A transaction begins, behind all that have begun. */
  open(firstOffset: number): UnstableTransaction {
    const transaction = new UnstableTransaction(firstOffset);
    transaction.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = transaction;
    else this.#newest.newer = transaction;
    this.#newest = transaction;
    this.#firstOpen ??= transaction;
    this.#size++;
    return transaction;
  }

  /** Its marker is written, behind all other markers. */
  complete(transaction: UnstableTransaction, markerOffset: number): void {
    transaction.markerOffset = markerOffset;
    this.#completed.push(transaction);
  }

  /** Those with a marker below the offset are as certain as they can be. */
  replicatedTo(highWatermark: number): void {
    const completed = this.#completed;
    while (this.#replicated < completed.length && completed[this.#replicated]!.markerOffset < highWatermark)
      this.#remove(completed[this.#replicated++]!);
    // Without this the list would grow for ever, and with a shift each time it would be moved each time.
    if (this.#replicated * 2 < completed.length) return;
    completed.splice(0, this.#replicated);
    this.#replicated = 0;
  }

  /** What began or was completed at or above the offset did not: nothing of it was written. */
  rollback(endOffset: number): void {
    const completed = this.#completed;
    while (completed.length > this.#replicated && completed.at(-1)!.markerOffset >= endOffset)
      completed.pop()!.markerOffset = STILL_OPEN;
    while (this.#newest !== undefined && this.#newest.firstOffset >= endOffset) this.#remove(this.#newest);
    this.#firstOpen = this.#oldest;
  }

  clear(): void {
    this.#oldest = undefined;
    this.#newest = undefined;
    this.#firstOpen = undefined;
    this.#completed = [];
    this.#replicated = 0;
    this.#size = 0;
  }

  #remove(transaction: UnstableTransaction): void {
    const { older, newer } = transaction;
    if (this.#firstOpen === transaction) this.#firstOpen = newer;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
    this.#size--;
  }
}
