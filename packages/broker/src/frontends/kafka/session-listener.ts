import type { ConnectionCounters, Metrics } from '../../metrics/types.ts';

/** The listener that sessions came through, as they see it. */
export class SessionListener {
  /** The key of BrokerImage.endpoints. */
  readonly name: string;
  /** Those of the broker's metrics, once it serves. */
  counters: ConnectionCounters = { open: 0, accepted: 0, refused: 0, bytesReceived: 0, bytesSent: 0 };

  constructor(name: string) {
    this.name = name;
  }

  /** From now on everything is counted in the broker's metrics, what came before included. */
  countIn(metrics: Metrics): void {
    const before = this.counters;
    this.counters = metrics.connections(this.name);
    this.counters.open += before.open;
    this.counters.accepted += before.accepted;
    this.counters.refused += before.refused;
  }
}
