import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { DecompressionLimitError, MalformedError } from './errors.ts';
import { littleEndian } from './little-endian.ts';
import { compressLz4, decompressLz4 } from './lz4.ts';
import { compressSnappy, decompressSnappy } from './snappy.ts';

/** Kafka's codecs; the position is the id on the wire. */
export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;

export type Codec = (typeof CODECS)[number];

/** The codec with that id (0 to 4), or undefined. */
export function codecOfId(id: number): Codec | undefined {
  return CODECS[id];
}

/** The id, 0 to 4, that stands in a batch's attributes. */
export function idOfCodec(codec: Codec): number {
  return CODECS.indexOf(codec);
}

/** zlib refuses smaller chunks. */
const ZLIB_CHUNK_BYTES_MIN = 64;
/** Guess of an unknown size, and the size of a step from there on. */
const ZLIB_CHUNK_BYTES = 16_384;
/** A size that the peer states is believed up to this multiple of what it sent: a lie must not cost memory. */
const STATED_RATIO_MAX = 32;
const GZIP_BYTES_MIN = 18;
const ZSTD_MAGIC = 0xfd2fb528;

/**
 * Compresses in the container that Kafka's clients expect: gzip member, xerial snappy stream, LZ4 frame of independent blocks,
 * zstd frame with its content size. `none` returns the same bytes, not a copy.
 *
 * @param level gzip -1 to 9, zstd -131072 to 22; the codec's default if left out. snappy and lz4 have none and ignore it.
 */
export function compress(codec: Codec, bytes: Uint8Array, level?: number): Uint8Array {
  switch (codec) {
    case 'none':
      return bytes;
    case 'gzip':
      return gzipSync(bytes, { level: level ?? constants.Z_DEFAULT_COMPRESSION });
    case 'snappy':
      return compressSnappy(bytes);
    case 'lz4':
      return compressLz4(bytes);
    case 'zstd':
      return zstdCompressSync(bytes, {
        params: { [constants.ZSTD_c_compressionLevel]: level ?? constants.ZSTD_CLEVEL_DEFAULT },
        pledgedSrcSize: bytes.length,
      });
  }
}

export interface DecompressOptions {
  /** Largest result, in bytes. */
  readonly maxBytes: number;
}

/**
 * Decompresses; synchronous, so for large inputs on the event loop's thread a matter of milliseconds per MiB. The output never
 * takes more memory than `maxBytes`, whatever the input claims or expands to. `none` returns the same bytes, not a copy.
 *
 * @throws DecompressionLimitError when the result would be larger than `maxBytes`
 * @throws MalformedError when the input is not what the codec writes, or ends early
 */
export function decompress(codec: Codec, bytes: Uint8Array, options: DecompressOptions): Uint8Array {
  const { maxBytes } = options;
  switch (codec) {
    case 'none':
      if (bytes.length > maxBytes) throw new DecompressionLimitError(maxBytes);
      return bytes;
    case 'gzip':
      return withZlibErrors(codec, maxBytes, () =>
        gunzipSync(bytes, zlibOptions(gzipStatedSize(bytes), bytes, maxBytes)),
      );
    case 'snappy':
      return decompressSnappy(bytes, maxBytes);
    case 'lz4':
      return decompressLz4(bytes, maxBytes);
    case 'zstd':
      return withZlibErrors(codec, maxBytes, () => unzstd(bytes, maxBytes));
  }
}

/** The zstd window, up to 128 MiB by the frame's own word, is reserved but touched only as far as output is written. */
function unzstd(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const options = { ...zlibOptions(zstdStatedSize(bytes), bytes, maxBytes), info: true };
  // With `info` the result is this object, which the types of node:zlib leave out.
  const result = zstdDecompressSync(bytes, options) as unknown as {
    buffer: Buffer;
    engine: { bytesWritten: number };
  };
  if (result.engine.bytesWritten !== bytes.length)
    throw new MalformedError('zstd: data after the last frame');
  return result.buffer;
}

function zlibOptions(
  statedSize: number | undefined,
  bytes: Uint8Array,
  maxBytes: number,
): { maxOutputLength: number; chunkSize: number } {
  const believed =
    statedSize === undefined
      ? ZLIB_CHUNK_BYTES
      : Math.min(statedSize, bytes.length * STATED_RATIO_MAX, maxBytes);
  return {
    maxOutputLength: Math.max(maxBytes, 1),
    // One byte more than the result lets zlib see the end without a second round.
    chunkSize: Math.max(believed + 1, ZLIB_CHUNK_BYTES_MIN),
  };
}

/** The last four bytes: the decoded size modulo 2^32 of the last member, nearly always the only one. */
function gzipStatedSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < GZIP_BYTES_MIN) return undefined;
  return littleEndian(bytes, bytes.length - 4, 4);
}

/** RFC 8878, 3.1.1.1: the frame content size, where the first frame states it. */
function zstdStatedSize(bytes: Uint8Array): number | undefined {
  if (bytes.length < 6 || littleEndian(bytes, 0, 4) !== ZSTD_MAGIC) return undefined;
  const descriptor = bytes[4]!;
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeCode = descriptor >> 6;
  if (sizeCode === 0 && !singleSegment) return undefined;
  const sizeBytes = 1 << sizeCode;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3]!;
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryIdBytes;
  if (at + sizeBytes > bytes.length) return undefined;
  return littleEndian(bytes, at, sizeBytes) + (sizeCode === 1 ? 256 : 0);
}

function withZlibErrors(codec: Codec, maxBytes: number, work: () => Uint8Array): Uint8Array {
  let result: Uint8Array;
  try {
    result = work();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new DecompressionLimitError(maxBytes);
    if (code === 'Z_MEM_ERROR' || code === 'ZSTD_error_memory_allocation') throw error;
    if (code.startsWith('Z_') || code.startsWith('ZSTD_')) {
      throw new MalformedError(`${codec}: ${(error as Error).message}`, { cause: error });
    }
    throw error;
  }
  // zlib takes no limit of 0.
  if (result.length > maxBytes) throw new DecompressionLimitError(maxBytes);
  return result;
}
