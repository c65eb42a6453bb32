import { compressFrameSync } from 'lz4-napi';
import { copyBytes, copyMatch } from './copy.ts';
import { DecompressionLimitError, MalformedError, TruncatedError } from './errors.ts';
import { xxh32 } from './xxh32.ts';

/*
 * LZ4 frame format 1.6 (lz4_Frame_format.md of the lz4 project), little-endian:
 *
 *   ┌───────────┬─────┬─────┬───────────────────┬────┐
 *   │ 04224D18  │ FLG │ BD  │ [content size, 8] │ HC │      HC: second byte of xxh32(FLG … content size)
 *   ├───────────┴─────┴─────┴───────────────────┴────┘
 *   │ block size │ data … │ [xxh32 of data]    │ …         size bit 31: stored, not compressed
 *   ├────────────┼────────┴────────────────────┘
 *   │ 0 0 0 0    │ [xxh32 of the content]  │                end mark
 *
 *   FLG   7 6       5          4            3           2        1       0
 *         version   blocks     block        content     content  (0)     dictionary
 *         (01)      are inde-  checksums    size        checksum         id
 *                   pendent
 *   BD    6 5 4: largest block, 4: 64 KiB, 5: 256 KiB, 6: 1 MiB, 7: 4 MiB
 *
 * A block is a row of sequences: a token (literal length and match length - 4, four bits each), more length bytes when
 * the four bits are all set, the literals, and a 16-bit distance back; the last one ends after its literals.
 */
const FRAME_MAGIC = 0x184d2204;
/** 0x184D2A50 to 0x184D2A5F: user data with a length, to be ignored. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_MAGIC_MASK = 0xffff_fff0;
const FLG_VERSION_MASK = 0b1100_0000;
const FLG_VERSION = 0b0100_0000;
const FLG_INDEPENDENT = 0b0010_0000;
const FLG_BLOCK_CHECKSUM = 0b0001_0000;
const FLG_CONTENT_SIZE = 0b0000_1000;
const FLG_CONTENT_CHECKSUM = 0b0000_0100;
const FLG_UNSUPPORTED = 0b0000_0011;
const STORED_BIT = 0x8000_0000;
const MATCH_BYTES_MIN = 4;
const LENGTH_NIBBLE_MAX = 15;
/** A block that depends on its predecessors reaches back no further than this. */
const WINDOW_BYTES = 65_536;

interface Frame {
  readonly flags: number;
  readonly blockBytesMax: number;
  readonly contentSize: number | undefined;
  /** Where the first block stands. */
  readonly blocksAt: number;
}

/** One frame of independent blocks without checksums, as Kafka's Java client reads and writes it. */
export function compressLz4(bytes: Uint8Array): Uint8Array {
  return compressFrameSync(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
}

/**
 * Decodes one or more frames, of any block size, with linked or independent blocks; verifies the checksums that are there.
 * A first pass measures without writing, so that memory is allocated once, in the exact size, and never above `maxBytes`.
 */
export function decompressLz4(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const output = Buffer.allocUnsafeSlow(walkFrames(bytes, undefined, maxBytes));
  walkFrames(bytes, output, maxBytes);
  return output;
}

/** Measures, or, with an output of that size, decodes all frames. Returns the number of decoded bytes. */
function walkFrames(bytes: Uint8Array, output: Uint8Array | undefined, maxBytes: number): number {
  if (bytes.length === 0) throw new TruncatedError(4, 0);
  let at = 0;
  let produced = 0;
  while (at < bytes.length) {
    const magic = uint32(bytes, at);
    if ((magic & SKIPPABLE_MAGIC_MASK) >>> 0 === SKIPPABLE_MAGIC) {
      const length = uint32(bytes, at + 4);
      if (length > bytes.length - at - 8) throw new TruncatedError(length, bytes.length - at - 8);
      at += 8 + length;
      continue;
    }
    if (magic !== FRAME_MAGIC) throw new MalformedError('not an LZ4 frame');
    const frame = readFrameHeader(bytes, at);
    if (frame.contentSize !== undefined && frame.contentSize > maxBytes - produced) {
      throw new DecompressionLimitError(maxBytes);
    }
    const start = produced;
    at = frame.blocksAt;
    for (;;) {
      const sizeField = uint32(bytes, at);
      at += 4;
      if (sizeField === 0) break;
      const end = blockEnd(bytes, at, sizeField, frame);
      produced = walkBlock(bytes, at, end, sizeField >= STORED_BIT, output, produced, start, frame, maxBytes);
      at = end;
      if ((frame.flags & FLG_BLOCK_CHECKSUM) !== 0) {
        if (
          output === undefined &&
          uint32(bytes, end) !== xxh32(bytes, end - (sizeField & ~STORED_BIT), end)
        ) {
          throw new MalformedError('LZ4 block checksum mismatch');
        }
        at += 4;
      }
    }
    if (frame.contentSize !== undefined && frame.contentSize !== produced - start) {
      throw new MalformedError(`LZ4 content size ${frame.contentSize} but ${produced - start} bytes`);
    }
    if ((frame.flags & FLG_CONTENT_CHECKSUM) !== 0) {
      const checksum = uint32(bytes, at);
      at += 4;
      if (output !== undefined && checksum !== xxh32(output, start, produced)) {
        throw new MalformedError('LZ4 content checksum mismatch');
      }
    }
  }
  return produced;
}

function readFrameHeader(bytes: Uint8Array, at: number): Frame {
  if (at + 7 > bytes.length) throw new TruncatedError(7, bytes.length - at);
  const flags = bytes[at + 4]!;
  const descriptor = bytes[at + 5]!;
  if ((flags & FLG_VERSION_MASK) !== FLG_VERSION || (flags & FLG_UNSUPPORTED) !== 0) {
    throw new MalformedError(`unsupported LZ4 frame flags ${flags}`);
  }
  const blockSizeCode = descriptor >> 4;
  if (blockSizeCode < 4 || blockSizeCode > 7 || (descriptor & 0x0f) !== 0) {
    throw new MalformedError(`invalid LZ4 block descriptor ${descriptor}`);
  }
  const sized = (flags & FLG_CONTENT_SIZE) !== 0;
  const checksumAt = at + (sized ? 14 : 6);
  if (checksumAt >= bytes.length) throw new TruncatedError(checksumAt + 1 - at, bytes.length - at);
  if (bytes[checksumAt] !== ((xxh32(bytes, at + 4, checksumAt) >>> 8) & 0xff)) {
    throw new MalformedError('LZ4 frame header checksum mismatch');
  }
  return {
    flags,
    blockBytesMax: 1 << (8 + 2 * blockSizeCode),
    contentSize: sized ? uint32(bytes, at + 6) + uint32(bytes, at + 10) * 0x1_0000_0000 : undefined,
    blocksAt: checksumAt + 1,
  };
}

function blockEnd(bytes: Uint8Array, at: number, sizeField: number, frame: Frame): number {
  const size = sizeField & ~STORED_BIT;
  // A stored block of no bytes is the end to some readers and nothing to others: nobody writes it.
  if (size === 0 || size > frame.blockBytesMax) throw new MalformedError(`invalid LZ4 block size ${size}`);
  if (size > bytes.length - at) throw new TruncatedError(size, bytes.length - at);
  return at + size;
}

function walkBlock(
  bytes: Uint8Array,
  at: number,
  end: number,
  stored: boolean,
  output: Uint8Array | undefined,
  produced: number,
  frameStart: number,
  frame: Frame,
  maxBytes: number,
): number {
  if (output !== undefined) {
    if (!stored) return decodeBlock(bytes, at, end, output, produced);
    output.set(bytes.subarray(at, end), produced);
    return produced + end - at;
  }
  const independent = (frame.flags & FLG_INDEPENDENT) !== 0;
  const history = independent ? 0 : Math.min(produced - frameStart, WINDOW_BYTES);
  const size = stored ? end - at : measureBlock(bytes, at, end, history, frame.blockBytesMax);
  if (size > maxBytes - produced) throw new DecompressionLimitError(maxBytes);
  return produced + size;
}

/** Checks a block's structure and returns its decoded size. `history`: bytes before it that its matches may refer to. */
function measureBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  history: number,
  blockBytesMax: number,
): number {
  let at = start;
  let size = 0;
  while (at < end) {
    const token = bytes[at++]!;
    let literals = token >> 4;
    if (literals === LENGTH_NIBBLE_MAX) {
      let more: number;
      do {
        if (at >= end) throw new TruncatedError(1, 0);
        more = bytes[at++]!;
        literals += more;
      } while (more === 0xff);
    }
    if (literals > end - at) throw new TruncatedError(literals, end - at);
    at += literals;
    size += literals;
    if (at === end) {
      if (size > blockBytesMax) break;
      return size;
    }
    if (end - at < 2) throw new TruncatedError(2, end - at);
    const distance = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    if (distance === 0 || distance > size + history)
      throw new MalformedError(`invalid LZ4 distance ${distance}`);
    let match = (token & LENGTH_NIBBLE_MAX) + MATCH_BYTES_MIN;
    if (match === LENGTH_NIBBLE_MAX + MATCH_BYTES_MIN) {
      let more: number;
      do {
        if (at >= end) throw new TruncatedError(1, 0);
        more = bytes[at++]!;
        match += more;
      } while (more === 0xff);
    }
    size += match;
    if (size > blockBytesMax) break;
  }
  if (size > blockBytesMax) throw new MalformedError(`LZ4 block exceeds ${blockBytesMax} bytes`);
  throw new MalformedError('LZ4 block ends in a match');
}

/** Decodes a block that {@link measureBlock} has found sound; hence no checks. Returns the end of the output. */
function decodeBlock(
  bytes: Uint8Array,
  start: number,
  end: number,
  output: Uint8Array,
  outputAt: number,
): number {
  let at = start;
  let to = outputAt;
  for (;;) {
    const token = bytes[at++]!;
    let literals = token >> 4;
    if (literals === LENGTH_NIBBLE_MAX) {
      let more: number;
      do literals += more = bytes[at++]!;
      while (more === 0xff);
    }
    copyBytes(bytes, at, output, to, literals);
    at += literals;
    to += literals;
    if (at >= end) return to;
    const distance = bytes[at]! | (bytes[at + 1]! << 8);
    at += 2;
    let match = (token & LENGTH_NIBBLE_MAX) + MATCH_BYTES_MIN;
    if (match === LENGTH_NIBBLE_MAX + MATCH_BYTES_MIN) {
      let more: number;
      do match += more = bytes[at++]!;
      while (more === 0xff);
    }
    copyMatch(output, to, distance, match);
    to += match;
  }
}

/** Little-endian, unsigned, checked. */
function uint32(bytes: Uint8Array, at: number): number {
  if (at + 4 > bytes.length) throw new TruncatedError(4, Math.max(bytes.length - at, 0));
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
