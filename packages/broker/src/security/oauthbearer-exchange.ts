import { TokenError } from './jwt.core.ts';
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

/** OAUTHBEARER (RFC 7628): a signed token; a bad one is answered with an error in JSON, which the client has to take note of. */
export class OAuthBearerExchange implements SaslExchange {
  readonly #tokens: TokenVerifier;
  readonly #attempt: () => number;
  #refused: SaslRefusal | undefined;

  constructor(tokens: TokenVerifier, attempt: () => number) {
    this.#tokens = tokens;
    this.#attempt = attempt;
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
    const waitMs = this.#attempt();
    if (waitMs > 0) return this.#challenge('too many failed logins from its address', undefined);
    return this.#verify(token, authzid === '' ? undefined : authzid);
  }

  async #verify(token: string, authzid: string | undefined): Promise<SaslStep> {
    try {
      const { subject, expiresAtMs } = await this.#tokens.verify(token);
      if (authzid !== undefined && authzid !== subject) {
        return this.#challenge('it wants to act for another user', subject);
      }
      return { kind: 'done', message: NO_BYTES, principal: { type: 'User', name: subject }, expiresAtMs };
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      return this.#challenge(error.message, undefined);
    }
  }

  #challenge(reason: string, user: string | undefined): SaslStep {
    this.#refused = { kind: 'refused', reason, answer: INVALID_TOKEN, user };
    return { kind: 'challenge', message: Buffer.from(INVALID_TOKEN) };
  }
}
