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

  async function formatted(formatter: string): Promise<string> {
    const where = ['--bootstrap-server', target.kafkaAddress, '--topic', '__consumer_offsets'];
    const how = ['--formatter', `org.apache.kafka.tools.consumer.${formatter}`, '--timeout-ms', '6000'];
    const { stdout } = await runKafkaTool('consoleConsumer', [...where, '--from-beginning', ...how]);
    return stdout;
  }
});
