import type { Section } from '../cluster/sections.ts';
import { canonicalAddress } from '../platform/address.ts';
import type { Clock } from '../platform/clock.ts';
import type { Arrival } from '../platform/network.ts';
import type { ClientQuotas } from './client-quotas.ts';
import { entityKey, limitIn } from './entities.ts';
import { UsageTable } from './quotas.core.ts';
import { SampledRate, waitMsMaxOf, type QuotaWindow } from './rate.core.ts';

/** Addresses whose new connections are counted, some 300 bytes each, and 16 more for each sample above the default of 11. */
const ADDRESSES_MAX = 50_000;

const SERVE: Arrival = { kind: 'serve' };

/** How many connections may come in a second: from one address (`connection_creation_rate`), and all together (KIP-612). */
export class ConnectionQuotas {
  /** `max.connection.creation.rate`; connections per second. */
  broker: number;
  readonly #clock: Clock;
  readonly #window: QuotaWindow;
  readonly #counters: Pick<ClientQuotas, 'count'>;
  readonly #addresses: UsageTable;
  readonly #all: SampledRate;
  #section: Pick<Section, 'get'> = { get: () => undefined };

  constructor(options: {
    readonly clock: Clock;
    readonly window: QuotaWindow;
    readonly broker: number;
    readonly counters: Pick<ClientQuotas, 'count'>;
    readonly addressesMax?: number;
  }) {
    this.broker = options.broker;
    this.#clock = options.clock;
    this.#window = options.window;
    this.#counters = options.counters;
    this.#all = new SampledRate(options.window);
    this.#addresses = new UsageTable({
      window: options.window,
      entriesMax: options.addressesMax ?? ADDRESSES_MAX,
    });
  }

  /** Addresses that connections came from lately, where their rate is limited. */
  get trackedCount(): number {
    return this.#addresses.size;
  }

  load(section: Section): void {
    this.#section = section;
  }

  /** A connection came. One that is to be closed counts nowhere. */
  accepted(remoteAddress: string): Arrival {
    const nowMs = this.#clock.monotonicMs();
    const closeAfterMs = this.#ofAddress(remoteAddress, nowMs);
    if (closeAfterMs > 0) {
      this.#counters.count('connection', closeAfterMs);
      return { kind: 'close', afterMs: closeAfterMs };
    }
    this.#all.record(1, nowMs);
    const ms = this.#all.throttleMs(this.broker, nowMs, waitMsMaxOf(this.#window));
    if (ms === 0) return SERVE;
    this.#counters.count('connection', ms);
    return { kind: 'delay', ms };
  }

  #ofAddress(remoteAddress: string, nowMs: number): number {
    const address = canonicalAddress(remoteAddress) ?? remoteAddress;
    const limit = this.#limitOf(address) ?? this.#limitOf(null);
    if (limit === undefined) return 0;
    const usage = this.#addresses.of(address, nowMs);
    this.#addresses.touch(address, usage, nowMs);
    usage.rate.record(1, nowMs);
    const ms = usage.rate.throttleMs(limit, nowMs, this.#window.sampleMs);
    if (ms > 0) usage.rate.record(-1, nowMs);
    return ms;
  }

  #limitOf(address: string | null): number | undefined {
    return limitIn(this.#section, entityKey(new Map([['ip', address]])), 'connection_creation_rate');
  }
}
