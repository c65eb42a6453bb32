import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { requirePeer } from './peers/peers.ts';
import { runKafkaTool, type KAFKA_TOOLS } from './peers/kafka.ts';
import { startTarget, type Target } from './target.ts';

const { skip } = await requirePeer('java', 'kafka-jars');

/** What the client logs when it meets a topic that it has just made the broker create. */
const CREATION_WARNING = /UNKNOWN_TOPIC_OR_PARTITION|LEADER_NOT_AVAILABLE|UNKNOWN_TOPIC_ID/;

describe("Kafka's own Java client and tools", { skip }, () => {
  let target: Target;
  before(async () => {
    target = await startTarget();
  });
  after(() => target.stop());

  /** Runs a tool that must succeed without a warning beyond those about a new topic; its output. */
  async function tool(name: keyof typeof KAFKA_TOOLS, args: string[], input?: string): Promise<string> {
    const all = ['--bootstrap-server', target.kafkaAddress, ...args];
    const { code, stdout, stderr } = await runKafkaTool(name, all, input === undefined ? {} : { input });
    assert.equal(code, 0, stdout + stderr);
    const warnings = stderr
      .split('\n')
      .filter((line) => /WARN|ERROR/.test(line) && !CREATION_WARNING.test(line));
    assert.deepEqual(warnings, []);
    return stdout;
  }

  async function consume(topic: string, count: number, args: string[] = []): Promise<string[]> {
    const where = ['--topic', topic, '--partition', '0', '--offset', '0', '--max-messages', String(count)];
    const stdout = await tool('consoleConsumer', [...where, '--timeout-ms', '20000', ...args]);
    return stdout.split('\n').slice(0, -1);
  }

  test('the console producer (idempotent by default) and consumer carry keys and headers', async () => {
    const parse = ['parse.key=true', 'parse.headers=true'].flatMap((property) => [
      '--reader-property',
      property,
    ]);
    await tool(
      'consoleProducer',
      ['--topic', 'java-records', ...parse],
      'h1:a,h2:b\tkey\tvalue\nh1:c\tother\tlast\n',
    );
    const show = ['print.key', 'print.headers', 'print.offset', 'print.partition'];
    const lines = await consume(
      'java-records',
      2,
      show.flatMap((property) => ['--formatter-property', `${property}=true`]),
    );
    assert.deepEqual(lines, [
      'Partition:0\tOffset:0\th1:a,h2:b\tkey\tvalue',
      'Partition:0\tOffset:1\th1:c\tother\tlast',
    ]);
  });

  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    test(`${codec} batches come back as sent`, async () => {
      const values = Array.from({ length: 1000 }, (_, index) => `${index} ${'abc'.repeat(index % 60)}`);
      const args = ['--topic', `java-${codec}`, '--compression-codec', codec];
      await tool('consoleProducer', args, values.map((value) => `${value}\n`).join(''));
      assert.deepEqual(await consume(`java-${codec}`, values.length), values);
    });
  }

  for (const acks of ['0', '1', 'all']) {
    test(`acks=${acks} without idempotence stores the record`, async () => {
      const settings = [`acks=${acks}`, 'enable.idempotence=false'].flatMap((setting) => [
        '--command-property',
        setting,
      ]);
      await tool('consoleProducer', ['--topic', `java-acks-${acks}`, ...settings], 'first\nsecond\n');
      assert.deepEqual(await consume(`java-acks-${acks}`, 2), ['first', 'second']);
    });
  }

  test('the topic tool creates, describes, alters, lists and deletes', async () => {
    const topic = ['--topic', 'java-admin'];
    await tool('topics', ['--create', ...topic, '--partitions', '3', '--config', 'retention.ms=1234567']);
    const described = await tool('topics', ['--describe', ...topic]);
    assert.match(described, /PartitionCount: 3\s+ReplicationFactor: 1\s+Configs: .*retention.ms=1234567/);
    assert.match(described, /Partition: 2\s+Leader: \d+\s+Replicas: \d+\s+Isr: \d+/);
    await tool('topics', ['--alter', ...topic, '--partitions', '5']);
    assert.match(await tool('topics', ['--describe', ...topic]), /PartitionCount: 5/);
    assert.match(await tool('topics', ['--list']), /^java-admin$/m);
    await tool('topics', ['--delete', ...topic]);
    assert.doesNotMatch(await tool('topics', ['--list']), /^java-admin$/m);
  });

  test('the config tool changes a topic and shows where a value comes from', async () => {
    await tool('topics', ['--create', '--topic', 'java-config']);
    const entity = ['--entity-type', 'topics', '--entity-name', 'java-config'];
    await tool('configs', [
      ...entity,
      '--alter',
      '--add-config',
      'max.message.bytes=2000000,cleanup.policy=compact',
    ]);
    const changed = await tool('configs', [...entity, '--describe']);
    assert.match(changed, /max.message.bytes=2000000 .*DYNAMIC_TOPIC_CONFIG:max.message.bytes=2000000/);
    await tool('configs', [...entity, '--alter', '--delete-config', 'max.message.bytes']);
    assert.doesNotMatch(await tool('configs', [...entity, '--describe']), /max.message.bytes=2000000/);
  });

  test('offsets, log folders and deleted records agree', async () => {
    await tool('consoleProducer', ['--topic', 'java-offsets'], 'a\nb\nc\n');
    assert.equal(await tool('getOffsets', ['--topic', 'java-offsets', '--time', '-1']), 'java-offsets:0:3\n');
    assert.equal(
      await tool('getOffsets', ['--topic', 'java-offsets', '--time', 'earliest']),
      'java-offsets:0:0\n',
    );
    const logDirs = await tool('logDirs', ['--describe', '--topic-list', 'java-offsets']);
    assert.match(logDirs, /"partition":"java-offsets-0","size":[1-9]\d*,"offsetLag":0,"isFuture":false/);
  });
});
