import type { Crypto, HashName } from '../platform/crypto.ts';

/*
 * SCRAM (RFC 5802, with SHA-256 by RFC 7677, and SHA-512) on the server's side. The client's messages and ours:
 *
 *   C  n,[a=AUTHZID],n=USER,r=CLIENT-NONCE[,EXTENSION...]
 *   S  r=CLIENT-NONCE SERVER-NONCE,s=SALT,i=ITERATIONS
 *   C  c=BASE64 OF "n,[a=AUTHZID],",r=BOTH NONCES[,EXTENSION...],p=PROOF
 *   S  v=SERVER SIGNATURE
 *
 *   SaltedPassword  = PBKDF2(password, salt, iterations)
 *   StoredKey       = H(HMAC(SaltedPassword, "Client Key"));  ServerKey = HMAC(SaltedPassword, "Server Key")
 *   AuthMessage     = client-first-bare "," server-first "," client-final-without-proof
 *   proof           = ClientKey XOR HMAC(StoredKey, AuthMessage);  signature = HMAC(ServerKey, AuthMessage)
 */

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-512';

/** As in Kafka: fewer protect a stolen credential badly, more would let a client spend the broker's time. */
export const ITERATIONS_MIN = 4096;
export const ITERATIONS_MAX = 16_384;

export function hashOf(mechanism: ScramMechanism): HashName {
  return mechanism === 'SCRAM-SHA-256' ? 'SHA-256' : 'SHA-512';
}

/** What is kept of a password. Nobody can log in with it, but who has it can try passwords. */
export interface ScramCredential {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export function credentialOf(
  crypto: Crypto,
  mechanism: ScramMechanism,
  saltedPassword: Uint8Array,
  { salt, iterations }: Pick<ScramCredential, 'salt' | 'iterations'>,
): ScramCredential {
  const hash = hashOf(mechanism);
  const clientKey = crypto.hmac(hash, saltedPassword, bytesOf('Client Key'));
  const serverKey = crypto.hmac(hash, saltedPassword, bytesOf('Server Key'));
  return { salt, iterations, storedKey: crypto.hash(hash, clientKey), serverKey };
}

/** Whether a salted password is the one that the credential was made of. */
export function matches(
  crypto: Crypto,
  mechanism: ScramMechanism,
  saltedPassword: Uint8Array,
  credential: ScramCredential,
): boolean {
  const { storedKey } = credentialOf(crypto, mechanism, saltedPassword, credential);
  return crypto.isEqual(storedKey, credential.storedKey);
}

/** A message that breaks the rules of the mechanism; its text is for the log and the peer alike. */
export class ScramError extends Error {
  override readonly name = 'ScramError';
}

export interface ClientFirst {
  /** With its comma at the end. */
  readonly gs2Header: string;
  readonly bare: string;
  readonly user: string;
  readonly nonce: string;
}

const GS2_HEADER = /^(?<header>(?<binding>n|y|p=[^,]+),(?:a=(?<authzid>[^,]+))?,)(?<bare>.*)$/s;
const FIRST_BARE =
  /^(?<mandatory>m=[^,]*,)?n=(?<name>[^,]+),r=(?<nonce>[\x21-\x2b\x2d-\x7e]+)(?<extensions>(?:,[A-Za-z]+=[^,]+)*)$/;
/** Shorter ones would not be unpredictable, longer ones only cost. */
const NONCE_LENGTH_MIN = 8;
const NONCE_LENGTH_MAX = 256;

/** Throws {@link ScramError}. */
export function parseClientFirst(text: string): ClientFirst {
  const { header, binding, authzid, bare } = GS2_HEADER.exec(text)?.groups ?? {};
  if (header === undefined || bare === undefined) throw new ScramError('The first message is malformed');
  if (binding !== 'n' && binding !== 'y') throw new ScramError('Channel binding is not supported');
  const { mandatory, name, nonce, extensions } = FIRST_BARE.exec(bare)?.groups ?? {};
  if (mandatory !== undefined) throw new ScramError('A mandatory extension is not supported');
  if (name === undefined || nonce === undefined) throw new ScramError('The first message is malformed');
  if (nonce.length < NONCE_LENGTH_MIN || nonce.length > NONCE_LENGTH_MAX) {
    throw new ScramError(
      `The nonce has ${nonce.length} characters, not ${NONCE_LENGTH_MIN} to ${NONCE_LENGTH_MAX}`,
    );
  }
  if (/,tokenauth=true/i.test(extensions ?? '')) throw new ScramError('Delegation tokens are not supported');
  const user = unescaped(name);
  if (authzid !== undefined && unescaped(authzid) !== user) {
    throw new ScramError('Nobody may act for another user');
  }
  return { gs2Header: header, bare, user, nonce };
}

/** `,` and `=` in names are `=2C` and `=3D`; no other `=` may stand there. */
function unescaped(name: string): string {
  if (/=(?!2C|3D)/.test(name)) throw new ScramError('The user name is malformed');
  return name.replaceAll('=2C', ',').replaceAll('=3D', '=');
}

export interface ClientFinal {
  readonly withoutProof: string;
  readonly proof: Uint8Array;
}

const FINAL =
  /^(?<withoutProof>c=(?<binding>[A-Za-z0-9+/=]+),r=(?<nonce>[^,]+)(?:,[A-Za-z]+=[^,]+)*),p=(?<proof>[A-Za-z0-9+/=]+)$/s;

/** Throws {@link ScramError}, also when the message does not go with the ones before it. */
export function parseClientFinal(text: string, gs2Header: string, nonce: string): ClientFinal {
  const { withoutProof, binding, nonce: repeated, proof } = FINAL.exec(text)?.groups ?? {};
  if (withoutProof === undefined || binding === undefined || proof === undefined) {
    throw new ScramError('The last message is malformed');
  }
  if (Buffer.from(binding, 'base64').toString('latin1') !== Buffer.from(gs2Header).toString('latin1')) {
    throw new ScramError('The channel binding is not the one of the first message');
  }
  // The end of it, as Kafka does: librdkafka before 2.6.1 repeats its own nonce before ours. The proof is about what was sent, either way.
  if (repeated?.endsWith(nonce) !== true) throw new ScramError('The nonce is not the one of this exchange');
  return { withoutProof, proof: Buffer.from(proof, 'base64') };
}

export function serverFirst(nonce: string, { salt, iterations }: ScramCredential): string {
  return `r=${nonce},s=${Buffer.from(salt).toString('base64')},i=${iterations}`;
}

/** The server's last message, or undefined if the proof is wrong. */
export function verifyProof(
  crypto: Crypto,
  mechanism: ScramMechanism,
  credential: ScramCredential,
  messages: { readonly firstBare: string; readonly serverFirst: string; readonly final: ClientFinal },
): string | undefined {
  const hash = hashOf(mechanism);
  const { proof, withoutProof } = messages.final;
  const authMessage = bytesOf(`${messages.firstBare},${messages.serverFirst},${withoutProof}`);
  const clientSignature = crypto.hmac(hash, credential.storedKey, authMessage);
  if (proof.length !== clientSignature.length) return undefined;
  const clientKey = clientSignature.map((byte, at) => byte ^ proof[at]!);
  if (!crypto.isEqual(crypto.hash(hash, clientKey), credential.storedKey)) return undefined;
  const signature = crypto.hmac(hash, credential.serverKey, authMessage);
  return `v=${Buffer.from(signature).toString('base64')}`;
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'utf8');
}
