/** Users of a broker with access rules, as stock clients and Kafka's own tools meet them. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import kafkajs, { type Kafka as KafkaClient } from 'kafkajs';
import { Broker } from 'polylog';
import { KafkaTools } from './clients/kafka-tools.ts';
import { kcatProduce, kcatRead } from './clients/kcat.ts';
import { requirePeer } from './peers/peers.ts';

const { Kafka, KafkaJSProtocolError, logLevel } = kafkajs;
const { skip } = await requirePeer('kcat', 'jdk', 'kafka-jars');

const PASSWORDS = { admin: 'admin-secret', alice: 'alice-secret' };
type User = keyof typeof PASSWORDS;

/** Settings of librdkafka. */
function as(user: User): Record<string, string> {
  return {
    'security.protocol': 'SASL_PLAINTEXT',
    'sasl.mechanism': 'PLAIN',
    'sasl.username': user,
    'sasl.password': PASSWORDS[user],
    'message.timeout.ms': '10000',
  };
}

describe('A broker with users and access rules', { skip }, () => {
  let broker: Broker;
  let tools: KafkaTools;
  let folder: string;
  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'polylog-acl-clients-'));
    broker = await Broker.start({
      http: false,
      config: {
        'listener.security.protocol.map': 'kafka:SASL_PLAINTEXT',
        'sasl.enabled.mechanisms': 'PLAIN',
        'security.bootstrap.users': Object.entries(PASSWORDS)
          .map((pair) => pair.join('='))
          .join(','),
        'authorization.enabled': 'true',
        'super.users': 'User:admin',
      },
    });
    tools = await KafkaTools.start(broker.kafkaAddress);
    await tools.ok('topics', ...config('admin'), '--create', '--topic', 'orders');
    await tools.ok('topics', ...config('admin'), '--create', '--topic', 'secrets');
  });
  after(async () => {
    await tools.stop();
    await broker.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function config(user: User): string[] {
    const file = path.join(folder, `${user}.properties`);
    const login = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${user}" password="${PASSWORDS[user]}";`;
    writeFileSync(
      file,
      `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=${login}\n`,
    );
    return ['--command-config', file];
  }

  function kafkaJs(user: User): KafkaClient {
    return new Kafka({
      clientId: user,
      brokers: [broker.kafkaAddress],
      logLevel: logLevel.NOTHING,
      sasl: { mechanism: 'plain', username: user, password: PASSWORDS[user] },
      retry: { retries: 1 },
    });
  }

  async function acls(...args: string[]): Promise<string> {
    return tools.ok('acls', ...config('admin'), ...args);
  }

  test('lets nobody produce without a rule, and says why', async () => {
    await assert.rejects(
      kcatProduce(broker.kafkaAddress, 'orders', ['one'], { settings: as('alice') }),
      /authorization failed/i,
    );
    assert.equal((await kcatRead(broker.kafkaAddress, 'orders', { settings: as('admin') })).length, 0);
  });

  test('lets a producer of kafka-acls produce, idempotently too, and not read', async () => {
    await acls('--add', '--allow-principal', 'User:alice', '--producer', '--topic', 'orders');
    await kcatProduce(broker.kafkaAddress, 'orders', ['one'], { settings: as('alice') });
    const idempotent = { ...as('alice'), 'enable.idempotence': 'true' };
    await kcatProduce(broker.kafkaAddress, 'orders', ['two'], { settings: idempotent });
    await assert.rejects(
      kcatRead(broker.kafkaAddress, 'orders', { settings: as('alice') }),
      /authorization failed/i,
    );
  });

  test('shows an admin client the topics that it may describe', async () => {
    const admin = kafkaJs('alice').admin();
    await admin.connect();
    assert.deepEqual(await admin.listTopics(), ['orders']);
    await assert.rejects(
      admin.fetchTopicMetadata({ topics: ['secrets'] }),
      (error) => error instanceof KafkaJSProtocolError && error.type === 'TOPIC_AUTHORIZATION_FAILED',
    );
    await admin.disconnect();
  });

  test('lets a consumer of kafka-acls read in its group, and in no other', async () => {
    await acls(
      '--add',
      '--allow-principal',
      'User:alice',
      '--consumer',
      '--topic',
      'orders',
      '--group',
      'billing-',
      '--resource-pattern-type',
      'prefixed',
    );
    const read = await kcatRead(broker.kafkaAddress, 'orders', { settings: as('alice') });
    assert.deepEqual(
      read.map(({ value }) => value),
      ['one', 'two'],
    );
    const consume = (group: string) =>
      tools.run(
        'consoleConsumer',
        ...config('alice'),
        '--topic',
        'orders',
        '--group',
        group,
        '--from-beginning',
        '--max-messages',
        '2',
        '--timeout-ms',
        '20000',
      );
    const { stdout } = await consume('billing-eu');
    assert.deepEqual(stdout.trim().split('\n'), ['one', 'two']);
    const refused = await consume('audit');
    assert.match(refused.stdout + refused.stderr, /GroupAuthorizationException/);
  });

  test('lets a rule that denies win, also over a connection that is open', async () => {
    const producer = kafkaJs('alice').producer();
    await producer.connect();
    const send = () => producer.send({ topic: 'orders', messages: [{ value: 'three' }] });
    await send();
    await acls('--add', '--deny-principal', 'User:*', '--operation', 'Write', '--topic', 'orders');
    await assert.rejects(
      send(),
      (error) => error instanceof Error && /authorized|AUTHORIZATION/.test(error.message),
    );
    await acls(
      '--remove',
      '--force',
      '--deny-principal',
      'User:*',
      '--operation',
      'Write',
      '--topic',
      'orders',
    );
    await send();
    await producer.disconnect();
  });

  test('lets only who may alter the cluster change the rules', async () => {
    const { code, stdout, stderr } = await tools.run('acls', ...config('alice'), '--list');
    assert.match(stdout + stderr, /ClusterAuthorizationException/);
    assert.notEqual(code, 0);
    assert.match(await acls('--list', '--principal', 'User:alice'), /operation=READ/);
  });
});
