/** What the members of a group have consumed, all together. */

export interface Position {
  readonly partition: number;
  readonly offset: number;
}

export class Consumption {
  /** By partition, by offset: who consumed the record, in order. */
  readonly #consumers: string[][][] = [];
  #total = 0;

  add(member: string, partition: number, offset: number): void {
    const consumers = (this.#consumers[partition] ??= []);
    (consumers[offset] ??= []).push(member);
    this.#total++;
  }

  /** Records consumed, each as often as it was. */
  get total(): number {
    return this.#total;
  }

  /** Records consumed more than once. */
  get repeated(): number {
    return this.#consumers.reduce(
      (sum, offsets) => sum + offsets.filter(({ length }) => length > 1).length,
      0,
    );
  }

  /** Which of these records nobody has consumed. */
  missing(records: Iterable<Position>): Position[] {
    const missing: Position[] = [];
    for (const { partition, offset } of records) {
      if (this.#consumers[partition]?.[offset] === undefined) missing.push({ partition, offset });
    }
    return missing;
  }

  /** For messages: the missing records as gaps, each with the members that consumed what is before and after it. */
  describeGaps(missing: readonly Position[]): string {
    const gaps: { partition: number; from: number; to: number }[] = [];
    for (const { partition, offset } of missing.toSorted(
      (a, b) => a.partition - b.partition || a.offset - b.offset,
    )) {
      const last = gaps.at(-1);
      if (last?.partition === partition && last.to === offset - 1) last.to = offset;
      else gaps.push({ partition, from: offset, to: offset });
    }
    return gaps
      .map(({ partition, from, to }) => {
        const consumers = this.#consumers[partition] ?? [];
        const before = consumers[from - 1]?.join('+') ?? 'nobody';
        const behind = consumers[to + 1]?.join('+') ?? 'nobody';
        return `partition ${partition}: ${from} to ${to}, between what ${before} and what ${behind} consumed`;
      })
      .join('\n');
  }
}
