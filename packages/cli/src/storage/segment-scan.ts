import { open, type FileHandle } from 'node:fs/promises';
import {
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_MIN,
  BATCH_OVERHEAD_BYTES,
  checkBatch,
  emptyBatchHeader,
  MAGIC_V2,
  readBatchHeaderInto,
  type BatchFault,
  type BatchHeader,
} from '@polylog/record';

const WINDOW_BYTES = 4 * 1024 * 1024;
/** A batch that claims more is taken for damage: message.max.bytes is far below. */
const BATCH_BYTES_MAX = 256 * 1024 * 1024;

/** What stands in a segment, in the order of its bytes. */
export type ScanItem =
  | {
      readonly kind: 'batch';
      /** Overwritten with the next item. */
      readonly header: BatchHeader;
      readonly position: number;
      readonly sizeBytes: number;
      /** The whole batch; valid until the next item is asked for. */
      readonly bytes: Uint8Array;
    }
  | {
      readonly kind: 'damage';
      readonly fault: BatchFault | 'bad_offset';
      readonly fromPosition: number;
      readonly toPosition: number;
      /** What lies there would start with this offset, and end before the other; null at the end of the file. */
      readonly fromOffset: number;
      readonly toOffset: number | null;
    };

/**
 * Reads a segment from its start and checks each batch: framing, CRC, rising offsets. Behind damage it looks for the next valid batch,
 * byte by byte. Memory is bounded by the largest batch.
 */
export async function* scanSegment(path: string, baseOffset: number): AsyncGenerator<ScanItem> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const window = new Window(file, size);
    const header = emptyBatchHeader();
    let nextOffset = baseOffset;
    for (let position = 0; position < size;) {
      const fault = await checkAt(window, position, header, nextOffset);
      if (fault === 'ok') {
        const sizeBytes = header.batchLength + BATCH_OVERHEAD_BYTES;
        yield { kind: 'batch', header, position, sizeBytes, bytes: window.view(position, sizeBytes) };
        nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
        position += sizeBytes;
        continue;
      }
      const toPosition = await nextValid(window, position + 1, header, nextOffset);
      const toOffset = toPosition < size ? header.baseOffset : null;
      yield { kind: 'damage', fault, fromPosition: position, toPosition, fromOffset: nextOffset, toOffset };
      if (toOffset !== null) nextOffset = toOffset;
      position = toPosition;
    }
  } finally {
    await file.close();
  }
}

async function checkAt(
  window: Window,
  position: number,
  header: BatchHeader,
  nextOffset: number,
): Promise<'ok' | BatchFault | 'bad_offset'> {
  const available = await window.load(position, BATCH_HEADER_BYTES);
  if (available >= BATCH_HEADER_BYTES) {
    readBatchHeaderInto(header, window.view(position, BATCH_HEADER_BYTES), 0);
    const sizeBytes = header.batchLength + BATCH_OVERHEAD_BYTES;
    if (header.magic === MAGIC_V2 && sizeBytes > BATCH_BYTES_MAX) return 'bad_length';
    if (header.magic === MAGIC_V2 && sizeBytes <= window.size - position)
      await window.load(position, sizeBytes);
  }
  const bytes = window.rest(position);
  const verdict = checkBatch(bytes, 0, bytes.length, header);
  if (verdict !== 'ok') return verdict;
  return header.baseOffset < nextOffset ? 'bad_offset' : 'ok';
}

/** Where the next valid batch starts, its header filled in; the end of the file if there is none. */
async function nextValid(
  window: Window,
  from: number,
  header: BatchHeader,
  nextOffset: number,
): Promise<number> {
  for (let position = from; position + BATCH_HEADER_BYTES <= window.size; position++) {
    if (!window.has(position, BATCH_HEADER_BYTES)) await window.load(position, BATCH_HEADER_BYTES);
    if (window.looksLikeBatch(position) && (await checkAt(window, position, header, nextOffset)) === 'ok') {
      return position;
    }
  }
  return window.size;
}

const LENGTH_AT = 8;
const MAGIC_AT = 16;

/** The part of a file that is in memory. */
class Window {
  readonly size: number;
  readonly #file: FileHandle;
  #bytes: Buffer = Buffer.alloc(0);
  #from = 0;
  #loaded = 0;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** Brings bytes into memory; fewer where the file ends. Returns how many there are from the position on. */
  async load(position: number, bytes: number): Promise<number> {
    const wanted = Math.min(bytes, this.size - position);
    if (this.has(position, wanted)) return this.#from + this.#loaded - position;
    const capacity = Math.min(Math.max(WINDOW_BYTES, wanted), this.size - position);
    // A batch that was handed out before is not overwritten: its reader may still hold it.
    this.#bytes = Buffer.allocUnsafe(capacity);
    this.#from = position;
    this.#loaded = 0;
    while (this.#loaded < capacity) {
      const at = position + this.#loaded;
      const { bytesRead } = await this.#file.read(this.#bytes, this.#loaded, capacity - this.#loaded, at);
      if (bytesRead === 0) break;
      this.#loaded += bytesRead;
    }
    return this.#loaded;
  }

  has(position: number, bytes: number): boolean {
    return position >= this.#from && position + bytes <= this.#from + this.#loaded;
  }

  view(position: number, bytes: number): Uint8Array {
    return this.#bytes.subarray(position - this.#from, position - this.#from + bytes);
  }

  rest(position: number): Uint8Array {
    return this.#bytes.subarray(position - this.#from, this.#loaded);
  }

  /** Without looking at the CRC: a magic and a length that can be. */
  looksLikeBatch(position: number): boolean {
    const at = position - this.#from;
    if (this.#bytes[at + MAGIC_AT] !== MAGIC_V2) return false;
    const length = this.#bytes.readInt32BE(at + LENGTH_AT);
    return length >= BATCH_LENGTH_MIN && length + BATCH_OVERHEAD_BYTES <= this.size - position;
  }
}
