/** What was committed for consumer groups against what the broker says is committed: the judge of the runs that kill brokers. */

export interface CommitViolation {
  readonly kind: /** Less than a commit that was acknowledged, or than the broker said before, when it was asked. */
    | 'went-back'
    /** More than anybody ever sent. */
    | 'made-up';
  readonly group: string;
  readonly partition: number;
  readonly expected: number;
  readonly found: number;
}

interface Entry {
  /** The highest offset that any commit has named; Infinity where that is not known. */
  sent: number;
  /** The highest offset that is known to be committed; -1: none. */
  known: number;
}

/** Offsets only rise in what is committed here, so that a lower one is a lost commit. */
export class CommitLedger {
  readonly violations: CommitViolation[] = [];
  /** Commits that were acknowledged. */
  acknowledged = 0;
  /** Answers that were compared. */
  observed = 0;
  readonly #groups = new Map<string, Entry[]>();

  /** Before a commit is sent. Groups for which that is never called are not checked for offsets that nobody sent. */
  sending(group: string, partition: number, offset: number): void {
    const entry = this.#entry(group, partition);
    entry.sent = entry.sent === Number.POSITIVE_INFINITY ? offset : Math.max(entry.sent, offset);
  }

  acknowledge(group: string, partition: number, offset: number): void {
    this.acknowledged++;
    const entry = this.#entry(group, partition);
    entry.known = Math.max(entry.known, offset);
  }

  /** Before the broker is asked: by partition, what it may not fall below. */
  floors(group: string, partitions: number): number[] {
    return Array.from({ length: partitions }, (_, partition) => this.#entry(group, partition).known);
  }

  /** The broker's answer (-1: nothing committed), by partition, with what `floors` said when it was asked. */
  observe(group: string, floors: readonly number[], committed: readonly number[]): void {
    for (const [partition, expected] of floors.entries()) {
      const found = committed[partition] ?? -1;
      const entry = this.#entry(group, partition);
      if (found < expected) this.violations.push({ kind: 'went-back', group, partition, expected, found });
      if (found > entry.sent) {
        this.violations.push({ kind: 'made-up', group, partition, expected: entry.sent, found });
      }
      // A loss is told once.
      entry.known = found < expected ? found : Math.max(entry.known, found);
    }
    this.observed++;
  }

  #entry(group: string, partition: number): Entry {
    let entries = this.#groups.get(group);
    if (entries === undefined) this.#groups.set(group, (entries = []));
    return (entries[partition] ??= { sent: Number.POSITIVE_INFINITY, known: -1 });
  }
}
