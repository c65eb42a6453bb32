import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import kafkajs from 'kafkajs';
import { Broker } from 'polylog';
import { kcatProduce, kcatRead } from './clients/kcat.ts';
import { PolylogCli } from './clients/polylog.ts';
import { runKafkaTool } from './peers/kafka.ts';
import { requirePeer } from './peers/peers.ts';

const { Kafka, logLevel, Partitioners } = kafkajs;
const { skip } = await requirePeer('kcat', 'java', 'kafka-jars');

/** Of a second each: who begins may send all but one of them at once. */
const SAMPLES = 3;
const BYTES_PER_SECOND = 20_000;
/** Batches of about 6 kB: the limit takes two seconds for them, after the first burst. */
const BATCHES = 14;
const VALUE = 'x'.repeat(6000);
/** Half of what it takes when nothing is slow: the clock of a sample does not begin with the client. */
const MS_MIN = 1000;

async function throttledCountOf(broker: Broker, kind: string): Promise<number> {
  const page = await (await fetch(`http://${broker.httpAddress}/metrics`)).text();
  const line = new RegExp(`^polylog_quota_throttled_total\\{quota="${kind}"\\} (\\d+)$`, 'm');
  return Number(line.exec(page)?.[1]);
}

function lines(): string[] {
  return Array.from({ length: BATCHES }, () => VALUE);
}

describe('A client over its quota', { skip }, () => {
  let broker: Broker;
  let address: string;
  let cli: PolylogCli;
  before(async () => {
    broker = await Broker.start({ config: { 'quota.window.num': SAMPLES } });
    address = broker.kafkaAddress;
    cli = new PolylogCli(address);
    await kcatProduce(address, 'long', lines(), { settings: { 'batch.num.messages': '1' } });
  });
  after(() => broker.stop());

  /** How long the work takes while the quota is set for each client id. */
  async function limited(quota: string, work: () => Promise<void>): Promise<number> {
    await cli.ok(['quota', 'set', '--default-client-id', `${quota}=${BYTES_PER_SECOND}`]);
    const startMs = performance.now();
    try {
      await work();
    } finally {
      await cli.ok(['quota', 'delete', '--default-client-id']);
    }
    return performance.now() - startMs;
  }

  const throttledCount = (kind: string): Promise<number> => throttledCountOf(broker, kind);

  const readers: Readonly<Record<string, () => Promise<number>>> = {
    kcat: async () => (await kcatRead(address, 'long', { settings: { 'client.id': 'reader-kcat' } })).length,
    'the Java consumer': async () => {
      const args = ['--bootstrap-server', address, '--topic', 'long', '--from-beginning'];
      const count = ['--max-messages', String(BATCHES), '--command-property', 'client.id=reader-java'];
      const { code, stdout, stderr } = await runKafkaTool('consoleConsumer', [...args, ...count]);
      assert.equal(code, 0, stderr);
      return stdout.split('\n').filter((line) => line === VALUE).length;
    },
    kafkajs: async () => {
      const consumer = client('reader-kafkajs').consumer({ groupId: 'readers' });
      await consumer.connect();
      await consumer.subscribe({ topic: 'long', fromBeginning: true });
      try {
        return await new Promise<number>((resolve) => {
          let count = 0;
          void consumer.run({
            eachMessage: async () => {
              if (++count === BATCHES) resolve(count);
            },
          });
        });
      } finally {
        await consumer.disconnect();
      }
    },
  };

  function client(clientId: string): InstanceType<typeof Kafka> {
    return new Kafka({ clientId, brokers: [address], logLevel: logLevel.NOTHING });
  }

  for (const [name, read] of Object.entries(readers)) {
    test(`of fetches reads all there is, but no faster: ${name}`, async () => {
      const before_ = await throttledCount('fetch');
      const elapsedMs = await limited('consumer_byte_rate', async () => {
        assert.equal(await read(), BATCHES);
      });
      assert.ok(elapsedMs > MS_MIN, `${elapsedMs} ms`);
      assert.ok((await throttledCount('fetch')) > before_);
    });
  }

  const writers: Readonly<Record<string, (topic: string) => Promise<void>>> = {
    kcat: (topic) =>
      kcatProduce(address, topic, lines(), {
        settings: { 'batch.num.messages': '1', 'client.id': 'writer-kcat' },
      }),
    'the Java producer': async (topic) => {
      const settings = ['batch.size=7000', 'linger.ms=0', 'client.id=writer-java'];
      const { code, stderr } = await runKafkaTool(
        'consoleProducer',
        [
          '--bootstrap-server',
          address,
          '--topic',
          topic,
          ...settings.flatMap((one) => ['--command-property', one]),
        ],
        { input: `${lines().join('\n')}\n` },
      );
      assert.equal(code, 0, stderr);
    },
    kafkajs: async (topic) => {
      const producer = client('writer-kafkajs').producer({
        createPartitioner: Partitioners.DefaultPartitioner,
      });
      await producer.connect();
      for (const value of lines()) await producer.send({ topic, messages: [{ value }] });
      await producer.disconnect();
    },
  };

  for (const [name, write] of Object.entries(writers)) {
    test(`of produced bytes writes all it has, but no faster: ${name}`, async () => {
      const topic = `written-by-${name.replaceAll(' ', '-')}`;
      const before_ = await throttledCount('produce');
      const elapsedMs = await limited('producer_byte_rate', () => write(topic));
      assert.ok(elapsedMs > MS_MIN, `${elapsedMs} ms`);
      assert.ok((await throttledCount('produce')) > before_);
      assert.equal((await kcatRead(address, topic)).length, BATCHES);
    });
  }
});

describe('The quota of a user', () => {
  let broker: Broker;
  before(async () => {
    broker = await Broker.start({
      config: {
        listeners: 'PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0',
        'security.bootstrap.users': 'alice=alices-secret,bob=bobs-secret',
        'quota.window.num': SAMPLES,
      },
    });
    const cli = new PolylogCli(broker.kafkaAddress);
    await cli.ok(['topic', 'create', 'shared']);
    await cli.ok(['quota', 'set', '--user', 'alice', `producer_byte_rate=${BYTES_PER_SECOND}`]);
  });
  after(() => broker.stop());

  async function write(username: string): Promise<number> {
    const kafka = new Kafka({
      clientId: 'the same',
      brokers: [broker.listenerAddresses.get('SASL_PLAINTEXT')!],
      sasl: { mechanism: 'scram-sha-256', username, password: `${username}s-secret` },
      logLevel: logLevel.NOTHING,
    });
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    const startMs = performance.now();
    for (const value of lines()) await producer.send({ topic: 'shared', messages: [{ value }] });
    const elapsedMs = performance.now() - startMs;
    await producer.disconnect();
    return elapsedMs;
  }

  test('is met by who has authenticated as that user, and by nobody else', async () => {
    const bobsMs = await write('bob');
    const alicesMs = await write('alice');
    assert.ok(alicesMs > MS_MIN, `${alicesMs} ms`);
    assert.ok(bobsMs < alicesMs / 2, `${bobsMs} of ${alicesMs} ms`);
  });

  test('of the time for requests is met by whatever it asks for', async () => {
    const cli = new PolylogCli(broker.kafkaAddress);
    // A tenth of a millisecond in each second: three answers about topics take longer.
    await cli.ok(['quota', 'set', '--user', 'ANONYMOUS', 'request_percentage=0.01']);
    const admin = new Kafka({ brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    for (let requests = 0; requests < 3; requests++) await admin.listTopics();
    await admin.disconnect();
    assert.ok((await throttledCountOf(broker, 'request')) > 0);
    await cli.ok(['quota', 'delete', '--user', 'ANONYMOUS']);
  });
});
