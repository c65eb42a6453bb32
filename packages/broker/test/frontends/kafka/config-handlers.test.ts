import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  alterConfigs,
  describeConfigs,
  incrementalAlterConfigs,
  listConfigResources,
} from '@polylog/kafka-protocol';

import { errorCodeOf } from '../../../src/frontends/kafka/errors.ts';
import { AdminClient } from './admin-client.ts';

describe('Configs', () => {
  it('of a topic are shown with their sources, synonyms, types and documentation', async () => {
    const client = await AdminClient.connect({ 'log.retention.hours': '1' });
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect({ 'num.partitions': '3' });
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
    const client = await AdminClient.connect({ 'log.retention.ms': '1000' });
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect();
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
    for (const level of ['LOUD', 'constructor']) assert.equal(await alter('root', level), 40);
    assert.equal(await alter('root', null, 1), 42);
    const { responses } = await client.call(alterConfigs, 2, {
      resources: [{ resourceType: 8, resourceName: '1', configs: [] }],
      validateOnly: false,
    });
    assert.equal(responses[0]!.errorCode, 42);
  });

  it('of consumer groups are their own, whether there is such a group or not', async () => {
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect();
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

describe('AlterConfigs and IncrementalAlterConfigs of many groups', () => {
  const session = (value: string) => ({ name: 'consumer.session.timeout.ms', value });

  it('look once at what is set for each of them, and at no other', async () => {
    const client = await AdminClient.connect();
    const { store } = client.bench;
    const get = store.get.bind(store);
    const asked: string[] = [];
    store.get = (key) => {
      asked.push(key);
      return get(key);
    };
    store.range = () => assert.fail('all settings were read');
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
    const keys = groups.map((name) => `broker-configs/group:${name}`);
    assert.deepEqual(asked, [...keys, ...keys]);
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
