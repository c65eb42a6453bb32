/**
 * A number of bytes that all connections share. Who does not get its bytes waits in line: a large request is not overtaken
 * for ever by small ones.
 */
export class ByteBudget {
  readonly bytesMax: number;
  #used = 0;
  /** Sorted by rank; of one rank, who came first. */
  readonly #waiting: Waiter[] = [];
  #granting = false;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get usedBytes(): number {
    return this.#used;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** More than the whole budget counts as the whole budget: such a request waits until nobody else has a part of it. */
  chargeOf(bytes: number): number {
    return Math.min(bytes, this.bytesMax);
  }

  /** Takes the bytes now, or takes nothing and returns false. A lower `rank` is only behind those whose rank is as low. */
  tryTake(bytes: number, rank = RANK_LAST): boolean {
    const charge = this.chargeOf(bytes);
    const first = this.#waiting[0];
    if ((first !== undefined && first.rank <= rank) || this.#used + charge > this.bytesMax) return false;
    this.#used += charge;
    return true;
  }

  /** After a refusal: `granted` is called once the bytes have been taken. The returned function leaves the line. */
  wait(bytes: number, granted: () => void, rank = RANK_LAST): () => void {
    const waiter: Waiter = { bytes: this.chargeOf(bytes), granted, rank };
    let index = this.#waiting.length;
    while (index > 0 && this.#waiting[index - 1]!.rank > rank) index--;
    this.#waiting.splice(index, 0, waiter);
    return () => {
      const at = this.#waiting.indexOf(waiter);
      if (at === -1) return;
      this.#waiting.splice(at, 1);
      // It may have been the one that kept smaller ones waiting.
      if (at === 0) this.#grant();
    };
  }

  /** Takes the bytes whether or not they are there: for the one who may, so that not everybody waits for everybody. */
  overdraw(bytes: number): void {
    this.#used += this.chargeOf(bytes);
  }

  give(bytes: number): void {
    this.#used -= this.chargeOf(bytes);
    if (this.#used < 0) throw new Error('more bytes given back than were taken');
    this.#grant();
  }

  #grant(): void {
    // Who is granted may give back at once: the loop below goes on with that, instead of a deeper one.
    if (this.#granting) return;
    this.#granting = true;
    try {
      for (;;) {
        const first = this.#waiting[0];
        if (first === undefined || this.#used + first.bytes > this.bytesMax) return;
        this.#waiting.shift();
        this.#used += first.bytes;
        first.granted();
      }
    } finally {
      this.#granting = false;
    }
  }
}

const RANK_LAST = Number.POSITIVE_INFINITY;

interface Waiter {
  readonly bytes: number;
  readonly granted: () => void;
  readonly rank: number;
}
