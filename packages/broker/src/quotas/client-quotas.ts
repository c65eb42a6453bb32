import type { Section } from '../cluster/sections.ts';
import { BrokerError } from '../errors.ts';
import type { Clock } from '../platform/clock.ts';
import { entityKey, isAddressKey } from './entities.ts';
import { candidatesOf, UsageTable, type Client, type ResolvedLimit, type Usage } from './quotas.core.ts';
import { waitMsMaxOf, type QuotaWindow } from './rate.core.ts';
import type { EntityType, QuotaKey, QuotaValues, ThrottleKind } from './types.ts';

/** Scopes whose usage is remembered, some 300 bytes each, and 16 more for each sample above the default of 11. */
const USAGES_MAX = 50_000;

export interface ThrottleCounters {
  count: number;
  ms: number;
}

/** Limits of users and client ids, and what they have used. */
export class ClientQuotas {
  /** Whether any limit is set: where none is, nobody has to ask for more. */
  enabled = false;
  readonly window: QuotaWindow;
  readonly throttled: Readonly<Record<ThrottleKind, ThrottleCounters>> = {
    produce: { count: 0, ms: 0 },
    fetch: { count: 0, ms: 0 },
    request: { count: 0, ms: 0 },
    mutation: { count: 0, ms: 0 },
    connection: { count: 0, ms: 0 },
  };
  readonly #clock: Clock;
  readonly #usages: UsageTable;
  #section: Pick<Section, 'get'> = NO_QUOTAS;
  #generation = 0;

  constructor(options: { readonly clock: Clock; readonly window: QuotaWindow; readonly usagesMax?: number }) {
    this.window = options.window;
    this.#clock = options.clock;
    this.#usages = new UsageTable({ window: options.window, entriesMax: options.usagesMax ?? USAGES_MAX });
  }

  /** Scopes that have used a quota lately. */
  get trackedCount(): number {
    return this.#usages.size;
  }

  /** Goes by the limits of the section `quotas/`, as it is now; what was used stays. */
  load(section: Section): void {
    this.#section = section;
    this.enabled = limitsClients(section);
    this.#generation++;
  }

  /** What a connection keeps between its requests: `before`, unless the client or the limits are others now. */
  of(before: ClientAllowance | undefined, user: string, clientId: string): ClientAllowance {
    if (before?.isFor(user, clientId, this.#generation) === true) return before;
    return new ClientAllowance(this, { user, clientId }, this.#generation);
  }

  /** The limit of each kind that counts for the client. Clients may change their ids with each request: no entity is looked up twice. */
  resolve(client: Client): ReadonlyMap<QuotaKey, ResolvedLimit> {
    const found = new Map<QuotaKey, ResolvedLimit>();
    for (const { key, scope } of candidatesOf(client, keyOf)) {
      const values = this.#section.get(key) as QuotaValues | undefined;
      if (values === undefined) continue;
      for (const [quota, limit] of Object.entries(values) as [QuotaKey, number][]) {
        if (!found.has(quota)) found.set(quota, { limit, scope });
      }
    }
    return found;
  }

  usageOf(key: string): Usage {
    return this.#usages.of(key, this.#clock.monotonicMs());
  }

  touch(key: string, usage: Usage, nowMs: number): void {
    this.#usages.touch(key, usage, nowMs);
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  /** Counts what a client is made to wait. */
  count(kind: ThrottleKind, ms: number): void {
    const counters = this.throttled[kind];
    counters.count++;
    counters.ms += ms;
  }
}

const NO_QUOTAS: Pick<Section, 'get'> = { get: () => undefined };

/** Whether one of the entities is no address. */
function limitsClients(section: Section): boolean {
  for (const [key] of section.entries()) if (!isAddressKey(key)) return true;
  return false;
}

function keyOf(parts: { readonly user?: string | null; readonly clientId?: string | null }): string {
  const entity = new Map<EntityType, string | null>();
  if (parts.user !== undefined) entity.set('user', parts.user);
  if (parts.clientId !== undefined) entity.set('client-id', parts.clientId);
  return entityKey(entity);
}

/** One limit of a client with what its scope has used. */
class Limited {
  readonly #quotas: ClientQuotas;
  readonly limit: number;
  readonly #key: string;
  #usage: Usage | undefined;

  constructor(quotas: ClientQuotas, key: QuotaKey, { limit, scope }: ResolvedLimit) {
    this.#quotas = quotas;
    this.limit = limit;
    this.#key = `${key} ${scope}`;
  }

  usage(nowMs: number): Usage {
    if (this.#usage === undefined || this.#usage.forgotten) this.#usage = this.#quotas.usageOf(this.#key);
    this.#quotas.touch(this.#key, this.#usage, nowMs);
    return this.#usage;
  }
}

/**
 * What one client may do. Each method that returns milliseconds says how long its connection is not to be read from: 0 while it is within
 * its limit, and never more than {@link waitMsMaxOf}.
 */
export class ClientAllowance {
  readonly #quotas: ClientQuotas;
  readonly #client: Client;
  readonly #generation: number;
  readonly #waitMsMax: number;
  readonly #produce: Limited | undefined;
  readonly #fetch: Limited | undefined;
  readonly #request: Limited | undefined;
  readonly #mutation: Limited | undefined;

  constructor(quotas: ClientQuotas, client: Client, generation: number) {
    this.#quotas = quotas;
    this.#client = client;
    this.#generation = generation;
    this.#waitMsMax = waitMsMaxOf(quotas.window);
    const limits = quotas.resolve(client);
    const limited = (key: QuotaKey): Limited | undefined => {
      const limit = limits.get(key);
      return limit === undefined ? undefined : new Limited(quotas, key, limit);
    };
    this.#produce = limited('producer_byte_rate');
    this.#fetch = limited('consumer_byte_rate');
    this.#request = limited('request_percentage');
    this.#mutation = limited('controller_mutation_rate');
  }

  isFor(user: string, clientId: string, generation: number): boolean {
    return (
      this.#generation === generation && this.#client.clientId === clientId && this.#client.user === user
    );
  }

  /** Whether {@link spent} wants to know. */
  get limitsTime(): boolean {
    return this.#request !== undefined;
  }

  /** A produce request of so many bytes came. */
  produced(bytes: number): number {
    const limited = this.#produce;
    if (limited === undefined) return 0;
    const nowMs = this.#quotas.nowMs();
    const { rate } = limited.usage(nowMs);
    rate.record(bytes, nowMs);
    return this.#throttle('produce', rate.throttleMs(limited.limit, nowMs, this.#waitMsMax));
  }

  /** The most that one fetch may return: what may be fetched in all samples but one, as in Kafka. */
  get fetchBytesMax(): number {
    if (this.#fetch === undefined) return Infinity;
    const { samples, sampleMs } = this.#quotas.window;
    return Math.floor((this.#fetch.limit * (samples - 1) * sampleMs) / 1000);
  }

  /**
   * So many bytes are about to be sent. Where it returns more than 0 they must not be, and do not count. The first ones of a window may: a
   * batch that is larger than a window's share would never be.
   */
  fetched(bytes: number): number {
    const limited = this.#fetch;
    if (limited === undefined) return 0;
    const nowMs = this.#quotas.nowMs();
    const { rate } = limited.usage(nowMs);
    const isFirst = limited.limit > 0 && rate.perSecond(nowMs) === 0;
    rate.record(bytes, nowMs);
    const throttleMs = isFirst ? 0 : rate.throttleMs(limited.limit, nowMs, this.#waitMsMax);
    if (throttleMs > 0) rate.record(-bytes, nowMs);
    return this.#throttle('fetch', throttleMs);
  }

  /** For a request that is about to run: what those before it have spent. At most one sample, as in Kafka. */
  requestThrottleMs(): number {
    const limited = this.#request;
    if (limited === undefined) return 0;
    const nowMs = this.#quotas.nowMs();
    const { rate } = limited.usage(nowMs);
    return this.#throttle('request', rate.throttleMs(limited.limit, nowMs, this.#quotas.window.sampleMs));
  }

  /** The event loop was busy with a request for so long. */
  spent(busyMs: number): void {
    const limited = this.#request;
    if (limited === undefined) return;
    const nowMs = this.#quotas.nowMs();
    // 10 ms in a second are one percent.
    limited.usage(nowMs).rate.record(busyMs / 10, nowMs);
  }

  /**
   * Creations and deletions of partitions, asked for by one request (KIP-599). `strict`: the request can be told that it is refused.
   * Undefined where there is no limit.
   */
  mutations(options: { readonly strict: boolean }): MutationAllowance | undefined {
    const limited = this.#mutation;
    return limited === undefined
      ? undefined
      : new MutationAllowance(this.#quotas, limited, { ...options, waitMsMax: this.#waitMsMax });
  }

  #throttle(kind: ThrottleKind, ms: number): number {
    if (ms > 0) this.#quotas.count(kind, ms);
    return ms;
  }
}

/** The partitions that one request creates or deletes. */
export class MutationAllowance {
  readonly #quotas: ClientQuotas;
  readonly #limited: Limited;
  readonly #strict: boolean;
  readonly #waitMsMax: number;
  /** How long the connection is not to be read from once the request is answered. */
  throttleMs = 0;

  constructor(
    quotas: ClientQuotas,
    limited: Limited,
    options: { readonly strict: boolean; readonly waitMsMax: number },
  ) {
    this.#quotas = quotas;
    this.#limited = limited;
    this.#strict = options.strict;
    this.#waitMsMax = options.waitMsMax;
  }

  /**
   * Takes what one topic needs. Throws BrokerError THROTTLING_QUOTA_EXCEEDED where there is debt and the request is strict; what is not, is
   * let through and made to wait.
   */
  take(partitions: number): void {
    const { limit } = this.#limited;
    const nowMs = this.#quotas.nowMs();
    const { bucket } = this.#limited.usage(nowMs);
    if (!this.#strict) bucket.take(partitions, limit, nowMs);
    const waitMs = bucket.throttleMs(limit, nowMs);
    if (this.#strict && waitMs === 0) bucket.take(partitions, limit, nowMs);
    if (waitMs === 0) return;
    const throttleMs = Math.min(this.#waitMsMax, waitMs);
    if (this.throttleMs === 0) this.#quotas.count('mutation', throttleMs);
    this.throttleMs = Math.max(this.throttleMs, throttleMs);
    if (this.#strict) {
      throw new BrokerError(
        'THROTTLING_QUOTA_EXCEEDED',
        `Over the quota of ${limit} created or deleted partitions per second; try again in ${throttleMs} ms`,
      );
    }
  }
}
