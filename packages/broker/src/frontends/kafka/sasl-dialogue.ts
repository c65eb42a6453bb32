import { kafkaErrors, saslAuthenticate, saslHandshake, apiVersions } from '@polylog/kafka-protocol';

import type { Clock } from '../../platform/clock.ts';
import type { Authenticator } from '../../security/authenticator.ts';
import { principalName, type Principal } from '../../security/principal.ts';
import type { SaslExchange, SaslSuccess } from '../../security/sasl.ts';
import { NONE } from './errors.ts';

/** Frames of a peer that has not said who it is, which nothing has to be larger than. */
const UNAUTHENTICATED_FRAME_BYTES_MAX = 64 * 1024;
/** As in Kafka: a second one that comes sooner is answered ILLEGAL_SASL_STATE. */
const REAUTHENTICATION_MS_MIN = 1000;

/** Who the peer is, for so long. */
interface Session {
  readonly principal: Principal;
  readonly mechanism: string;
  /** Monotonic; undefined: until the connection ends. */
  readonly expiresMs: number | undefined;
}

/** The mechanism that a peer has named, whose messages come now. */
interface Attempt {
  readonly mechanism: string;
  readonly exchange: SaslExchange;
  /** After SaslHandshake v0: its messages come as they are, in frames without a header. */
  readonly isRaw: boolean;
}

export interface HandshakeAnswer {
  readonly errorCode: number;
  /** The connection is closed behind the answer, for this reason. */
  readonly closes: string | undefined;
}

export type TokenAnswer =
  | { readonly kind: 'challenge'; readonly bytes: Uint8Array }
  | { readonly kind: 'done'; readonly bytes: Uint8Array; readonly sessionLifetimeMs: number }
  /** The peer is told, and the connection is closed. */
  | {
      readonly kind: 'refused';
      readonly errorCode: number;
      readonly answer: string;
      readonly reason: string;
      readonly user?: string | undefined;
    };

/**
 * The authentication of one connection by SASL: what may come when (KIP-43, KIP-152), and again before it expires (KIP-368).
 *
 *   nothing yet   --SaslHandshake-->  named  --messages-->  authenticated  --SaslHandshake-->  named again, still authenticated  --messages--> ...
 */
export class SaslDialogue {
  readonly #authenticator: () => Authenticator;
  readonly #clock: Clock;
  readonly #reauthenticateMs: number;
  readonly #address: string;
  readonly #authenticated: (principal: Principal) => void;
  #session: Session | undefined;
  #attempt: Attempt | undefined;
  #attemptedMs = Number.NEGATIVE_INFINITY;

  constructor(options: {
    /** Known when the first request is looked at. */
    readonly authenticator: () => Authenticator;
    readonly clock: Clock;
    /** `connections.max.reauth.ms`. */
    readonly reauthenticateMs: number;
    readonly address: string;
    readonly authenticated: (principal: Principal) => void;
  }) {
    this.#authenticator = options.authenticator;
    this.#clock = options.clock;
    this.#reauthenticateMs = options.reauthenticateMs;
    this.#address = options.address;
    this.#authenticated = options.authenticated;
  }

  get isAuthenticated(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Whether a request to this API serves to find out who the peer is, as all do until that is known. No quota is charged for it, as in Kafka: who
   * has not shown its name shall not use up what others have, nor wait to be able to show it.
   */
  isLogin(apiKey: number): boolean {
    return this.#session === undefined || apiKey === saslHandshake.key || apiKey === saslAuthenticate.key;
  }

  /** How long a frame may be, where it may usually be so long. */
  frameBytesMax(usualMax: number): number {
    return this.isAuthenticated ? usualMax : Math.min(usualMax, UNAUTHENTICATED_FRAME_BYTES_MAX);
  }

  /** The next frame is a message of the mechanism, without a request around it. */
  get takesRawTokens(): boolean {
    return this.#attempt?.isRaw === true;
  }

  get mechanisms(): readonly string[] {
    return this.#authenticator().mechanisms;
  }

  /** Why a request to this API may not come now, if it may not: the connection has to be closed. */
  refusal(apiKey: number): string | undefined {
    if (apiKey === saslHandshake.key || (apiKey === saslAuthenticate.key && this.#attempt !== undefined)) {
      return undefined;
    }
    if (this.#session === undefined) {
      return apiKey === apiVersions.key && this.#attempt === undefined
        ? undefined
        : 'a request before the authentication';
    }
    const { expiresMs } = this.#session;
    if (expiresMs === undefined || this.#clock.monotonicMs() < expiresMs) return undefined;
    this.#authenticator().expiredSessions++;
    return 'its authentication has expired';
  }

  handshake(mechanism: string, version: number): HandshakeAnswer {
    const nowMs = this.#clock.monotonicMs();
    if (this.#attempt !== undefined) {
      return { errorCode: kafkaErrors.ILLEGAL_SASL_STATE.code, closes: 'a second SaslHandshake' };
    }
    if (this.#session !== undefined) {
      if (nowMs - this.#attemptedMs < REAUTHENTICATION_MS_MIN) {
        return { errorCode: kafkaErrors.ILLEGAL_SASL_STATE.code, closes: undefined };
      }
      if (mechanism !== this.#session.mechanism) {
        const closes = 'it wants to change the mechanism when authenticating again';
        return { errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM.code, closes };
      }
    }
    const exchange = this.#authenticator().begin(mechanism, this.#address);
    if (exchange === undefined) {
      return {
        errorCode: kafkaErrors.UNSUPPORTED_SASL_MECHANISM.code,
        closes: 'a SASL mechanism that is not enabled',
      };
    }
    this.#attemptedMs = nowMs;
    this.#attempt = { mechanism, exchange, isRaw: version === 0 };
    return { errorCode: NONE, closes: undefined };
  }

  /** Takes a message of the mechanism. */
  async token(message: Uint8Array): Promise<TokenAnswer> {
    const attempt = this.#attempt;
    if (attempt === undefined) {
      const answer =
        this.#session === undefined
          ? 'SaslAuthenticate request received before SaslHandshake'
          : 'SaslAuthenticate request received after successful authentication';
      const errorCode = kafkaErrors.ILLEGAL_SASL_STATE.code;
      return { kind: 'refused', errorCode, answer, reason: 'a SaslAuthenticate without a SaslHandshake' };
    }
    const step = await attempt.exchange.next(message);
    switch (step.kind) {
      case 'challenge':
        return { kind: 'challenge', bytes: step.message };
      case 'refused': {
        const { answer, reason, user } = step;
        this.#attempt = undefined;
        return {
          kind: 'refused',
          errorCode: kafkaErrors.SASL_AUTHENTICATION_FAILED.code,
          answer,
          reason,
          user,
        };
      }
      case 'done':
        return this.#done(attempt, step);
    }
  }

  #done({ mechanism }: Attempt, { message, principal, expiresAtMs }: SaslSuccess): TokenAnswer {
    this.#attempt = undefined;
    const before = this.#session?.principal;
    if (before !== undefined && principalName(before) !== principalName(principal)) {
      const answer = `Cannot change principals during re-authentication from ${principalName(before)}: ${principalName(principal)}`;
      return {
        kind: 'refused',
        errorCode: kafkaErrors.SASL_AUTHENTICATION_FAILED.code,
        answer,
        reason: 'another principal when authenticating again',
        user: principal.name,
      };
    }
    const limits = [
      ...(this.#reauthenticateMs > 0 ? [this.#reauthenticateMs] : []),
      ...(expiresAtMs === undefined ? [] : [expiresAtMs - this.#clock.nowMs()]),
    ];
    const lifetimeMs = limits.length === 0 ? undefined : Math.max(0, Math.floor(Math.min(...limits)));
    const expiresMs = lifetimeMs === undefined ? undefined : this.#clock.monotonicMs() + lifetimeMs;
    this.#session = { principal, mechanism, expiresMs };
    this.#authenticated(principal);
    return { kind: 'done', bytes: message, sessionLifetimeMs: lifetimeMs ?? 0 };
  }
}
