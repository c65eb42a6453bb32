import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  Admin,
  Consumer,
  ProduceAcks,
  Producer,
  stringSerializers,
  type CompressionAlgorithmValue,
} from '@platformatic/kafka';
import { platformaticRead } from './clients/platformatic.ts';
import { startTarget, type Target } from './target.ts';

const CODECS: CompressionAlgorithmValue[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

type TextProducer = Producer<string, string, string, string>;

describe('@platformatic/kafka', () => {
  let target: Target;
  let address: string;
  let admin: Admin;
  const open: { close(): Promise<void> }[] = [];
  before(async () => {
    target = await startTarget();
    address = target.kafkaAddress;
    admin = new Admin({ clientId: 'e2e', bootstrapBrokers: [address] });
    open.push(admin);
  });
  after(async () => {
    for (const client of open) await client.close();
    await target.stop();
  });

  function newProducer(options: { idempotent?: boolean } = {}): TextProducer {
    const producer = new Producer({
      clientId: 'e2e',
      bootstrapBrokers: [address],
      serializers: stringSerializers,
      autocreateTopics: true,
      ...options,
    });
    open.push(producer);
    return producer;
  }

  for (const compression of CODECS) {
    for (const idempotent of [false, true]) {
      test(`${compression} batches come back as sent (idempotent: ${idempotent})`, async () => {
        const topic = `platformatic-${compression}-${idempotent}`;
        const producer = newProducer({ idempotent });
        const values = Array.from({ length: 400 }, (_, index) => `${index} ${'abc'.repeat(index % 40)}`);
        for (let at = 0; at < values.length; at += 100) {
          const messages = values.slice(at, at + 100).map((value, index) => ({
            topic,
            partition: 0,
            key: String(at + index),
            value,
            headers: { codec: compression },
          }));
          const { offsets } = await producer.send({ acks: ProduceAcks.ALL, compression, messages });
          assert.deepEqual(offsets, [{ topic, partition: 0, offset: BigInt(at) }]);
        }
        const records = await platformaticRead(address, topic);
        assert.deepEqual(
          records.map(({ offset, key, value, headers }) => ({ offset, key, value, headers })),
          values.map((value, offset) => ({
            offset,
            key: String(offset),
            value,
            headers: [['codec', compression]],
          })),
        );
      });
    }
  }

  for (const [name, acks] of Object.entries({ none: ProduceAcks.NO_RESPONSE, leader: ProduceAcks.LEADER })) {
    test(`acks of ${name}: the record is stored`, async () => {
      const topic = `platformatic-acks-${name}`;
      const producer = newProducer();
      await producer.send({ acks, messages: [{ topic, partition: 0, value: 'first' }] });
      await producer.send({ acks: ProduceAcks.ALL, messages: [{ topic, partition: 0, value: 'second' }] });
      assert.deepEqual(
        (await platformaticRead(address, topic)).map(({ value }) => value),
        ['first', 'second'],
      );
    });
  }

  test('many sends in flight keep their order in each partition', async () => {
    const topic = 'platformatic-in-flight';
    await admin.createTopics({ topics: [topic], partitions: 4, replicas: 1 });
    const producer = newProducer({ idempotent: true });
    const sends = Array.from({ length: 200 }, (_, index) =>
      producer.send({
        acks: ProduceAcks.ALL,
        messages: [{ topic, partition: index % 4, value: String(index) }],
      }),
    );
    await Promise.all(sends);
    for (let partition = 0; partition < 4; partition++) {
      const values = (await platformaticRead(address, topic, { partition })).map(({ value }) =>
        Number(value),
      );
      assert.deepEqual(
        values.toSorted((a, b) => a - b),
        Array.from({ length: 50 }, (_, index) => index * 4 + partition),
      );
    }
  });

  test('the admin creates, lists, extends and deletes topics', async () => {
    const [created] = await admin.createTopics({
      topics: ['platformatic-admin'],
      partitions: 2,
      replicas: 1,
    });
    assert.equal(created?.partitions, 2);
    assert.ok((await admin.listTopics()).includes('platformatic-admin'));
    await admin.createPartitions({ topics: [{ name: 'platformatic-admin', count: 3 }] });
    const metadata = await admin.metadata({ topics: ['platformatic-admin'], forceUpdate: true });
    assert.equal(metadata.topics.get('platformatic-admin')?.partitionsCount, 3);
    assert.equal(metadata.topics.get('platformatic-admin')?.id, created?.id);
    await admin.deleteTopics({ topics: ['platformatic-admin'] });
    assert.ok(!(await admin.listTopics()).includes('platformatic-admin'));
  });

  test('a second topic of the same name gets another id', async () => {
    const [first] = await admin.createTopics({ topics: ['platformatic-again'], partitions: 1, replicas: 1 });
    await admin.deleteTopics({ topics: ['platformatic-again'] });
    const [second] = await admin.createTopics({ topics: ['platformatic-again'], partitions: 1, replicas: 1 });
    assert.notEqual(first?.id, second?.id);
  });

  test('offsets: earliest, latest, by time', async () => {
    const topic = 'platformatic-offsets';
    const producer = newProducer();
    const messages = [100n, 200n, 300n].map((timestamp) => ({ topic, partition: 0, timestamp, value: 'x' }));
    await producer.send({ acks: ProduceAcks.ALL, messages });
    const consumer = new Consumer({ clientId: 'e2e', groupId: 'unused', bootstrapBrokers: [address] });
    open.push(consumer);
    const at = async (timestamp: bigint): Promise<bigint | undefined> =>
      (await consumer.listOffsets({ topics: [topic], timestamp })).get(topic)?.[0];
    assert.equal(await at(-2n), 0n);
    assert.equal(await at(-1n), 3n);
    assert.equal(await at(150n), 1n);
    assert.equal(await at(301n), -1n);
  });
});
