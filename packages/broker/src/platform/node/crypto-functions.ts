import {
  constants,
  createHash,
  createHmac,
  createPublicKey,
  timingSafeEqual,
  verify,
  type KeyObject,
} from 'node:crypto';
import type { HashName, PublicKey, SignatureName } from '../crypto.ts';

/** The parts of Crypto that are functions of their arguments alone: the simulator's are the same. */

export const NODE_HASH: Readonly<Record<HashName, string>> = { 'SHA-256': 'sha256', 'SHA-512': 'sha512' };
export const HASH_BYTES: Readonly<Record<HashName, number>> = { 'SHA-256': 32, 'SHA-512': 64 };

export function hash(name: HashName, data: Uint8Array): Uint8Array {
  return createHash(NODE_HASH[name]).update(data).digest();
}

export function hmac(name: HashName, key: Uint8Array, data: Uint8Array): Uint8Array {
  return createHmac(NODE_HASH[name], key).update(data).digest();
}

export function isEqual(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

export function publicKey(jwk: Readonly<Record<string, unknown>>): PublicKey | undefined {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  } catch {
    // Whatever is wrong with it, it is no key that could be used.
    return undefined;
  }
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  const isRsa = key.asymmetricKeyType === 'rsa' && modulusLength !== undefined;
  if (!isRsa && !(key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1')) return undefined;
  return {
    type: isRsa ? 'rsa' : 'p-256',
    bits: isRsa ? modulusLength : 256,
    verify: (name, data, signature) => verifyWith(key, name, data, signature),
  };
}

function verifyWith(key: KeyObject, name: SignatureName, data: Uint8Array, signature: Uint8Array): boolean {
  switch (name) {
    case 'RS256':
      return verify('sha256', data, key, signature);
    case 'PS256':
      return verify(
        'sha256',
        data,
        { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
        signature,
      );
    case 'ES256':
      return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, signature);
  }
}
