import type { LogSlice } from '../../packages/broker/src/storage/types.ts';

/** All bytes of a slice, which is released. Throws DiskError. */
export function takeBytes(slice: LogSlice): Uint8Array {
  const bytes = new Uint8Array(slice.bytes);
  try {
    slice.readInto(bytes, 0);
  } finally {
    slice.release();
  }
  return bytes;
}
