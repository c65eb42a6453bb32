import { alterClientQuotas, describeClientQuotas } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { ChangingClient, type Attempt } from './changing-client.ts';
import type { ClientHost } from './clients.ts';

/** What each quota is set to: bytes a second, percent, partitions a second. Some make a client wait for a moment, others for a window. */
const CHOICES = {
  producer_byte_rate: [500, 3000, 10_000],
  consumer_byte_rate: [500, 5000, 20_000],
  request_percentage: [1, 50.5],
  controller_mutation_rate: [0.3, 3],
} as const;

export type QuotaName = keyof typeof CHOICES;

const QUOTAS = Object.keys(CHOICES) as readonly QuotaName[];
const CHANGES_MAX = 3;
const PAUSE_MS_MAX = 100;
const ANY_NAME = 2;

/** One quota of one client id. */
class Quota {
  /** As acknowledged; undefined: none. */
  limit: number | undefined;
  /** A request is under way that changes it. */
  changing = false;
  /** When its last change was acknowledged. */
  sinceMs = 0;
}

/** The quotas of all client ids that may have some. */
export class QuotaModel {
  readonly clientIds: readonly string[];
  readonly #quotas: ReadonlyMap<string, ReadonlyMap<QuotaName, Quota>>;

  constructor(clientIds: readonly string[]) {
    this.clientIds = clientIds;
    this.#quotas = new Map(
      clientIds.map((id) => [id, new Map(QUOTAS.map((name) => [name, new Quota()] as const))] as const),
    );
  }

  of(clientId: string, name: QuotaName): Quota {
    return this.#quotas.get(clientId)!.get(name)!;
  }

  /** Whether it may have limited a request that was sent at this time and is answered now. */
  mayLimit(clientId: string, name: QuotaName, sentMs: number): boolean {
    const { limit, changing, sinceMs } = this.of(clientId, name);
    return limit !== undefined || changing || sinceMs >= sentMs;
  }

  /** One line for each quota that was acknowledged, in order. */
  lines(): string[] {
    const lines: string[] = [];
    for (const [clientId, quotas] of this.#quotas) {
      for (const [name, { limit }] of quotas)
        if (limit !== undefined) lines.push(lineOf(clientId, name, limit));
    }
    return lines.sort();
  }
}

function lineOf(clientId: string, name: string, limit: number): string {
  return `${clientId} ${name}=${limit}`;
}

export interface QuotaHost extends ClientHost {
  readonly quotas: QuotaModel;
}

/** Sets and removes the quotas of the limited clients. */
export class QuotaAdmin extends ChangingClient<QuotaHost> {
  protected async change(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    const { quotas } = this.host;
    const clientId = this.random.pick(quotas.clientIds);
    const changes = new Map<QuotaName, number | undefined>();
    for (let left = this.random.between(1, CHANGES_MAX); left > 0; left--) {
      const name = this.random.pick(QUOTAS);
      changes.set(name, this.random.chance(0.35) ? undefined : this.random.pick(CHOICES[name]));
    }
    for (const name of changes.keys()) quotas.of(clientId, name).changing = true;
    await this.finish(() => this.#alter(clientId, changes));
  }

  async #alter(clientId: string, changes: ReadonlyMap<QuotaName, number | undefined>): Promise<Attempt> {
    const { quotas, world } = this.host;
    const { entries } = await this.ask(alterClientQuotas, this.version(alterClientQuotas), {
      entries: [
        {
          entity: [{ entityType: 'client-id', entityName: clientId }],
          ops: [...changes].map(([key, limit]) => ({ key, value: limit ?? 0, remove: limit === undefined })),
        },
      ],
      validateOnly: false,
    });
    const { errorCode } = entries[0]!;
    if (errorCode !== 0) return this.retriable('alter quotas', this.refused(alterClientQuotas, errorCode));
    for (const [name, limit] of changes) {
      this.count(limit === undefined ? 'quota.removed' : 'quota.set');
      this.note(`${clientId} has ${name}=${limit}`);
      Object.assign(quotas.of(clientId, name), { limit, changing: false, sinceMs: world.nowMs });
    }
    return 'done';
  }

  protected async verify(): Promise<Attempt> {
    const { entries, errorCode } = await this.ask(describeClientQuotas, this.version(describeClientQuotas), {
      components: [{ entityType: 'client-id', matchType: ANY_NAME, match: null }],
      strict: this.random.chance(0.5),
    });
    if (errorCode !== 0) {
      const error = this.refused(describeClientQuotas, errorCode);
      throw new Violation('unexpected-error', `describe quotas: ${error}`);
    }
    const found = (entries ?? [])
      .flatMap(({ entity, values }) =>
        values.map(({ key, value }) => lineOf(entity[0]!.entityName ?? '', key, value)),
      )
      .sort();
    const wanted = this.host.quotas.lines();
    if (found.join() !== wanted.join()) {
      throw new Violation('lost-quota', `${found.join()}, should be ${wanted.join()}`);
    }
    this.count('quota.verified');
    return 'done';
  }
}
