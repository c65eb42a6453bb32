/** What an application that counts words has written, against the words that it was given: the judge of the runs that kill it. */

/** One record of the output, in the order of the offsets of its partition. */
export interface WrittenCount {
  readonly partition: number;
  readonly offset: number;
  readonly word: string;
  readonly count: number;
}

export interface CountViolation {
  readonly kind:
    /** A count that was written before: the word's lines were counted twice, or the result was. */
    | 'repeated'
    /** The word's next count is missing. */
    | 'skipped'
    /** Nobody has written the word. */
    | 'unexpected'
    /** A word in two partitions. */
    | 'partition'
    /** The words were all read, and the last count is not their number. */
    | 'total';
  readonly word: string;
  readonly detail: string;
}

/** Takes what is written as it is read: each word has to be counted 1, 2, 3 ... up to as often as it was given. */
export class WordCounts {
  readonly violations: CountViolation[] = [];
  readonly #given = new Map<string, number>();
  readonly #written = new Map<string, { readonly partition: number; count: number }>();
  #givenTotal = 0;
  #writtenTotal = 0;

  get given(): number {
    return this.#givenTotal;
  }

  /** Records read so far. */
  get written(): number {
    return this.#writtenTotal;
  }

  give(line: string): void {
    for (const word of line.split(' ')) {
      this.#given.set(word, (this.#given.get(word) ?? 0) + 1);
      this.#givenTotal++;
    }
  }

  read({ partition, offset, word, count }: WrittenCount): void {
    this.#writtenTotal++;
    const at = `${count} at ${partition}:${offset}`;
    if (!this.#given.has(word)) this.#violated('unexpected', word, at);
    const before = this.#written.get(word) ?? { partition, count: 0 };
    if (before.partition !== partition)
      this.#violated('partition', word, `${at}, before in ${before.partition}`);
    const expected = before.count + 1;
    if (count < expected) this.#violated('repeated', word, `${at}, expected ${expected}`);
    if (count > expected) this.#violated('skipped', word, `${at}, expected ${expected}`);
    before.count = Math.max(count, before.count);
    this.#written.set(word, before);
  }

  /** Whether as much was written as was given: only then {@link finish} can be without violations. */
  get isComplete(): boolean {
    return this.#writtenTotal >= this.#givenTotal;
  }

  /** All that there is has been read. */
  finish(): void {
    for (const [word, given] of this.#given) {
      const count = this.#written.get(word)?.count ?? 0;
      if (count !== given) this.#violated('total', word, `counted ${count} times, given ${given} times`);
    }
  }

  /** A judge of the same words that has read nothing. */
  again(): WordCounts {
    const other = new WordCounts();
    for (const [word, given] of this.#given) other.#given.set(word, given);
    other.#givenTotal = this.#givenTotal;
    return other;
  }

  #violated(kind: CountViolation['kind'], word: string, detail: string): void {
    this.violations.push({ kind, word, detail });
  }
}
