import type { Metrics } from '../metrics/types.ts';
import type { ClientQuotas } from './client-quotas.ts';
import type { ConnectionQuotas } from './connection-quotas.ts';

/** Registers what quotas have done to clients; read at scrapes. */
export function describeQuotaMetrics(
  metrics: Metrics,
  parts: {
    readonly clients: ClientQuotas;
    readonly connections: ConnectionQuotas;
    readonly entities: () => number;
  },
): void {
  const { clients, connections } = parts;
  metrics.counters({
    name: 'quota_throttled_total',
    help: 'Requests that were answered with a throttle time, by the quota that they were over, and connections that were delayed or closed',
    labels: ['quota'],
    read: (add) => {
      for (const [kind, { count }] of Object.entries(clients.throttled)) add(count, kind);
    },
  });
  metrics.counters({
    name: 'quota_throttle_seconds_total',
    help: 'How long connections were not read from for the quotas that they were over',
    labels: ['quota'],
    read: (add) => {
      for (const [kind, { ms }] of Object.entries(clients.throttled)) add(ms / 1000, kind);
    },
  });
  metrics.gauge({
    name: 'quota_entities',
    help: 'Users, client ids and addresses that have quotas, defaults included',
    read: parts.entities,
  });
  metrics.gauge({
    name: 'quota_usages_tracked',
    help: 'Those whose use of a quota is measured at the moment',
    read: () => clients.trackedCount + connections.trackedCount,
  });
}
