// What a user of the published packages writes: run where they are installed, with plain Node.
import assert from 'node:assert/strict';

import kafkajs from 'kafkajs';
import { Broker } from 'polylog';

const { Kafka, logLevel } = kafkajs;
/** Above what is compressed on the event loop: it takes the worker. */
const LARGE_VALUE_BYTES = 200_000;

const broker = await Broker.start();
try {
  const kafka = new Kafka({
    brokers: [broker.kafkaAddress],
    logLevel: logLevel.NOTHING,
    retry: { retries: 2 },
  });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    topics: [
      { topic: 'plain' },
      { topic: 'packed', configEntries: [{ name: 'compression.type', value: 'gzip' }] },
    ],
  });
  const producer = kafka.producer();
  await producer.connect();
  for (const topic of ['plain', 'packed']) {
    const messages = [{ key: 'k', value: 'x'.repeat(LARGE_VALUE_BYTES) }];
    const [{ errorCode, baseOffset }] = await producer.send({ topic, messages });
    assert.deepEqual([errorCode, baseOffset], [0, '0'], topic);
    const [{ high }] = await admin.fetchTopicOffsets(topic);
    assert.equal(high, '1', topic);
  }
  const health = await fetch(`http://${broker.httpAddress}/health/ready`);
  assert.equal(health.status, 200);
  await producer.disconnect();
  await admin.disconnect();
} finally {
  await broker.stop();
}
process.stdout.write('embedded\n');
