import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createPartitions, createTopics, deleteTopics } from '@polylog/kafka-protocol';

import type { KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { AdminClient, newTopic } from './admin-client.ts';

describe('CreateTopics', () => {
  it('answers each topic on its own, duplicates in all their places', async () => {
    const client = await AdminClient.connect({ 'num.partitions': '1', 'log.retention.ms': '99' });
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect(
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
    const client = await AdminClient.connect();
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
    const client = await AdminClient.connect({ 'delete.topic.enable': 'false' });
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
    const client = await AdminClient.connect();
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
