/**
 * A number of bytes that all connections share. Who does not get its bytes waits in line: a large request is not overtaken
 * for ever by small ones.
 */
export class ByteBudget {
  readonly bytesMax: number;
  #used = 0;
  readonly #waiting: Waiter[] = [];

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
  #charge(bytes: number): number {
    return Math.min(bytes, this.bytesMax);
  }

  /** Takes the bytes now, or takes nothing and returns false. */
  tryTake(bytes: number): boolean {
    const charge = this.#charge(bytes);
    if (this.#waiting.length > 0 || this.#used + charge > this.bytesMax) return false;
    this.#used += charge;
    return true;
  }

  /** After a refusal: `granted` is called once the bytes have been taken. The returned function leaves the line. */
  wait(bytes: number, granted: () => void): () => void {
    const waiter: Waiter = { bytes: this.#charge(bytes), granted };
    this.#waiting.push(waiter);
    return () => {
      const index = this.#waiting.indexOf(waiter);
      if (index === -1) return;
      this.#waiting.splice(index, 1);
      // It may have been the one that kept smaller ones waiting.
      if (index === 0) this.#grant();
    };
  }

  give(bytes: number): void {
    this.#used -= this.#charge(bytes);
    if (this.#used < 0) throw new Error('more bytes given back than were taken');
    this.#grant();
  }

  #grant(): void {
    for (;;) {
      const first = this.#waiting[0];
      if (first === undefined || this.#used + first.bytes > this.bytesMax) return;
      this.#waiting.shift();
      this.#used += first.bytes;
      first.granted();
    }
  }
}

interface Waiter {
  readonly bytes: number;
  readonly granted: () => void;
}
