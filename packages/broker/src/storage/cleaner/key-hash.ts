/*
 * HalfSipHash-2-4 (Aumasson and Bernstein's reference, 32-bit words, 64-bit key, 64-bit result), twice with independent keys: 128 bits of a
 * keyed hash. Who does not know the secret can neither find two keys that collide nor fill one part of the table.
 */

/** Of the secret: one 64-bit key per lane. */
export const SECRET_WORDS = 4;
const RESULT_WORDS = 4;

const COMPRESSION_ROUNDS = 2;
const FINAL_ROUNDS = 4;

/** Hashes keys under one secret. The result of {@link hash} stands in {@link words}, and is overwritten by the next call. */
export class KeyHash {
  readonly words = new Uint32Array(RESULT_WORDS);
  readonly #secret: Uint32Array;

  constructor(secret: Uint32Array) {
    if (secret.length !== SECRET_WORDS) throw new RangeError(`a secret of ${secret.length} words`);
    this.#secret = secret;
  }

  hash(key: Uint8Array): void {
    const secret = this.#secret;
    halfSipHash(key, secret[0]!, secret[1]!, this.words, 0);
    halfSipHash(key, secret[2]!, secret[3]!, this.words, 2);
  }
}

/** Writes the two words of the result to `into` from `at` on. */
export function halfSipHash(
  bytes: Uint8Array,
  key0: number,
  key1: number,
  into: Uint32Array,
  at: number,
): void {
  let v0 = key0 | 0;
  let v1 = (key1 ^ 0xee) | 0;
  let v2 = 0x6c796765 ^ key0;
  let v3 = 0x74656462 ^ key1;
  const { length } = bytes;
  const whole = length & ~3;
  let rounds = 0;
  let word = 0;
  let position = 0;
  // One loop over words, the last word and the finalization, so that the round stands here once.
  for (let phase = 0; phase < 4;) {
    if (phase === 0 && position >= whole) phase = 1;
    if (phase === 0) {
      word =
        bytes[position]! |
        (bytes[position + 1]! << 8) |
        (bytes[position + 2]! << 16) |
        (bytes[position + 3]! << 24);
      position += 4;
      rounds = COMPRESSION_ROUNDS;
    } else if (phase === 1) {
      word = length << 24;
      for (let left = length - whole - 1; left >= 0; left--) word |= bytes[whole + left]! << (8 * left);
      rounds = COMPRESSION_ROUNDS;
    } else {
      word = 0;
      if (phase === 2) v2 ^= 0xee;
      else v1 ^= 0xdd;
      rounds = FINAL_ROUNDS;
    }
    v3 ^= word;
    for (; rounds > 0; rounds--) {
      v0 = (v0 + v1) | 0;
      v1 = (v1 << 5) | (v1 >>> 27);
      v1 ^= v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = (v3 << 8) | (v3 >>> 24);
      v3 ^= v2;
      v0 = (v0 + v3) | 0;
      v3 = (v3 << 7) | (v3 >>> 25);
      v3 ^= v0;
      v2 = (v2 + v1) | 0;
      v1 = (v1 << 13) | (v1 >>> 19);
      v1 ^= v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    v0 ^= word;
    if (phase === 2) into[at] = v1 ^ v3;
    if (phase === 3) into[at + 1] = v1 ^ v3;
    if (phase > 0) phase++;
  }
}
