import type { ImageTracker } from '../cluster/tracker.ts';
import type { BrokerSettings } from '../config/broker-config.ts';
import type { Metrics } from '../metrics/types.ts';
import type { Clock } from '../platform/clock.ts';
import { ClientQuotas } from './client-quotas.ts';
import { ConnectionQuotas } from './connection-quotas.ts';
import { describeQuotaMetrics } from './metrics.ts';

/** The quotas of a broker; they follow the cluster image. */
export interface Quotas {
  readonly clients: ClientQuotas;
  readonly connections: ConnectionQuotas;
}

export function followQuotas(options: {
  readonly clock: Clock;
  readonly tracker: ImageTracker;
  readonly settings: BrokerSettings;
  readonly metrics: Metrics;
}): Quotas {
  const { clock, tracker, settings, metrics } = options;
  const window = {
    samples: settings['quota.window.num'],
    sampleMs: settings['quota.window.size.seconds'] * 1000,
  };
  const clients = new ClientQuotas({ clock, window });
  const broker = settings['max.connection.creation.rate'];
  const connections = new ConnectionQuotas({ clock, window, broker, counters: clients });
  const load = (): void => {
    const section = tracker.image.section('quotas/');
    clients.load(section);
    connections.load(section);
  };
  load();
  tracker.onChange(({ sections }) => {
    if (sections.has('quotas/')) load();
  });
  describeQuotaMetrics(metrics, {
    clients,
    connections,
    entities: () => tracker.image.section('quotas/').size,
  });
  return { clients, connections };
}
