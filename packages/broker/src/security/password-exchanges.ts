import { ComputeError } from '../platform/compute.ts';
import type { Crypto } from '../platform/crypto.ts';
import type { Principal } from './principal.ts';
import {
  PASSWORD_BYTES_MAX,
  USER_NAME_BYTES_MAX,
  type SaslExchange,
  type SaslRefusal,
  type SaslStep,
} from './sasl.ts';
import {
  parseClientFinal,
  parseClientFirst,
  ScramError,
  serverFirst,
  verifyProof,
  type ScramCredential,
  type ScramMechanism,
} from './scram.core.ts';
import { checkPassword, type Credentials } from './users.ts';

export interface PasswordContext {
  readonly credentials: Credentials;
  readonly crypto: Crypto;
  /** Counts an attempt of this peer to be this user: 0, or how long it has to wait before it may make one. */
  attempt(user: string): number;
  /** Runs it once all passwords before it that came from this address are checked. Rejects with ComputeError when too many wait. */
  inTurn<T>(work: () => Promise<T>): Promise<T>;
}

const NO_BYTES = new Uint8Array(0);
const INVALID = 'Authentication failed: Invalid username or password';
const NONCE_BYTES = 24;

function principalOf(user: string): Principal {
  return { type: 'User', name: user };
}

function refusal(reason: string, answer: string, user?: string): SaslRefusal {
  return { kind: 'refused', reason, answer, user };
}

function tooMany(user: string, waitMs: number): SaslRefusal {
  const reason = `too many failed logins from its address; the next one may come in ${Math.ceil(waitMs / 1000)} s`;
  return refusal(reason, 'Authentication failed: Too many failed logins; try again later', user);
}

/** Undefined for what is not UTF-8: other bytes would all become the same character. */
function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** PLAIN (RFC 4616): `[authzid] NUL user NUL password`, checked against the user's SCRAM credential. */
export class PlainExchange implements SaslExchange {
  readonly #context: PasswordContext;

  constructor(context: PasswordContext) {
    this.#context = context;
  }

  next(message: Uint8Array): SaslStep | Promise<SaslStep> {
    const first = message.indexOf(0);
    const second = message.indexOf(0, first + 1);
    const malformed = first < 0 || second < 0 || message.includes(0, second + 1);
    const authzid = textOf(message.subarray(0, Math.max(0, first)));
    const user = textOf(message.subarray(first + 1, Math.max(0, second)));
    if (malformed || authzid === undefined || user === undefined || user === '') {
      return refusal('its message is malformed', 'Authentication failed: The PLAIN message is malformed');
    }
    const password = new Uint8Array(message.subarray(second + 1));
    if (second - first > USER_NAME_BYTES_MAX + 1 || password.length > PASSWORD_BYTES_MAX) {
      return refusal('its user name or password is too long', INVALID);
    }
    if (authzid !== '' && authzid !== user) {
      const answer =
        'Authentication failed: Client requested an authorization id that is different from username';
      return refusal('it wants to act for another user', answer, user);
    }
    return this.#checkInTurn(user, password);
  }

  async #checkInTurn(user: string, password: Uint8Array): Promise<SaslStep> {
    try {
      return await this.#context.inTurn(() => this.#check(user, password));
    } catch (error) {
      if (!(error instanceof ComputeError)) throw error;
      return refusal(error.message, 'Authentication failed: The broker is busy; try again later', user);
    }
  }

  /** Counted no sooner than in its turn: many clients that come at once, with the right password, are no guessers. */
  async #check(user: string, password: Uint8Array): Promise<SaslStep> {
    const { crypto, credentials } = this.#context;
    const waitMs = this.#context.attempt(user);
    if (waitMs > 0) return tooMany(user, waitMs);
    if (!(await checkPassword(crypto, credentials, user, password))) {
      return refusal('there is no such user, or the password is wrong', INVALID, user);
    }
    return { kind: 'done', message: NO_BYTES, principal: principalOf(user), expiresAtMs: undefined };
  }
}

interface Challenged {
  readonly user: string;
  readonly gs2Header: string;
  readonly firstBare: string;
  readonly serverFirst: string;
  readonly nonce: string;
  readonly credential: ScramCredential;
  readonly isReal: boolean;
}

/** SCRAM-SHA-256 and SCRAM-SHA-512. */
export class ScramExchange implements SaslExchange {
  readonly #mechanism: ScramMechanism;
  readonly #context: PasswordContext;
  readonly #serverNonce: string;
  #challenged: Challenged | undefined;

  /** `serverNonce` is for tests. */
  constructor(mechanism: ScramMechanism, context: PasswordContext, serverNonce?: string) {
    this.#mechanism = mechanism;
    this.#context = context;
    this.#serverNonce =
      serverNonce ?? Buffer.from(context.crypto.randomBytes(NONCE_BYTES)).toString('base64url');
  }

  next(message: Uint8Array): SaslStep {
    const text = textOf(message);
    const user = this.#challenged?.user;
    if (text === undefined)
      return refusal('its message is not UTF-8', this.#failure('it is malformed'), user);
    try {
      return this.#challenged === undefined ? this.#first(text) : this.#final(text, this.#challenged);
    } catch (error) {
      if (!(error instanceof ScramError)) throw error;
      return refusal(error.message, this.#failure(error.message), user);
    }
  }

  #first(text: string): SaslStep {
    const { gs2Header, bare, user, nonce: clientNonce } = parseClientFirst(text);
    if (Buffer.byteLength(user) > USER_NAME_BYTES_MAX) throw new ScramError('The user name is too long');
    const { credential, isReal } = this.#context.credentials.lookUp(user, this.#mechanism);
    const nonce = clientNonce + this.#serverNonce;
    const answer = serverFirst(nonce, credential);
    this.#challenged = { user, gs2Header, firstBare: bare, serverFirst: answer, nonce, credential, isReal };
    return { kind: 'challenge', message: Buffer.from(answer) };
  }

  #final(text: string, challenged: Challenged): SaslStep {
    const { user, gs2Header, nonce, credential, isReal } = challenged;
    const final = parseClientFinal(text, gs2Header, nonce);
    // Counted no sooner than its outcome is known: those who are half-way are no guessers.
    const waitMs = this.#context.attempt(user);
    if (waitMs > 0) return tooMany(user, waitMs);
    const answer = verifyProof(this.#context.crypto, this.#mechanism, credential, { ...challenged, final });
    if (answer === undefined || !isReal) {
      const reason = `there is no such user with a ${this.#mechanism} credential, or the password is wrong`;
      return refusal(reason, this.#failure('invalid credentials'), user);
    }
    const message = Buffer.from(answer);
    return { kind: 'done', message, principal: principalOf(user), expiresAtMs: undefined };
  }

  #failure(why: string): string {
    return `Authentication failed during authentication due to ${why} with SASL mechanism ${this.#mechanism}`;
  }
}
