import type { AddSeries, Metrics } from '../metrics/types.ts';
import type { Authenticator } from './authenticator.ts';

/** Registers what is known of authentications; all of it is read at scrapes. */
export function describeAuthentication(
  metrics: Metrics,
  authenticators: ReadonlyMap<string, Authenticator>,
): void {
  const counted = (which: 'succeeded' | 'failed') => (add: AddSeries) => {
    for (const [listener, { counts }] of authenticators) {
      for (const [mechanism, count] of counts) add(count[which], listener, mechanism);
    }
  };
  const labels = ['listener', 'mechanism'];
  metrics.counters({
    name: 'authentications_total',
    help: 'Authentications by SASL that succeeded, those that were repeated on a connection included',
    labels,
    read: counted('succeeded'),
  });
  metrics.counters({
    name: 'failed_authentications_total',
    help: 'Authentications by SASL that failed',
    labels,
    read: counted('failed'),
  });
  metrics.counters({
    name: 'expired_authentications_total',
    help: 'Connections closed since they went on without authenticating again',
    labels: ['listener'],
    read: (add) => {
      for (const [listener, { expiredSessions }] of authenticators) add(expiredSessions, listener);
    },
  });
}
