import { pbkdf2, randomBytes } from 'node:crypto';
import { ComputeError } from '../compute.ts';
import { PBKDF2_WAITING_MAX, type Crypto, type HashName } from '../crypto.ts';
import { HASH_BYTES, hash, hmac, isEqual, NODE_HASH, publicKey } from './crypto-functions.ts';

/** Through node:crypto. */
export class NodeCrypto implements Crypto {
  readonly hash = hash;
  readonly hmac = hmac;
  readonly isEqual = isEqual;
  readonly publicKey = publicKey;
  #waiting = 0;
  /** One at a time: they share the threads that sync files. */
  #last: Promise<unknown> = Promise.resolve();

  randomBytes(bytes: number): Uint8Array {
    return randomBytes(bytes);
  }

  pbkdf2(name: HashName, password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array> {
    if (this.#waiting >= PBKDF2_WAITING_MAX) {
      return Promise.reject(
        new ComputeError('BUSY', `${this.#waiting} passwords wait to be checked already`),
      );
    }
    this.#waiting++;
    const result = this.#last
      .then(() => derive(name, password, salt, iterations))
      .finally(() => void this.#waiting--);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function derive(
  name: HashName,
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, HASH_BYTES[name], NODE_HASH[name], (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}
