import type { Reader, Writer } from '@polylog/bytes';

import { EncodeError } from './errors.ts';
import type { Type } from './type.ts';

/** A UUID in the form in which Kafka prints it: 22 characters of unpadded base64url. */
export type Uuid = string;

/** Kafka's "no id". */
export const ZERO_UUID: Uuid = 'AAAAAAAAAAAAAAAAAAAAAA';

const UUID_BYTES = 16;
const UUID_CHARS = 22;

/**
 * A direct-mapped cache of the strings last decoded, keyed by their bits. Topic ids repeat from request to request; a
 * hit costs a few loads instead of a string, and gives the same string object, whose hash Map lookups then reuse.
 */
const CACHE_ENTRIES = 1024;
const cachedWords = new Int32Array(CACHE_ENTRIES * 4);
const cachedTexts: Uuid[] = new Array<Uuid>(CACHE_ENTRIES).fill(ZERO_UUID);

function decodeUuid(reader: Reader): Uuid {
  const at = reader.position;
  const w0 = reader.int32();
  // One check covers the rest, so that a short id leaves the reader where it was.
  if (reader.remaining < UUID_BYTES - 4) {
    reader.position = at;
    reader.skip(UUID_BYTES);
  }
  const w1 = reader.int32();
  const w2 = reader.int32();
  const w3 = reader.int32();
  const entry = (w0 ^ w1 ^ w2 ^ w3) & (CACHE_ENTRIES - 1);
  const word = entry * 4;
  if (
    cachedWords[word] === w0 &&
    cachedWords[word + 1] === w1 &&
    cachedWords[word + 2] === w2 &&
    cachedWords[word + 3] === w3
  ) {
    return cachedTexts[entry]!;
  }
  const { buffer, byteOffset } = reader.buffer;
  const text = Buffer.from(buffer, byteOffset + at, UUID_BYTES).toString('base64url');
  cachedWords[word] = w0;
  cachedWords[word + 1] = w1;
  cachedWords[word + 2] = w2;
  cachedWords[word + 3] = w3;
  cachedTexts[entry] = text;
  return text;
}

const SEXTETS = new Int8Array(128).fill(-1);
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
for (let index = 0; index < ALPHABET.length; index++) SEXTETS[ALPHABET.charCodeAt(index)] = index;
const scratch = new Uint8Array(UUID_BYTES);

function encodeUuid(writer: Writer, value: Uuid): void {
  if (typeof value !== 'string' || value.length !== UUID_CHARS) throw notUuid(value);
  let bits = 0;
  let bitCount = 0;
  let at = 0;
  for (let index = 0; index < UUID_CHARS; index++) {
    const code = value.charCodeAt(index);
    const sextet = code < 128 ? SEXTETS[code]! : -1;
    if (sextet < 0) throw notUuid(value);
    bits = ((bits << 6) | sextet) & 0x3fff;
    bitCount += 6;
    if (bitCount >= 8 && at < UUID_BYTES) {
      bitCount -= 8;
      scratch[at++] = bits >> bitCount;
    }
  }
  // The last character carries four bits more than there are; two spellings of one id would be two Map keys.
  if ((bits & 0x0f) !== 0) throw notUuid(value);
  writer.bytes(scratch);
}

function notUuid(value: unknown): EncodeError {
  return new EncodeError(`${String(value)} is not a UUID of ${UUID_CHARS} base64url characters`);
}

export const uuid: Type<Uuid> = {
  shape: { kind: 'uuid' },
  zero: ZERO_UUID,
  compile: () => ({ bytesMin: UUID_BYTES, decode: decodeUuid, encode: encodeUuid }),
};
