import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { NodeCrypto } from '../../src/platform/node/crypto.ts';
import {
  credentialOf,
  hashOf,
  type ScramCredential,
  type ScramMechanism,
} from '../../src/security/scram.core.ts';
import type { Credentials } from '../../src/security/users.ts';

export const crypto = new NodeCrypto();

/** What is kept of a password. */
export function credentialFor(
  mechanism: ScramMechanism,
  password: string,
  salt: Uint8Array = Buffer.from('some salt'),
  iterations = 4096,
): ScramCredential {
  const bytes = mechanism === 'SCRAM-SHA-256' ? 32 : 64;
  const salted = pbkdf2Sync(password, salt, iterations, bytes, `sha${bytes * 8}`);
  return credentialOf(crypto, mechanism, salted, { salt, iterations });
}

/** Users by name, with their passwords; everybody else has a credential that nobody knows the password of. */
export function credentialsOf(passwords: Readonly<Record<string, string>>): Credentials {
  return {
    lookUp: (user, mechanism) => ({
      credential: credentialFor(mechanism, passwords[user] ?? 'nobody knows it'),
      isReal: Object.hasOwn(passwords, user),
    }),
    mechanismOf: () => 'SCRAM-SHA-256',
  };
}

/** The client's side of SCRAM, written anew here from RFC 5802. */
export class ScramClient {
  readonly first: string;
  readonly #mechanism: ScramMechanism;
  readonly #password: string;
  readonly #header: string;
  #authMessage = '';
  #salted: Buffer = Buffer.alloc(0);

  constructor(
    mechanism: ScramMechanism,
    user: string,
    password: string,
    nonce = 'client-nonce',
    header = 'n,,',
  ) {
    this.#mechanism = mechanism;
    this.#password = password;
    this.#header = header;
    this.first = `${header}n=${user},r=${nonce}`;
  }

  get #hash(): string {
    return hashOf(this.#mechanism).replace('SHA-', 'sha');
  }

  final(serverFirst: string): string {
    const { nonce, salt, count } = /^r=(?<nonce>.*),s=(?<salt>.*),i=(?<count>.*)$/.exec(serverFirst)!.groups!;
    const bytes = this.#hash === 'sha256' ? 32 : 64;
    this.#salted = pbkdf2Sync(this.#password, Buffer.from(salt!, 'base64'), Number(count), bytes, this.#hash);
    const withoutProof = `c=${Buffer.from(this.#header).toString('base64')},r=${nonce}`;
    this.#authMessage = `${this.first.slice(this.#header.length)},${serverFirst},${withoutProof}`;
    const clientKey = this.#hmac(this.#salted, 'Client Key');
    const storedKey = createHash(this.#hash).update(clientKey).digest();
    const signature = this.#hmac(storedKey, this.#authMessage);
    const proof = clientKey.map((byte, at) => byte ^ signature[at]!);
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`;
  }

  /** What the server has to say in the end. */
  get serverFinal(): string {
    const key = this.#hmac(this.#salted, 'Server Key');
    return `v=${this.#hmac(key, this.#authMessage).toString('base64')}`;
  }

  #hmac(key: Buffer, text: string): Buffer {
    return createHmac(this.#hash, key).update(text).digest();
  }
}
