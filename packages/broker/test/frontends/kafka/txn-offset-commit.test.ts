import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apis, kafkaErrorName, type InitOf, type MessageOf } from '@polylog/kafka-protocol';
import { isTransactional } from '@polylog/record';
import { OFFSETS_TOPIC } from '../../../src/cluster/topic-names.ts';
import { statePartitionOf } from '../../../src/coordinator/partitioning.core.ts';
import type { ErrorName } from '../../../src/errors.ts';
import { TransactionMarkers } from '../../../src/topics/transaction-markers.ts';
import { groupWorld, type GroupWorld } from './group-world.ts';

const STATE_PARTITIONS = 3;

function nameOf(code: number): string | undefined {
  return code === 0 ? undefined : kafkaErrorName(code);
}

type Request = InitOf<typeof apis.txnOffsetCommit.request>;
type Response = MessageOf<typeof apis.txnOffsetCommit.response>;

/** For an offset of partition 0 of `input`, of the group `g`. */
function requestOf(more: Partial<Request> = {}): Request {
  return {
    transactionalId: 'mine',
    groupId: 'g',
    producerId: 5,
    producerEpoch: 0,
    memberId: '',
    topics: [
      { name: 'input', partitions: [{ partitionIndex: 0, committedOffset: 7, committedMetadata: 'm' }] },
    ],
    ...more,
  };
}

function errorsOf({ topics }: Response): (string | undefined)[] {
  return topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => nameOf(errorCode)));
}

async function commit(
  { client }: GroupWorld,
  version: number,
  more: Partial<Request> = {},
): Promise<(string | undefined)[]> {
  return errorsOf(await client.call(apis.txnOffsetCommit, version, requestOf(more)));
}

/** What is committed for partition 0, and the error, if any. */
async function fetched(
  { client }: GroupWorld,
  version: number,
  requireStable: boolean,
): Promise<[offset: number, error: string | undefined]> {
  const topics = [{ name: 'input', partitionIndexes: [0] }];
  const asked = version >= 8 ? { groups: [{ groupId: 'g', topics }] } : { groupId: 'g', topics };
  const response = await client.call(apis.offsetFetch, version, { ...asked, requireStable });
  const answer = version >= 8 ? response.groups[0]! : response;
  const { committedOffset, errorCode } = answer.topics[0]!.partitions[0]!;
  return [committedOffset, nameOf(errorCode)];
}

/** Writes the marker as the coordinator of transactions would. */
function endTransaction(
  { world, groups }: GroupWorld,
  result: 'commit' | 'abort',
): Promise<ErrorName | undefined> {
  const markers = new TransactionMarkers({ partitions: world.broker, clock: world.platform.clock });
  markers.route(OFFSETS_TOPIC, groups);
  const partitions = [{ topic: OFFSETS_TOPIC, partition: statePartitionOf('g', STATE_PARTITIONS) }];
  const marker = { producerId: 5, producerEpoch: 0, result, coordinatorEpoch: 0, transactionVersion: 1 };
  const written = markers.writeTxnMarkers({ markers: [{ ...marker, partitions }] });
  return world.sim.settle(written.then(([failures]) => [...failures!.values()][0]));
}

for (let version = 0; version <= 5; version++) {
  test(`TxnOffsetCommit v${version} stores offsets that count when the transaction is committed`, async () => {
    const made = await groupWorld();
    assert.deepEqual(await commit(made, version), [undefined]);
    assert.deepEqual(made.transactions.asked, [
      {
        transactionalId: 'mine',
        producerId: 5,
        producerEpoch: 0,
        partitions: [{ topic: OFFSETS_TOPIC, partition: statePartitionOf('g', STATE_PARTITIONS) }],
        mode: version >= 5 ? 'add' : 'verify',
      },
    ]);
    assert.deepEqual(await fetched(made, 7, false), [-1, undefined]);
    assert.deepEqual(await commit(made, version), [undefined]);
    assert.equal(made.transactions.asked.length, 1, 'the transaction is open in the log');
    assert.equal(await endTransaction(made, 'commit'), undefined);
    assert.deepEqual(await fetched(made, 7, true), [7, undefined]);
  });
}

test('the batch is one of the transaction, without a sequence, as Kafka writes it', async () => {
  const made = await groupWorld();
  await commit(made, 5, { producerEpoch: 3 });
  const log = made.world.broker.topics.get(OFFSETS_TOPIC)!.logs[statePartitionOf('g', STATE_PARTITIONS)]!;
  const { header } = log.batches.at(-1)!;
  assert.ok(isTransactional(header.attributes));
  assert.deepEqual([header.producerId, header.producerEpoch, header.baseSequence], [5, 3, -1]);
});

for (const version of [7, 8, 9]) {
  test(`OffsetFetch v${version} says which offsets are not stable, if it is asked to`, async () => {
    const made = await groupWorld();
    await commit(made, 5);
    assert.deepEqual(await fetched(made, version, true), [-1, 'UNSTABLE_OFFSET_COMMIT']);
    assert.deepEqual(await fetched(made, version, false), [-1, undefined]);
    await endTransaction(made, 'abort');
    assert.deepEqual(await fetched(made, version, true), [-1, undefined]);
  });
}

const TOLD: readonly (readonly [said: ErrorName, version: number, told: string])[] = [
  ['INVALID_TXN_STATE', 3, 'INVALID_TXN_STATE'],
  ['INVALID_PRODUCER_ID_MAPPING', 5, 'INVALID_PRODUCER_ID_MAPPING'],
  ['PRODUCER_FENCED', 5, 'INVALID_PRODUCER_EPOCH'],
  ['CONCURRENT_TRANSACTIONS', 5, 'CONCURRENT_TRANSACTIONS'],
  ['NOT_COORDINATOR', 5, 'NOT_COORDINATOR'],
  ['COORDINATOR_LOAD_IN_PROGRESS', 1, 'COORDINATOR_NOT_AVAILABLE'],
  ['COORDINATOR_LOAD_IN_PROGRESS', 2, 'COORDINATOR_LOAD_IN_PROGRESS'],
  ['TRANSACTION_ABORTABLE', 3, 'INVALID_TXN_STATE'],
  ['TRANSACTION_ABORTABLE', 4, 'TRANSACTION_ABORTABLE'],
];

for (const [said, version, told] of TOLD) {
  test(`${said} of the transaction's coordinator is ${told} to TxnOffsetCommit v${version}, and nothing is stored`, async () => {
    const made = await groupWorld();
    made.transactions.answers = [said];
    assert.deepEqual(await commit(made, version), [told]);
    assert.deepEqual(await fetched(made, 7, true), [-1, undefined]);
  });
}

test('who is not in the group, or was there before, commits nothing (KIP-447)', async () => {
  const made = await groupWorld();
  assert.deepEqual(await commit(made, 3, { generationId: 1, memberId: 'm' }), ['ILLEGAL_GENERATION']);
  await commit(made, 3);
  assert.deepEqual(await commit(made, 3, { memberId: 'm', generationId: 1 }), ['UNKNOWN_MEMBER_ID']);
  const asMember = { memberId: 'm', generationId: 1, groupInstanceId: 'i' };
  assert.deepEqual(await commit(made, 3, asMember), ['UNKNOWN_MEMBER_ID']);
});

test('each partition has its own answer; only what may be stored is', async () => {
  const made = await groupWorld();
  const committedMetadata = 'x'.repeat(4097);
  const partitions = [
    { partitionIndex: 0, committedOffset: 1, committedMetadata: null },
    { partitionIndex: 1, committedOffset: 1, committedMetadata },
    { partitionIndex: 2, committedOffset: 1, committedMetadata: null },
  ];
  const topics = [
    { name: 'input', partitions },
    { name: 'unknown', partitions: partitions.slice(0, 1) },
  ];
  assert.deepEqual(await commit(made, 5, { topics }), [
    undefined,
    'OFFSET_METADATA_TOO_LARGE',
    'UNKNOWN_TOPIC_OR_PARTITION',
    'UNKNOWN_TOPIC_OR_PARTITION',
  ]);
  assert.deepEqual(await commit(made, 5, { topics: topics.slice(1) }), ['UNKNOWN_TOPIC_OR_PARTITION']);
  assert.deepEqual(await commit(made, 5, { groupId: '' }), ['INVALID_GROUP_ID']);
});

test('a producer that was fenced in the log is told, and the coordinator goes on', async () => {
  const made = await groupWorld();
  assert.deepEqual(await commit(made, 5, { producerEpoch: 2 }), [undefined]);
  assert.deepEqual(await commit(made, 5, { producerEpoch: 1 }), ['INVALID_PRODUCER_EPOCH']);
  assert.equal(made.groups.shardCounters.resets, 0);
});

test('a marker that comes while the coordinator is asked keeps the offsets of its transaction out', async () => {
  const made = await groupWorld();
  let goOn = (): void => undefined;
  made.transactions.pause = new Promise((resolve) => (goOn = resolve));
  const late = made.client.send(apis.txnOffsetCommit, 4, requestOf());
  await made.world.sim.advance(20);
  assert.equal(made.transactions.asked.length, 1);
  assert.equal(await endTransaction(made, 'abort'), undefined);
  goOn();
  assert.deepEqual(errorsOf(await made.world.sim.settle(late)), ['INVALID_TXN_STATE']);
  assert.deepEqual(await fetched(made, 7, true), [-1, undefined]);
});

test('a marker of the last transaction that comes while the coordinator is asked does not keep the offsets of the next one out', async () => {
  const made = await groupWorld();
  let goOn = (): void => undefined;
  made.transactions.pause = new Promise((resolve) => (goOn = resolve));
  const next = made.client.send(apis.txnOffsetCommit, 5, requestOf());
  await made.world.sim.advance(20);
  assert.equal(await endTransaction(made, 'abort'), undefined);
  goOn();
  assert.deepEqual(errorsOf(await made.world.sim.settle(next)), [undefined]);
  assert.equal(made.transactions.asked.length, 2);
});
