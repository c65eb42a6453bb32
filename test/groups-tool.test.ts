import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import kafkajs from 'kafkajs';
import { GroupObserver } from './clients/group-observer.ts';
import { Member } from './clients/member.ts';
import { runKafkaTool } from './peers/kafka.ts';
import { requirePeer } from './peers/peers.ts';
import { startTarget, type Target } from './target.ts';

const { Kafka, logLevel } = kafkajs;
const { skip } = await requirePeer('java', 'kafka-jars', 'kcat');

const TOPIC = 'tool-topic';
const GROUP = 'tool-group';
const PARTITIONS = 3;
const RECORDS_PER_PARTITION = 10;
/** The time of the first record of each partition; the others follow at intervals of a second. */
const FIRST_MS = Date.parse('2026-01-01T00:00:00Z');
const COMMIT_DEADLINE_MS = 20_000;

/** The rows of a table below its line of headings, by heading. No value of the tool has blanks but those of a status. */
function rowsOf(stdout: string): Record<string, string>[] {
  const lines = stdout.split('\n').filter((line) => line.trim() !== '');
  const start = lines.findIndex((line) => /^(?:GROUP|TOPIC) /.test(line));
  assert.ok(start >= 0, `no table in ${stdout}`);
  const headings = lines[start]!.trim().split(/ {2,}| (?=[A-Z#])/);
  return lines.slice(start + 1).map((line) => {
    const values = line.replace(/ {2}\((\d+)\)/, '($1)').split(/\s+/);
    return Object.fromEntries(headings.map((heading, index) => [heading.trim(), values[index] ?? '']));
  });
}

describe("Kafka's own kafka-consumer-groups tool", { skip }, () => {
  let target: Target;
  let member: Member;
  let observer: GroupObserver;
  before(async () => {
    target = await startTarget({ 'group.initial.rebalance.delay.ms': '0' });
    const { kafkaAddress: address } = target;
    await fillTopic(address);
    const timeouts = { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 11_000, heartbeatMs: 500 };
    const options = { address, topic: TOPIC, groupId: GROUP, assignor: 'range', ...timeouts } as const;
    member = Member.start('kcat', 'tool-member', options, { record: () => undefined });
    observer = await GroupObserver.open(address, GROUP);
    await observer.untilStable(['tool-member'], { topic: TOPIC, partitions: PARTITIONS });
    await untilCommitted(observer, RECORDS_PER_PARTITION);
  });
  after(async () => {
    observer.close();
    await member.crash();
    await target.stop();
  });

  async function tool(...args: string[]): Promise<{ stdout: string; stderr: string }> {
    const { code, stdout, stderr } = await runKafkaTool('consumerGroups', [
      '--bootstrap-server',
      target.kafkaAddress,
      ...args,
    ]);
    assert.equal(code, 0, stdout + stderr);
    return { stdout, stderr };
  }

  /** Runs --reset-offsets with these arguments; the new offsets that it prints, by partition, and those committed afterwards. */
  async function reset(...args: string[]): Promise<{ printed: number[]; committed: number[] | undefined }> {
    const { stdout } = await tool('--reset-offsets', '--group', GROUP, '--topic', TOPIC, ...args);
    const rows = rowsOf(stdout);
    assert.deepEqual(
      rows.map((row) => [row['GROUP'], row['TOPIC'], row['PARTITION']]),
      [0, 1, 2].map((partition) => [GROUP, TOPIC, String(partition)]),
    );
    const printed = rows.map((row) => Number(row['NEW-OFFSET']));
    return { printed, committed: await observer.committed(TOPIC, PARTITIONS) };
  }

  test('lists groups, with their states and types, and filters by both', async () => {
    const [plain, both, empty] = await Promise.all([
      tool('--list'),
      tool('--list', '--state', 'stable', '--type', 'classic'),
      tool('--list', '--state', 'empty,dead'),
    ]);
    assert.equal(plain.stdout.trim(), GROUP);
    assert.deepEqual(rowsOf(both.stdout), [{ GROUP, TYPE: 'Classic', STATE: 'Stable' }]);
    assert.deepEqual(rowsOf(empty.stdout), []);
  });

  test('describes offsets with lag, members with assignments, and the state of an active group', async () => {
    const describeGroup = ['--describe', '--group', GROUP];
    const [offsets, members, state] = await Promise.all([
      tool(...describeGroup),
      tool(...describeGroup, '--members', '--verbose'),
      tool(...describeGroup, '--state'),
    ]);
    const consumer = (await observer.describe()).members[0];
    const owner = { HOST: '/127.0.0.1', 'CLIENT-ID': 'tool-member', 'CONSUMER-ID': consumer?.memberId };
    assert.equal(consumer?.clientHost, '/127.0.0.1');
    assert.deepEqual(
      rowsOf(offsets.stdout),
      ['0', '1', '2'].map((PARTITION) => ({
        GROUP,
        TOPIC,
        PARTITION,
        'CURRENT-OFFSET': '10',
        'LOG-END-OFFSET': '10',
        LAG: '0',
        ...owner,
      })),
    );
    const [row] = rowsOf(members.stdout);
    const {
      HOST,
      'CLIENT-ID': clientId,
      'CONSUMER-ID': memberId,
      'CURRENT-ASSIGNMENT': assignment,
    } = row ?? {};
    assert.deepEqual({ HOST, 'CLIENT-ID': clientId, 'CONSUMER-ID': memberId }, owner);
    assert.equal(row?.['#PARTITIONS'], '3');
    assert.equal(assignment, `${TOPIC}:0,1,2`);
    assert.match(
      state.stdout,
      new RegExp(String.raw`^${GROUP}\s+${target.kafkaAddress}\s+\(\d+\)\s+range\s+Stable\s+1$`, 'm'),
    );
  });

  test('an active group keeps its offsets and is not deleted', async () => {
    const [resetting, deleting, deletingOffsets] = await Promise.all([
      tool('--reset-offsets', '--group', GROUP, '--topic', TOPIC, '--to-earliest', '--execute'),
      tool('--delete', '--group', GROUP),
      tool('--delete-offsets', '--group', GROUP, '--topic', TOPIC),
    ]);
    assert.match(resetting.stdout, /is inactive, but the current state is Stable/);
    assert.match(deleting.stdout, /could not be deleted due to: .*GroupNotEmptyException/);
    assert.equal(deletingOffsets.stdout.match(/GroupSubscribedToTopicException/g)?.length, PARTITIONS);
    assert.deepEqual(await observer.committed(TOPIC, PARTITIONS), [10, 10, 10]);
  });

  test('describes a group without members', async () => {
    await member.leave();
    const [offsets, state] = await Promise.all([
      tool('--describe', '--group', GROUP),
      tool('--describe', '--group', GROUP, '--state'),
    ]);
    assert.match(offsets.stderr, /Consumer group 'tool-group' has no active members/);
    const none = { 'CONSUMER-ID': '-', HOST: '-', 'CLIENT-ID': '-' };
    assert.deepEqual(
      rowsOf(offsets.stdout),
      ['0', '1', '2'].map((PARTITION) => ({
        GROUP,
        TOPIC,
        PARTITION,
        'CURRENT-OFFSET': '10',
        'LOG-END-OFFSET': '10',
        LAG: '0',
        ...none,
      })),
    );
    assert.match(state.stdout, /\(\d+\)\s+-\s+Empty\s+0$/m);
  });

  test('resets offsets to the earliest, the latest, a time, by a duration, by a shift; a dry run changes nothing', async () => {
    const all = (offset: number): number[] => [offset, offset, offset];
    assert.deepEqual(await reset('--to-earliest', '--dry-run'), { printed: all(0), committed: all(10) });
    assert.deepEqual(await reset('--to-earliest', '--execute'), { printed: all(0), committed: all(0) });
    assert.deepEqual(await reset('--to-datetime', '2026-01-01T00:00:03.500', '--execute'), {
      printed: all(4),
      committed: all(4),
    });
    assert.deepEqual(await reset('--shift-by', '-1', '--execute'), { printed: all(3), committed: all(3) });
    const sinceFirst = `PT${Math.ceil((Date.now() - FIRST_MS) / 60_000) + 1}M`;
    assert.deepEqual(await reset('--by-duration', sinceFirst, '--execute'), {
      printed: all(0),
      committed: all(0),
    });
    assert.deepEqual(await reset('--to-latest', '--execute'), { printed: all(10), committed: all(10) });
    await tool('--reset-offsets', '--group', GROUP, '--topic', `${TOPIC}:1`, '--to-offset', '7', '--execute');
    assert.deepEqual(await observer.committed(TOPIC, PARTITIONS), [10, 7, 10]);
    const rows = rowsOf((await tool('--describe', '--group', GROUP)).stdout);
    assert.deepEqual(
      rows.map((row) => row['LAG']),
      ['0', '3', '0'],
    );
  });

  test('deletes offsets of a partition, and the group', async () => {
    const offsets = await tool('--delete-offsets', '--group', GROUP, '--topic', `${TOPIC}:2`);
    assert.match(offsets.stdout, /^tool-topic\s+2\s+Successful/m);
    assert.deepEqual(await observer.committed(TOPIC, PARTITIONS), [10, 7, -1]);
    const { stdout } = await tool('--delete', '--group', GROUP);
    assert.match(stdout, /Deletion of requested consumer groups \('tool-group'\) was successful/);
    assert.deepEqual(await observer.committed(TOPIC, PARTITIONS), [-1, -1, -1]);
    const [list, again] = await Promise.all([tool('--list'), tool('--delete', '--group', GROUP)]);
    assert.equal(list.stdout.trim(), '');
    assert.match(again.stdout, /GroupIdNotFoundException/);
  });
});

async function fillTopic(address: string): Promise<void> {
  const client = new Kafka({ clientId: 'e2e', brokers: [address], logLevel: logLevel.NOTHING });
  const [admin, producer] = [client.admin(), client.producer()];
  await Promise.all([admin.connect(), producer.connect()]);
  const configEntries = [{ name: 'retention.ms', value: '-1' }];
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS, configEntries }] });
  const messages = Array.from({ length: PARTITIONS * RECORDS_PER_PARTITION }, (_, index) => ({
    partition: index % PARTITIONS,
    value: String(index),
    timestamp: String(FIRST_MS + Math.floor(index / PARTITIONS) * 1_000),
  }));
  await producer.send({ topic: TOPIC, messages });
  await Promise.all([admin.disconnect(), producer.disconnect()]);
}

async function untilCommitted(observer: GroupObserver, offset: number): Promise<void> {
  const deadlineMs = performance.now() + COMMIT_DEADLINE_MS;
  for (;;) {
    const committed = await observer.committed(TOPIC, PARTITIONS);
    if (committed?.every((found) => found === offset) === true) return;
    assert.ok(performance.now() < deadlineMs, `committed are ${committed?.join()}, not ${offset} everywhere`);
    await sleep(50);
  }
}
