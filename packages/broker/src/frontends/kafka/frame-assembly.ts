import type { BufferPool } from './buffer-pool.ts';
import type { ByteBudget } from './byte-budget.ts';

/** What a frame that spans chunks gets for its first bytes, unless its connection has shown that it sends larger ones. */
export const FIRST_STEP_BYTES = 64 * 1024;
/** How much larger each further step is: few copies, and never much more memory than bytes that have come. */
const GROWTH_FACTOR = 4;

/**
 * The memory of frames that span chunks, of all connections of one listener, under one budget. A frame has as much of it as has
 * been sent of the frame, times {@link GROWTH_FACTOR} at most: what a peer merely announces costs nothing.
 *
 * Frames that hold a part and want more come before those that hold nothing, the oldest first: when they are complete, they give all
 * back. So that they cannot all wait for each other, one of them at a time, the oldest that waits, takes what it wants beyond the budget
 * until it has given its memory back. It always goes on, or is closed as too slow; then the next one may. The budget is thus
 * exceeded by one frame at most, and, while a frame is copied to its next step, by the step that it leaves.
 */
export class FrameMemory {
  readonly #budget: ByteBudget;
  readonly #pool: BufferPool;
  /** Frames that wait for their next step, and what lets them go on beyond the budget. */
  readonly #growing = new Map<FrameAssembly, () => void>();
  #overdrawing: FrameAssembly | undefined;
  #nextRank = 0;

  constructor(budget: ByteBudget, pool: BufferPool) {
    this.#budget = budget;
    this.#pool = pool;
  }

  get usedBytes(): number {
    return this.#budget.usedBytes;
  }

  /** Frames whose bytes do not fit. */
  get waiting(): number {
    return this.#budget.waiting;
  }

  /** Whether somebody waits: then who holds memory has to make use of it. */
  get underPressure(): boolean {
    return this.#budget.waiting > 0;
  }

  /** A frame of which bytes will come; it holds nothing yet. `firstStepBytes`: see {@link FIRST_STEP_BYTES}. */
  begin(frameBytes: number, firstStepBytes: number): FrameAssembly {
    const rank = this.#nextRank++;
    return new FrameAssembly(this, { frameBytes, firstStepBytes, rank });
  }

  /** Grants the bytes beyond `heldBytes` now, or calls `granted` later; the function that is returned then leaves the line. */
  take(frame: FrameAssembly, bytes: number, granted: () => void): (() => void) | undefined {
    const budget = this.#budget;
    const more = budget.chargeOf(bytes) - budget.chargeOf(frame.heldBytes);
    if (frame.heldBytes === 0) {
      return budget.tryTake(more) ? undefined : budget.wait(more, granted);
    }
    if (frame === this.#overdrawing) {
      budget.overdraw(more);
      return undefined;
    }
    if (budget.tryTake(more, frame.rank)) return undefined;
    if (this.#overdrawing === undefined) {
      // Otherwise it may be that all who hold a part wait for each other.
      this.#overdrawing = frame;
      budget.overdraw(more);
      return undefined;
    }
    const leave = budget.wait(
      more,
      () => {
        this.#growing.delete(frame);
        granted();
      },
      frame.rank,
    );
    const leaveLine = (): void => {
      this.#growing.delete(frame);
      leave();
    };
    this.#growing.set(frame, () => {
      leaveLine();
      budget.overdraw(more);
      granted();
    });
    return leaveLine;
  }

  #oldestGrowing(): FrameAssembly | undefined {
    let oldest: FrameAssembly | undefined;
    for (const frame of this.#growing.keys()) {
      if (oldest === undefined || frame.rank < oldest.rank) oldest = frame;
    }
    return oldest;
  }

  /** Moves a frame to a buffer of at least `bytes`, all granted. */
  resize(buffer: Buffer | undefined, filledBytes: number, bytes: number): Buffer {
    // The pool's sizes are coarse: often there is room left.
    if (buffer !== undefined && buffer.length >= bytes) return buffer;
    const larger = this.#pool.take(bytes);
    if (buffer !== undefined) {
      buffer.copy(larger, 0, 0, filledBytes);
      this.#pool.give(buffer);
    }
    return larger;
  }

  giveBack(frame: FrameAssembly, buffer: Buffer | undefined): void {
    if (buffer !== undefined) this.#pool.give(buffer);
    const wasOverdrawing = frame === this.#overdrawing;
    if (wasOverdrawing) this.#overdrawing = undefined;
    this.#budget.give(frame.heldBytes);
    if (!wasOverdrawing || this.#overdrawing !== undefined) return;
    const next = this.#oldestGrowing();
    if (next === undefined) return;
    this.#overdrawing = next;
    this.#growing.get(next)?.();
  }
}

/** One frame that spans chunks, on its way to being whole. */
export class FrameAssembly {
  readonly frameBytes: number;
  /** The order in which frames were begun. */
  readonly rank: number;
  readonly #memory: FrameMemory;
  readonly #firstStepBytes: number;
  #buffer: Buffer | undefined;
  #heldBytes = 0;
  #filledBytes = 0;
  #leaveLine: (() => void) | undefined;

  constructor(
    memory: FrameMemory,
    options: { readonly frameBytes: number; readonly firstStepBytes: number; readonly rank: number },
  ) {
    this.#memory = memory;
    this.frameBytes = options.frameBytes;
    this.rank = options.rank;
    this.#firstStepBytes = Math.max(options.firstStepBytes, FIRST_STEP_BYTES);
  }

  /** Of the budget. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  get filledBytes(): number {
    return this.#filledBytes;
  }

  get isWhole(): boolean {
    return this.#filledBytes === this.frameBytes;
  }

  /** Whether {@link fill} can take bytes now; else `ready` is called when it can. */
  hasRoom(ready: () => void): boolean {
    if (this.#filledBytes < this.#heldBytes) return true;
    const wanted = this.#heldBytes === 0 ? this.#firstStepBytes : this.#heldBytes * GROWTH_FACTOR;
    const bytes = Math.min(wanted, this.frameBytes);
    const grow = (): void => {
      this.#leaveLine = undefined;
      this.#buffer = this.#memory.resize(this.#buffer, this.#filledBytes, bytes);
      this.#heldBytes = bytes;
    };
    this.#leaveLine = this.#memory.take(this, bytes, () => {
      grow();
      ready();
    });
    if (this.#leaveLine !== undefined) return false;
    grow();
    return true;
  }

  /** Copies from `bytes[at]` on what there is room for; returns how much. */
  fill(bytes: Uint8Array, at: number): number {
    if (this.#buffer === undefined) throw new Error('a frame is assembled without a buffer');
    const count = Math.min(this.#heldBytes - this.#filledBytes, bytes.length - at);
    this.#buffer.set(bytes.subarray(at, at + count), this.#filledBytes);
    this.#filledBytes += count;
    return count;
  }

  /** The frame, its bytes from 0 to `frameBytes`. */
  get bytes(): Buffer {
    if (this.#buffer === undefined || !this.isWhole) throw new Error('the frame is not whole');
    return this.#buffer;
  }

  /** Gives its memory back, whole or not, once: nobody may look at its bytes any more. */
  release(): void {
    this.#leaveLine?.();
    this.#leaveLine = undefined;
    const buffer = this.#buffer;
    this.#buffer = undefined;
    if (buffer !== undefined) this.#memory.giveBack(this, buffer);
    this.#heldBytes = 0;
  }
}
