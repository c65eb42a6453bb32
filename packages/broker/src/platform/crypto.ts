export type HashName = 'SHA-256' | 'SHA-512';

/** Signatures of tokens (RFC 7518): RSA with PKCS #1 or PSS, and ECDSA over P-256, each with SHA-256. */
export type SignatureName = 'RS256' | 'PS256' | 'ES256';

/** A public key, ready to be used. */
export interface PublicKey {
  readonly type: 'rsa' | 'p-256';
  /** Of an RSA key's modulus; 256 for P-256. */
  readonly bits: number;
  verify(name: SignatureName, data: Uint8Array, signature: Uint8Array): boolean;
}

/** What has to be secret, or has to be right, when it is about secrets. */
export interface Crypto {
  /** Unpredictable bytes. */
  randomBytes(bytes: number): Uint8Array;
  hash(name: HashName, data: Uint8Array): Uint8Array;
  hmac(name: HashName, key: Uint8Array, data: Uint8Array): Uint8Array;
  /** Whether both are the same, in a time that does not tell where they differ; false at once for different lengths. */
  isEqual(left: Uint8Array, right: Uint8Array): boolean;
  /**
   * PBKDF2 (RFC 8018) with HMAC, as long as the hash; off the event loop, one after the other. Rejects with ComputeError `BUSY` when
   * `PBKDF2_WAITING_MAX` wait already.
   */
  pbkdf2(name: HashName, password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array>;
  /** A key of a JSON Web Key Set; undefined for other kinds than RSA and P-256, and for what is no key. */
  publicKey(jwk: Readonly<Record<string, unknown>>): PublicKey | undefined;
}

/** Some seconds of work; who comes later is told at once to come back. */
export const PBKDF2_WAITING_MAX = 1000;
