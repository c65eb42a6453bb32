import { pbkdf2Sync } from 'node:crypto';
import type { Crypto, HashName } from '../../packages/broker/src/platform/crypto.ts';
import {
  HASH_BYTES,
  hash,
  hmac,
  isEqual,
  NODE_HASH,
  publicKey,
} from '../../packages/broker/src/platform/node/crypto-functions.ts';
import { assertAlive, type SimProcess } from './process.ts';
import type { SimRandom } from './random.ts';
import type { SimWorld } from './world.ts';

const PBKDF2_MS_MAX = 5;

/** Node's functions, which depend on their arguments alone, with the seed's chance and virtual time. */
export class SimCrypto implements Crypto {
  readonly hash = hash;
  readonly hmac = hmac;
  readonly isEqual = isEqual;
  readonly publicKey = publicKey;
  readonly #world: SimWorld;
  readonly #process: SimProcess;
  readonly #random: SimRandom;

  constructor(world: SimWorld, process: SimProcess) {
    this.#world = world;
    this.#process = process;
    this.#random = world.random.fork(`crypto of ${process.name}`);
  }

  randomBytes(bytes: number): Uint8Array {
    return this.#random.fill(new Uint8Array(bytes));
  }

  pbkdf2(name: HashName, password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array> {
    const key = pbkdf2Sync(password, salt, iterations, HASH_BYTES[name], NODE_HASH[name]);
    return new Promise((resolve) => {
      assertAlive(this.#process);
      this.#world.after(this.#random.fraction() * PBKDF2_MS_MAX, () => resolve(key), this.#process);
    });
  }
}
