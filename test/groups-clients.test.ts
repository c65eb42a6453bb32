import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  Admin,
  Consumer,
  MessagesStreamFallbackModes,
  MessagesStreamModes,
  stringDeserializers,
} from '@platformatic/kafka';
import kafkajs, { type Consumer as KafkaJSConsumer, type Kafka as KafkaJS, type Producer } from 'kafkajs';
import { runKafkaTool } from './peers/kafka.ts';
import { DEBIAN_PYTHON, requirePeer } from './peers/peers.ts';
import { runOk } from './peers/process.ts';
import { startTarget, type Target } from './target.ts';

const { Kafka, logLevel } = kafkajs;
const kcat = await requirePeer('kcat');
const java = await requirePeer('java', 'kafka-jars', 'kcat');
const pythonKafka = await requirePeer('python3-kafka');
const librdkafka = await requirePeer('python3-confluent-kafka');

const CONSUME_DEADLINE_MS = 20_000;

describe('one consumer in a group of its own: offsets, subscriptions, administration', () => {
  let target: Target;
  let address: string;
  let client: KafkaJS;
  let producer: Producer;
  before(async () => {
    target = await startTarget({ 'group.initial.rebalance.delay.ms': '0' });
    address = target.kafkaAddress;
    client = new Kafka({ clientId: 'e2e', brokers: [address], logLevel: logLevel.NOTHING });
    producer = client.producer();
    await producer.connect();
  });
  after(async () => {
    await producer.disconnect();
    await target.stop();
  });

  async function createTopics(topics: readonly string[], numPartitions = 1): Promise<void> {
    const admin = client.admin();
    await admin.connect();
    await admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions })) });
    await admin.disconnect();
  }

  async function send(topic: string, values: readonly string[], partition = 0): Promise<void> {
    await producer.send({ topic, messages: values.map((value) => ({ partition, value })) });
  }

  describe('KafkaJS', () => {
    /** Runs a consumer until it has seen so many values, and ends it. */
    async function consume(options: {
      readonly groupId: string;
      readonly topics: (string | RegExp)[];
      readonly count: number;
      readonly fromBeginning?: boolean;
      readonly joined?: (consumer: KafkaJSConsumer) => Promise<void> | void;
    }): Promise<string[]> {
      const { groupId, topics, count, fromBeginning = true, joined } = options;
      const consumer = client.consumer({ groupId, maxWaitTimeInMs: 100, heartbeatInterval: 200 });
      const values: string[] = [];
      const enough = Promise.withResolvers<void>();
      await consumer.connect();
      await consumer.subscribe({ topics, fromBeginning });
      const isIn = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
      await consumer.run({
        eachMessage: async ({ message }) => {
          values.push(message.value?.toString() ?? '');
          if (values.length >= count) enough.resolve();
        },
      });
      await isIn;
      await joined?.(consumer);
      const late = sleep(CONSUME_DEADLINE_MS, undefined, { ref: false });
      await Promise.race([enough.promise, late]);
      await consumer.disconnect();
      return values;
    }

    test('goes on where the group has committed; without an offset at the beginning or at the end', async () => {
      const topic = 'kafkajs-restart';
      await createTopics([topic]);
      await send(topic, ['a', 'b']);
      assert.deepEqual(await consume({ groupId: 'kafkajs-1', topics: [topic], count: 2 }), ['a', 'b']);
      await send(topic, ['c']);
      assert.deepEqual(await consume({ groupId: 'kafkajs-1', topics: [topic], count: 1 }), ['c']);
      const groupId = 'kafkajs-latest';
      const joined = async (): Promise<void> => {
        // The consumer asks for the end of the log when it first fetches, not when it joins.
        await sleep(500);
        await send(topic, ['d']);
      };
      const seen = await consume({ groupId, topics: [topic], count: 1, fromBeginning: false, joined });
      assert.deepEqual(seen, ['d']);
    });

    test('subscribes to a pattern', async () => {
      await createTopics(['kafkajs-pattern-1', 'kafkajs-pattern-2', 'kafkajs-other']);
      for (const [index, topic] of ['kafkajs-pattern-1', 'kafkajs-other', 'kafkajs-pattern-2'].entries())
        await send(topic, [String(index)]);
      const values = await consume({ groupId: 'kafkajs-2', topics: [/^kafkajs-pattern-\d$/], count: 2 });
      assert.deepEqual(values.toSorted(), ['0', '2']);
    });

    test('seeks, and commits an offset with metadata', async () => {
      const topic = 'kafkajs-seek';
      await createTopics([topic]);
      await send(topic, ['a', 'b', 'c']);
      const values = await consume({
        groupId: 'kafkajs-3',
        topics: [topic],
        count: 1,
        joined: (consumer) => consumer.seek({ topic, partition: 0, offset: '2' }),
      });
      assert.equal(values.at(-1), 'c');
      const consumer = client.consumer({ groupId: 'kafkajs-metadata' });
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      const isIn = new Promise((resolve) => consumer.on(consumer.events.GROUP_JOIN, resolve));
      await consumer.run({ autoCommit: false, eachMessage: async () => undefined });
      await isIn;
      await consumer.commitOffsets([{ topic, partition: 0, offset: '1', metadata: 'why not ünicode' }]);
      await consumer.disconnect();
      const admin = client.admin();
      await admin.connect();
      const [fetched] = await admin.fetchOffsets({ groupId: 'kafkajs-metadata', topics: [topic] });
      await admin.disconnect();
      assert.deepEqual(fetched?.partitions, [{ partition: 0, offset: '1', metadata: 'why not ünicode' }]);
    });

    test('the admin lists, describes, resets and deletes', async () => {
      const topic = 'kafkajs-admin';
      await createTopics([topic], 2);
      await send(topic, ['a', 'b', 'c'], 1);
      const admin = client.admin();
      await admin.connect();
      const offsetsOf = async (groupId: string): Promise<string[]> => {
        const [fetched] = await admin.fetchOffsets({ groupId, topics: [topic] });
        const partitions = fetched?.partitions ?? [];
        return partitions.toSorted((a, b) => a.partition - b.partition).map(({ offset }) => offset);
      };
      assert.deepEqual(await offsetsOf('kafkajs-nobody'), ['-1', '-1']);
      const groupId = 'kafkajs-admin';
      await consume({
        groupId,
        topics: [topic],
        count: 3,
        joined: async () => {
          const { groups } = await admin.describeGroups([groupId]);
          assert.deepEqual(
            groups.map(({ state, protocol, protocolType }) => [state, protocol, protocolType]),
            [['Stable', 'RoundRobinAssigner', 'consumer']],
          );
          assert.deepEqual(
            groups[0]?.members.map(({ clientId, clientHost }) => [clientId, clientHost]),
            [['e2e', '/127.0.0.1']],
          );
          await assert.rejects(
            admin.deleteGroups([groupId]),
            (error: { groups?: { errorCode: number }[] }) => {
              assert.equal(error.groups?.[0]?.errorCode, 68);
              return true;
            },
          );
        },
      });
      assert.ok((await admin.listGroups()).groups.some((group) => group.groupId === groupId));
      assert.equal((await admin.describeGroups([groupId])).groups[0]?.state, 'Empty');
      assert.equal((await offsetsOf(groupId))[1], '3');
      // KafkaJS stores the number that stands for the beginning, and asks for the offset itself when it needs it.
      await admin.resetOffsets({ groupId, topic, earliest: true });
      assert.deepEqual(await offsetsOf(groupId), ['-2', '-2']);
      assert.deepEqual(await admin.deleteGroups([groupId]), [{ groupId, errorCode: 0 }]);
      assert.deepEqual(await offsetsOf(groupId), ['-1', '-1']);
      assert.equal((await admin.describeGroups([groupId])).groups[0]?.state, 'Dead');
      await admin.disconnect();
    });
  });

  describe('@platformatic/kafka', () => {
    type TextConsumer = Consumer<string, string, string, string>;
    function newConsumer(groupId: string): TextConsumer {
      return new Consumer({
        clientId: 'e2e',
        groupId,
        bootstrapBrokers: [address],
        deserializers: stringDeserializers,
        autocommit: false,
        maxWaitTime: 100,
      });
    }

    /** So many values from where the group is, each committed; then the consumer leaves. */
    async function consume(groupId: string, topic: string, count: number): Promise<(string | undefined)[]> {
      const consumer = newConsumer(groupId);
      const values: (string | undefined)[] = [];
      const stream = await consumer.consume({
        topics: [topic],
        mode: MessagesStreamModes.COMMITTED,
        fallbackMode: MessagesStreamFallbackModes.EARLIEST,
      });
      for await (const message of stream) {
        values.push(message.value);
        await message.commit();
        if (values.length === count) break;
      }
      await consumer.close(true);
      return values;
    }

    test('goes on where the group has committed', async () => {
      const topic = 'platformatic-restart';
      await createTopics([topic]);
      await send(topic, ['a', 'b', 'c']);
      assert.deepEqual(await consume('platformatic-1', topic, 2), ['a', 'b']);
      assert.deepEqual(await consume('platformatic-1', topic, 1), ['c']);
    });

    test('commits for a group without members; the admin lists, describes, alters and deletes', async () => {
      const topic = 'platformatic-admin';
      const groupId = 'platformatic-admin';
      await createTopics([topic], 2);
      await send(topic, ['a', 'b', 'c']);
      const admin = new Admin({ clientId: 'e2e', bootstrapBrokers: [address] });
      const offsets = async (): Promise<Record<number, bigint>> => {
        const groups = [{ groupId, topics: [{ name: topic, partitionIndexes: [0, 1] }] }];
        const [group] = await admin.listConsumerGroupOffsets({ groups });
        const partitions = group?.topics[0]?.partitions ?? [];
        return Object.fromEntries(partitions.map((each) => [each.partitionIndex, each.committedOffset]));
      };
      assert.deepEqual(await offsets(), { 0: -1n, 1: -1n });
      const partitionOffsets = [{ partition: 0, offset: 2n }];
      await admin.alterConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionOffsets }] });
      assert.deepEqual(await offsets(), { 0: 2n, 1: -1n });
      assert.equal((await admin.describeGroups({ groups: [groupId] })).get(groupId)?.state, 'Empty');
      assert.deepEqual(await consume(groupId, topic, 1), ['c']);
      assert.ok((await admin.listGroups({ states: ['EMPTY'], types: ['classic'] })).has(groupId));
      assert.ok(!(await admin.listGroups({ states: ['STABLE'] })).has(groupId));
      await admin.deleteConsumerGroupOffsets({ groupId, topics: [{ name: topic, partitionIndexes: [0] }] });
      assert.deepEqual(await offsets(), { 0: -1n, 1: -1n });
      await admin.close();
    });

    test('two cooperative members share the partitions', async () => {
      const topic = 'platformatic-cooperative';
      await createTopics([topic], 4);
      const consumers = [newConsumer('platformatic-coop'), newConsumer('platformatic-coop')];
      for (const consumer of consumers) {
        consumer.topics.trackAll(topic);
        await consumer.joinGroup({
          protocols: [{ name: 'cooperative-sticky', version: 1 }],
          heartbeatInterval: 200,
        });
      }
      const owned = (): number[][] =>
        consumers.map(({ assignments }) => assignments?.flatMap(({ partitions }) => partitions) ?? []);
      const deadlineMs = performance.now() + CONSUME_DEADLINE_MS;
      while (owned().some(({ length }) => length !== 2) && performance.now() < deadlineMs) await sleep(50);
      assert.deepEqual(
        owned()
          .flat()
          .toSorted((a, b) => a - b),
        [0, 1, 2, 3],
      );
      assert.deepEqual(
        owned().map(({ length }) => length),
        [2, 2],
      );
      for (const consumer of consumers) await consumer.close(true);
    });
  });

  describe('python3-kafka', pythonKafka, () => {
    test('commits with metadata, restarts, seeks, subscribes to a pattern, commits without being a member', async () => {
      await createTopics(['python-group-1', 'python-group-2']);
      await send('python-group-1', ['a', 'b', 'c']);
      await send('python-group-2', ['x']);
      const { stdout } = await runOk(DEBIAN_PYTHON, ['-c', PYTHON_KAFKA, address]);
      assert.deepEqual(JSON.parse(stdout), {
        first: ['a', 'b', 'c'],
        sought: 'b',
        committed: [2, 'half way'],
        restarted: ['c'],
        latest: [],
        pattern: ['a', 'b', 'c', 'x'],
        unknown: null,
        standalone: 1,
        offsets: [2, 'half way'],
        states: { member: 'Stable', left: 'Empty' },
        protocol: 'range',
        listed: true,
        deleted: 0,
        gone: null,
      });
    });
  });

  describe('librdkafka', librdkafka, () => {
    test('commits, restarts, seeks, subscribes to a pattern, commits without being a member', async () => {
      await createTopics(['rdkafka-group-1', 'rdkafka-group-2']);
      await send('rdkafka-group-1', ['a', 'b', 'c']);
      await send('rdkafka-group-2', ['x']);
      const { stdout } = await runOk(DEBIAN_PYTHON, ['-c', LIBRDKAFKA, address]);
      assert.deepEqual(JSON.parse(stdout), {
        first: ['a', 'b', 'c'],
        sought: 'b',
        committed: 2,
        restarted: ['c'],
        pattern: ['a', 'b', 'c', 'x'],
        unknown: -1001,
        standalone: 1,
        state: 'Stable',
      });
    });
  });

  describe('kcat -G', kcat, () => {
    test('goes on where the group has committed, and subscribes to a pattern', async () => {
      await createTopics(['kcat-group-1', 'kcat-group-2']);
      await send('kcat-group-1', ['a', 'b', 'c']);
      await send('kcat-group-2', ['x']);
      const consume = async (group: string, topic: string, count: number): Promise<string[]> => {
        const from = ['-X', 'auto.offset.reset=earliest', '-q', '-c', String(count)];
        const { stdout } = await runOk('kcat', ['-b', address, ...from, '-G', group, topic]);
        return stdout.split('\n').slice(0, -1);
      };
      assert.deepEqual(await consume('kcat-1', 'kcat-group-1', 2), ['a', 'b']);
      assert.deepEqual(await consume('kcat-1', 'kcat-group-1', 1), ['c']);
      assert.deepEqual((await consume('kcat-2', '^kcat-group-.*', 4)).toSorted(), ['a', 'b', 'c', 'x']);
    });
  });

  describe("Java's console consumer", java, () => {
    async function consume(group: string, ...args: string[]): Promise<string[]> {
      const where = ['--bootstrap-server', address, '--group', group, '--timeout-ms', '20000'];
      const { code, stdout, stderr } = await runKafkaTool('consoleConsumer', [...where, ...args]);
      assert.equal(code, 0, stdout + stderr);
      return stdout.split('\n').slice(0, -1);
    }

    test('goes on where the group has committed, and subscribes to a pattern', async () => {
      await createTopics(['java-group-1', 'java-group-2']);
      await send('java-group-1', ['a', 'b', 'c']);
      await send('java-group-2', ['x']);
      const one = ['--topic', 'java-group-1', '--from-beginning'];
      assert.deepEqual(await consume('java-1', ...one, '--max-messages', '2'), ['a', 'b']);
      assert.deepEqual(await consume('java-1', ...one, '--max-messages', '1'), ['c']);
      const pattern = ['--include', 'java-group-.*', '--from-beginning', '--max-messages', '4'];
      assert.deepEqual((await consume('java-2', ...pattern)).toSorted(), ['a', 'b', 'c', 'x']);
    });
  });
});

const PYTHON_KAFKA = `
import json, sys
from kafka import KafkaAdminClient, KafkaConsumer, OffsetAndMetadata, TopicPartition
address = sys.argv[1]
at = TopicPartition('python-group-1', 0)

def member(group, *topics, **options):
    return KafkaConsumer(*topics, bootstrap_servers=address, group_id=group, enable_auto_commit=False,
                         client_id='e2e', auto_offset_reset=options.pop('reset', 'earliest'), **options)

def read(consumer, count, tries=100):
    values = []
    while len(values) < count and tries > 0:
        tries -= 1
        for records in consumer.poll(timeout_ms=200).values():
            values += [record.value.decode() for record in records]
    return values

result = {}
admin = KafkaAdminClient(bootstrap_servers=address)
first = member('python-1', 'python-group-1')
result['first'] = read(first, 3)
described = admin.describe_consumer_groups(['python-1'])[0]
result['states'] = {'member': described.state}
result['protocol'] = described.protocol
first.seek(at, 1)
result['sought'] = read(first, 1)[0]
first.commit({at: OffsetAndMetadata(2, 'half way')})
first.close(autocommit=False)
result['states']['left'] = admin.describe_consumer_groups(['python-1'])[0].state
again = member('python-1', 'python-group-1')
result['committed'] = list(again.committed(at, metadata=True))
result['restarted'] = read(again, 1)
again.close(autocommit=False)
late = member('python-latest', 'python-group-1', reset='latest')
result['latest'] = read(late, 1, tries=5)
late.close(autocommit=False)
pattern = member('python-2', metadata_max_age_ms=1000)
pattern.subscribe(pattern='^python-group-.*')
result['pattern'] = sorted(read(pattern, 4))
pattern.close(autocommit=False)
alone = member('python-alone')
result['unknown'] = alone.committed(at)
alone.assign([at])
alone.commit({at: OffsetAndMetadata(1, '')})
result['standalone'] = alone.committed(at)
alone.close(autocommit=False)
result['offsets'] = list(admin.list_consumer_group_offsets('python-1')[at])
result['listed'] = ('python-1', 'consumer') in admin.list_consumer_groups()
result['deleted'] = admin.delete_consumer_groups(['python-1'])[0][1].errno
gone = member('python-1')
result['gone'] = gone.committed(at)
gone.close(autocommit=False)
print(json.dumps(result))
`;

const LIBRDKAFKA = `
import json, sys, time
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient
address = sys.argv[1]

def member(group, **options):
    return Consumer({'bootstrap.servers': address, 'group.id': group, 'enable.auto.commit': False,
                     'auto.offset.reset': 'earliest', 'client.id': 'e2e', **options})

def read(consumer, count, tries=100):
    values = []
    while len(values) < count and tries > 0:
        tries -= 1
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            values.append(message.value().decode())
    return values

result = {}
at = TopicPartition('rdkafka-group-1', 0)
first = member('rdkafka-1')
first.subscribe(['rdkafka-group-1'])
result['first'] = read(first, 3)
result['state'] = AdminClient({'bootstrap.servers': address}).list_groups('rdkafka-1', timeout=10)[0].state
first.seek(TopicPartition('rdkafka-group-1', 0, 1))
result['sought'] = read(first, 1)[0]
first.commit(offsets=[TopicPartition('rdkafka-group-1', 0, 2)], asynchronous=False)
first.close()
again = member('rdkafka-1')
again.subscribe(['rdkafka-group-1'])
result['restarted'] = read(again, 1)
result['committed'] = again.committed([at], timeout=10)[0].offset
again.close()
pattern = member('rdkafka-2')
pattern.subscribe(['^rdkafka-group-.*'])
result['pattern'] = sorted(read(pattern, 4))
pattern.close()
alone = member('rdkafka-alone')
result['unknown'] = alone.committed([at], timeout=10)[0].offset
alone.assign([at])
alone.commit(offsets=[TopicPartition('rdkafka-group-1', 0, 1)], asynchronous=False)
result['standalone'] = alone.committed([at], timeout=10)[0].offset
alone.close()
print(json.dumps(result))
`;
