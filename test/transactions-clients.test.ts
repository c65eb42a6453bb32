import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProduceAcks, Producer, stringSerializers } from '@platformatic/kafka';
import kafkajs, { type Admin, type Kafka as KafkaJS, type Producer as KafkaJSProducer } from 'kafkajs';
import { kcatRead } from './clients/kcat.ts';
import { KafkaTools } from './clients/kafka-tools.ts';
import { DEBIAN_PYTHON, requirePeer } from './peers/peers.ts';
import { runOk } from './peers/process.ts';
import { startTarget, type Target } from './target.ts';

const { Kafka, logLevel } = kafkajs;
const kcat = await requirePeer('kcat');
const python = await requirePeer('python3-confluent-kafka', 'kcat');
const java = await requirePeer('jdk', 'kafka-jars', 'kcat');

describe('transactions of stock clients', { skip: kcat.skip }, () => {
  let target: Target;
  let address: string;
  let client: KafkaJS;
  let admin: Admin;
  const open: { disconnect(): Promise<void> }[] = [];
  before(async () => {
    target = await startTarget({
      'transaction.state.log.num.partitions': '4',
      'transaction.abort.timed.out.transaction.cleanup.interval.ms': '500',
    });
    address = target.kafkaAddress;
    client = new Kafka({ clientId: 'e2e', brokers: [address], logLevel: logLevel.NOTHING });
    admin = client.admin();
    await admin.connect();
    open.push(admin);
  });
  after(async () => {
    for (const one of open) await one.disconnect();
    await target.stop();
  });

  async function createTopic(topic: string, numPartitions = 2): Promise<void> {
    await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false });
    // It creates topics in the background.
    if (target.isApacheKafka) await sleep(1000);
  }

  /** All values of a topic as another library's consumer sees them, sorted. */
  async function valuesOf(
    topic: string,
    isolation: 'read_committed' | 'read_uncommitted' = 'read_committed',
    partitions = 2,
  ): Promise<string[]> {
    const settings = { 'isolation.level': isolation };
    const read = await Promise.all(
      Array.from({ length: partitions }, (_, partition) => kcatRead(address, topic, { partition, settings })),
    );
    return read.flatMap((records) => records.map(({ value }) => value ?? '')).toSorted();
  }

  async function committedOffset(groupId: string, topic: string): Promise<string | undefined> {
    const [fetched] = await admin.fetchOffsets({ groupId, topics: [topic] });
    return fetched?.partitions.find(({ partition }) => partition === 0)?.offset;
  }

  describe('KafkaJS', () => {
    async function connected(transactionalId: string): Promise<KafkaJSProducer> {
      const producer = client.producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 });
      await producer.connect();
      open.push(producer);
      return producer;
    }

    test('a transaction over partitions and offsets is there as a whole, or not at all', async () => {
      const topic = 'kafkajs-transacted';
      await createTopic(topic);
      const producer = await connected('kafkajs-whole');
      for (const [name, end] of [
        ['first', 'commit'],
        ['second', 'abort'],
        ['third', 'commit'],
      ] as const) {
        const transaction = await producer.transaction();
        const messages = [0, 1].map((partition) => ({ partition, value: `${name}-${partition}` }));
        await transaction.send({ topic, messages });
        const offset = name === 'second' ? '99' : '3';
        await transaction.sendOffsets({
          consumerGroupId: 'kafkajs-group',
          topics: [{ topic, partitions: [{ partition: 0, offset }] }],
        });
        await transaction[end]();
      }
      assert.deepEqual(await valuesOf(topic), ['first-0', 'first-1', 'third-0', 'third-1']);
      assert.equal((await valuesOf(topic, 'read_uncommitted')).length, 6);
      assert.equal(await committedOffset('kafkajs-group', topic), '3');
    });

    test('an open transaction hides what was written after it, and its successor ends it', async () => {
      const topic = 'kafkajs-fenced';
      await createTopic(topic, 1);
      const first = await connected('kafkajs-successor');
      const transaction = await first.transaction();
      await transaction.send({ topic, messages: [{ partition: 0, value: 'of the first' }] });
      const plain = client.producer();
      await plain.connect();
      open.push(plain);
      await plain.send({ topic, messages: [{ partition: 0, value: 'without' }] });
      assert.deepEqual(await valuesOf(topic, 'read_committed', 1), []);
      const second = await connected('kafkajs-successor');
      const other = await second.transaction();
      await other.send({ topic, messages: [{ partition: 0, value: 'of the second' }] });
      await other.commit();
      await assert.rejects(transaction.commit());
      assert.deepEqual(await valuesOf(topic, 'read_committed', 1), ['of the second', 'without']);
    });
  });

  test('@platformatic/kafka: a transaction over partitions is there as a whole, or not at all', async () => {
    const topic = 'platformatic-transacted';
    await createTopic(topic);
    const producer = new Producer({
      clientId: 'e2e',
      bootstrapBrokers: [address],
      serializers: stringSerializers,
      idempotent: true,
      transactionalId: 'platformatic-whole',
    });
    for (const [name, end] of [
      ['first', 'commit'],
      ['second', 'abort'],
      ['third', 'commit'],
    ] as const) {
      const transaction = await producer.beginTransaction();
      const messages = [0, 1].map((partition) => ({ topic, partition, value: `${name}-${partition}` }));
      await transaction.send({ messages, acks: ProduceAcks.ALL });
      await transaction[end]();
    }
    await producer.close();
    assert.deepEqual(await valuesOf(topic), ['first-0', 'first-1', 'third-0', 'third-1']);
    assert.equal((await valuesOf(topic, 'read_uncommitted')).length, 6);
  });

  test(
    'librdkafka: commits, aborts, offsets; a time-out is told to its producer',
    { skip: python.skip },
    async () => {
      const topic = 'librdkafka-transacted';
      await createTopic(topic);
      const script = `
import sys
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
address, topic = sys.argv[1:]
producer = Producer({'bootstrap.servers': address, 'transactional.id': 'librdkafka-whole', 'log_level': 0})
producer.init_transactions(30)
consumer = Consumer({'bootstrap.servers': address, 'group.id': 'librdkafka-group', 'log_level': 0})
group = consumer.consumer_group_metadata()
for name, commit in (('first', True), ('second', False), ('third', True)):
    producer.begin_transaction()
    for partition in (0, 1):
        producer.produce(topic, '%s-%d' % (name, partition), partition=partition)
    producer.send_offsets_to_transaction([TopicPartition(topic, 0, 5 if commit else 77)], group, 30)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)
late = Producer({'bootstrap.servers': address, 'transactional.id': 'librdkafka-late', 'transaction.timeout.ms': 1000,
                 'message.timeout.ms': 1000, 'log_level': 0})
late.init_transactions(30)
late.begin_transaction()
late.produce(topic, 'too late', partition=0)
late.flush(10)
import time
time.sleep(3)
try:
    late.commit_transaction(30)
    print('committed')
except KafkaException as error:
    print('refused', error.args[0].name(), error.args[0].fatal() or error.args[0].txn_requires_abort())
`;
      const { stdout } = await runOk(DEBIAN_PYTHON, ['-c', script, address, topic]);
      assert.match(stdout, /^refused \S+ True$/m);
      assert.deepEqual(await valuesOf(topic), ['first-0', 'first-1', 'third-0', 'third-1']);
      assert.equal(await committedOffset('librdkafka-group', topic), '5');
    },
  );

  describe("Kafka's Java client", { skip: java.skip }, () => {
    let tools: KafkaTools;
    before(async () => {
      tools = await KafkaTools.start(address);
    });
    after(() => tools.stop());

    test('copies each record once with the transactions of KIP-890, aborts in between and all', async () => {
      await createTopic('copied-from', 1);
      await createTopic('copied-to', 1);
      const producer = client.producer();
      await producer.connect();
      open.push(producer);
      const values = Array.from({ length: 500 }, (_, index) => `value-${String(index).padStart(3, '0')}`);
      await producer.send({
        topic: 'copied-from',
        messages: values.map((value) => ({ partition: 0, value })),
      });
      await tools.ok(
        'transactionalMessageCopier',
        '--transactional-id',
        'java-copier',
        '--consumer-group',
        'java-copiers',
        '--input-topic',
        'copied-from',
        '--input-partition',
        '0',
        '--output-topic',
        'copied-to',
        '--transaction-size',
        '50',
        '--max-messages',
        '500',
        '--enable-random-aborts',
      );
      assert.deepEqual(await valuesOf('copied-to', 'read_committed', 1), values);
      assert.equal(await committedOffset('java-copiers', 'copied-from'), '500');
    });

    test('shows __transaction_state in its own format', async () => {
      const stdout = await tools.ok(
        'consoleConsumer',
        '--topic',
        '__transaction_state',
        '--from-beginning',
        '--timeout-ms',
        '4000',
        '--formatter',
        'org.apache.kafka.tools.consumer.TransactionLogMessageFormatter',
      );
      const rows = stdout
        .split(/(?<=\})(?=\{"key")|\n/)
        .filter((text) => text.startsWith('{'))
        .map((line) => JSON.parse(line) as { key: { data: object }; value: { version: number; data: Row } });
      const copier = rows.filter(({ key }) => JSON.stringify(key).includes('"java-copier"'));
      assert.ok(copier.length > 10);
      for (const { value } of copier) assert.equal(value.version, 1);
      const { data } = copier.at(-1)!.value;
      assert.equal(data.transactionStatus, COMPLETE_COMMIT);
      assert.equal(data.clientTransactionVersion, 2);
      assert.deepEqual(data.transactionPartitions, []);
      const prepared = copier.find(({ value }) => value.data.transactionStatus === PREPARE_COMMIT);
      const topics = prepared?.value.data.transactionPartitions?.map(({ topic }) => topic).toSorted();
      assert.deepEqual(topics, ['__consumer_offsets', 'copied-to']);
    });
  });
});

const PREPARE_COMMIT = 2;
const COMPLETE_COMMIT = 4;

interface Row {
  readonly transactionStatus: number;
  readonly clientTransactionVersion?: number;
  readonly transactionPartitions: { readonly topic: string }[] | null;
}
