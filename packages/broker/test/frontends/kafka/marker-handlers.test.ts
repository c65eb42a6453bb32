import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, kafkaErrorName } from '@polylog/kafka-protocol';
import { endTransactionOf } from '@polylog/record';

import { batchOf, produceBody, type TestClient, world, type World } from './harness.ts';

interface Marker {
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly commit?: boolean;
  readonly coordinatorEpoch?: number;
  readonly transactionVersion?: number;
  readonly topics?: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[];
}

async function write(client: TestClient, version: number, marker: Marker): Promise<(string | undefined)[]> {
  const { markers } = await client.call(apis.writeTxnMarkers, version, {
    markers: [
      {
        producerId: marker.producerId ?? 5,
        producerEpoch: marker.producerEpoch ?? 0,
        transactionResult: marker.commit ?? true,
        topics: marker.topics ?? [{ name: 't', partitionIndexes: [0] }],
        coordinatorEpoch: marker.coordinatorEpoch ?? 0,
        ...(marker.transactionVersion === undefined ? {} : { transactionVersion: marker.transactionVersion }),
      },
    ],
  });
  assert.equal(markers[0]!.producerId, marker.producerId ?? 5);
  return markers[0]!.topics.flatMap(({ partitions }) =>
    partitions.map(({ errorCode }) => (errorCode === 0 ? undefined : kafkaErrorName(errorCode))),
  );
}

async function transactionalWorld(): Promise<{ at: World; client: TestClient }> {
  const at = await world({ transactions: { addPartitions: () => Promise.resolve(new Map()) } });
  return { at, client: await at.connect() };
}

const records = (sequence = 0): Uint8Array =>
  batchOf(['v'], { transactional: true, producerId: 5, producerEpoch: 0, baseSequence: sequence });

test('WriteTxnMarkers writes one marker to each partition, and answers for each', async () => {
  const { at, client } = await transactionalWorld();
  const { logs } = at.broker.add('t', { partitions: 2 });
  at.broker.add('away', { elsewhere: true });
  const topics = [
    { name: 't', partitionIndexes: [0, 1, 2] },
    { name: 'away', partitionIndexes: [0] },
    { name: 'nowhere', partitionIndexes: [0] },
  ];
  for (const version of [1, 2]) {
    assert.deepEqual(await write(client, version, { topics, commit: version === 2 }), [
      undefined,
      undefined,
      'UNKNOWN_TOPIC_OR_PARTITION',
      'NOT_LEADER_OR_FOLLOWER',
      'UNKNOWN_TOPIC_OR_PARTITION',
    ]);
  }
  for (const { batches } of logs) {
    const types = batches.map(({ bytes, header }) => endTransactionOf(bytes, header)?.type);
    assert.deepEqual(types, ['abort', 'commit']);
  }
});

test('WriteTxnMarkers says when a marker comes late, and when its coordinator was succeeded', async () => {
  const { at, client } = await transactionalWorld();
  at.broker.add('t');
  await client.call(apis.produce, 12, produceBody('t', records(), { transactionalId: 'mine' }));
  assert.deepEqual(await write(client, 2, { transactionVersion: 2 }), ['INVALID_PRODUCER_EPOCH']);
  assert.deepEqual(await write(client, 2, { transactionVersion: 2, producerEpoch: 1, coordinatorEpoch: 4 }), [
    undefined,
  ]);
  assert.deepEqual(await write(client, 1, { producerEpoch: 1, coordinatorEpoch: 3 }), [
    'TRANSACTION_COORDINATOR_FENCED',
  ]);
  assert.deepEqual(await write(client, 1, { producerEpoch: 0 }), ['INVALID_PRODUCER_EPOCH']);
});

test('DescribeProducers tells what partitions remember, from their leaders', async () => {
  const { at, client } = await transactionalWorld();
  at.broker.add('t', { partitions: 2 });
  at.broker.add('away', { elsewhere: true });
  await client.call(apis.produce, 12, produceBody('t', batchOf(['plain'])));
  await client.call(apis.produce, 12, produceBody('t', records(), { transactionalId: 'mine' }));
  await client.call(apis.produce, 12, produceBody('t', records(1), { transactionalId: 'mine' }));
  await write(client, 1, { producerId: 9, producerEpoch: 2, coordinatorEpoch: 7 });
  const nowMs = at.platform.clock.nowMs();
  const ask = async (topics: { name: string; partitionIndexes: number[] }[]) =>
    (await client.call(apis.describeProducers, 0, { topics })).topics.flatMap(({ partitions }) => partitions);
  const [first, second, third] = await ask([
    { name: 't', partitionIndexes: [0, 1] },
    { name: 'away', partitionIndexes: [0] },
  ]);
  assert.deepEqual(
    first!.activeProducers.map(({ lastTimestamp, ...producer }) => {
      assert.ok(Math.abs(lastTimestamp - nowMs) < 1000);
      return producer;
    }),
    [
      { producerId: 5, producerEpoch: 0, lastSequence: 1, coordinatorEpoch: -1, currentTxnStartOffset: 1 },
      { producerId: 9, producerEpoch: 2, lastSequence: -1, coordinatorEpoch: 7, currentTxnStartOffset: -1 },
    ],
  );
  assert.deepEqual([second!.errorCode, second!.activeProducers], [0, []]);
  assert.equal(kafkaErrorName(third!.errorCode), 'NOT_LEADER_OR_FOLLOWER');
  const twice = await ask([{ name: 't', partitionIndexes: [0, 0] }]);
  assert.deepEqual(
    twice.map(({ errorCode }) => kafkaErrorName(errorCode)),
    ['INVALID_REQUEST', 'INVALID_REQUEST'],
  );
});
