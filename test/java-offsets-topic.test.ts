import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Kafka, logLevel } from 'kafkajs';
import { requirePeer } from './peers/peers.ts';
import { runKafkaTool } from './peers/kafka.ts';
import { startTarget, type Target } from './target.ts';

const { skip } = await requirePeer('java', 'kafka-jars');

describe("__consumer_offsets in Kafka's own format", { skip }, () => {
  let target: Target;
  before(async () => {
    target = await startTarget();
  });
  after(() => target.stop());

  test("is read by the formatters of Kafka's console consumer", async () => {
    const kafka = new Kafka({ brokers: [target.kafkaAddress], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'formatted', numPartitions: 1 }] });
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: 'formatted', messages: [{ value: 'one' }, { value: 'two' }] });
    await producer.disconnect();
    const consumer = kafka.consumer({ groupId: 'formatters' });
    await consumer.connect();
    await consumer.subscribe({ topic: 'formatted', fromBeginning: true });
    let seen = 0;
    await new Promise<void>((resolve, reject) => {
      const eachMessage = async (): Promise<void> => {
        if (++seen === 2) resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
    await consumer.disconnect();
    await admin.disconnect();
    const offsets = await formatted('OffsetsMessageFormatter');
    assert.match(offsets, /"group":"formatters","topic":"formatted","partition":0/);
    assert.match(offsets, /"offset":2/);
    const groups = await formatted('GroupMetadataMessageFormatter');
    assert.match(groups, /"group":"formatters"/);
    assert.match(groups, /"protocolType":"consumer","generation":1,"protocol":"RoundRobinAssigner"/);
  });

  test('shows offsets of a transaction when it is committed, and those of an aborted one to nobody', async () => {
    const kafka = new Kafka({ brokers: [target.kafkaAddress], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'moved', numPartitions: 1 }] });
    const producer = kafka.producer({ transactionalId: 'mover', idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    for (const [offset, end] of [
      ['7', 'commit'],
      ['8', 'abort'],
    ] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: 'moved', messages: [{ value: offset }] });
      const topics = [{ topic: 'moved', partitions: [{ partition: 0, offset }] }];
      await transaction.sendOffsets({ consumerGroupId: 'movers', topics });
      await transaction[end]();
    }
    await producer.disconnect();
    const [fetched] = await admin.fetchOffsets({ groupId: 'movers', topics: ['moved'] });
    assert.equal(fetched!.partitions[0]!.offset, '7');
    await admin.disconnect();
    const committed = await formatted('OffsetsMessageFormatter', 'read_committed');
    assert.deepEqual(offsetsOf(committed, 'movers'), [7]);
    const written = await formatted('OffsetsMessageFormatter', 'read_uncommitted');
    assert.deepEqual(offsetsOf(written, 'movers'), [7, 8]);
  });

  function offsetsOf(text: string, group: string): number[] {
    const pattern = new RegExp(`"group":"${group}".*?"offset":(\\d+)`, 'g');
    return [...text.matchAll(pattern)].map(([, offset]) => Number(offset));
  }

  async function formatted(formatter: string, isolation = 'read_uncommitted'): Promise<string> {
    const where = ['--bootstrap-server', target.kafkaAddress, '--topic', '__consumer_offsets'];
    const how = ['--formatter', `org.apache.kafka.tools.consumer.${formatter}`, '--timeout-ms', '6000'];
    const which = ['--from-beginning', '--isolation-level', isolation];
    const { stdout } = await runKafkaTool('consoleConsumer', [...where, ...which, ...how]);
    return stdout;
  }
});
