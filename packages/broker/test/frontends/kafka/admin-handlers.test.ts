import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Reader } from '@polylog/bytes';
import {
  alterClientQuotas,
  alterConfigs,
  alterPartitionReassignments,
  alterReplicaLogDirs,
  createPartitions,
  createTopics,
  decodeResponse,
  deleteTopics,
  describeClientQuotas,
  describeCluster,
  describeConfigs,
  describeLogDirs,
  describeTopicPartitions,
  electLeaders,
  encodeRequest,
  encodeResponse,
  incrementalAlterConfigs,
  initProducerId,
  listPartitionReassignments,
  listConfigResources,
  metadata,
  updateFeatures,
  ZERO_UUID,
  type Api,
  type DescribeTopicPartitionsResponse,
} from '@polylog/kafka-protocol';
import { followDynamicSettings } from '../../../src/cluster/dynamic-settings.ts';
import { SectionWriter } from '../../../src/cluster/section-writer.ts';
import { ProducerIdBlocks } from '../../../src/cluster/producer-id-blocks.ts';
import { LiveConfig } from '../../../src/config/live-config.ts';
import { resolveConfig, type RawSetting } from '../../../src/config/load.ts';
import { BrokerError } from '../../../src/errors.ts';
import { UNLIMITED } from '../../../src/security/types.ts';
import type { Exchange, KafkaHandler, KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { errorCodeOf } from '../../../src/frontends/kafka/errors.ts';
import { kafkaHandlers } from '../../../src/frontends/kafka/handlers.ts';
import { kafkaLimitsOf } from '../../../src/frontends/kafka/limits.ts';
import { BrokerMetrics } from '../../../src/metrics/registry.ts';
import { ManualClock, SILENT } from '../../replication/helpers.ts';
import { quotaSection, testQuotas } from '../../support/quotas.ts';
import { openCluster, type ClusterBench } from '../../support/cluster-bench.ts';

/** A client of one broker: requests and responses go through their codecs. */
class Client {
  readonly bench: ClusterBench;
  readonly #handlers: readonly KafkaHandler[];

  private constructor(bench: ClusterBench, services: KafkaServices) {
    this.bench = bench;
    this.#handlers = kafkaHandlers(services);
  }

  static async connect(
    settings: Record<string, string> = {},
    override: Partial<KafkaServices> = {},
  ): Promise<Client> {
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
    return new Client(bench, services);
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

const newTopic = (name: string, more = {}) => ({
  name,
  numPartitions: -1,
  replicationFactor: -1,
  assignments: [],
  configs: [],
  ...more,
});

describe('CreateTopics', () => {
  it('answers each topic on its own, duplicates in all their places', async () => {
    const client = await Client.connect({ 'num.partitions': '1', 'log.retention.ms': '99' });
    const { topics } = await client.call(createTopics, 7, {
      topics: [
        newTopic('good', { numPartitions: 2, configs: [{ name: 'segment.ms', value: '5' }] }),
        newTopic('twice'),
        newTopic('bad/name'),
        newTopic('twice'),
        newTopic('null', { configs: [{ name: 'segment.ms', value: null }] }),
        newTopic('gap', { assignments: [{ partitionIndex: 1, brokerIds: [1] }] }),
      ],
    });
    assert.deepEqual(
      topics.map(({ errorCode }) => errorCode),
      [0, 42, 17, 42, 40, 39],
    );
    const good = topics[0]!;
    assert.deepEqual([good.numPartitions, good.replicationFactor], [2, 1]);
    assert.equal(good.topicId, client.bench.partitions.image.topicByName('good')!.id);
    const config = (name: string) => good.configs!.find((entry) => entry.name === name)!;
    assert.deepEqual([config('segment.ms').value, config('segment.ms').configSource], ['5', 1]);
    assert.deepEqual([config('retention.ms').value, config('retention.ms').configSource], ['99', 4]);
    assert.equal(config('flush').configSource, 5);
    assert.equal(client.bench.partitions.image.topicCount, 1);
  });

  it('speaks every version, and creates nothing when it only validates', async () => {
    const client = await Client.connect();
    for (let version = 2; version <= 7; version++) {
      const name = `v${version}`;
      const validated = await client.call(createTopics, version, {
        topics: [newTopic(name)],
        validateOnly: true,
      });
      assert.equal(validated.topics[0]!.errorCode, 0);
      assert.equal(client.bench.partitions.image.topicByName(name), undefined);
      const { topics } = await client.call(createTopics, version, { topics: [newTopic(name)] });
      assert.equal(topics[0]!.errorCode, 0);
    }
    assert.equal(client.bench.partitions.image.topicCount, 6);
  });

  it('tells the client when its time is over', async () => {
    const client = await Client.connect(
      {},
      {
        timers: {
          after: (_ms, callback) => {
            const immediate = setImmediate(callback);
            return { cancel: () => clearImmediate(immediate) };
          },
        },
        admin: { createTopic: () => new Promise(() => undefined) } as unknown as KafkaServices['admin'],
      },
    );
    const { topics } = await client.call(createTopics, 4, { topics: [newTopic('slow')], timeoutMs: 1 });
    assert.equal(topics[0]!.errorCode, 7);
  });
});

describe('DeleteTopics', () => {
  it('takes names, and ids from v6 on', async () => {
    const client = await Client.connect();
    await client.create('a', 'b');
    const id = client.bench.partitions.image.topicByName('b')!.id;
    const first = await client.call(deleteTopics, 1, {
      topicNames: ['a', 'none', 'b', 'b'],
      timeoutMs: 1000,
    });
    assert.deepEqual(
      first.responses.map(({ errorCode }) => errorCode),
      [0, 3, 42, 42],
    );
    const second = await client.call(deleteTopics, 6, {
      topics: [{ topicId: id }, { topicId: 'x'.repeat(21) + 'A' }, { name: 'c', topicId: id }, {}],
      timeoutMs: 1000,
    });
    assert.deepEqual(
      second.responses.map(({ errorCode }) => errorCode),
      [0, 100, 42, 42],
    );
    assert.equal(second.responses[0]!.name, 'b');
    assert.equal(client.bench.partitions.image.topicCount, 0);
  });

  it('says so where it is switched off', async () => {
    const client = await Client.connect({ 'delete.topic.enable': 'false' });
    await client.create('a');
    for (const [version, code] of [
      [2, 42],
      [3, 73],
    ] as const) {
      const { responses } = await client.call(deleteTopics, version, { topicNames: ['a'], timeoutMs: 1 });
      assert.equal(responses[0]!.errorCode, code);
    }
  });
});

describe('CreatePartitions', () => {
  it('answers each topic on its own', async () => {
    const client = await Client.connect();
    await client.create('a', 'b', 'c');
    const { results } = await client.call(createPartitions, 3, {
      topics: [
        { name: 'a', count: 3, assignments: null },
        { name: 'b', count: 1, assignments: null },
        { name: 'none', count: 3, assignments: null },
        { name: 'c', count: 2, assignments: [{ brokerIds: [9] }] },
      ],
      timeoutMs: 1000,
      validateOnly: false,
    });
    assert.deepEqual(
      results.map(({ errorCode }) => errorCode),
      [0, 37, 3, 39],
    );
    assert.equal(client.bench.partitions.image.partitionCount, 5);
  });
});

describe('Configs', () => {
  it('of a topic are shown with their sources, synonyms, types and documentation', async () => {
    const client = await Client.connect({ 'log.retention.hours': '1' });
    await client.create('a');
    const alter = await client.call(incrementalAlterConfigs, 1, {
      resources: [
        {
          resourceType: 2,
          resourceName: 'a',
          configs: [
            { name: 'retention.ms', configOperation: 0, value: '5' },
            { name: 'cleanup.policy', configOperation: 2, value: 'compact' },
          ],
        },
      ],
      validateOnly: false,
    });
    assert.equal(alter.responses[0]!.errorCode, 0);
    const { results } = await client.call(describeConfigs, 4, {
      resources: [{ resourceType: 2, resourceName: 'a', configurationKeys: null }],
      includeSynonyms: true,
      includeDocumentation: true,
    });
    const { configs } = results[0]!;
    const retention = configs.find(({ name }) => name === 'retention.ms')!;
    assert.deepEqual([retention.value, retention.configSource, retention.configType], ['5', 1, 5]);
    assert.deepEqual(
      retention.synonyms.map(({ name, value, source }) => `${name}=${value} ${source}`),
      ['retention.ms=5 1', 'log.retention.hours=1 4', 'log.retention.ms=604800000 5'],
    );
    assert.equal(configs.find(({ name }) => name === 'cleanup.policy')!.value, 'delete,compact');
    for (const { name, documentation, readOnly } of configs) {
      assert.ok(documentation!.length > 10, name);
      assert.equal(readOnly, false);
    }
  });

  it('are shown by key, without what was not asked for, in every version', async () => {
    const client = await Client.connect();
    await client.create('a');
    for (let version = 1; version <= 4; version++) {
      const { results } = await client.call(describeConfigs, version, {
        resources: [{ resourceType: 2, resourceName: 'a', configurationKeys: ['retention.ms', 'none'] }],
        ...(version >= 3 ? { includeDocumentation: false } : {}),
      });
      assert.equal(results[0]!.configs.length, 1);
      assert.deepEqual(results[0]!.configs[0]!.synonyms, []);
    }
  });

  it('of a resource that comes many times are shown once: the answer would not fit the memory', async () => {
    const client = await Client.connect();
    await client.create('a');
    const resource = { resourceType: 2, resourceName: 'a', configurationKeys: null };
    const { results } = await client.call(describeConfigs, 4, {
      resources: [...Array.from({ length: 20_000 }, () => resource), { ...resource, resourceName: 'none' }],
      includeSynonyms: true,
      includeDocumentation: true,
    });
    assert.deepEqual(
      results.map(({ resourceName, errorCode }) => `${resourceName} ${errorCode}`),
      ['a 0', 'none 3'],
    );
  });

  it('of this broker are shown, and those that it reads at its start refuse to change', async () => {
    const client = await Client.connect({ 'num.partitions': '3' });
    const describe_ = (resourceType: number, resourceName: string) =>
      client.call(describeConfigs, 1, {
        resources: [{ resourceType, resourceName, configurationKeys: [] }],
      });
    const { results } = await describe_(4, '1');
    const partitions = results[0]!.configs.find(({ name }) => name === 'num.partitions')!;
    assert.deepEqual([partitions.value, partitions.configSource, partitions.readOnly], ['3', 4, true]);
    assert.deepEqual((await describe_(4, '')).results[0]!.configs, []);
    assert.equal((await describe_(4, '2')).results[0]!.errorCode, 42);
    assert.deepEqual((await describe_(16, 'x')).results[0]!.configs, []);
    assert.equal((await describe_(8, '')).results[0]!.errorCode, 42);
    assert.equal((await describe_(8, '2')).results[0]!.errorCode, 42);
    assert.equal((await describe_(99, '1')).results[0]!.errorCode, 42);
    assert.equal((await describe_(2, 'none')).results[0]!.errorCode, 3);
    assert.equal((await describe_(2, 'no/slash')).results[0]!.errorCode, 17);
    const { responses } = await client.call(incrementalAlterConfigs, 0, {
      resources: [
        {
          resourceType: 4,
          resourceName: '1',
          configs: [{ name: 'num.partitions', configOperation: 0, value: '4' }],
        },
      ],
      validateOnly: false,
    });
    assert.equal(responses[0]!.errorCode, 42);
  });

  it('of brokers change while they run: for all of them, or for one', async () => {
    const client = await Client.connect({ 'log.retention.ms': '1000' });
    await client.create('plain', 'own');
    const alter = async (type: number, name: string, configs: Readonly<Record<string, string | null>>) => {
      const { responses } = await client.call(incrementalAlterConfigs, 1, {
        resources: [
          {
            resourceType: type,
            resourceName: name,
            configs: Object.entries(configs).map(([config, value]) => ({
              name: config,
              configOperation: value === null ? 1 : 0,
              value,
            })),
          },
        ],
        validateOnly: false,
      });
      return responses[0]!;
    };
    const show = async (type: number, name: string, config: string) => {
      const { results } = await client.call(describeConfigs, 4, {
        resources: [{ resourceType: type, resourceName: name, configurationKeys: [config] }],
        includeSynonyms: true,
        includeDocumentation: false,
      });
      const [entry] = results[0]!.configs;
      return entry?.synonyms.map((synonym) => `${synonym.name}=${synonym.value} ${synonym.source}`);
    };
    const retention = (name: string) => client.bench.partitions.settings(name)?.log.retentionMs;
    await alter(2, 'own', { 'retention.ms': '7' });
    assert.equal((await alter(4, '', { 'log.retention.ms': '2000' })).errorCode, 0);
    assert.deepEqual([retention('plain'), retention('own')], [2000, 7]);
    assert.equal((await alter(4, '1', { 'log.retention.ms': '3000' })).errorCode, 0);
    assert.deepEqual([retention('plain'), retention('own')], [3000, 7]);
    const places = [
      'log.retention.ms=3000 2',
      'log.retention.ms=2000 3',
      'log.retention.ms=1000 4',
      'log.retention.ms=604800000 5',
    ];
    assert.deepEqual(await show(4, '1', 'log.retention.ms'), places);
    assert.deepEqual(await show(2, 'plain', 'retention.ms'), places);
    assert.deepEqual(await show(2, 'own', 'retention.ms'), ['retention.ms=7 1', ...places]);
    assert.deepEqual(await show(4, '', 'log.retention.ms'), ['log.retention.ms=2000 3']);
    // A topic that is made now has it too.
    await client.create('late');
    assert.equal(retention('late'), 3000);
    await alter(4, '1', { 'log.retention.ms': null });
    await alter(4, '', { 'log.retention.ms': null });
    assert.equal(retention('plain'), 1000);
    assert.equal(client.bench.tracker.image.section('broker-configs/').size, 0);
  });

  it('of brokers refuse what is unknown, illegal or contradicts the rest, and keep what was', async () => {
    const client = await Client.connect();
    const refusal = async (configs: Readonly<Record<string, string>>, validateOnly = false) => {
      const { responses } = await client.call(alterConfigs, 2, {
        resources: [
          {
            resourceType: 4,
            resourceName: '',
            configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
          },
        ],
        validateOnly,
      });
      return `${responses[0]!.errorCode} ${responses[0]!.errorMessage}`;
    };
    assert.match(
      await refusal({ 'log.retention.mss': '1' }),
      /^42 Unknown broker config name.*log.retention.ms/,
    );
    assert.match(await refusal({ 'log.retention.ms': 'long' }), /^42 .*must be an integer/);
    assert.match(await refusal({ 'num.partitions': '2' }), /^42 num.partitions cannot be changed/);
    const lags = { 'log.cleaner.min.compaction.lag.ms': '9', 'log.cleaner.max.compaction.lag.ms': '8' };
    assert.match(await refusal(lags), /^42 .*must not be above/);
    assert.equal(await refusal({ 'log.retention.ms': '5' }, true), '0 null');
    assert.equal(client.bench.tracker.image.section('broker-configs/').size, 0);
  });

  it("of a broker's logger are the level of its log", async () => {
    const client = await Client.connect();
    const alter = async (name: string, value: string | null, configOperation = 0) => {
      const configs = [{ name, configOperation, value }];
      const resources = [{ resourceType: 8, resourceName: '1', configs }];
      const { responses } = await client.call(incrementalAlterConfigs, 1, { resources, validateOnly: false });
      return responses[0]!.errorCode;
    };
    const levels = async () => {
      const { results } = await client.call(describeConfigs, 4, {
        resources: [{ resourceType: 8, resourceName: '1', configurationKeys: null }],
        includeSynonyms: false,
        includeDocumentation: false,
      });
      return results[0]!.configs.map(({ name, value, configSource }) => `${name}=${value} ${configSource}`);
    };
    assert.deepEqual(await levels(), ['root=INFO 6']);
    assert.equal(await alter('root', 'DEBUG'), 0);
    assert.deepEqual(await levels(), ['root=DEBUG 6']);
    assert.equal(await alter('kafka.server', 'DEBUG'), 40);
    assert.equal(await alter('root', 'LOUD'), 40);
    assert.equal(await alter('root', null, 1), 42);
    const { responses } = await client.call(alterConfigs, 2, {
      resources: [{ resourceType: 8, resourceName: '1', configs: [] }],
      validateOnly: false,
    });
    assert.equal(responses[0]!.errorCode, 42);
  });

  it('of consumer groups are their own, whether there is such a group or not', async () => {
    const client = await Client.connect();
    const alter = async (name: string, value: string, group = 'g/1') => {
      const { responses } = await client.call(incrementalAlterConfigs, 1, {
        resources: [
          { resourceType: 32, resourceName: group, configs: [{ name, configOperation: 0, value }] },
        ],
        validateOnly: false,
      });
      return responses[0]!.errorCode;
    };
    assert.equal(await alter('consumer.session.timeout.ms', '60000'), 0);
    assert.equal(await alter('consumer.session.timeout.ms', '5'), 40);
    assert.equal(await alter('nonesuch', '5'), 40);
    assert.equal(await alter('consumer.session.timeout.ms', '60000', ''), 42);
    const { results } = await client.call(describeConfigs, 4, {
      resources: [{ resourceType: 32, resourceName: 'g/1', configurationKeys: null }],
      includeSynonyms: true,
      includeDocumentation: true,
    });
    assert.deepEqual(
      results[0]!.configs.map(({ name, value, configSource }) => `${name}=${value} ${configSource}`),
      ['consumer.heartbeat.interval.ms=5000 5', 'consumer.session.timeout.ms=60000 8'],
    );
  });

  it('are listed by the resources that have them', async () => {
    const client = await Client.connect();
    await client.create('a', 'b');
    await client.call(incrementalAlterConfigs, 1, {
      resources: [
        {
          resourceType: 32,
          resourceName: 'g 1',
          configs: [{ name: 'consumer.heartbeat.interval.ms', configOperation: 0, value: '1000' }],
        },
      ],
      validateOnly: false,
    });
    const list = async (version: number, resourceTypes: number[]) => {
      const body = version === 0 ? {} : { resourceTypes };
      const { errorCode, configResources } = await client.call(listConfigResources, version, body);
      return [
        errorCode,
        ...configResources.map(({ resourceType, resourceName }) => `${resourceType} ${resourceName}`),
      ];
    };
    assert.deepEqual(await list(1, []), [0, '2 a', '2 b', '4 1', '8 1', '32 g 1']);
    assert.deepEqual(await list(1, [32, 2, 32]), [0, '32 g 1', '2 a', '2 b']);
    assert.deepEqual(await list(1, [3]), [35]);
    assert.deepEqual(await list(0, []), [0]);
  });

  it('of a topic are replaced by AlterConfigs', async () => {
    const client = await Client.connect();
    await client.create('a');
    const set = (name: string, value: string | null) =>
      client.call(alterConfigs, 2, {
        resources: [{ resourceType: 2, resourceName: 'a', configs: [{ name, value }] }],
        validateOnly: false,
      });
    assert.equal((await set('retention.ms', '5')).responses[0]!.errorCode, 0);
    assert.equal((await set('segment.ms', '6')).responses[0]!.errorCode, 0);
    assert.deepEqual([...client.bench.partitions.image.topicByName('a')!.overrides], [['segment.ms', '6']]);
    assert.equal((await set('segment.ms', null)).responses[0]!.errorCode, 42);
    assert.equal((await set('segment.mss', '1')).responses[0]!.errorCode, 40);
  });

  it('refuse resources that come twice, unknown operations and missing values', async () => {
    const client = await Client.connect();
    await client.create('a');
    const resource = (configOperation: number, value: string | null, resourceName = 'a') => ({
      resourceType: 2,
      resourceName,
      configs: [{ name: 'retention.ms', configOperation, value }],
    });
    const codes = async (...resources: ReturnType<typeof resource>[]): Promise<number[]> => {
      const { responses } = await client.call(incrementalAlterConfigs, 1, { resources, validateOnly: false });
      return responses.map(({ errorCode }) => errorCode);
    };
    assert.deepEqual(await codes(resource(0, '1'), resource(0, '2')), [42, 42]);
    assert.deepEqual(await codes(resource(4, '1')), [42]);
    assert.deepEqual(await codes(resource(0, null)), [42]);
    assert.deepEqual(await codes(resource(2, '1')), [40]);
    assert.deepEqual(await codes(resource(0, '1', 'none'), resource(1, null)), [3, 0]);
  });
});

describe('The cluster', () => {
  it('shows its brokers, and no controllers on this listener', async () => {
    const client = await Client.connect();
    for (let version = 0; version <= 2; version++) {
      const body = await client.call(describeCluster, version, {
        includeClusterAuthorizedOperations: false,
        ...(version >= 2 ? { includeFencedBrokers: true } : {}),
      });
      assert.equal(body.controllerId, 1);
      assert.equal(body.clusterId, client.bench.tracker.image.clusterId);
      assert.deepEqual(
        body.brokers.map(({ brokerId, host, port }) => [brokerId, host, port]),
        [[1, '127.0.0.1', 9092]],
      );
    }
    for (const [endpointType, code] of [
      [2, 114],
      [7, 115],
    ] as const) {
      const body = await client.call(describeCluster, 1, {
        includeClusterAuthorizedOperations: false,
        endpointType,
      });
      assert.equal(body.errorCode, code);
    }
  });

  it('shows partitions in pages that together are everything, once', async () => {
    const client = await Client.connect();
    for (const [name, count] of [
      ['a', 3],
      ['b', 1],
      ['c', 4],
    ] as const) {
      await client.call(createTopics, 5, { topics: [newTopic(name, { numPartitions: count })] });
    }
    for (const topics of [[], [{ name: 'c' }, { name: 'a' }, { name: 'b' }, { name: 'a' }]]) {
      for (const responsePartitionLimit of [1, 2, 3, 8, 9]) {
        const seen: string[] = [];
        let cursor: DescribeTopicPartitionsResponse['nextCursor'] = null;
        do {
          const page: DescribeTopicPartitionsResponse = await client.call(describeTopicPartitions, 0, {
            topics,
            responsePartitionLimit,
            cursor,
          });
          let inPage = 0;
          for (const topic of page.topics) {
            for (const { partitionIndex } of topic.partitions) seen.push(`${topic.name}${partitionIndex}`);
            inPage += topic.partitions.length;
          }
          assert.ok(inPage <= responsePartitionLimit);
          cursor = page.nextCursor;
        } while (cursor !== null);
        assert.deepEqual(seen, ['a0', 'a1', 'a2', 'b0', 'c0', 'c1', 'c2', 'c3']);
      }
    }
    const gone = await client.call(describeTopicPartitions, 0, {
      topics: [{ name: 'none' }, { name: 'no/slash' }],
    });
    assert.deepEqual(
      gone.topics.map(({ name, errorCode }) => [name, errorCode]),
      [
        ['no/slash', 17],
        ['none', 3],
      ],
    );
    const bad = await client.call(describeTopicPartitions, 0, {
      topics: [{ name: 'a' }],
      cursor: { topicName: 'a', partitionIndex: -1 },
    });
    assert.equal(bad.topics[0]!.errorCode, 42);
  });

  it('shows the sizes of what is hosted here', async () => {
    const client = await Client.connect();
    await client.create('a', 'b');
    for (let version = 1; version <= 5; version++) {
      const all = await client.call(describeLogDirs, version, { topics: null });
      assert.deepEqual(
        all.results[0]!.topics.map(({ name }) => name),
        ['a', 'b'],
      );
      const one = await client.call(describeLogDirs, version, {
        topics: [
          { topic: 'a', partitions: [0, 5] },
          { topic: 'none', partitions: [0] },
        ],
      });
      assert.deepEqual(
        one.results[0]!.topics.map(({ name, partitions }) => [name, partitions.length]),
        [['a', 1]],
      );
      if (version >= 4) assert.deepEqual([all.results[0]!.totalBytes, all.results[0]!.usableBytes], [9, 5]);
    }
  });
});

describe('InitProducerId', () => {
  it('gives ids that nobody had, also to those who have one', async () => {
    const client = await Client.connect();
    const ids = new Set<number>();
    for (let version = 0; version <= 5; version++) {
      const known = version >= 3 ? { producerId: 7, producerEpoch: 3 } : {};
      const body = await client.call(initProducerId, version, {
        transactionalId: null,
        transactionTimeoutMs: 1,
        ...known,
      });
      assert.deepEqual([body.errorCode, body.producerEpoch], [0, 0]);
      ids.add(body.producerId);
    }
    assert.equal(ids.size, 6);
  });

  it('refuses halves of an identity', async () => {
    const client = await Client.connect();
    const code = async (body: object): Promise<number> => {
      const response = await client.call(initProducerId, 4, {
        transactionalId: null,
        transactionTimeoutMs: 1,
        ...body,
      });
      assert.equal(response.producerId, -1);
      return response.errorCode;
    };
    assert.equal(await code({ transactionalId: 'tx', producerId: 5 }), 42);
    assert.equal(await code({ producerId: 5 }), 42);
    assert.equal(await code({ producerEpoch: 5 }), 42);
    assert.equal(await code({ producerId: -2, producerEpoch: -2 }), 42);
  });
});

describe('UpdateFeatures', () => {
  it('answers a feature that there is not with an error of the whole request', async () => {
    const client = await Client.connect();
    const update = { feature: 'nonesuch.version', maxVersionLevel: 1 };
    for (const version of [0, 1, 2]) {
      const answer = await client.call(updateFeatures, version, {
        featureUpdates: [version === 0 ? { ...update, allowDowngrade: false } : update],
        ...(version === 0 ? {} : { validateOnly: false }),
      });
      assert.equal(answer.errorCode, errorCodeOf('INVALID_UPDATE_VERSION'));
      assert.match(answer.errorMessage ?? '', /nonesuch\.version cannot be set to 1/);
      assert.deepEqual(answer.results, []);
    }
  });
});

describe('Client quotas', () => {
  const user = (entityName: string | null) => [{ entityType: 'user', entityName }];
  const op = (key: string, value: number, remove = false) => ({ key, value, remove });
  const all = { components: [], strict: false };

  it('are altered one by one, and described', async () => {
    const client = await Client.connect();
    const entries = [
      { entity: user('a'), ops: [op('producer_byte_rate', 1000), op('request_percentage', 12.5)] },
      { entity: user(null), ops: [op('producer_byte_rate', 2000)] },
      { entity: user('b'), ops: [op('nonesuch', 1)] },
    ];
    const altered = await client.call(alterClientQuotas, 1, { entries, validateOnly: false });
    assert.deepEqual(
      altered.entries.map(({ errorCode }) => errorCode),
      [0, 0, errorCodeOf('INVALID_REQUEST')],
    );
    assert.match(altered.entries[2]!.errorMessage ?? '', /Unknown quota "nonesuch"/);
    const described = await client.call(describeClientQuotas, 1, all);
    assert.deepEqual(described.entries, [
      { entity: user(null), values: [{ key: 'producer_byte_rate', value: 2000 }] },
      {
        entity: user('a'),
        values: [
          { key: 'producer_byte_rate', value: 1000 },
          { key: 'request_percentage', value: 12.5 },
        ],
      },
    ]);
    const removal = { entity: user('a'), ops: [op('request_percentage', 0, true)] };
    await client.call(alterClientQuotas, 0, { entries: [removal], validateOnly: true });
    assert.deepEqual((await client.call(describeClientQuotas, 0, all)).entries, described.entries);
    await client.call(alterClientQuotas, 0, { entries: [removal], validateOnly: false });
    const after = await client.call(describeClientQuotas, 0, all);
    assert.deepEqual(after.entries?.[1]?.values, [{ key: 'producer_byte_rate', value: 1000 }]);
  });

  it('are refused as a whole where the filter is no filter', async () => {
    const client = await Client.connect();
    const ask = (matchType: number, match: string | null, entityType = 'user') =>
      client.call(describeClientQuotas, 1, {
        components: [{ entityType, matchType, match }],
        strict: false,
      });
    const invalid = errorCodeOf('INVALID_REQUEST');
    assert.equal((await ask(0, null)).errorCode, invalid);
    assert.equal((await ask(1, 'a')).errorCode, invalid);
    assert.equal((await ask(3, null)).errorCode, invalid);
    const unknown = await ask(2, null, 'group');
    assert.equal(unknown.errorCode, errorCodeOf('UNSUPPORTED_VERSION'));
    assert.equal(unknown.entries, null);
  });
});

describe('ElectLeaders', () => {
  const partitionsOf = (topic: string, ...partitions: number[]) => [{ topic, partitions }];

  it('says that the wanted leader leads already, or what there is not', async () => {
    const client = await Client.connect();
    await client.create('orders');
    for (const version of [0, 1, 2]) {
      const { errorCode, replicaElectionResults } = await client.call(electLeaders, version, {
        ...(version === 0 ? {} : { electionType: 0 }),
        topicPartitions: [...partitionsOf('orders', 0, 9), ...partitionsOf('nonesuch', 0)],
      });
      assert.equal(errorCode, 0);
      const codes = replicaElectionResults.map(({ topic, partitionResult }) => [
        topic,
        ...partitionResult.map((result) => result.errorCode),
      ]);
      assert.deepEqual(codes, [
        ['orders', 84, 3],
        ['nonesuch', 3],
      ]);
    }
    const unclean = { electionType: 1, topicPartitions: partitionsOf('orders', 0) };
    const [result] = (await client.call(electLeaders, 2, unclean)).replicaElectionResults;
    assert.equal(result?.partitionResult[0]?.errorCode, 84);
  });

  it('tells whoever asks for all of those only that needed an election', async () => {
    const client = await Client.connect();
    await client.create('orders');
    const answer = await client.call(electLeaders, 2, { electionType: 0, topicPartitions: null });
    assert.deepEqual([answer.errorCode, answer.replicaElectionResults], [0, []]);
  });

  it('refuses a type of election that there is not', async () => {
    const client = await Client.connect();
    const answer = await client.call(electLeaders, 2, {
      electionType: 2,
      topicPartitions: partitionsOf('orders', 0),
    });
    assert.equal(answer.errorCode, 42);
    assert.equal(answer.replicaElectionResults[0]?.partitionResult[0]?.errorCode, 42);
  });
});

describe('AlterReplicaLogDirs', () => {
  it('leaves a replica in the only folder there is, and knows no other', async () => {
    const client = await Client.connect();
    await client.create('orders');
    assert.ok(client.bench.logs.get('orders', 0));
    const { results } = await client.call(alterReplicaLogDirs, 2, {
      dirs: [
        {
          path: '/data',
          topics: [
            { name: 'orders', partitions: [0] },
            { name: 'nonesuch', partitions: [0] },
          ],
        },
        { path: '/elsewhere', topics: [{ name: 'orders', partitions: [0] }] },
      ],
    });
    assert.deepEqual(
      results.map(({ topicName, partitions }) => [
        topicName,
        ...partitions.map(({ errorCode }) => errorCode),
      ]),
      [
        ['orders', 0, 57],
        ['nonesuch', 3],
      ],
    );
  });
});

describe('AlterConfigs and IncrementalAlterConfigs of many groups', () => {
  const session = (value: string) => ({ name: 'consumer.session.timeout.ms', value });

  it('look at what is set once for the request, however many resources it has', async () => {
    const client = await Client.connect();
    const { store } = client.bench;
    const range = store.range.bind(store);
    let reads = 0;
    store.range = (...wanted) => {
      reads++;
      return range(...wanted);
    };
    const groups = Array.from({ length: 300 }, (_, index) => `g${index}`);
    const wanted = (value: string) =>
      groups.map((resourceName) => ({
        resourceType: 32,
        resourceName,
        configs: [session(resourceName === 'g7' ? 'soon' : value)],
      }));
    const incremental = wanted('50000').map((resource) => ({
      ...resource,
      configs: resource.configs.map((config) => ({ ...config, configOperation: 0 })),
    }));
    const first = await client.call(incrementalAlterConfigs, 1, {
      resources: [...incremental, { resourceType: 4, resourceName: '9', configs: [] }],
      validateOnly: false,
    });
    const codes = first.responses.map(({ errorCode }) => errorCode);
    assert.deepEqual(
      codes,
      groups.map((name) => (name === 'g7' ? errorCodeOf('INVALID_CONFIG') : 0)).concat(42),
    );
    const second = await client.call(alterConfigs, 2, { resources: wanted('51000'), validateOnly: false });
    assert.equal(second.responses.filter(({ errorCode }) => errorCode === 0).length, 299);
    assert.equal(reads, 2);
    const { results } = await client.call(describeConfigs, 4, {
      resources: ['g0', 'g7', 'g299'].map((resourceName) => ({
        resourceType: 32,
        resourceName,
        configurationKeys: ['consumer.session.timeout.ms'],
      })),
    });
    assert.deepEqual(
      results.map(({ configs }) => configs[0]!.value),
      ['51000', '45000', '51000'],
    );
  });
});

describe('AlterPartitionReassignments and ListPartitionReassignments', () => {
  it('moves nothing, and says of each partition why', async () => {
    const client = await Client.connect();
    await client.create('orders');
    const wanted = [[1], [], [1, 1], [1, 7], null];
    const codes = [];
    for (const version of [0, 1]) {
      for (const replicas of wanted) {
        const { errorCode, responses } = await client.call(alterPartitionReassignments, version, {
          topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, replicas }] }],
        });
        assert.equal(errorCode, 0);
        codes.push(responses[0]!.partitions[0]!.errorCode);
      }
    }
    assert.deepEqual(codes, [0, 39, 39, 39, 85, 0, 39, 39, 39, 85]);
    const { responses } = await client.call(alterPartitionReassignments, 0, {
      topics: [{ name: 'nonesuch', partitions: [{ partitionIndex: 0, replicas: [1] }] }],
    });
    assert.equal(responses[0]!.partitions[0]!.errorCode, 3);
    const listed = await client.call(listPartitionReassignments, 0, { topics: null });
    assert.deepEqual([listed.errorCode, listed.topics], [0, []]);
  });

  it('of created and deleted partitions refuse what is told so, and make the rest wait (KIP-599)', async () => {
    const client = await Client.connect();
    const clock = new ManualClock();
    const { clients } = testQuotas(clock);
    clients.load(quotaSection({ 'user:': { controller_mutation_rate: 1 } }));
    const waits: number[] = [];
    const throttled = {
      allowance: clients.of(undefined, 'u', 'c'),
      throttle: (ms: number) => void waits.push(ms),
    };
    const make = async (version: number, name: string, numPartitions: number, validateOnly = false) => {
      const topic = newTopic(name, { numPartitions, replicationFactor: 1 });
      const body = { topics: [topic], timeoutMs: 1000, validateOnly };
      const { topics } = await client.call(createTopics, version, body, throttled);
      return topics[0]!.errorCode;
    };
    const over = errorCodeOf('THROTTLING_QUOTA_EXCEEDED');
    // The bucket holds 11, and one request may take it below nothing.
    assert.equal(await make(7, 'a', 15), 0);
    assert.deepEqual(waits, []);
    assert.equal(await make(7, 'b', 1, true), 0);
    assert.equal(await make(7, 'a', 1), errorCodeOf('TOPIC_ALREADY_EXISTS'));
    assert.equal(await make(7, 'b', 1), over);
    assert.deepEqual(waits.splice(0), [4000]);
    assert.equal(await make(5, 'b', 1), 0);
    assert.deepEqual(waits.splice(0), [5000]);
    const grow = async (version: number) => {
      const body = {
        topics: [{ name: 'b', count: 2, assignments: null }],
        timeoutMs: 1000,
        validateOnly: false,
      };
      return (await client.call(createPartitions, version, body, throttled)).results[0]!.errorCode;
    };
    assert.equal(await grow(3), over);
    assert.equal(await grow(2), 0);
    const remove = async (version: number, name: string) => {
      const body = { topicNames: [name], timeoutMs: 1000 };
      return (await client.call(deleteTopics, version, body, throttled)).responses[0]!.errorCode;
    };
    assert.equal(await remove(5, 'b'), over);
    clock.now += 6000;
    assert.equal(await remove(5, 'b'), 0);
    assert.equal(await remove(5, 'a'), over);
    assert.equal(await remove(4, 'a'), 0);
    assert.equal(client.bench.partitions.image.topicByName('a'), undefined);
  });

  it('make those wait too who create topics by asking for them', async () => {
    const client = await Client.connect();
    const { clients } = testQuotas(new ManualClock());
    clients.load(quotaSection({ 'user:': { controller_mutation_rate: 0.5 } }));
    const waits: number[] = [];
    const throttled = {
      allowance: clients.of(undefined, 'u', 'c'),
      throttle: (ms: number) => void waits.push(ms),
    };
    const ask = async (...names: string[]) => {
      const topics = names.map((name) => ({ name }));
      const answer = await client.call(metadata, 9, { topics, allowAutoTopicCreation: true }, throttled);
      return answer.topics.map(({ errorCode }) => errorCode);
    };
    // Of one partition each; the bucket holds 5.5.
    assert.deepEqual(await ask('a', 'b', 'c', 'd', 'e'), [0, 0, 0, 0, 0]);
    // What is there, and what cannot be made, costs nothing.
    assert.deepEqual(await ask('a', 'no/name'), [0, 17]);
    assert.deepEqual(waits, []);
    assert.deepEqual(await ask('f'), [0]);
    assert.deepEqual(waits, [1000]);
  });

  it('of created partitions do not count what is refused for another reason', async () => {
    const client = await Client.connect();
    const { clients } = testQuotas(new ManualClock());
    clients.load(quotaSection({ 'user:': { controller_mutation_rate: 1 } }));
    const throttled = { allowance: clients.of(undefined, 'u', 'c'), throttle: () => undefined };
    const make = async (version: number, name: string, numPartitions: number) => {
      const topics = [newTopic(name, { numPartitions, replicationFactor: 1 })];
      const body = { topics, timeoutMs: 1000, validateOnly: false };
      return (await client.call(createTopics, version, body, throttled)).topics[0]!.errorCode;
    };
    const grow = async (version: number, count: number) => {
      const topics = [{ name: 'a', count, assignments: null }];
      const body = { topics, timeoutMs: 1000, validateOnly: false };
      return (await client.call(createPartitions, version, body, throttled)).results[0]!.errorCode;
    };
    const tooMany = 2 ** 31 - 1;
    // A debt of so many would keep the user from its quota for years.
    for (const version of [5, 7]) assert.equal(await make(version, 'huge', tooMany), 37);
    for (const version of [5, 7]) assert.equal(await make(version, 'no/name', 1000), 17);
    assert.equal(await make(7, 'a', 5), 0);
    for (const version of [2, 3]) assert.equal(await grow(version, tooMany), 37);
    assert.equal(await grow(3, 6), 0);
    // Of the eleven at first six are used.
    assert.equal(await make(7, 'b', 5), 0);
    assert.equal(await make(7, 'c', 1), 0);
    assert.equal(await make(7, 'd', 1), errorCodeOf('THROTTLING_QUOTA_EXCEEDED'));
  });
});
