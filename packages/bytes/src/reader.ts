import { MalformedError, TruncatedError } from './errors.ts';

/** A byte order mark is part of the string: what comes in must go out again. */
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
/** Below this many bytes a loop over char codes beats TextDecoder's call overhead. */
const ASCII_LOOP_BYTES_MAX = 32;

/** A varlong of at most so many bytes fits a number. */
const VARLONG_NUMBER_BYTES = 7;

/**
 * Short strings that were read lately, by a hash of their bytes: requests repeat their topic and client id, and a string that
 * was seen before needs no memory, and has its hash ready for a Map. A power of two.
 */
const RECENT_STRINGS_MAX = 512;
const HASH_FACTOR = 31;
const recentStrings: string[] = Array.from({ length: RECENT_STRINGS_MAX }, () => '');

/** A received chunk holds many requests, each with its own reader: they share one view. Larger buffers are not kept alive for it. */
const SHARED_VIEW_BYTES_MAX = 64 * 1024;
let lastBuffer: Uint8Array = new Uint8Array(0);
let lastView = new DataView(lastBuffer.buffer);

function viewOf(buffer: Uint8Array): DataView {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  if (buffer.buffer.byteLength <= SHARED_VIEW_BYTES_MAX) {
    lastBuffer = buffer;
    lastView = view;
  }
  return view;
}

/**
 * Reads big-endian values from a byte range, without copying. Every read is bounds-checked before it touches or
 * allocates anything: past the end it throws {@link TruncatedError}, and the position stays where it was.
 *
 * int64 values are JavaScript numbers, exact to 2^53: offsets, timestamps, producer ids. A value outside of that
 * range throws {@link MalformedError}; `int64big` reads any bit pattern.
 */
export class Reader {
  readonly buffer: Uint8Array;
  readonly end: number;
  position: number;
  readonly #view: DataView;

  constructor(buffer: Uint8Array, start = 0, end: number = buffer.length) {
    if (start < 0 || end < start || end > buffer.length) {
      throw new RangeError(`range ${start} to ${end} of ${buffer.length} bytes`);
    }
    this.buffer = buffer;
    this.position = start;
    this.end = end;
    this.#view = buffer === lastBuffer ? lastView : viewOf(buffer);
  }

  get remaining(): number {
    return this.end - this.position;
  }

  #advance(bytes: number): number {
    const at = this.position;
    if (bytes > this.end - at) throw new TruncatedError(bytes, this.end - at);
    this.position = at + bytes;
    return at;
  }

  int8(): number {
    return this.#view.getInt8(this.#advance(1));
  }

  uint8(): number {
    return this.buffer[this.#advance(1)]!;
  }

  int16(): number {
    return this.#view.getInt16(this.#advance(2));
  }

  uint16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#advance(4));
  }

  uint32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  int64(): number {
    const at = this.#advance(8);
    const value = this.#view.getInt32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) {
      this.position = at;
      throw new MalformedError(`int64 out of range: ${this.#view.getBigInt64(at)}`);
    }
    return value;
  }

  int64big(): bigint {
    return this.#view.getBigInt64(this.#advance(8));
  }

  float64(): number {
    return this.#view.getFloat64(this.#advance(8));
  }

  /** LEB128, at most 5 bytes: 0 to 2^32-1. */
  uvarint(): number {
    const start = this.position;
    let value = 0;
    let factor = 1;
    for (let index = 0; index < 5; index++) {
      if (this.position >= this.end) {
        this.position = start;
        throw new TruncatedError(index + 1, this.end - start);
      }
      const byte = this.buffer[this.position++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > 0xffff_ffff) break;
        return value;
      }
      factor *= 0x80;
    }
    this.position = start;
    throw new MalformedError('varint longer than 32 bits');
  }

  /** Zigzag int32, as in Kafka's records. */
  varint(): number {
    const raw = this.uvarint();
    return (raw >>> 1) ^ -(raw & 1);
  }

  /** Zigzag int64 within the safe range, as in a record's timestamp delta. */
  varlong(): number {
    const start = this.position;
    let small = 0;
    let factor = 1;
    // Up to 49 bits, numbers are exact and much faster than bigints.
    for (let at = start; at < this.end && at < start + VARLONG_NUMBER_BYTES; at++) {
      const byte = this.buffer[at]!;
      small += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        this.position = at + 1;
        return (this.buffer[start]! & 1) === 1 ? -(small + 1) / 2 : small / 2;
      }
      factor *= 0x80;
    }
    let raw = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.position >= this.end) {
        this.position = start;
        throw new TruncatedError(this.end - start + 1, this.end - start);
      }
      const byte = this.buffer[this.position++]!;
      raw |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        const value = Number((raw >> 1n) ^ -(raw & 1n));
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
    }
    this.position = start;
    throw new MalformedError('varlong out of range');
  }

  /** A view, not a copy: it lives as long as the buffer below it. */
  bytes(length: number): Uint8Array {
    if (length < 0) throw new MalformedError(`negative length ${length}`);
    const at = this.#advance(length);
    return this.buffer.subarray(at, at + length);
  }

  string(length: number): string {
    if (length < 0) throw new MalformedError(`negative length ${length}`);
    const at = this.#advance(length);
    if (length <= ASCII_LOOP_BYTES_MAX) {
      let hash = length;
      for (let index = at; index < at + length; index++) {
        const byte = this.buffer[index]!;
        if (byte >= 0x80) return utf8.decode(this.buffer.subarray(at, at + length));
        hash = (Math.imul(hash, HASH_FACTOR) + byte) | 0;
      }
      const slot = (hash ^ (hash >>> 16)) & (RECENT_STRINGS_MAX - 1);
      const recent = recentStrings[slot]!;
      if (recent.length === length && this.#holds(recent, at)) return recent;
      let text = '';
      for (let index = at; index < at + length; index++) text += String.fromCharCode(this.buffer[index]!);
      recentStrings[slot] = text;
      return text;
    }
    return utf8.decode(this.buffer.subarray(at, at + length));
  }

  #holds(text: string, at: number): boolean {
    for (let index = 0; index < text.length; index++)
      if (text.charCodeAt(index) !== this.buffer[at + index]) return false;
    return true;
  }

  skip(length: number): void {
    if (length < 0) throw new MalformedError(`negative length ${length}`);
    this.#advance(length);
  }
}
