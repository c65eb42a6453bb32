import assert from 'node:assert/strict';
import { rmSync, writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin as PlatformaticAdmin } from '@platformatic/kafka';
import kafkajs from 'kafkajs';
import { Broker } from 'polylog';
import { runKafkaTool } from './peers/kafka.ts';
import { DEBIAN_PYTHON, requirePeer } from './peers/peers.ts';
import { runOk } from './peers/process.ts';

const { Kafka, logLevel } = kafkajs;
const peers = {
  python: await requirePeer('python3-confluent-kafka'),
  java: await requirePeer('java', 'kafka-jars'),
};

const USED_MS = 6000;
const MECHANISM = 'SCRAM-SHA-256';

/**
 * KIP-368: whoever is used for longer than an authentication holds repeats it in time, and loses no request. Clients that cannot, such as older
 * librdkafka, find their connection closed, and open another one.
 */
describe('Stock clients authenticate again on a connection', () => {
  let broker: Broker;
  before(async () => {
    broker = await Broker.start({
      logLevel: 'silent',
      config: {
        listeners: 'SASL_PLAINTEXT://127.0.0.1:0',
        'sasl.enabled.mechanisms': MECHANISM,
        'security.bootstrap.users': 'alice=secret',
        'connections.max.reauth.ms': 2000,
      },
    });
  });
  after(() => broker.stop());

  async function counters(): Promise<{ succeeded: number; failed: number; expired: number }> {
    const text = await (await fetch(`http://${broker.httpAddress}/metrics`)).text();
    const value = (name: string): number =>
      Number(new RegExp(`^polylog_${name}\\{[^}]*\\} (\\d+)$`, 'm').exec(text)![1]);
    return {
      succeeded: value('authentications_total'),
      failed: value('failed_authentications_total'),
      expired: value('expired_authentications_total'),
    };
  }

  /** Uses a client for a while, and looks at what the broker has counted. */
  async function used(use: () => Promise<unknown>, options: { reconnects?: true } = {}): Promise<void> {
    const earlier = await counters();
    await use();
    const { succeeded, failed, expired } = await counters();
    assert.ok(succeeded - earlier.succeeded >= 3, `${succeeded - earlier.succeeded} authentications`);
    assert.equal(failed, earlier.failed);
    if (options.reconnects !== true) assert.equal(expired, earlier.expired);
  }

  async function again(request: () => Promise<unknown>): Promise<void> {
    for (let usedMs = 0; usedMs < USED_MS; usedMs += 250) {
      await request();
      await sleep(250);
    }
  }

  test('KafkaJS', () =>
    used(async () => {
      const sasl = { mechanism: 'scram-sha-256', username: 'alice', password: 'secret' } as const;
      const options = { brokers: [broker.kafkaAddress], sasl, reauthenticationThreshold: 1000 };
      const admin = new Kafka({ ...options, logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin();
      await admin.connect();
      await again(() => admin.listTopics());
      await admin.disconnect();
    }));

  test('@platformatic/kafka', () =>
    used(async () => {
      const sasl = { mechanism: MECHANISM, username: 'alice', password: 'secret' } as const;
      const admin = new PlatformaticAdmin({
        clientId: 'e2e',
        bootstrapBrokers: [broker.kafkaAddress],
        retries: 0,
        sasl,
      });
      await again(() => admin.listTopics());
      await admin.close();
    }));

  test("librdkafka, through Confluent's Python client", { skip: peers.python.skip }, () =>
    used(
      () => {
        const script = `
import sys, time
from confluent_kafka.admin import AdminClient
admin = AdminClient({'bootstrap.servers': sys.argv[1], 'security.protocol': 'sasl_plaintext', 'sasl.mechanism': '${MECHANISM}',
  'sasl.username': 'alice', 'sasl.password': 'secret'})
end = time.time() + ${USED_MS / 1000}
while time.time() < end:
    assert len(admin.list_topics(timeout=2).brokers) == 1
    time.sleep(0.25)
`;
        return runOk(DEBIAN_PYTHON, ['-c', script, broker.kafkaAddress]);
      },
      { reconnects: true },
    ),
  );

  test('the Java producer', { skip: peers.java.skip }, () =>
    used(async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'polylog-reauth-'));
      const file = path.join(folder, 'client.properties');
      const lines = [
        'security.protocol=SASL_PLAINTEXT',
        `sasl.mechanism=${MECHANISM}`,
        'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="alice" password="secret";',
      ];
      writeFileSync(file, lines.join('\n'));
      const amount = ['--num-records', '60', '--record-size', '10', '--throughput', '10'];
      const where = ['--topic', 'again', '--bootstrap-server', broker.kafkaAddress, '--command-config', file];
      const { code, stdout, stderr } = await runKafkaTool('producerPerformance', [...where, ...amount]);
      rmSync(folder, { recursive: true });
      assert.equal(code, 0, stdout + stderr);
      assert.match(stdout, /60 records sent/);
    }),
  );
});
