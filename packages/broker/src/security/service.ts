import type { SectionWriter } from '../cluster/section-writer.ts';
import type { ImageTracker } from '../cluster/tracker.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import { usesSasl, type ListenerConfig } from '../config/listeners.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Platform } from '../platform/index.ts';
import { Authenticator } from './authenticator.ts';
import { LoginLimiter } from './login-limiter.core.ts';
import { describeAuthentication } from './metrics.ts';
import { TokenVerifier } from './tokens.ts';
import { UserStore } from './users.ts';

/** Who may come in, and how they show who they are. */
export interface Security {
  readonly users: UserStore;
  /** Of each listener that asks for SASL, by its name. */
  readonly authenticators: ReadonlyMap<string, Authenticator>;
  /** How long a failure is kept back. */
  readonly failedAuthenticationDelayMs: number;
}

type Outside = Pick<Platform, 'clock' | 'crypto' | 'documents' | 'logger'>;

/** Resolves when the first users are there. Rejects with BrokerError when they cannot be. */
export async function openSecurity(
  outside: Outside,
  config: BrokerConfig,
  parts: { readonly tracker: ImageTracker; readonly sections: SectionWriter; readonly metrics: Metrics },
): Promise<Security> {
  const { clock, crypto } = outside;
  const { tracker, sections, metrics } = parts;
  const users = new UserStore({ image: () => tracker.image, writer: sections, crypto });
  const secured = config.listeners.filter(({ security }) => usesSasl(security));
  if (secured.length > 0) await users.prepare();
  await users.addMissing(config.settings['security.bootstrap.users'] ?? new Map());
  const limiter = new LoginLimiter();
  const authenticators = new Map(
    secured.map((listener): [string, Authenticator] => {
      const mechanisms = listener.settings['sasl.enabled.mechanisms'];
      const tokens = mechanisms.includes('OAUTHBEARER') ? tokenVerifier(outside, listener) : undefined;
      const options = { mechanisms, credentials: users, crypto, clock, limiter, tokens };
      return [listener.name, new Authenticator(options)];
    }),
  );
  describeAuthentication(metrics, authenticators);
  const failedAuthenticationDelayMs = config.settings['connection.failed.authentication.delay.ms'];
  return { users, authenticators, failedAuthenticationDelayMs };
}

function tokenVerifier(
  { clock, crypto, documents, logger }: Outside,
  { name, settings }: ListenerConfig,
): TokenVerifier {
  const url = settings['sasl.oauthbearer.jwks.endpoint.url'];
  if (url === undefined) throw new Error(`${name}: OAUTHBEARER without a key set`);
  const tokens = new TokenVerifier({
    documents,
    crypto,
    clock,
    logger: logger.child({ listener: name }),
    url,
    trustedFile: settings['sasl.oauthbearer.jwks.endpoint.truststore.location'],
    refreshMs: settings['sasl.oauthbearer.jwks.endpoint.refresh.ms'],
    rules: {
      issuer: settings['sasl.oauthbearer.expected.issuer'],
      audiences: settings['sasl.oauthbearer.expected.audience'],
      clockSkewMs: settings['sasl.oauthbearer.clock.skew.seconds'] * 1000,
      subjectClaim: settings['sasl.oauthbearer.sub.claim.name'],
      scopeClaim: settings['sasl.oauthbearer.scope.claim.name'],
    },
  });
  // Not waited for: an issuer that is down keeps its own clients out, and nobody else.
  void tokens.readAhead();
  return tokens;
}
