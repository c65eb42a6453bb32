import { compress } from 'snappyjs';
import { copyBytes, copyMatch } from './copy.ts';
import { DecompressionLimitError, MalformedError, TruncatedError } from './errors.ts';
import { littleEndian } from './little-endian.ts';

/*
 * Two containers for snappy are in use with Kafka. librdkafka and franz-go write one raw block. Kafka's Java client and
 * most others write the stream of xerial's snappy-java, big-endian:
 *
 *   ┌──────────────────────────┬───────────┬────────────────┐
 *   │ 82 'S N A P P Y' 00      │ version=1 │ compatible=1   │
 *   ├────────────┬─────────────┴───┬───────┴────┬───────────┴───
 *   │ size int32 │ raw block       │ size int32 │ raw block …      blocks of up to 32 KiB before compression
 *
 * A raw block (format_description.txt of google/snappy) is its decoded length as a varint, then elements by the low two bits
 * of their tag:
 *
 *   00  literal: length-1 in 6 bits; 60 to 63 mean that it stands in the next 1 to 4 bytes, little-endian
 *   01  copy: length-4 in 3 bits, distance in 3 + 8 bits
 *   10  copy: length-1 in 6 bits, distance in 2 bytes, little-endian
 *   11  copy: length-1 in 6 bits, distance in 4 bytes, little-endian
 */
const XERIAL_MAGIC = Uint8Array.of(0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00);
const XERIAL_HEADER_BYTES = 16;
const XERIAL_VERSION = 1;
/** snappy-java's default: the hash table of one block stays in the CPU's caches. */
const XERIAL_BLOCK_BYTES = 32_768;
const LENGTH_VARINT_BYTES_MAX = 5;

/** A xerial stream, as Kafka's Java client writes it. */
export function compressSnappy(bytes: Uint8Array): Uint8Array {
  const header = Buffer.alloc(XERIAL_HEADER_BYTES);
  header.set(XERIAL_MAGIC);
  header.writeInt32BE(XERIAL_VERSION, 8);
  header.writeInt32BE(XERIAL_VERSION, 12);
  const chunks: Uint8Array[] = [header];
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) {
    const block = compress(bytes.subarray(at, at + XERIAL_BLOCK_BYTES));
    const size = Buffer.allocUnsafe(4);
    size.writeInt32BE(block.length);
    chunks.push(size, block);
  }
  return Buffer.concat(chunks);
}

/**
 * Decodes a xerial stream, or else a raw block. The decoded length stands before each block: the sum is checked against
 * `maxBytes` before anything is allocated.
 */
export function decompressSnappy(bytes: Uint8Array, maxBytes: number): Uint8Array {
  if (startsXerialStream(bytes, 0)) {
    const output = Buffer.allocUnsafeSlow(walkXerial(bytes, undefined, maxBytes));
    walkXerial(bytes, output, maxBytes);
    return output;
  }
  const size = blockLength(bytes, 0, bytes.length);
  checkPlausible(size, bytes.length);
  if (size > maxBytes) throw new DecompressionLimitError(maxBytes);
  const output = Buffer.allocUnsafeSlow(size);
  decodeBlock(bytes, 0, bytes.length, output, 0, size);
  return output;
}

function startsXerialStream(bytes: Uint8Array, at: number): boolean {
  if (bytes.length - at < XERIAL_HEADER_BYTES) return false;
  for (let index = 0; index < XERIAL_MAGIC.length; index++) {
    if (bytes[at + index] !== XERIAL_MAGIC[index]) return false;
  }
  return true;
}

/** Measures, or, with an output of that size, decodes the chunks. Returns the number of decoded bytes. */
function walkXerial(bytes: Uint8Array, output: Uint8Array | undefined, maxBytes: number): number {
  let at = 0;
  let produced = 0;
  while (at < bytes.length) {
    // Streams may be concatenated: a header, whose first bytes would be a negative size, can follow any chunk.
    if (startsXerialStream(bytes, at)) {
      if (int32(bytes, at + 12) > XERIAL_VERSION)
        throw new MalformedError('unsupported version of the snappy stream');
      at += XERIAL_HEADER_BYTES;
      continue;
    }
    const chunkBytes = int32(bytes, at);
    at += 4;
    if (chunkBytes <= 0) throw new MalformedError(`invalid snappy chunk size ${chunkBytes}`);
    if (chunkBytes > bytes.length - at) throw new TruncatedError(chunkBytes, bytes.length - at);
    const size = blockLength(bytes, at, at + chunkBytes);
    checkPlausible(size, chunkBytes);
    if (size > maxBytes - produced) throw new DecompressionLimitError(maxBytes);
    if (output !== undefined) decodeBlock(bytes, at, at + chunkBytes, output, produced, size);
    produced += size;
    at += chunkBytes;
  }
  return produced;
}

/** An element of 3 bytes yields at most 64: a length beyond that ratio is a lie, and is not worth an allocation. */
function checkPlausible(size: number, blockBytes: number): void {
  if (size > blockBytes * 22)
    throw new MalformedError(`snappy block of ${blockBytes} bytes cannot hold ${size}`);
}

function blockLength(bytes: Uint8Array, at: number, end: number): number {
  let value = 0;
  let factor = 1;
  for (let index = at; index < at + LENGTH_VARINT_BYTES_MAX; index++) {
    if (index >= end) throw new TruncatedError(1, 0);
    const byte = bytes[index]!;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) {
      if (value > 0xffff_ffff) break;
      return value;
    }
    factor *= 0x80;
  }
  throw new MalformedError('snappy length longer than 32 bits');
}

/** Decodes the block in `bytes[start, end)` into exactly `size` bytes at `outputAt`. */
function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  outputAt: number,
  size: number,
): void {
  let at = start;
  while (bytes[at]! >= 0x80) at++;
  at++;
  let to = outputAt;
  const outputEnd = outputAt + size;
  while (at < end) {
    const tag = bytes[at++]!;
    const kind = tag & 3;
    let length: number;
    let distance = 0;
    if (kind === 0) {
      length = (tag >> 2) + 1;
      if (length > 60) {
        const lengthBytes = length - 60;
        if (lengthBytes > end - at) throw new TruncatedError(lengthBytes, end - at);
        length = littleEndian(bytes, at, lengthBytes) + 1;
        at += lengthBytes;
      }
      if (length > end - at) throw new TruncatedError(length, end - at);
    } else {
      const distanceBytes = kind === 3 ? 4 : kind;
      if (distanceBytes > end - at) throw new TruncatedError(distanceBytes, end - at);
      length = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1;
      distance = kind === 1 ? ((tag >> 5) << 8) | bytes[at]! : littleEndian(bytes, at, distanceBytes);
      at += distanceBytes;
      if (distance === 0 || distance > to - outputAt)
        throw new MalformedError(`invalid snappy distance ${distance}`);
    }
    if (length > outputEnd - to) throw new MalformedError('snappy block is longer than it says');
    if (kind === 0) {
      copyBytes(bytes, at, output, to, length);
      at += length;
    } else {
      copyMatch(output, to, distance, length);
    }
    to += length;
  }
  if (to !== outputEnd) throw new MalformedError('snappy block is shorter than it says');
}

function int32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new TruncatedError(4, bytes.length - at);
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}
