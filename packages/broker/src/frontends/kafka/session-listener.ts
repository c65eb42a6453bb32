import { noConnections, type ConnectionCounters, type Metrics } from '../../metrics/types.ts';
import type { Authenticator } from '../../security/authenticator.ts';
import type { CertificateMapping } from '../../security/principal-mapping.ts';
import { ANONYMOUS, type Principal } from '../../security/principal.ts';

export interface SaslTerms {
  /** `connections.max.reauth.ms`. */
  readonly reauthenticateMs: number;
}

/** The listener that sessions came through, as they see it. */
export class SessionListener {
  /** The key of BrokerImage.endpoints. */
  readonly name: string;
  /** Those of the broker's metrics, once it serves. */
  counters: ConnectionCounters = noConnections();

  /** What it asks of those that come; undefined: nothing. */
  readonly sasl: SaslTerms | undefined;
  #authenticator: Authenticator | undefined;

  readonly #mapping: CertificateMapping | undefined;

  constructor(options: {
    readonly name: string;
    readonly sasl?: SaslTerms | undefined;
    readonly principalOf?: CertificateMapping | undefined;
  }) {
    this.name = options.name;
    this.sasl = options.sasl;
    this.#mapping = options.principalOf;
  }

  /** Who comes with this certificate, as far as that says it; undefined: nobody who may come in. */
  principalOf(certificate: Uint8Array | undefined): Principal | undefined {
    if (certificate === undefined || this.#mapping === undefined) return ANONYMOUS;
    return this.#mapping(certificate);
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
    this.counters.failedHandshakes += before.failedHandshakes;
  }
}
