const INITIAL_BYTES = 256;
/** Small messages are written one behind the other into a block of this size, while nobody else writes to it. */
const BLOCK_BYTES = 16 * 1024;
/** Below this a call into Node costs more than a loop. */
const ASCII_LOOP_CHARS_MAX = 64;
/** Above this a byte string is kept as a chunk of its own instead of being copied into the writer's buffer. */
const CHUNK_BYTES_MIN = 4096;
/** Zigzag doubles a value: below this, the double is still an exact number. */
const VARLONG_NUMBER_LIMIT = 2 ** 51;

/** What is left of a block that a finished writer has begun. A buffer and its view for every message would be a good part of its cost. */
interface Block {
  readonly buffer: Buffer;
  readonly view: DataView;
  position: number;
}

/** More than one, because writers are nested. */
const FREE_BLOCKS_MAX = 4;
const freeBlocks: Block[] = [];

const NO_BUFFER = Buffer.alloc(0);
const NO_VIEW = new DataView(NO_BUFFER.buffer, NO_BUFFER.byteOffset, 0);

/**
 * Writes big-endian values. Small values go to a growing buffer; large byte strings are kept as they are, so that a
 * response becomes a list of chunks for one gathered socket write and payload is never copied.
 */
export class Writer {
  #buffer: Buffer;
  #view: DataView;
  /** What #buffer was taken from, until it has been outgrown. */
  #block: Block | undefined;
  #position = 0;
  /** Start of the bytes in #buffer that are not in #chunks yet. */
  #start = 0;
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;

  constructor(initialBytes: number = INITIAL_BYTES) {
    const block = freeBlocks.pop();
    if (block !== undefined && block.position + initialBytes <= block.buffer.length) {
      this.#block = block;
      this.#buffer = block.buffer;
      this.#view = block.view;
      this.#position = this.#start = block.position;
      return;
    }
    this.#buffer = Buffer.allocUnsafeSlow(Math.max(initialBytes, BLOCK_BYTES));
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
  }

  /** Bytes written so far, chunks included. */
  get length(): number {
    return this.#chunkBytes + this.#position - this.#start;
  }

  #reserve(bytes: number): number {
    const at = this.#position;
    if (at + bytes > this.#buffer.length) {
      // What is pending moves along; finished chunks keep their view of the old buffer.
      const pending = at - this.#start;
      const grown = Buffer.allocUnsafe(Math.max((pending + bytes) * 2, INITIAL_BYTES));
      this.#buffer.copy(grown, 0, this.#start, at);
      this.#buffer = grown;
      this.#block = undefined;
      this.#view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
      this.#start = 0;
      this.#position = pending + bytes;
      return pending;
    }
    this.#position = at + bytes;
    return at;
  }

  int8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setInt8(at, value);
  }

  uint8(value: number): void {
    const at = this.#reserve(1);
    this.#buffer[at] = value;
  }

  int16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setInt16(at, value);
  }

  uint16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
  }

  int32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setInt32(at, value);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
  }

  /** A safe integer; see {@link Writer.int64big} for any bit pattern. */
  int64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setInt32(at, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(at + 4, value >>> 0);
  }

  int64big(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigInt64(at, value);
  }

  float64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value);
  }

  /** LEB128 of 0 to 2^32-1. */
  uvarint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.uint8((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.uint8(rest);
  }

  /** Zigzag int32. */
  varint(value: number): void {
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** Zigzag int64 of a safe integer. */
  varlong(value: number): void {
    if (Math.abs(value) < VARLONG_NUMBER_LIMIT) {
      let rest = value < 0 ? -2 * value - 1 : 2 * value;
      while (rest >= 0x80) {
        this.uint8((rest % 0x80) | 0x80);
        rest = Math.floor(rest / 0x80);
      }
      this.uint8(rest);
      return;
    }
    const big = BigInt(value);
    let raw = BigInt.asUintN(64, (big << 1n) ^ (big >> 63n));
    while (raw >= 0x80n) {
      this.uint8(Number(raw & 0x7fn) | 0x80);
      raw >>= 7n;
    }
    this.uint8(Number(raw));
  }

  /** Large values are referenced, not copied: they must stay unchanged until the chunks have been written out. */
  bytes(value: Uint8Array): void {
    if (value.length < CHUNK_BYTES_MIN) {
      const at = this.#reserve(value.length);
      this.#buffer.set(value, at);
      return;
    }
    this.#flush();
    this.#chunks.push(value);
    this.#chunkBytes += value.length;
  }

  /** UTF-8 without a length; see {@link utf8Length}. */
  string(value: string, byteLength: number): void {
    const at = this.#reserve(byteLength);
    // One byte per character: all of it is ASCII.
    if (byteLength === value.length && byteLength <= ASCII_LOOP_CHARS_MAX) {
      const buffer = this.#buffer;
      for (let index = 0; index < byteLength; index++) buffer[at + index] = value.charCodeAt(index);
      return;
    }
    this.#buffer.write(value, at, byteLength, 'utf8');
  }

  #flush(): void {
    if (this.#position === this.#start) return;
    this.#chunks.push(this.#buffer.subarray(this.#start, this.#position));
    this.#chunkBytes += this.#position - this.#start;
    this.#start = this.#position;
  }

  /** The chunks in order. The writer must not be used afterwards. */
  chunks(): Uint8Array[] {
    this.#flush();
    if (freeBlocks.length < FREE_BLOCKS_MAX && this.#position < this.#buffer.length) {
      const block = this.#block ?? { buffer: this.#buffer, view: this.#view, position: 0 };
      block.position = this.#position;
      freeBlocks.push(block);
    }
    // The block may be another writer's from now on.
    this.#block = undefined;
    this.#buffer = NO_BUFFER;
    this.#view = NO_VIEW;
    this.#position = this.#start = 0;
    return this.#chunks;
  }

  /** All bytes in one buffer: for tests and small messages. The writer must not be used afterwards. */
  finish(): Uint8Array {
    const chunks = this.chunks();
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
  }
}

/** The UTF-8 length of a string, lone surrogates counted as the replacement character that is written for them. */
export function utf8Length(value: string): number {
  const { length } = value;
  if (length <= ASCII_LOOP_CHARS_MAX) {
    let index = 0;
    while (index < length && value.charCodeAt(index) < 0x80) index++;
    if (index === length) return length;
  }
  return Buffer.byteLength(value, 'utf8');
}
