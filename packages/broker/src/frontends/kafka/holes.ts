import type { RecordsHole, RecordsSource } from './handler.ts';

/**
 * Byte strings below this size are copied by the Writer, and so lose the identity by which a placeholder is found again: record
 * bytes this short are read at once. It is the Writer's CHUNK_BYTES_MIN.
 */
export const HOLE_BYTES_MIN = 4096;

const RESERVED_BYTES = 64 * 1024 * 1024;

/** Zeros that nobody touches: the system never backs them with memory. */
let reserved: Uint8Array | undefined;

/** Makes a hole of the source's size, at least {@link HOLE_BYTES_MIN}. Its placeholder is an object of its own. */
export function holeOf(source: RecordsSource): RecordsHole {
  if (source.bytes < HOLE_BYTES_MIN) throw new Error(`${source.bytes} bytes are too few for a hole`);
  if (reserved === undefined || reserved.length < source.bytes) {
    reserved = new Uint8Array(Math.max(RESERVED_BYTES, source.bytes));
  }
  return { placeholder: reserved.subarray(0, source.bytes), source };
}
