import type { ConnectionCounters, Metrics } from '../../metrics/types.ts';
import type { Authenticator } from '../../security/authenticator.ts';

export interface SaslTerms {
  /** `connections.max.reauth.ms`. */
  readonly reauthenticateMs: number;
}

/** The listener that sessions came through, as they see it. */
export class SessionListener {
  /** The key of BrokerImage.endpoints. */
  readonly name: string;
  /** Those of the broker's metrics, once it serves. */
  counters: ConnectionCounters = { open: 0, accepted: 0, refused: 0, bytesReceived: 0, bytesSent: 0 };

  /** What it asks of those that come; undefined: nothing. */
  readonly sasl: SaslTerms | undefined;
  #authenticator: Authenticator | undefined;

  constructor(name: string, sasl: SaslTerms | undefined) {
    this.name = name;
    this.sasl = sasl;
  }

  /** Known once the broker serves; nothing that came before is looked at until then. */
  get authenticator(): Authenticator {
    if (this.#authenticator === undefined)
      throw new Error(`the listener ${this.name} cannot authenticate anyone`);
    return this.#authenticator;
  }

  /** For a listener that asks for SASL. */
  authenticateBy(authenticator: Authenticator | undefined): void {
    this.#authenticator = authenticator;
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
