import { NoKeysError, TokenError } from './jwt.core.ts';
import type { SaslExchange, SaslRefusal, SaslStep } from './sasl.ts';
import type { TokenVerifier } from './tokens.ts';

const NO_BYTES = new Uint8Array(0);
/** What of RFC 7628's errors there is: the token is malformed, expired, revoked, or not for us. */
const INVALID_TOKEN = JSON.stringify({ status: 'invalid_token' });
/** RFC 7628, section 3.1: `n,[a=AUTHZID],`, pairs `key=value`, and two empty ones, with this between. */
const SEPARATOR = '\u0001';
const GS2_HEADER = /^[ny],(?:a=([^,]*))?,$/;
const PAIR = /^[A-Za-z]+=[\x20-\x7e\t\r\n]*$/;
const BEARER = /^bearer +(\S+) *$/i;

/** Failed logins of the peer's address. */
export interface AddressLimiter {
  /** How long its next attempt has to wait; 0 if it may be made. */
  waitMs(): number;
  failed(): void;
}

/** OAUTHBEARER (RFC 7628): a signed token; a bad one is answered with an error in JSON, which the client has to take note of. */
export class OAuthBearerExchange implements SaslExchange {
  readonly #tokens: TokenVerifier;
  readonly #limiter: AddressLimiter;
  #refused: SaslRefusal | undefined;

  constructor(tokens: TokenVerifier, limiter: AddressLimiter) {
    this.#tokens = tokens;
    this.#limiter = limiter;
  }

  next(message: Uint8Array): SaslStep | Promise<SaslStep> {
    if (this.#refused !== undefined) return this.#refused;
    const [header, ...pairs] = Buffer.from(message).toString('latin1').split(SEPARATOR);
    const [gs2Header, authzid] = GS2_HEADER.exec(header!) ?? [];
    const isWhole = gs2Header !== undefined && pairs.pop() === '' && pairs.pop() === '';
    const auth =
      isWhole && pairs.every((pair) => PAIR.test(pair)) ? pairs.find((pair) => pair.startsWith('auth=')) : '';
    const [, token] = BEARER.exec(auth?.slice('auth='.length) ?? '') ?? [];
    if (token === undefined) {
      const answer = 'Authentication failed: The OAUTHBEARER message is malformed';
      return { kind: 'refused', reason: 'its message is malformed', answer, user: undefined };
    }
    return this.#verify(token, authzid === '' ? undefined : authzid);
  }

  async #verify(token: string, authzid: string | undefined): Promise<SaslStep> {
    if (this.#limiter.waitMs() > 0) return this.#tooMany();
    try {
      const verify = await this.#tokens.prepare(token);
      // Many may have waited for the keys: each is looked at when it is known what became of those before, and those that are right count nowhere.
      if (this.#limiter.waitMs() > 0) return this.#tooMany();
      const { subject, expiresAtMs } = verify();
      if (authzid !== undefined && authzid !== subject) {
        this.#limiter.failed();
        return this.#challenge('it wants to act for another user', subject);
      }
      return { kind: 'done', message: NO_BYTES, principal: { type: 'User', name: subject }, expiresAtMs };
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      // While its issuer is down a right one looks the same: it shall not keep its address out once the keys are there.
      if (!(error instanceof NoKeysError)) this.#limiter.failed();
      return this.#challenge(error.message, undefined);
    }
  }

  #tooMany(): SaslStep {
    return this.#challenge('too many failed logins from its address', undefined);
  }

  #challenge(reason: string, user: string | undefined): SaslStep {
    this.#refused = { kind: 'refused', reason, answer: INVALID_TOKEN, user };
    return { kind: 'challenge', message: Buffer.from(INVALID_TOKEN) };
  }
}
