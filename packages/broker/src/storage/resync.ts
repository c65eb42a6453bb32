import {
  BATCH_HEADER_BYTES,
  emptyBatchHeader,
  MAGIC_AT,
  MAGIC_V2,
  readBatchHeaderInto,
  sizeInBytes,
  verifyCrc,
} from '@polylog/record';
import { isPlausible } from './batch-cursor.ts';
import type { FileHandle } from './descriptor-cache.ts';

const WINDOW_BYTES = 64 * 1024;

export interface FoundBatch {
  readonly position: number;
  readonly baseOffset: number;
}

/**
 * Searches a damaged file byte by byte, behind `position`, for the next batch with a valid CRC and a base offset in (offsetMin,
 * offsetMax). Undefined if there is none up to `limit`. Slow, and rarely needed. Throws DiskError.
 */
export function findBatch(options: {
  readonly handle: FileHandle;
  readonly position: number;
  readonly limit: number;
  readonly offsetMin: number;
  readonly offsetMax: number;
}): FoundBatch | undefined {
  const { handle, limit } = options;
  const window = new Uint8Array(WINDOW_BYTES);
  const header = emptyBatchHeader();
  // Windows overlap by a header, so that none is cut in two.
  for (let start = options.position + 1; start + BATCH_HEADER_BYTES <= limit;) {
    const bytes = handle.file().read(window.subarray(0, Math.min(WINDOW_BYTES, limit - start)), start);
    if (bytes < BATCH_HEADER_BYTES) return undefined;
    for (let at = 0; at + BATCH_HEADER_BYTES <= bytes; at++) {
      if (window[at + MAGIC_AT] !== MAGIC_V2) continue;
      readBatchHeaderInto(header, window, at);
      if (header.baseOffset <= options.offsetMin || header.baseOffset >= options.offsetMax) continue;
      if (!isPlausible(header, limit - start - at)) continue;
      const batch = new Uint8Array(sizeInBytes(header));
      handle.file().read(batch, start + at);
      if (verifyCrc(batch)) return { position: start + at, baseOffset: header.baseOffset };
    }
    start += bytes - BATCH_HEADER_BYTES + 1;
  }
  return undefined;
}
