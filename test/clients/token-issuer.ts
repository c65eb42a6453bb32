import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';

/** Signs tokens, and shows the key that they are verified with. */
export class TokenIssuer {
  readonly keySet: string;
  readonly #key: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#key = privateKey;
    this.keySet = JSON.stringify({
      keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig' }],
    });
  }

  token(subject: string, claims: Readonly<Record<string, unknown>> = {}): string {
    const seconds = Math.floor(Date.now() / 1000);
    const all = {
      sub: subject,
      iss: 'https://issuer.example',
      aud: ['polylog'],
      iat: seconds,
      exp: seconds + 600,
      ...claims,
    };
    const signed = [{ alg: 'RS256', kid: 'one', typ: 'JWT' }, all]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${signed}.${sign('sha256', Buffer.from(signed), this.#key).toString('base64url')}`;
  }
}
