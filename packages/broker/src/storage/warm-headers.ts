import { BATCH_HEADER_BYTES, emptyBatchHeader, readBatchHeaderInto, sizeInBytes } from '@polylog/record';
import type { BatchHeader } from '@polylog/record';
import { HEADER_SCAN_BYTES, isPlausible } from './batch-cursor.ts';
import type { Segment } from './segment.ts';

/**
 * Walks from a position at which a batch starts over the batch headers, and so brings them into the page cache, without holding up the event loop.
 * Returns the position of the first one at which `isEnd` returns true, or at which there is no batch. Rejects with DiskError. The segment must be retained.
 */
export async function warmHeaders(
  segment: Segment,
  from: number,
  isEnd: (header: BatchHeader, position: number) => boolean,
): Promise<number> {
  const header = emptyBatchHeader();
  const window = new Uint8Array(HEADER_SCAN_BYTES);
  let position = from;
  for (;;) {
    const start = position;
    const bytes = await segment.handle.pinned((file) => file.readAsync(window, start));
    while (start + bytes - position >= BATCH_HEADER_BYTES) {
      readBatchHeaderInto(header, window, position - start);
      if (!isPlausible(header, segment.sizeBytes - position) || isEnd(header, position)) return position;
      position += sizeInBytes(header);
    }
    if (position === start) return position;
  }
}
