/** Java's consumers in groups of KIP-848: joining, leaving, dying, static members, both protocols in one group, and Kafka's tool. */
import assert from 'node:assert/strict';
import process from 'node:process';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer } from '@platformatic/kafka';
import kafkajs from 'kafkajs';
import { JavaConsumer, type JavaConsumerOptions } from './clients/java-consumer.ts';
import { runKafkaTool } from './peers/kafka.ts';
import { requirePeer } from './peers/peers.ts';
import { startTarget, type Target } from './target.ts';

const { Kafka, logLevel } = kafkajs;
const { skip } = await requirePeer('java', 'kafka-jars');

const PARTITIONS = 6;
const DEADLINE_MS = 60_000;
const LOOK_MS = 100;
const SETTINGS = {
  'group.initial.rebalance.delay.ms': '100',
  'group.min.session.timeout.ms': '1000',
  'group.consumer.min.session.timeout.ms': '6000',
  'group.consumer.session.timeout.ms': '6000',
  'group.consumer.min.heartbeat.interval.ms': '500',
  'group.consumer.heartbeat.interval.ms': '500',
};

describe("Java's consumers in groups of KIP-848", { skip }, () => {
  let target: Target;
  let kafka: InstanceType<typeof Kafka>;
  let started: JavaConsumer[] = [];
  before(async () => {
    const probe = process.env['E2E_TARGET'] === 'apache-kafka';
    // Kafka has bounds for these; here there are none.
    const bounds = Object.entries(SETTINGS).filter(
      ([name]) => probe || !name.startsWith('group.consumer.min'),
    );
    target = await startTarget(Object.fromEntries(bounds));
    kafka = new Kafka({ brokers: [target.kafkaAddress], logLevel: logLevel.NOTHING });
  });
  after(() => target.stop());
  afterEach(async () => {
    await Promise.all(started.map((consumer) => consumer.crash()));
    started = [];
  });

  function start(
    groupId: string,
    protocol: 'classic' | 'consumer',
    more: Partial<JavaConsumerOptions> = {},
  ): JavaConsumer {
    const consumer = new JavaConsumer({
      address: target.kafkaAddress,
      topic: groupId,
      groupId,
      protocol,
      ...more,
    });
    started.push(consumer);
    return consumer;
  }

  async function stopped(consumer: JavaConsumer, how: 'stop' | 'crash'): Promise<void> {
    started = started.filter((one) => one !== consumer);
    await consumer[how]();
  }

  async function makeTopic(topic: string): Promise<void> {
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] });
    await admin.disconnect();
  }

  /** One more record in each partition. */
  async function produce(topic: string): Promise<void> {
    const producer = kafka.producer();
    await producer.connect();
    const messages = Array.from({ length: PARTITIONS }, (_, partition) => ({ partition, value: 'x' }));
    await producer.send({ topic, messages });
    await producer.disconnect();
  }

  async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const endMs = performance.now() + DEADLINE_MS; performance.now() < endMs; await sleep(LOOK_MS)) {
      if (await isSo()) return;
    }
    assert.fail(`not within ${DEADLINE_MS} ms: ${what}`);
  }

  /** They have all partitions, each of them one, and the same number each, or one more. */
  function share(...consumers: readonly JavaConsumer[]): Promise<void> {
    const sizes = (): number[] => consumers.map(({ assigned }) => assigned.size);
    const isShared = (): boolean => {
      const all = consumers.flatMap(({ assigned }) => [...assigned]);
      return (
        all.length === PARTITIONS &&
        new Set(all).size === PARTITIONS &&
        Math.max(...sizes()) - Math.min(...sizes()) <= 1
      );
    };
    return until(`${consumers.length} consumers share ${PARTITIONS} partitions`, isShared);
  }

  function readTo(offset: number, ...consumers: readonly JavaConsumer[]): Promise<void> {
    return until(`each partition is read to ${offset}`, () => {
      const read = new Set<number>();
      for (const { consumed } of consumers) {
        for (const { partition, to } of consumed) if (to >= offset) read.add(partition);
      }
      return read.size === PARTITIONS;
    });
  }

  async function run(name: 'consumerGroups' | 'configs', ...args: string[]): Promise<string> {
    const where = ['--bootstrap-server', target.kafkaAddress];
    const { code, stdout, stderr } = await runKafkaTool(name, [...where, ...args]);
    assert.equal(code, 0, stdout + stderr);
    return stdout;
  }

  function tool(...args: string[]): Promise<string> {
    return run('consumerGroups', ...args);
  }

  test('share a topic, take over from who leaves and who dies, and go on where it has committed', async () => {
    await makeTopic('newer');
    const first = start('newer', 'consumer');
    await share(first);
    const [second, third] = [start('newer', 'consumer'), start('newer', 'consumer')];
    await share(first, second, third);
    await produce('newer');
    await readTo(0, first, second, third);
    await stopped(second, 'stop');
    await share(first, third);
    await stopped(third, 'crash');
    await share(first);
    await produce('newer');
    await readTo(1, first);
    // What was committed by those that went is not read again.
    const again = first.consumed.filter(({ from, to }) => from === 0 && to === 1);
    assert.deepEqual(again, []);
  });

  test('are shown by Kafka’s own kafka-consumer-groups', async () => {
    await makeTopic('shown');
    const consumers = [start('shown', 'consumer'), start('shown', 'consumer')];
    await share(...consumers);
    await produce('shown');
    await readTo(0, ...consumers);
    const group = ['--describe', '--group', 'shown'];
    const [listed, state, members, offsets] = await Promise.all([
      tool('--list', '--state', '--type', 'consumer'),
      tool(...group, '--state', '--verbose'),
      tool(...group, '--members', '--verbose'),
      tool(...group, '--offsets'),
    ]);
    assert.match(listed, /^shown +Consumer +Stable/m);
    assert.match(state, /^shown +\S+:\d+ +\(\d+\) +uniform +Stable +\d+ +\d+ +2\s*$/m);
    assert.equal(members.match(/shown\((?:\d,){2}\d\)|shown:\d,\d,\d/g)?.length, 4, members);
    assert.match(members, /consumer/i);
    assert.equal(offsets.match(/^shown +shown +\d/gm)?.length, PARTITIONS, offsets);
    for (const consumer of consumers) await stopped(consumer, 'stop');
    await until('the group is empty', async () => (await tool(...group, '--state')).includes('Empty'));
    const reset = await tool(
      '--reset-offsets',
      '--group',
      'shown',
      '--topic',
      'shown',
      '--to-earliest',
      '--execute',
    );
    assert.equal(reset.match(/shown +\d +0/g)?.length, PARTITIONS, reset);
    assert.match(await tool('--delete', '--group', 'shown'), /successful/);
  });

  test('that are static come back to what they had', async () => {
    await makeTopic('fixed');
    // A Java program takes a while to start again.
    await run(
      'configs',
      '--alter',
      '--entity-type',
      'groups',
      '--entity-name',
      'fixed',
      '--add-config',
      'consumer.session.timeout.ms=45000',
    );
    const [first, second] = [
      start('fixed', 'consumer', { instanceId: 'one' }),
      start('fixed', 'consumer', { instanceId: 'two' }),
    ];
    await share(first, second);
    const owned = new Set(first.assigned);
    await stopped(first, 'stop');
    const again = start('fixed', 'consumer', { instanceId: 'one' });
    await share(again, second);
    assert.deepEqual(again.assigned, owned);
  });

  test('share a topic with @platformatic/kafka, each way', async () => {
    await makeTopic('both');
    const other = new Consumer({
      clientId: 'other',
      groupId: 'both',
      groupProtocol: 'consumer',
      bootstrapBrokers: [target.kafkaAddress],
    });
    const stream = await other.consume({ topics: ['both'], mode: 'earliest' });
    stream.resume();
    const owned = (): number => (other.assignments ?? []).flatMap(({ partitions }) => partitions).length;
    try {
      await until('it has all partitions', () => owned() === PARTITIONS);
      const java = start('both', 'consumer');
      await until(
        'both have half',
        () => owned() === PARTITIONS / 2 && java.assigned.size === PARTITIONS / 2,
      );
      await stopped(java, 'crash');
      await until('it has all partitions again', () => owned() === PARTITIONS);
      const again = start('both', 'consumer');
      await until(
        'both have half',
        () => owned() === PARTITIONS / 2 && again.assigned.size === PARTITIONS / 2,
      );
      await other.close(true);
      await share(again);
    } finally {
      if (!other.closed) await other.close(true);
    }
  });

  test('of the classic protocol let one of the newer in, and are left alone again', async () => {
    await makeTopic('mixed');
    const [first, second] = [start('mixed', 'classic'), start('mixed', 'classic')];
    await share(first, second);
    await produce('mixed');
    await readTo(0, first, second);
    assert.match(await tool('--list', '--state'), /^mixed +Stable/m);
    const newer = start('mixed', 'consumer');
    await share(first, second, newer);
    assert.match(await tool('--list', '--state', '--type'), /^mixed +Consumer/m);
    await produce('mixed');
    await readTo(1, first, second, newer);
    await stopped(second, 'crash');
    await share(first, newer);
    await stopped(newer, 'stop');
    await share(first);
    await until('the group is classic', async () =>
      /^mixed +Classic +Stable/m.test(await tool('--list', '--state', '--type')),
    );
    await produce('mixed');
    await readTo(2, first);
  });
});
