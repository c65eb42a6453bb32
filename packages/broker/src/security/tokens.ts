import type { Clock } from '../platform/clock.ts';
import type { Crypto, PublicKey, SignatureName } from '../platform/crypto.ts';
import { DocumentError, type Documents } from '../platform/documents.ts';
import type { Logger } from '../platform/log.ts';
import {
  NoKeysError,
  judgeClaims,
  parseJwt,
  TokenError,
  type ClaimRules,
  type TokenFacts,
} from './jwt.core.ts';

const KEY_SET_BYTES_MAX = 256 * 1024;
const KEYS_MAX = 100;
const READ_TIMEOUT_MS = 5000;
/** A key id that is not known has the set read again, but not more often than this. */
const READ_AGAIN_MS_MIN = 10_000;
/** The same while there are no keys at all, and everybody waits for them. */
const READ_FIRST_MS_MIN = 1000;
/** RFC 7518, section 3.3. */
const RSA_BITS_MIN = 2048;

export interface TokenVerifierOptions {
  readonly documents: Documents;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of the JSON Web Key Set. */
  readonly url: string;
  readonly trustedFile?: string | undefined;
  readonly refreshMs: number;
  readonly rules: ClaimRules;
}

interface SetKey {
  readonly id: string | undefined;
  /** Undefined: any that goes with the key. */
  readonly algorithm: string | undefined;
  readonly key: PublicKey;
}

/** Verifies signed tokens with the keys of their issuer (RFC 7517), which are kept, and read again when they are old or one is missing. */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  #keys: readonly SetKey[] | undefined;
  /** Monotonic: of the last attempt, and of the last that succeeded. */
  #triedMs = Number.NEGATIVE_INFINITY;
  #readMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
  }

  /** Reads the keys before the first token comes, and logs it if they cannot be read. */
  readAhead(): Promise<void> {
    return this.#read();
  }

  /** Rejects with {@link TokenError}. */
  async verify(token: string): Promise<TokenFacts> {
    return (await this.prepare(token))();
  }

  /** Finds the key, and resolves with what verifies the token by it, at once. Both throw {@link TokenError}. */
  async prepare(token: string): Promise<() => TokenFacts> {
    const { clock, rules } = this.#options;
    const { algorithm, keyId, claims, signed, signature } = parseJwt(token);
    const key = await this.#keyFor(algorithm, keyId);
    return () => {
      if (!key.verify(algorithm, signed, signature)) throw new TokenError("the token's signature is wrong");
      return judgeClaims(claims, rules, clock.nowMs());
    };
  }

  async #keyFor(algorithm: SignatureName, id: string | undefined): Promise<PublicKey> {
    const { clock, refreshMs } = this.#options;
    const isOld = clock.monotonicMs() - this.#readMs >= refreshMs;
    if (this.#keys === undefined && this.#mayReadAfter(READ_FIRST_MS_MIN)) await this.#read();
    // Whoever waits for the newest keys waits in vain while their issuer is down: the old ones serve meanwhile.
    else if (isOld && this.#mayReadAfter(READ_AGAIN_MS_MIN)) void this.#read();
    let fitting = this.#fitting(algorithm, id);
    if (fitting.length === 0 && this.#mayReadAfter(READ_AGAIN_MS_MIN)) {
      await this.#read();
      fitting = this.#fitting(algorithm, id);
    }
    if (this.#keys === undefined) throw new NoKeysError('the keys of the issuer cannot be read');
    const [only, another] = fitting;
    if (only === undefined) {
      throw new TokenError(`no key for ${algorithm} ${id === undefined ? 'is known' : `has the id ${id}`}`);
    }
    if (another !== undefined) throw new TokenError('several keys fit, and the token does not name one');
    return only.key;
  }

  #fitting(algorithm: SignatureName, id: string | undefined): readonly SetKey[] {
    const type = algorithm === 'ES256' ? 'p-256' : 'rsa';
    return (this.#keys ?? []).filter(
      (one) =>
        (id === undefined || one.id === id) &&
        one.key.type === type &&
        (one.algorithm === undefined || one.algorithm === algorithm),
    );
  }

  /** Also while they are being read: what is about to come may be what is missing. */
  #mayReadAfter(ms: number): boolean {
    return this.#reading !== undefined || this.#options.clock.monotonicMs() - this.#triedMs >= ms;
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readNow().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readNow(): Promise<void> {
    const { documents, clock, crypto, logger, url, trustedFile } = this.#options;
    this.#triedMs = clock.monotonicMs();
    try {
      const limits = { bytesMax: KEY_SET_BYTES_MAX, timeoutMs: READ_TIMEOUT_MS };
      this.#keys = keysOf(crypto, await documents.read(url, { ...limits, trustedFile }));
      this.#readMs = clock.monotonicMs();
      logger.info({ url, keys: this.#keys.length }, 'read the keys that tokens are signed with');
    } catch (error) {
      if (!(error instanceof DocumentError) && !(error instanceof TokenError)) throw error;
      const fields = { url, error: error.message, keys: this.#keys?.length ?? 0 };
      logger.error(
        fields,
        'could not read the keys that tokens are signed with; those known so far are used',
      );
    }
  }
}

/** The usable keys of a set. Throws {@link TokenError} for what is no set. */
function keysOf(crypto: Crypto, text: string): readonly SetKey[] {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    throw new TokenError('it is not JSON');
  }
  const { keys } = (set ?? {}) as { keys?: unknown };
  if (!Array.isArray(keys)) throw new TokenError('it is not a JSON Web Key Set');
  if (keys.length > KEYS_MAX) throw new TokenError(`it has ${keys.length} keys, more than ${KEYS_MAX}`);
  return keys.flatMap((jwk: unknown): SetKey[] => {
    if (typeof jwk !== 'object' || jwk === null) return [];
    const { kid, alg, use } = jwk as Record<string, unknown>;
    if (use !== undefined && use !== 'sig') return [];
    const key = crypto.publicKey(jwk as Record<string, unknown>);
    if (key === undefined || (key.type === 'rsa' && key.bits < RSA_BITS_MIN)) return [];
    const id = typeof kid === 'string' ? kid : undefined;
    return [{ id, algorithm: typeof alg === 'string' ? alg : undefined, key }];
  });
}
