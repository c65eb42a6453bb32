/** A binary heap of numbers, the least one on top. Whoever uses it packs what he needs into them. */
export class NumberHeap {
  readonly #numbers: number[];

  /** Takes the array for its own. */
  constructor(numbers: number[]) {
    this.#numbers = numbers;
    for (let at = (numbers.length >> 1) - 1; at >= 0; at--) this.#down(at, numbers[at]!);
  }

  /** Undefined: it is empty. */
  get top(): number | undefined {
    return this.#numbers[0];
  }

  removeTop(): void {
    const last = this.#numbers.pop();
    if (last !== undefined && this.#numbers.length > 0) this.#down(0, last);
  }

  replaceTop(number: number): void {
    this.#down(0, number);
  }

  #down(start: number, number: number): void {
    const numbers = this.#numbers;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= numbers.length) break;
      if (child + 1 < numbers.length && numbers[child + 1]! < numbers[child]!) child++;
      if (numbers[child]! >= number) break;
      numbers[at] = numbers[child]!;
      at = child;
    }
    numbers[at] = number;
  }
}
