import { SortedMap } from '../../src/cluster/sorted-map.ts';
import type { Section } from '../../src/cluster/sections.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { ClientQuotas } from '../../src/quotas/client-quotas.ts';
import { ConnectionQuotas } from '../../src/quotas/connection-quotas.ts';
import type { QuotaWindow } from '../../src/quotas/rate.core.ts';
import type { Quotas } from '../../src/quotas/service.ts';

/** Kafka's. */
export const WINDOW = { samples: 11, sampleMs: 1000 };

/** Quotas without limits, until a test loads some. */
export function testQuotas(clock: Clock, window: QuotaWindow = WINDOW): Quotas {
  const clients = new ClientQuotas({ clock, window });
  const connections = new ConnectionQuotas({ clock, window, broker: Infinity, counters: clients });
  return { clients, connections };
}

/** The section `quotas/` with these records. */
export function quotaSection(records: Readonly<Record<string, Readonly<Record<string, number>>>>): Section {
  return SortedMap.from(Object.entries(records));
}
