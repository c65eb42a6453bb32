import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import kafkajs, { type Kafka as KafkaClient, type Producer } from 'kafkajs';
import { KAFKA_APIS } from '../scripts/docs/kafka-apis.ts';
import { KafkaTools } from './clients/kafka-tools.ts';
import { requirePeer } from './peers/peers.ts';
import { startTarget, type Target } from './target.ts';

const { Kafka, logLevel, Partitioners } = kafkajs;
const { skip } = await requirePeer('jdk', 'kafka-jars');

/** Without the blanks that fill up columns and begin and end lines. */
function linesOf(stdout: string): string[] {
  return stdout
    .split('\n')
    .map((line) => line.trim().replaceAll(/\s+/g, ' '))
    .filter((line) => line !== '');
}

/** In the order in which the tool names them. */
function byKeyOf(apis: readonly string[]): (left: string, right: string) => number {
  const place = (name: string): number => apis.findIndex((api) => api.startsWith(`${name}(`));
  return (left, right) => place(left) - place(right);
}

describe("Kafka's own shell tools", { skip }, () => {
  let target: Target;
  let tools: KafkaTools;
  let folder: string;
  const open: { disconnect(): Promise<void> }[] = [];
  before(async () => {
    target = await startTarget({
      'authorization.enabled': 'true',
      // For Apache Kafka.
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS',
      'transaction.state.log.num.partitions': '1',
    });
    tools = await KafkaTools.start(target.kafkaAddress);
    folder = mkdtempSync(path.join(tmpdir(), 'polylog-tools-'));
  });
  after(async () => {
    for (const each of open) await each.disconnect();
    await tools.stop();
    await target.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function client(clientId: string): KafkaClient {
    return new Kafka({ clientId, brokers: [target.kafkaAddress], logLevel: logLevel.NOTHING });
  }

  async function producer(clientId: string, options: { transactionalId?: string } = {}): Promise<Producer> {
    const made = client(clientId).producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      ...(options.transactionalId === undefined
        ? {}
        : { ...options, idempotent: true, maxInFlightRequests: 1 }),
    });
    await made.connect();
    open.push(made);
    return made;
  }

  async function create(topic: string, partitions = 1): Promise<void> {
    await tools.ok('topics', '--create', '--topic', topic, '--partitions', String(partitions));
  }

  async function fill(topic: string, values: readonly string[], partition = 0): Promise<void> {
    const messages = values.map((value) => ({ value, partition }));
    await (await producer('filler')).send({ topic, messages });
  }

  function file(name: string, content: object): string {
    const at = path.join(folder, name);
    writeFileSync(at, JSON.stringify(content));
    return at;
  }

  /** The tool refuses, and says why. */
  async function refused(reason: RegExp, ...[tool, ...args]: Parameters<KafkaTools['run']>): Promise<void> {
    const { code, stdout, stderr } = await tools.run(tool, ...args);
    assert.equal(code, 1);
    assert.match(stdout + stderr, reason);
  }

  test('kafka-topics creates, shows, grows and deletes topics', async () => {
    const created = await tools.ok(
      'topics',
      '--create',
      '--topic',
      'topics-a',
      '--partitions',
      '2',
      '--config',
      'retention.ms=1000',
    );
    assert.match(created, /Created topic topics-a/);
    await refused(/already exists/, 'topics', '--create', '--topic', 'topics-a');
    assert.ok(linesOf(await tools.ok('topics', '--list')).includes('topics-a'));
    const [head, ...rows] = linesOf(await tools.ok('topics', '--describe', '--topic', 'topics-a'));
    assert.match(head!, /PartitionCount: 2 ReplicationFactor: 1 Configs: .*retention.ms=1000/);
    assert.equal(rows.length, 2);
    assert.match(rows[1]!, /Partition: 1 Leader: 1 Replicas: 1 Isr: 1/);
    await tools.ok('topics', '--alter', '--topic', 'topics-a', '--partitions', '3');
    assert.equal(linesOf(await tools.ok('topics', '--describe', '--topic', 'topics-a')).length, 4);
    assert.deepEqual(linesOf(await tools.ok('topics', '--describe', '--under-replicated-partitions')), []);
    await tools.ok('topics', '--delete', '--topic', 'topics-a');
    assert.ok(!linesOf(await tools.ok('topics', '--list')).includes('topics-a'));
  });

  test('kafka-configs changes configs of topics', async () => {
    await create('configured');
    const named = ['--entity-type', 'topics', '--entity-name', 'configured'];
    await tools.ok(
      'configs',
      '--alter',
      ...named,
      '--add-config',
      'retention.ms=5,cleanup.policy=[compact,delete]',
    );
    await tools.ok('configs', '--alter', ...named, '--delete-config', 'retention.ms');
    const described = await tools.ok('configs', '--describe', ...named);
    assert.match(
      described,
      /cleanup.policy=compact,delete .*DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete/,
    );
    assert.doesNotMatch(described, /retention.ms/);
    assert.match(await tools.ok('configs', '--describe', '--all', ...named), /retention.ms=604800000/);
    await refused(
      /must be an integer|Invalid value/,
      'configs',
      '--alter',
      ...named,
      '--add-config',
      'retention.ms=long',
    );
  });

  test('kafka-configs changes settings of brokers while they run, for one or for all', async () => {
    await create('inheriting');
    const all = ['--entity-type', 'brokers', '--entity-default'];
    const one = ['--entity-type', 'brokers', '--entity-name', '1'];
    await tools.ok('configs', '--alter', ...all, '--add-config', 'log.segment.bytes=2000000');
    await tools.ok('configs', '--alter', ...one, '--add-config', 'log.segment.bytes=3000000');
    assert.match(
      await tools.ok('configs', '--describe', ...one),
      /log.segment.bytes=3000000 .*DYNAMIC_BROKER_CONFIG:log.segment.bytes=3000000, DYNAMIC_DEFAULT_BROKER_CONFIG:log.segment.bytes=2000000/,
    );
    assert.match(await tools.ok('configs', '--describe', ...all), /log.segment.bytes=2000000/);
    const ofTopic = ['--describe', '--all', '--entity-type', 'topics', '--entity-name', 'inheriting'];
    assert.match(await tools.ok('configs', ...ofTopic), /segment.bytes=3000000/);
    await tools.ok('configs', '--alter', ...one, '--delete-config', 'log.segment.bytes');
    await tools.ok('configs', '--alter', ...all, '--delete-config', 'log.segment.bytes');
    assert.match(await tools.ok('configs', ...ofTopic), /segment.bytes=1073741824/);
    const loggers = ['--entity-type', 'broker-loggers', '--entity-name', '1'];
    await tools.ok('configs', '--alter', ...loggers, '--add-config', 'root=DEBUG');
    assert.match(await tools.ok('configs', '--describe', ...loggers), /root=DEBUG/);
    await tools.ok('configs', '--alter', ...loggers, '--add-config', 'root=WARN');
    await refused(/node.id/, 'configs', '--alter', ...one, '--add-config', 'node.id=2');
  });

  test('kafka-configs sets quotas of users, clients and addresses, and they are kept', async () => {
    const user = ['--entity-type', 'users', '--entity-name', 'alice'];
    const app = ['--entity-type', 'clients', '--entity-name', 'app'];
    const anyClient = ['--entity-type', 'clients', '--entity-default'];
    const address = ['--entity-type', 'ips', '--entity-name', '10.0.0.1'];
    await tools.ok(
      'configs',
      '--alter',
      ...user,
      ...anyClient,
      '--add-config',
      'producer_byte_rate=1024,request_percentage=50',
    );
    await tools.ok('configs', '--alter', ...app, '--add-config', 'consumer_byte_rate=2048');
    await tools.ok('configs', '--alter', ...address, '--add-config', 'connection_creation_rate=5');
    assert.match(
      await tools.ok('configs', '--describe', '--entity-type', 'users', '--entity-type', 'clients'),
      /user-principal 'alice', the default client-id are (?=.*producer_byte_rate=1024.0)(?=.*request_percentage=50.0)/,
    );
    assert.match(
      await tools.ok('configs', '--describe', ...app),
      /client-id 'app' are consumer_byte_rate=2048.0/,
    );
    assert.match(
      await tools.ok('configs', '--describe', ...address),
      /ip '10.0.0.1' are connection_creation_rate=5.0/,
    );
    await tools.ok('configs', '--alter', ...app, '--delete-config', 'consumer_byte_rate');
    assert.doesNotMatch(await tools.ok('configs', '--describe', '--entity-type', 'clients'), /app/);
    await refused(
      /Unexpected config names: Set\(nonesuch\)/,
      'configs',
      '--alter',
      ...app,
      '--add-config',
      'nonesuch=1',
    );

    // A beginner may send ten seconds' worth: what is three seconds beyond that is two or three to wait.
    const slow = ['--entity-type', 'clients', '--entity-name', 'slow'];
    await create('slow-topic');
    await tools.ok('configs', '--alter', ...slow, '--add-config', 'producer_byte_rate=10000');
    const sender = await producer('slow');
    await sender.send({ topic: 'slow-topic', messages: [{ value: 'x'.repeat(130_000) }] });
    const startMs = performance.now();
    await sender.send({ topic: 'slow-topic', messages: [{ value: 'x' }] });
    assert.ok(performance.now() - startMs > 1500);
  });

  test('kafka-configs makes, shows and removes credentials of users', async () => {
    const user = ['--entity-type', 'users', '--entity-name', 'bob'];
    await tools.ok(
      'configs',
      '--alter',
      ...user,
      '--add-config',
      'SCRAM-SHA-256=[iterations=8192,password=secret]',
    );
    await tools.ok('configs', '--alter', ...user, '--add-config', 'SCRAM-SHA-512=[password=secret]');
    const described = await tools.ok('configs', '--describe', ...user);
    assert.match(described, /SCRAM-SHA-256=iterations=8192/);
    assert.match(described, /SCRAM-SHA-512=iterations=4096/);
    // Quotas and credentials of all users come in one answer.
    assert.match(await tools.ok('configs', '--describe', '--entity-type', 'users'), /bob/);
    // Kafka takes one change of a user at a time.
    for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
      await tools.ok('configs', '--alter', ...user, '--delete-config', mechanism);
    }
    assert.doesNotMatch(await tools.ok('configs', '--describe', '--entity-type', 'users'), /bob/);
  });

  test('kafka-configs changes configs of consumer groups', async () => {
    const group = ['--entity-type', 'groups', '--entity-name', 'configured-group'];
    await tools.ok('configs', '--alter', ...group, '--add-config', 'consumer.session.timeout.ms=50000');
    const described = await tools.ok('configs', '--describe', ...group);
    assert.match(
      described,
      /consumer.session.timeout.ms=50000 .*GROUP_CONFIG:consumer.session.timeout.ms=50000/,
    );
    assert.match(await tools.ok('configs', '--describe', '--entity-type', 'groups'), /configured-group/);
    await refused(
      /consumer.session.timeout.ms/,
      'configs',
      '--alter',
      ...group,
      '--add-config',
      'consumer.session.timeout.ms=1',
    );
  });

  test('kafka-get-offsets shows ends, beginnings and times', async () => {
    await create('offsets', 2);
    await fill('offsets', ['a', 'b', 'c'], 1);
    const offsets = async (...args: string[]): Promise<string[]> =>
      linesOf(await tools.ok('getOffsets', '--topic', 'offsets', ...args));
    assert.deepEqual(await offsets(), ['offsets:0:0', 'offsets:1:3']);
    assert.deepEqual(await offsets('--time', '-2'), ['offsets:0:0', 'offsets:1:0']);
    // Of a partition without records it says nothing.
    assert.ok((await offsets('--time', '-3')).some((line) => /^offsets:1:[0-2]$/.test(line)));
  });

  test('kafka-delete-records moves the beginning of partitions', async () => {
    await create('shortened');
    await fill('shortened', ['a', 'b', 'c']);
    const offsets = file('delete.json', {
      version: 1,
      partitions: [{ topic: 'shortened', partition: 0, offset: 2 }],
    });
    assert.match(
      await tools.ok('deleteRecords', '--offset-json-file', offsets),
      /shortened-0\s+low_watermark: 2/,
    );
    assert.deepEqual(linesOf(await tools.ok('getOffsets', '--topic', 'shortened', '--time', '-2')), [
      'shortened:0:2',
    ]);
  });

  test('kafka-log-dirs shows how large partitions are', async () => {
    await create('measured');
    await fill('measured', ['x'.repeat(1000)]);
    const stdout = await tools.ok('logDirs', '--describe', '--topic-list', 'measured');
    const { brokers } = JSON.parse(linesOf(stdout).find((line) => line.startsWith('{'))!) as {
      brokers: {
        broker: number;
        logDirs: { error: null; partitions: { partition: string; size: number }[] }[];
      }[];
    };
    const [{ broker, logDirs }] = brokers as [(typeof brokers)[0]];
    assert.equal(broker, 1);
    assert.equal(logDirs[0]!.error, null);
    assert.equal(logDirs[0]!.partitions[0]!.partition, 'measured-0');
    assert.ok(logDirs[0]!.partitions[0]!.size > 1000);
  });

  test('kafka-features shows and changes the levels of features', async () => {
    const level = async (): Promise<string | undefined> => {
      const lines = linesOf(await tools.ok('features', 'describe'));
      return /FinalizedVersionLevel: (\d+)/.exec(
        lines.find((line) => line.includes('transaction.version'))!,
      )?.[1];
    };
    assert.equal(await level(), '2');
    await refused(/downgrade/i, 'features', 'upgrade', '--feature', 'transaction.version=1');
    await tools.ok('features', 'downgrade', '--feature', 'transaction.version=1');
    assert.equal(await level(), '1');
    await tools.ok('features', 'upgrade', '--feature', 'transaction.version=2');
    assert.equal(await level(), '2');
  });

  test('kafka-broker-api-versions finds a version of every API that it speaks in common', async () => {
    const lines = linesOf(await tools.ok('brokerApiVersions'));
    assert.match(lines[0]!, /^127\.0\.0\.1:\d+ \(id: 1 rack: null isFenced: false\) -> \($/);
    const apis = lines.filter((line) => /^\w+\(\d+\): /.test(line));
    assert.ok(apis.length > 60);
    for (const api of apis) assert.match(api, /\[usable: \d+\],?$|: UNSUPPORTED,?$/);
    assert.ok(apis.some((api) => api.startsWith('Produce(0): 0 to 13 [usable: 13]')));
    // The page of the documentation has all of them, and says of each whether it is served.
    const names = apis.map((api) => /^\w+/.exec(api)![0]);
    const betweenBrokers = names.filter((name) => /ShareGroupState/.test(name));
    assert.deepEqual(
      names,
      KAFKA_APIS.map(({ name }) => name)
        .concat(betweenBrokers)
        .toSorted(byKeyOf(apis)),
    );
  });

  test('kafka-cluster shows the cluster and its brokers', async () => {
    assert.match(await tools.ok('cluster', 'cluster-id'), /^Cluster ID: [\w-]{22}$/m);
    const [, broker] = linesOf(await tools.ok('cluster', 'list-endpoints'));
    assert.match(broker!, /^1 127\.0\.0\.1 \d+ null unfenced broker$/);
  });

  test('kafka-leader-election finds that the only replica leads already', async () => {
    await create('elected');
    assert.match(
      await tools.ok(
        'leaderElection',
        '--election-type',
        'PREFERRED',
        '--topic',
        'elected',
        '--partition',
        '0',
      ),
      /Valid replica already elected for partitions elected-0/,
    );
    await tools.ok('leaderElection', '--election-type', 'PREFERRED', '--all-topic-partitions');
    await refused(
      /elected-7/,
      'leaderElection',
      '--election-type',
      'PREFERRED',
      '--topic',
      'elected',
      '--partition',
      '7',
    );
  });

  test('kafka-reassign-partitions has nothing to do on one broker, and says so', async () => {
    await create('staying');
    const move = (replicas: number[], logDirs?: string[]): string =>
      file('move.json', {
        version: 1,
        partitions: [
          {
            topic: 'staying',
            partition: 0,
            replicas,
            ...(logDirs === undefined ? {} : { log_dirs: logDirs }),
          },
        ],
      });
    assert.match(await tools.ok('reassignPartitions', '--list'), /No partition reassignments found/);
    await refused(
      /Unknown broker id 2/,
      'reassignPartitions',
      '--execute',
      '--reassignment-json-file',
      move([2]),
    );
    const json = ['--reassignment-json-file', move([1])];
    assert.match(await tools.ok('reassignPartitions', '--execute', ...json), /Successfully started/);
    assert.match(
      await tools.ok('reassignPartitions', '--verify', ...json),
      /Reassignment of partition staying-0 is completed/,
    );
    const elsewhere = ['--reassignment-json-file', move([1], [path.join(folder, 'no-log-dir')])];
    await refused(/log directory is not found/, 'reassignPartitions', '--execute', ...elsewhere);
  });

  test('kafka-transactions shows transactions, and ends one whose producer is gone', async () => {
    await create('transacted');
    const transactionalId = 'tool-transaction';
    const sender = await producer('transactor', { transactionalId });
    const transaction = await sender.transaction();
    await transaction.send({ topic: 'transacted', messages: [{ value: 'pending', partition: 0 }] });
    const states = async (): Promise<string[]> => linesOf(await tools.ok('transactions', 'list')).slice(1);
    const [row] = await states();
    assert.match(row!, /^tool-transaction 1 \d+ Ongoing$/);
    const described = linesOf(
      await tools.ok('transactions', 'describe', '--transactional-id', transactionalId),
    );
    assert.match(described[1]!, /Ongoing .*transacted-0$/);
    const partition = ['--topic', 'transacted', '--partition', '0'];
    const [, active] = linesOf(await tools.ok('transactions', 'describe-producers', ...partition));
    assert.match(active!, /^\d+ 0 \S+ \d+ \S+ 0$/);
    // Only what has lasted for longer than a transaction may is hanging.
    assert.deepEqual(
      linesOf(await tools.ok('transactions', 'find-hanging', '--broker-id', '1')).slice(1),
      [],
    );
    await tools.ok('transactions', 'forceTerminateTransaction', '--transactionalId', transactionalId);
    for (let tries = 0; /Ongoing|Prepare/.test((await states())[0]!); tries++) assert.ok(tries < 20);
    await assert.rejects(transaction.commit());
  });

  test('kafka-transactions aborts a transaction of one partition, as if it hung', async () => {
    await create('hanging');
    const sender = await producer('hanger', { transactionalId: 'tool-hanging' });
    const transaction = await sender.transaction();
    await transaction.send({ topic: 'hanging', messages: [{ value: 'pending', partition: 0 }] });
    const partition = ['--topic', 'hanging', '--partition', '0'];
    await tools.ok('transactions', 'abort', ...partition, '--start-offset', '0');
    const [, producerState] = linesOf(await tools.ok('transactions', 'describe-producers', ...partition));
    assert.match(producerState!, /^\d+ .* None$/);
    // The record, and the marker behind it.
    assert.deepEqual(linesOf(await tools.ok('getOffsets', '--topic', 'hanging')), ['hanging:0:2']);
    await transaction.abort().catch(() => undefined);
  });

  test('kafka-acls adds, lists and removes access rules', async () => {
    const rule = ['--allow-principal', 'User:bob', '--operation', 'Read', '--topic', 'secret'];
    await tools.ok('acls', '--add', ...rule);
    await tools.ok(
      'acls',
      '--add',
      '--deny-principal',
      'User:eve',
      '--operation',
      'All',
      '--topic',
      'sec',
      '--resource-pattern-type',
      'prefixed',
    );
    const listed = await tools.ok('acls', '--list');
    assert.match(listed, /resourceType=TOPIC, name=secret, patternType=LITERAL/);
    assert.match(listed, /principal=User:bob, host=\*, operation=READ, permissionType=ALLOW/);
    assert.match(listed, /resourceType=TOPIC, name=sec, patternType=PREFIXED/);
    await tools.ok('acls', '--remove', '--force', ...rule);
    assert.doesNotMatch(await tools.ok('acls', '--list'), /bob/);
  });
});
