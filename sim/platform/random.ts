import type { Random } from '../../packages/broker/src/platform/clock.ts';
import { UUID_BYTES, uuidOf } from '../../packages/broker/src/platform/uuid.ts';

/**
 * Seeded randomness: xoshiro128** (Blackman and Vigna), its state filled from the seed by splitmix32. Each part of the simulation
 * draws from a fork of its own, so that one draw more in one place does not change all others.
 */
export class SimRandom implements Random {
  readonly #seed: number;
  readonly #state = new Uint32Array(4);

  /** @param seed an integer; its low 32 bits count. */
  constructor(seed: number) {
    this.#seed = seed >>> 0;
    let mixed = this.#seed;
    for (let index = 0; index < 4; index++) {
      mixed = (mixed + 0x9e3779b9) >>> 0;
      let value = mixed;
      value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
      value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
      this.#state[index] = value ^ (value >>> 16);
    }
  }

  /** A generator that depends on the seed and the name only, not on what has been drawn. */
  fork(name: string): SimRandom {
    let hash = 0x811c9dc5 ^ this.#seed;
    for (let index = 0; index < name.length; index++) {
      hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
    }
    return new SimRandom(Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) ^ this.#seed);
  }

  /** An integer in [0, 2^32). */
  uint32(): number {
    const state = this.#state;
    const [s0, s1, s2, s3] = state as unknown as [number, number, number, number];
    const scrambled = Math.imul(s1, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    state[1] = s1 ^ t2;
    state[0] = s0 ^ t3;
    state[2] = t2 ^ (s1 << 9);
    state[3] = (t3 << 11) | (t3 >>> 21);
    return result;
  }

  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** An integer in [0, limit). */
  integer(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** An integer in [first, last]. */
  between(first: number, last: number): number {
    return first + this.integer(last - first + 1);
  }

  /** True with this probability; draws nothing when that is 0. */
  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    if (choices.length === 0) throw new RangeError('there is nothing to pick from');
    return choices[this.integer(choices.length)]!;
  }

  fill(bytes: Uint8Array): Uint8Array {
    for (let index = 0; index < bytes.length; index++) bytes[index] = this.uint32();
    return bytes;
  }

  uuid(): string {
    for (;;) {
      const uuid = uuidOf(this.fill(new Uint8Array(UUID_BYTES)));
      if (uuid !== undefined) return uuid;
    }
  }
}
