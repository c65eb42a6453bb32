import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import kafkajs, { type Admin, type Kafka as KafkaJS, type Producer } from 'kafkajs';
import { platformaticRead } from './clients/platformatic.ts';
import { startTarget, type Target } from './target.ts';

const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs;

describe('KafkaJS', () => {
  let target: Target;
  let address: string;
  let client: KafkaJS;
  let producer: Producer;
  let admin: Admin;
  before(async () => {
    target = await startTarget();
    address = target.kafkaAddress;
    client = new Kafka({ clientId: 'e2e', brokers: [address], logLevel: logLevel.NOTHING });
    producer = client.producer();
    admin = client.admin();
    await Promise.all([producer.connect(), admin.connect()]);
  });
  after(async () => {
    await Promise.all([producer.disconnect(), admin.disconnect()]);
    await target.stop();
  });

  test('records keep order, keys, headers and timestamps over partitions', async () => {
    const topic = 'kafkajs-records';
    await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] });
    const messages = Array.from({ length: 300 }, (_, index) => ({
      key: `key-${index}`,
      value: `value-${index}`,
      partition: index % 3,
      timestamp: String(1_700_000_000_000 + index),
      headers: { index: String(index), twice: ['a', 'b'] },
    }));
    const results = await producer.send({ topic, messages });
    assert.deepEqual(
      results.map(({ errorCode, baseOffset }) => [errorCode, baseOffset]),
      [
        [0, '0'],
        [0, '0'],
        [0, '0'],
      ],
    );
    for (const partition of [0, 1, 2]) {
      const records = await platformaticRead(address, topic, { partition });
      assert.deepEqual(
        records,
        Array.from({ length: 100 }, (_, offset) => {
          const index = offset * 3 + partition;
          return {
            offset,
            key: `key-${index}`,
            value: `value-${index}`,
            timestampMs: 1_700_000_000_000 + index,
            headers: [
              ['index', String(index)],
              ['twice', 'a'],
              ['twice', 'b'],
            ],
          };
        }),
      );
    }
  });

  test('a topic appears on first use', async () => {
    await producer.send({ topic: 'kafkajs-created', messages: [{ value: 'hello' }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: ['kafkajs-created'] });
    assert.equal(topics[0]?.partitions.length, 1);
    assert.deepEqual(
      (await platformaticRead(address, 'kafkajs-created')).map(({ value }) => value),
      ['hello'],
    );
  });

  for (const acks of [0, 1, -1]) {
    for (const compression of [CompressionTypes.None, CompressionTypes.GZIP]) {
      test(`acks=${acks}, compression ${compression}: every record is stored once`, async () => {
        const topic = `kafkajs-${acks}-${compression}`;
        await admin.createTopics({ topics: [{ topic }] });
        const values = Array.from({ length: 500 }, (_, index) => `${index} ${'x'.repeat(index % 100)}`);
        for (let at = 0; at < values.length; at += 100) {
          const messages = values.slice(at, at + 100).map((value) => ({ value, key: null }));
          await producer.send({ topic, acks, compression, messages });
        }
        // Nothing tells when a record sent with acks=0 is stored; what follows on the same connection is stored after it.
        if (acks === 0) await producer.send({ topic, acks: -1, messages: [{ value: 'end' }] });
        const expected = acks === 0 ? [...values, 'end'] : values;
        const records = await platformaticRead(address, topic);
        assert.deepEqual(
          records.map(({ value }) => value),
          expected,
        );
        assert.deepEqual(
          records.map(({ offset }) => offset),
          expected.map((_, offset) => offset),
        );
      });
    }
  }

  test('an idempotent producer stores each record once', async () => {
    const idempotent = client.producer({ idempotent: true, maxInFlightRequests: 1 });
    await idempotent.connect();
    await admin.createTopics({ topics: [{ topic: 'kafkajs-idempotent' }] });
    for (let batch = 0; batch < 20; batch++) {
      const messages = Array.from({ length: 10 }, (_, index) => ({ value: `${batch * 10 + index}` }));
      await idempotent.send({ topic: 'kafkajs-idempotent', acks: -1, messages });
    }
    await idempotent.disconnect();
    const records = await platformaticRead(address, 'kafkajs-idempotent');
    assert.deepEqual(
      records.map(({ value }) => value),
      Array.from({ length: 200 }, (_, index) => String(index)),
    );
  });

  test('the admin sees offsets by partition, and by time', async () => {
    const topic = 'kafkajs-offsets';
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }] });
    const messages = [100, 200, 300].map((ms) => ({
      partition: 1,
      timestamp: String(ms),
      value: String(ms),
    }));
    await producer.send({ topic, messages });
    const offsets = await admin.fetchTopicOffsets(topic);
    assert.deepEqual(
      offsets.toSorted((a, b) => a.partition - b.partition),
      [
        { partition: 0, offset: '0', high: '0', low: '0' },
        { partition: 1, offset: '3', high: '3', low: '0' },
      ],
    );
    const byTime = await admin.fetchTopicOffsetsByTimestamp(topic, 150);
    assert.equal(byTime.find(({ partition }) => partition === 1)?.offset, '1');
  });

  test('deleted records are gone, and the rest keeps its offsets', async () => {
    const topic = 'kafkajs-delete-records';
    await admin.createTopics({ topics: [{ topic }] });
    await producer.send({ topic, messages: ['a', 'b', 'c'].map((value) => ({ value })) });
    await admin.fetchTopicOffsets(topic); // makes the client learn the leader
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '2' }] });
    assert.deepEqual((await admin.fetchTopicOffsets(topic))[0], {
      partition: 0,
      offset: '3',
      high: '3',
      low: '2',
    });
    const records = await platformaticRead(address, topic, { from: 2 });
    assert.deepEqual(
      records.map(({ offset, value }) => [offset, value]),
      [[2, 'c']],
    );
  });

  test('topics are listed, described, extended and deleted', async () => {
    const topic = 'kafkajs-admin';
    const create = { topic, numPartitions: 2, configEntries: [{ name: 'retention.ms', value: '1234567' }] };
    assert.equal(await admin.createTopics({ topics: [create] }), true);
    assert.equal(await admin.createTopics({ topics: [create] }), false, 'a topic is created once');
    assert.ok((await admin.listTopics()).includes(topic));
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: ['retention.ms'] }],
    });
    assert.equal(
      resources[0]?.configEntries.find(({ configName }) => configName === 'retention.ms')?.configValue,
      '1234567',
    );
    await admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topic,
          configEntries: [{ name: 'retention.ms', value: '7654321' }],
        },
      ],
    });
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] });
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    assert.equal(topics[0]?.partitions.length, 5);
    await admin.deleteTopics({ topics: [topic] });
    assert.ok(!(await admin.listTopics()).includes(topic));
  });

  test('the cluster is one broker that is its own controller', async () => {
    const { brokers, controller } = await admin.describeCluster();
    assert.equal(brokers.length, 1);
    assert.equal(`${brokers[0]?.host}:${brokers[0]?.port}`, address);
    assert.equal(controller, brokers[0]?.nodeId);
  });
});
