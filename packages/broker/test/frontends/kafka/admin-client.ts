import assert from 'node:assert/strict';

import { Reader } from '@polylog/bytes';
import { decodeResponse, encodeRequest, encodeResponse, ZERO_UUID, type Api } from '@polylog/kafka-protocol';

import { followDynamicSettings } from '../../../src/cluster/dynamic-settings.ts';
import { ProducerIdBlocks } from '../../../src/cluster/producer-id-blocks.ts';
import { SectionWriter } from '../../../src/cluster/section-writer.ts';
import { LiveConfig } from '../../../src/config/live-config.ts';
import { resolveConfig, type RawSetting } from '../../../src/config/load.ts';
import { BrokerError } from '../../../src/errors.ts';
import { errorCodeOf } from '../../../src/frontends/kafka/errors.ts';
import type { Exchange, KafkaHandler, KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { kafkaHandlers } from '../../../src/frontends/kafka/handlers.ts';
import { kafkaLimitsOf } from '../../../src/frontends/kafka/limits.ts';
import { BrokerMetrics } from '../../../src/metrics/registry.ts';
import { UNLIMITED } from '../../../src/security/types.ts';
import { ManualClock, SILENT } from '../../replication/helpers.ts';
import { openCluster, type ClusterBench } from '../../support/cluster-bench.ts';
import { testQuotas } from '../../support/quotas.ts';

/** A client of one broker: requests and responses go through their codecs. */
export class AdminClient {
  readonly bench: ClusterBench;
  readonly #handlers: readonly KafkaHandler[];

  private constructor(bench: ClusterBench, services: KafkaServices) {
    this.bench = bench;
    this.#handlers = kafkaHandlers(services);
  }

  static async connect(
    settings: Record<string, string> = {},
    override: Partial<KafkaServices> = {},
  ): Promise<AdminClient> {
    const base = resolveConfig(
      Object.entries(settings).map(([name, text]): RawSetting => ({
        name,
        text,
        source: 'flag',
        where: name,
      })),
    );
    const config = new LiveConfig(base);
    const bench = await openCluster({ config });
    followDynamicSettings({ config, tracker: bench.tracker, brokerId: 1, logger: SILENT });
    config.onChange(() => bench.partitions.defaultsChanged());
    const clock = new ManualClock();
    const services: KafkaServices = {
      brokerId: 1,
      partitions: bench.partitions,
      admin: bench.admin,
      sections: new SectionWriter(bench),
      quotas: testQuotas(clock),
      authorizer: undefined,
      producerIds: new ProducerIdBlocks(bench.store),
      groups: undefined as unknown as KafkaServices['groups'],
      transactions: undefined as unknown as KafkaServices['transactions'],
      markers: undefined as unknown as KafkaServices['markers'],
      metrics: new BrokerMetrics(),
      clock,
      timers: clock,
      random: { fraction: () => 0, uuid: () => ZERO_UUID },
      compute: undefined as unknown as KafkaServices['compute'],
      users: undefined as unknown as KafkaServices['users'],
      authenticators: new Map(),
      failedAuthenticationDelayMs: 0,
      logger: SILENT,
      limits: kafkaLimitsOf(resolveConfig([]).settings),
      autoCreateTopics: true,
      config,
      dataFolder: {
        path: '/data',
        sizeOf: (name, partition) => bench.logs.get(name, partition)?.sizeBytes,
        freeSpace: () => ({ freeBytes: 5, totalBytes: 9 }),
      },
      ...override,
    };
    return new AdminClient(bench, services);
  }

  async call<Q, QI, S, SI>(
    api: Api<Q, QI, S, SI>,
    version: number,
    body: QI,
    more: Partial<Exchange<unknown>> = {},
  ): Promise<S> {
    const handler = this.#handlers.find((candidate) => candidate.api.key === api.key)!;
    const bytes = Buffer.concat(encodeRequest(api as Api<unknown, QI>, version, 1, null, body));
    const reader = new Reader(bytes);
    const flexible = api.flexibleSince !== null && version >= api.flexibleSince;
    reader.skip(4 + 8 + 2 + (flexible ? 1 : 0));
    const request = api.request.decode(reader, version);
    const connection = { listener: 'kafka' };
    const exchange = { version, connection, access: UNLIMITED, ...more } as Exchange<unknown>;
    let response: unknown;
    try {
      response = await handler.handle(request, exchange);
    } catch (error) {
      assert.ok(error instanceof BrokerError, String(error));
      response = handler.failure(request, errorCodeOf(error.code), error.message, version);
    }
    const encoded = Buffer.concat(
      encodeResponse(api as unknown as Api<unknown, never, unknown, SI>, version, 1, response as SI),
    );
    return decodeResponse(api as unknown as Api<unknown, never, S>, version, new Reader(encoded, 4)).body;
  }

  async create(...names: string[]): Promise<void> {
    for (const name of names) await this.bench.admin.autoCreateTopic(name);
  }
}

/** A topic of a CreateTopics request, with the defaults of the broker. */
export const newTopic = (name: string, more = {}) => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
  ...more,
});
