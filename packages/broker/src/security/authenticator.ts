import { SASL_MECHANISMS } from '../config/listener-definitions.ts';
import type { Clock } from '../platform/clock.ts';
import type { Crypto } from '../platform/crypto.ts';
import type { LoginLimiter } from './login-limiter.core.ts';
import { LoginTurns } from './login-turns.ts';
import { OAuthBearerExchange } from './oauthbearer-exchange.ts';
import { PlainExchange, ScramExchange, type PasswordContext } from './password-exchanges.ts';
import type { SaslExchange, SaslMechanism, SaslStep } from './sasl.ts';
import type { TokenVerifier } from './tokens.ts';
import type { Credentials } from './users.ts';

export interface AuthenticatorOptions {
  readonly mechanisms: readonly SaslMechanism[];
  readonly credentials: Credentials;
  readonly crypto: Crypto;
  readonly clock: Clock;
  /** Shared by all listeners. */
  readonly limiter: LoginLimiter;
  /** Needed for OAUTHBEARER. */
  readonly tokens?: TokenVerifier | undefined;
}

interface Counts {
  succeeded: number;
  failed: number;
}

/** Finds out who peers of one listener are, for every protocol that speaks SASL. */
export class Authenticator {
  /** Those that the listener offers. */
  readonly mechanisms: readonly SaslMechanism[];
  /** Attempts by mechanism. */
  readonly counts: ReadonlyMap<SaslMechanism, Counts>;
  /** Connections that were closed since they did not authenticate again in time. */
  expiredSessions = 0;
  readonly #options: AuthenticatorOptions;
  readonly #turns = new LoginTurns();

  constructor(options: AuthenticatorOptions) {
    this.#options = options;
    this.mechanisms = options.mechanisms;
    this.counts = new Map(options.mechanisms.map((name) => [name, { succeeded: 0, failed: 0 }]));
  }

  /** Begins an attempt; undefined for a mechanism that is not offered. */
  begin(mechanism: string, address: string): SaslExchange | undefined {
    const known = SASL_MECHANISMS.find((name) => name === mechanism);
    const counts = known === undefined ? undefined : this.counts.get(known);
    if (known === undefined || counts === undefined) return undefined;
    const { limiter, clock } = this.#options;
    let attempted: { readonly user: string } | undefined;
    const exchange = this.#exchangeOf(known, address, (user) => {
      attempted = { user };
      return limiter.attempt(address, user, clock.monotonicMs());
    });
    const counted = (step: SaslStep): SaslStep => {
      if (step.kind === 'refused') counts.failed++;
      if (step.kind === 'done') {
        counts.succeeded++;
        if (attempted !== undefined) limiter.succeeded(address, attempted.user);
      }
      return step;
    };
    return {
      next: (message) => {
        const step = exchange.next(message);
        return step instanceof Promise ? step.then(counted) : counted(step);
      },
    };
  }

  #exchangeOf(mechanism: SaslMechanism, address: string, attempt: (user: string) => number): SaslExchange {
    const { credentials, crypto, tokens, limiter, clock } = this.#options;
    const context: PasswordContext = {
      credentials,
      crypto,
      attempt,
      inTurn: (work) => this.#turns.take(address, work),
    };
    switch (mechanism) {
      case 'PLAIN':
        return new PlainExchange(context);
      case 'SCRAM-SHA-256':
      case 'SCRAM-SHA-512':
        return new ScramExchange(mechanism, context);
      case 'OAUTHBEARER':
        if (tokens === undefined) throw new Error('OAUTHBEARER is offered without a verifier of tokens');
        return new OAuthBearerExchange(tokens, {
          waitMs: () => limiter.waitMs(address, undefined, clock.monotonicMs()),
          failed: () => limiter.failed(address, undefined, clock.monotonicMs()),
        });
    }
  }
}
