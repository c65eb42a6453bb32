import type { EpochEntry, LeaderEpochs } from './types.ts';

/** The epochs of one log: a short list, in memory; written to its checkpoint file before the recovery point passes a new entry. */
export class LeaderEpochList implements LeaderEpochs {
  #entries: readonly EpochEntry[];
  /** Differs from the file. */
  dirty = false;

  constructor(entries: readonly EpochEntry[] = []) {
    this.#entries = [...entries];
  }

  get entries(): readonly EpochEntry[] {
    return this.#entries;
  }

  get latest(): number | undefined {
    return this.#entries.at(-1)?.epoch;
  }

  /** Notes that a batch of this epoch starts at the offset. Epochs that do not rise are not new, and ones without a number are ignored. */
  note(epoch: number, startOffset: number): void {
    const last = this.#entries.at(-1);
    if (epoch < 0 || (last !== undefined && epoch <= last.epoch)) return;
    // The former epoch got no record of its own after all.
    if (last !== undefined && last.startOffset >= startOffset) this.truncate(startOffset);
    this.#entries = [...this.#entries, { epoch, startOffset }];
    this.dirty = true;
  }

  endOffsetOf(epoch: number, logEndOffset: number): { epoch: number; endOffset: number } | undefined {
    const latest = this.latest;
    if (latest === undefined || epoch > latest) return undefined;
    let index = this.#entries.length - 1;
    while (index >= 0 && this.#entries[index]!.epoch > epoch) index--;
    if (index < 0) return undefined;
    const next = this.#entries[index + 1];
    return { epoch: this.#entries[index]!.epoch, endOffset: next?.startOffset ?? logEndOffset };
  }

  epochAt(offset: number): number | undefined {
    let index = this.#entries.length - 1;
    while (index >= 0 && this.#entries[index]!.startOffset > offset) index--;
    return this.#entries[index]?.epoch;
  }

  /** Forgets the epochs that start at or above `endOffset`. */
  truncate(endOffset: number): void {
    const kept = this.#entries.filter((entry) => entry.startOffset < endOffset);
    if (kept.length === this.#entries.length) return;
    this.#entries = kept;
    this.dirty = true;
  }

  /** Forgets the epochs that end at or below the log's start; the one that contains it begins there from now on. */
  truncateBefore(startOffset: number): void {
    let first = 0;
    while (first + 1 < this.#entries.length && this.#entries[first + 1]!.startOffset <= startOffset) first++;
    const head = this.#entries[first];
    if (head === undefined || head.startOffset >= startOffset) return;
    this.#entries = [{ epoch: head.epoch, startOffset }, ...this.#entries.slice(first + 1)];
    this.dirty = true;
  }

  clear(): void {
    this.dirty ||= this.#entries.length > 0;
    this.#entries = [];
  }

  /** Puts back what {@link entries} gave before: no method changes an array that it has given out. */
  restore(entries: readonly EpochEntry[]): void {
    this.#entries = entries;
  }
}
