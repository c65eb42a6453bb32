import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchBuilder } from '@polylog/record';
import kafkajs from 'kafkajs';
import { Broker } from 'polylog';
import { kcatRead } from './clients/kcat.ts';
import { platformaticRead } from './clients/platformatic.ts';
import { runChaosCompaction } from './longrun/chaos-compaction.ts';
import { runCompactionBig } from './longrun/compaction-big.ts';
import { dumpLogSegments } from './longrun/dump-log-segments.ts';
import { KafkaClient } from './longrun/fuzz/client.ts';
import { createTopics } from './longrun/fuzz/setup.ts';
import { metric, portOf, produce, readAll } from './longrun/keyed-topic.ts';
import { runKafkaTool } from './peers/kafka.ts';
import { DEBIAN_PYTHON, requirePeer } from './peers/peers.ts';
import { runOk } from './peers/process.ts';

const { skip } = await requirePeer('kcat', 'python3-kafka', 'java', 'kafka-jars');
const TOPIC = 'compacted';
const KEYS = 40;
const ROUNDS = 24;
/** Those that every client here has without more packages. */
const CODECS = ['none', 'gzip'] as const;
const VALUE_BYTES = 6000;
const CLEANED_DEADLINE_MS = 60_000;
const MIB = 1024 * 1024;

/** `offset key` of each record. */
type Line = string;

describe('a compacted topic, read by stock clients from its beginning', { skip }, () => {
  let data: string;
  let broker: Broker;
  let address: string;
  let expected: Line[];

  before(async () => {
    data = mkdtempSync(path.join(tmpdir(), 'polylog-compacted-'));
    broker = await Broker.start({
      data,
      http: '127.0.0.1:0',
      config: { 'log.cleaner.backoff.ms': 50, 'log.flush.offset.checkpoint.interval.ms': 100 },
    });
    address = broker.kafkaAddress;
    const client = await KafkaClient.open(portOf(address));
    const configs = {
      'cleanup.policy': 'compact',
      'segment.bytes': String(MIB),
      'min.cleanable.dirty.ratio': '0.01',
    };
    await createTopics(client, [{ name: TOPIC, configs }]);
    await fill(client);
    expected = await cleaned(client);
    client.close();
  });
  after(async () => {
    await broker.stop();
    rmSync(data, { recursive: true, force: true });
  });

  /** Each round replaces all keys but one of its own, so that whole segments have nothing left, and others next to nothing. */
  async function fill(client: KafkaClient): Promise<void> {
    for (let round = 0; round < ROUNDS; round++) {
      for (let part = 0; part < 4; part++) {
        const builder = new BatchBuilder({ codec: CODECS[round % CODECS.length]! });
        for (let index = part; index < KEYS; index += 4) {
          // Hard to compress, or nothing would fill a segment.
          const value = Buffer.from(randomBytes(VALUE_BYTES).toString('base64'));
          builder.append({ key: Buffer.from(`key ${index}`), value, timestamp: Date.now() });
        }
        if (part === 0 && round % 5 === 0)
          builder.append({
            key: Buffer.from(`own ${round}`),
            value: Buffer.from('x'),
            timestamp: Date.now(),
          });
        await produce(client, TOPIC, 0, builder.build());
      }
    }
  }

  /** What a plain fetch finds, once all but the active segment is clean. */
  async function cleaned(client: KafkaClient): Promise<Line[]> {
    const startedMs = performance.now();
    for (;;) {
      await sleep(100);
      const passes = await metric(broker.httpAddress!, 'polylog_log_cleaner_passes_total');
      const ratio = await metric(broker.httpAddress!, 'polylog_log_cleaner_max_dirty_ratio');
      if (passes > 0 && ratio === 0) break;
      assert.ok(performance.now() - startedMs < CLEANED_DEADLINE_MS, 'nothing was cleaned in time');
    }
    const lines: Line[] = [];
    await readAll(client, TOPIC, 0, ({ offset, key }) => lines.push(`${offset} ${key}`));
    return lines;
  }

  test('little is left, and of it nothing twice', () => {
    const keys = expected.map((line) => line.replace(/^\d+ /, ''));
    assert.ok(expected.length < KEYS * 4, `${expected.length} records`);
    for (let index = 0; index < KEYS; index++) assert.ok(keys.includes(`key ${index}`));
    for (let round = 0; round < ROUNDS; round += 5) assert.ok(keys.includes(`own ${round}`));
    assert.ok(Number(expected[0]!.split(' ')[0]) < 100, 'the first record is near the beginning');
  });

  test('KafkaJS', async () => {
    const client = new kafkajs.Kafka({ brokers: [address], logLevel: kafkajs.logLevel.NOTHING });
    const consumer = client.consumer({ groupId: 'compaction', maxBytesPerPartition: 64 * 1024 });
    await consumer.connect();
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
    const lines: Line[] = [];
    await consumer.run({
      eachMessage: async ({ message }) => void lines.push(`${message.offset} ${message.key?.toString()}`),
    });
    const deadlineMs = performance.now() + 30_000;
    while (lines.length < expected.length && performance.now() < deadlineMs) await sleep(50);
    await consumer.disconnect();
    assert.deepEqual(lines, expected);
  });

  test('kcat', async () => {
    const records = await kcatRead(address, TOPIC, { settings: { 'check.crcs': 'true' } });
    assert.deepEqual(
      records.map(({ offset, key }) => `${offset} ${key}`),
      expected,
    );
  });

  test('@platformatic/kafka', async () => {
    const records = await platformaticRead(address, TOPIC, { partition: 0, from: 0 });
    assert.deepEqual(
      records.map(({ offset, key }) => `${offset} ${key}`),
      expected,
    );
  });

  test('python3-kafka', async () => {
    const script = `
import json, sys
from kafka import KafkaConsumer, TopicPartition
consumer = KafkaConsumer(bootstrap_servers=sys.argv[1], group_id=None, consumer_timeout_ms=10000)
at = TopicPartition('${TOPIC}', 0)
consumer.assign([at])
consumer.seek_to_beginning(at)
end = consumer.end_offsets([at])[at]
lines = []
while consumer.position(at) < end:
    record = next(consumer)
    lines.append('%d %s' % (record.offset, record.key.decode()))
print(json.dumps(lines))
`;
    const { stdout } = await runOk(DEBIAN_PYTHON, ['-c', script, address]);
    assert.deepEqual(JSON.parse(stdout), expected);
  });

  test("Java's console consumer", async () => {
    const where = ['--topic', TOPIC, '--partition', '0', '--offset', 'earliest'];
    const count = ['--max-messages', String(expected.length), '--timeout-ms', '20000'];
    const show = ['print.key=true', 'print.offset=true', 'print.value=false'];
    const format = show.flatMap((property) => ['--formatter-property', property]);
    const args = ['--bootstrap-server', address, ...where, ...count, ...format];
    const { code, stdout, stderr } = await runKafkaTool('consoleConsumer', args);
    assert.equal(code, 0, stderr);
    const lines = stdout.split('\n').filter((line) => line !== '');
    assert.deepEqual(
      lines.map((line) => line.replace(/^Offset:(\d+)\t/, '$1 ')),
      expected,
    );
  });

  test("Kafka's own reader of segments finds nothing wrong with them", async () => {
    const { complaints, logs, batches } = await dumpLogSegments(data, { compacted: true });
    assert.deepEqual(complaints, []);
    assert.ok(logs > 2 && batches > 5);
  });
});

describe('compaction under kill -9 (the long run is npm run chaos:compaction)', { skip }, () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-chaos-compaction-'));
  after(() => rmSync(data, { recursive: true, force: true }));

  test('the last value of each key stays, and no deleted key comes back', async () => {
    const report = await runChaosCompaction({ rounds: 2, seed: 3, data });
    assert.deepEqual(report.faults, []);
    assert.deepEqual(report.dump.complaints, []);
    assert.equal(report.stopCode, 0);
    assert.ok(report.cleanings > 0 && report.recordsLeft < report.acknowledged);
  });
});

describe('compaction of a large topic (the long run is npm run compaction:big)', () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-compaction-'));
  after(() => rmSync(data, { recursive: true, force: true }));

  test('keeps the last record of each key, within its memory', async () => {
    const report = await runCompactionBig({
      bytes: 48 * MIB,
      keys: 5000,
      baselineMs: 500,
      segmentBytes: 4 * MIB,
      seed: 1,
      data,
    });
    assert.deepEqual(report.faults, []);
    assert.ok(report.extraMemoryMib <= 128, `${report.extraMemoryMib} MiB`);
    assert.ok(report.recordsLeft < report.records / 2);
  });
});

describe('an idempotent producer whose records were all compacted away', () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-compacted-'));
  after(() => rmSync(data, { recursive: true, force: true }));

  const start = (): Promise<Broker> =>
    Broker.start({
      data,
      http: '127.0.0.1:0',
      config: { 'log.cleaner.backoff.ms': 20, 'log.flush.offset.checkpoint.interval.ms': 100 },
    });

  function batchOf(baseSequence: number): Uint8Array {
    const builder = new BatchBuilder({ producerId: 77, producerEpoch: 0, baseSequence });
    builder.append({
      key: Buffer.from('a'),
      value: Buffer.from(String(baseSequence)),
      timestamp: Date.now(),
    });
    return builder.build();
  }

  test('is answered as before, even when nothing but the log tells its sequence', async () => {
    let broker = await start();
    let client = await KafkaClient.open(portOf(broker.kafkaAddress));
    const configs = {
      'cleanup.policy': 'compact',
      'segment.bytes': String(MIB),
      'min.cleanable.dirty.ratio': '0.01',
    };
    await createTopics(client, [{ name: TOPIC, configs }]);
    for (let sequence = 0; sequence < 5; sequence++) await produce(client, TOPIC, 0, batchOf(sequence));
    for (let more = 0; more < 4; more++) {
      const builder = new BatchBuilder();
      builder.append({ key: Buffer.from('a'), value: Buffer.alloc(700_000), timestamp: Date.now() });
      await produce(client, TOPIC, 0, builder.build());
    }
    const deadlineMs = performance.now() + CLEANED_DEADLINE_MS;
    for (let left = Infinity; left > 2;) {
      assert.ok(performance.now() < deadlineMs, 'nothing was cleaned in time');
      await sleep(50);
      left = 0;
      await readAll(client, TOPIC, 0, () => left++);
    }
    client.close();
    await broker.stop();
    for (const name of globSync(`${TOPIC}-0/*.snapshot`, { cwd: data })) rmSync(path.join(data, name));
    broker = await start();
    client = await KafkaClient.open(portOf(broker.kafkaAddress));
    assert.equal(
      await produce(client, TOPIC, 0, batchOf(4)),
      4,
      'a repetition has the offset of its original',
    );
    await assert.rejects(
      produce(client, TOPIC, 0, batchOf(6)),
      /error 45/,
      'a gap in its sequence is refused',
    );
    assert.equal(await produce(client, TOPIC, 0, batchOf(5)), 9);
    client.close();
    await broker.stop();
  });
});
