import { FRAME_LENGTH_BYTES } from '@polylog/kafka-protocol';

import type { Chunk } from './session-parts.ts';

/** The length before a frame, as far as it has come: it may span chunks. */
export class LengthPrefix {
  #value = 0;
  #filled = 0;

  /** A part of one has come. */
  get isPartial(): boolean {
    return this.#filled > 0;
  }

  /** The length, a signed 32-bit number, behind which the chunk then stands; undefined if the chunk ends before. */
  take(chunk: Chunk): number | undefined {
    const { bytes } = chunk;
    let { at } = chunk;
    if (this.#filled === 0 && bytes.length - at >= FRAME_LENGTH_BYTES) {
      chunk.at = at + FRAME_LENGTH_BYTES;
      return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    }
    while (this.#filled < FRAME_LENGTH_BYTES && at < bytes.length) {
      this.#value = (this.#value << 8) | bytes[at++]!;
      this.#filled++;
    }
    chunk.at = at;
    if (this.#filled < FRAME_LENGTH_BYTES) return undefined;
    const value = this.#value;
    this.#value = 0;
    this.#filled = 0;
    return value;
  }
}
