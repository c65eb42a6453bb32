import type { AppendResult } from './types.ts';

type Done = (result: AppendResult) => void;

const CAPACITY_MIN = 64;

/**
 * Appends that wait until an offset is durable, or below the HW, in the order of their offsets: a ring, so that waiting costs no
 * allocation. Duplicates of earlier batches, rare, wait aside.
 */
export class WaitingAppends {
  #baseOffsets = new Float64Array(CAPACITY_MIN);
  #endOffsets = new Float64Array(CAPACITY_MIN);
  #done: (Done | undefined)[] = new Array<Done | undefined>(CAPACITY_MIN).fill(undefined);
  #first = 0;
  #size = 0;
  #aside: { readonly baseOffset: number; readonly endOffset: number; readonly done: Done }[] = [];

  get size(): number {
    return this.#size + this.#aside.length;
  }

  add(baseOffset: number, endOffset: number, done: Done): void {
    const capacity = this.#endOffsets.length;
    if (this.#size > 0) {
      const last = this.#endOffsets[(this.#first + this.#size - 1) & (capacity - 1)]!;
      if (endOffset < last) {
        this.#aside.push({ baseOffset, endOffset, done });
        return;
      }
    }
    if (this.#size === capacity) this.#grow();
    const at = (this.#first + this.#size++) & (this.#endOffsets.length - 1);
    this.#baseOffsets[at] = baseOffset;
    this.#endOffsets[at] = endOffset;
    this.#done[at] = done;
  }

  /** Completes those that end at or below `offset`. A completion may add new ones. */
  release(offset: number, logStartOffset: number): void {
    while (this.#size > 0) {
      const at = this.#first;
      if (this.#endOffsets[at]! > offset) break;
      const done = this.#done[at]!;
      const baseOffset = this.#baseOffsets[at]!;
      this.#done[at] = undefined;
      this.#first = (at + 1) & (this.#endOffsets.length - 1);
      this.#size--;
      done({ error: undefined, baseOffset, logStartOffset });
    }
    if (this.#aside.length === 0) return;
    const ready = this.#aside.filter((entry) => entry.endOffset <= offset);
    this.#aside = this.#aside.filter((entry) => entry.endOffset > offset);
    for (const { baseOffset, done } of ready) done({ error: undefined, baseOffset, logStartOffset });
  }

  /** Completes those that end above `offset` with the error. */
  failAbove(offset: number, result: AppendResult): void {
    for (const done of this.#removeAbove(offset)) done(result);
  }

  /** Hands out all completions, uncalled. */
  drain(take: (done: Done) => void): void {
    for (const done of this.#removeAbove(-1)) take(done);
  }

  #removeAbove(offset: number): Done[] {
    const failed: Done[] = [];
    while (this.#size > 0) {
      const at = (this.#first + this.#size - 1) & (this.#endOffsets.length - 1);
      if (this.#endOffsets[at]! <= offset) break;
      failed.push(this.#done[at]!);
      this.#done[at] = undefined;
      this.#size--;
    }
    failed.reverse();
    for (const entry of this.#aside) if (entry.endOffset > offset) failed.push(entry.done);
    this.#aside = this.#aside.filter((entry) => entry.endOffset <= offset);
    return failed;
  }

  #grow(): void {
    const capacity = this.#endOffsets.length;
    const baseOffsets = new Float64Array(capacity * 2);
    const endOffsets = new Float64Array(capacity * 2);
    const done = new Array<Done | undefined>(capacity * 2).fill(undefined);
    for (let index = 0; index < this.#size; index++) {
      const at = (this.#first + index) & (capacity - 1);
      baseOffsets[index] = this.#baseOffsets[at]!;
      endOffsets[index] = this.#endOffsets[at]!;
      done[index] = this.#done[at];
    }
    this.#baseOffsets = baseOffsets;
    this.#endOffsets = endOffsets;
    this.#done = done;
    this.#first = 0;
  }
}
