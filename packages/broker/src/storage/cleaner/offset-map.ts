import { KeyHash } from './key-hash.ts';

/*
 * A table of fixed size from keys to the last offset at which each stands; open addressing, linear probing. A slot has six words of 32 bits:
 *
 *   0   4 words   128-bit hash of the key
 *   4   2 words   offset + 1, low word first; 0: the slot is free
 */
const SLOT_WORDS = 6;
export const SLOT_BYTES = 4 * SLOT_WORDS;
const LOW_AT = 4;
const HIGH_AT = 5;
const WORD = 0x1_0000_0000;
/** As Kafka's `log.cleaner.io.buffer.load.factor`: fuller tables probe for long. */
const LOAD_FACTOR = 0.9;
const SLOTS_MIN = 16;

/** Two keys whose hashes are equal count as one: with 128 bits under a secret that does not happen. */
export class OffsetMap {
  /** Keys that it takes. */
  readonly capacity: number;
  size = 0;
  readonly #slots: number;
  readonly #words: Uint32Array;
  readonly #hash: KeyHash;

  /** @param bytesMax of memory; `keysMax` makes it smaller where no more keys can come */
  constructor(options: {
    readonly bytesMax: number;
    readonly keysMax: number;
    readonly secret: Uint32Array;
  }) {
    const wanted = Math.ceil(options.keysMax / LOAD_FACTOR) + 1;
    this.#slots = Math.max(SLOTS_MIN, Math.min(wanted, Math.floor(options.bytesMax / SLOT_BYTES)));
    this.capacity = Math.floor(this.#slots * LOAD_FACTOR);
    this.#words = new Uint32Array(this.#slots * SLOT_WORDS);
    this.#hash = new KeyHash(options.secret);
  }

  /** Sets the key's offset; false, with nothing changed, if the key is new and the map is full. */
  put(key: Uint8Array, offset: number): boolean {
    const words = this.#words;
    const at = this.#find(key);
    if (words[at + LOW_AT] === 0 && words[at + HIGH_AT] === 0) {
      if (this.size >= this.capacity) return false;
      words.set(this.#hash.words, at);
      this.size++;
    }
    words[at + LOW_AT] = (offset + 1) >>> 0;
    words[at + HIGH_AT] = Math.floor((offset + 1) / WORD);
    return true;
  }

  /** -1 for an unknown key. */
  get(key: Uint8Array): number {
    const at = this.#find(key);
    return this.#words[at + HIGH_AT]! * WORD + this.#words[at + LOW_AT]! - 1;
  }

  /** Where the key's slot, or the free one that it would get, starts. */
  #find(key: Uint8Array): number {
    const hash = this.#hash;
    hash.hash(key);
    const words = this.#words;
    const hashed = hash.words;
    const first = hashed[0]!;
    const second = hashed[1]!;
    const third = hashed[2]!;
    const fourth = hashed[3]!;
    for (let slot = first % this.#slots; ; slot = slot + 1 === this.#slots ? 0 : slot + 1) {
      const at = slot * SLOT_WORDS;
      if (words[at + LOW_AT] === 0 && words[at + HIGH_AT] === 0) return at;
      const isSame =
        words[at] === first &&
        words[at + 1] === second &&
        words[at + 2] === third &&
        words[at + 3] === fourth;
      if (isSame) return at;
    }
  }
}
