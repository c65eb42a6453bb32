import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import kafkajs, { type Kafka as KafkaJS } from 'kafkajs';
import { Broker } from 'polylog';
import { runKafkaTool } from './peers/kafka.ts';
import { requirePeer } from './peers/peers.ts';

const { Kafka, logLevel } = kafkajs;
const TOPIC = 'in-transactions';
const SEGMENT_BYTES = String(1024 * 1024);
/** Makes some segments of few transactions. */
const PADDING = ' '.repeat(100_000);

const java = await requirePeer('java', 'kafka-jars');

describe('transactions of KafkaJS', () => {
  let data: string;
  let broker: Broker;
  let client: KafkaJS;
  before(async () => {
    data = mkdtempSync(path.join(tmpdir(), 'polylog-transactions-'));
    broker = await Broker.start({ data });
    client = new Kafka({ clientId: 'e2e', brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING });
    const admin = client.admin();
    await admin.connect();
    const configEntries = [{ name: 'segment.bytes', value: SEGMENT_BYTES }];
    await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 1, configEntries }] });
    await admin.disconnect();
  });
  after(async () => {
    await broker.stop();
    rmSync(data, { recursive: true, force: true });
  });

  /** In turn committed and aborted, two records each. */
  async function produce(transactions: number): Promise<void> {
    const producer = client.producer({ transactionalId: 'e2e', idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (let index = 0; index < transactions; index++) {
      const outcome = index % 2 === 0 ? 'commit' : 'abort';
      const transaction = await producer.transaction();
      for (const part of [1, 2])
        await transaction.send({
          topic: TOPIC,
          messages: [{ value: `${outcome} ${index} ${part}${PADDING}` }],
        });
      await transaction[outcome]();
    }
    await producer.disconnect();
  }

  /** All up to the end, or, of what is committed, up to the last of `count`. */
  async function consume(groupId: string, readUncommitted: boolean, count: number): Promise<string[]> {
    const consumer = client.consumer({ groupId, readUncommitted });
    await consumer.connect();
    await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
    const values: string[] = [];
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachMessage: async ({ message }) => {
            values.push(String(message.value).trim());
            if (values.length === count) resolve();
          },
        })
        .catch(reject);
    });
    await consumer.disconnect();
    return values;
  }

  test('those who read what is committed see no aborted record, the others see all', async () => {
    await produce(20);
    const committed = await consume('committed', false, 20);
    assert.ok(committed.every((value) => value.startsWith('commit ')));
    assert.equal(new Set(committed).size, 20);
    assert.equal((await consume('all', true, 40)).length, 40);
  });

  test("Kafka's DumpLogSegments reads the indexes of aborted transactions", java, async () => {
    await broker.stop();
    const folder = path.join(data, `${TOPIC}-0`);
    const files = readdirSync(folder).filter((name) => name.endsWith('.txnindex'));
    assert.ok(files.length > 2, `${files.length} indexes`);
    const paths = files.toSorted().map((name) => path.join(folder, name));
    const { code, stdout, stderr } = await runKafkaTool('dumpLogSegments', ['--files', paths.join(',')]);
    assert.equal(code, 0, stderr);
    const entries = stdout.split('\n').filter((line) => line.startsWith('version: '));
    // Each transaction takes its two records and a marker; the first is committed, and no other is open meanwhile.
    const expected = Array.from({ length: 10 }, (_, index) => {
      const firstOffset = 3 * (2 * index + 1);
      return [firstOffset, firstOffset + 2, firstOffset + 3];
    });
    const numbers = entries.map((line) => {
      const fields =
        /^version: 0 producerId: \d+ firstOffset: (\d+) lastOffset: (\d+) lastStableOffset: (\d+)$/;
      return fields.exec(line)?.slice(1).map(Number);
    });
    assert.deepEqual(numbers, expected);
    broker = await Broker.start({ data });
  });
});
