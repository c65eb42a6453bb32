import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, kafkaErrorName } from '@polylog/kafka-protocol';

import type { ErrorName } from '../../../src/errors.ts';
import { FakeCoordinator } from './fake-coordinator.ts';
import { batchOf, produceBody, type TestBroker, type TestClient, world } from './harness.ts';

function transactional(sequence = 0, values = ['v'], producerId = 5): Uint8Array {
  return batchOf(values, { transactional: true, producerId, producerEpoch: 0, baseSequence: sequence });
}

async function produce(
  client: TestClient,
  version: number,
  records: Uint8Array,
  options: Parameters<typeof produceBody>[2] = {},
): Promise<{ error: string | undefined; baseOffset: number }> {
  const body = produceBody('t', records, { transactionalId: 'mine', ...options });
  const { responses } = await client.call(apis.produce, version, body);
  const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
  return { error: errorCode === 0 ? undefined : kafkaErrorName(errorCode), baseOffset };
}

function endTransaction(
  broker: TestBroker,
  result: 'commit' | 'abort' = 'commit',
  { producerEpoch = 0, transactionVersion = 1 } = {},
): void {
  const partition = broker.get('t', 0)!;
  const end = { producerId: 5, producerEpoch, result, coordinatorEpoch: 0, transactionVersion };
  partition.appendMarker(end, 0, () => undefined);
}

for (const [version, mode] of [
  [11, 'verify'],
  [12, 'add'],
] as const) {
  test(`Produce v${version} asks the coordinator to ${mode} before the first batch of a transaction in a partition, and not again`, async () => {
    const transactions = new FakeCoordinator();
    const { connect, broker } = await world({ transactions });
    broker.add('t');
    const client = await connect();
    assert.deepEqual(await produce(client, version, transactional()), { error: undefined, baseOffset: 0 });
    assert.deepEqual(await produce(client, version, transactional(1)), { error: undefined, baseOffset: 1 });
    assert.deepEqual(transactions.asked, [
      {
        transactionalId: 'mine',
        producerId: 5,
        producerEpoch: 0,
        partitions: [{ topic: 't', partition: 0 }],
        mode,
      },
    ]);
    endTransaction(broker);
    assert.equal((await produce(client, version, transactional(2))).error, undefined);
    assert.equal(transactions.asked.length, 2);
  });
}

test('the coordinator is asked once for all partitions of a request', async () => {
  const transactions = new FakeCoordinator();
  const { connect, broker } = await world({ transactions });
  const { image } = broker.add('t', { partitions: 3 });
  broker.add('u');
  const client = await connect();
  await produce(client, 12, transactional(), { partition: 1 });
  const { responses } = await client.call(apis.produce, 12, {
    transactionalId: 'mine',
    acks: -1,
    timeoutMs: 1000,
    topicData: [
      { name: 't', partitionData: [0, 1, 2].map((index) => ({ index, records: transactional(index % 2) })) },
      { name: 'u', partitionData: [{ index: 0, records: transactional() }] },
    ],
  });
  const codes = responses.flatMap((topic) => topic.partitionResponses.map(({ errorCode }) => errorCode));
  assert.deepEqual(codes, [0, 0, 0, 0]);
  assert.deepEqual(transactions.asked[1]?.partitions, [
    { topic: 't', partition: 0 },
    { topic: 't', partition: 2 },
    { topic: 'u', partition: 0 },
  ]);
  assert.equal(image.partitions.length, 3);
});

const TOLD: readonly (readonly [said: ErrorName, version: number, told: string])[] = [
  ['INVALID_TXN_STATE', 12, 'INVALID_TXN_STATE'],
  ['INVALID_PRODUCER_ID_MAPPING', 12, 'INVALID_PRODUCER_ID_MAPPING'],
  ['PRODUCER_FENCED', 12, 'INVALID_PRODUCER_EPOCH'],
  ['NOT_COORDINATOR', 12, 'NOT_ENOUGH_REPLICAS'],
  ['COORDINATOR_NOT_AVAILABLE', 12, 'NOT_ENOUGH_REPLICAS'],
  ['COORDINATOR_LOAD_IN_PROGRESS', 9, 'NOT_ENOUGH_REPLICAS'],
  ['CONCURRENT_TRANSACTIONS', 11, 'NOT_ENOUGH_REPLICAS'],
  ['CONCURRENT_TRANSACTIONS', 12, 'CONCURRENT_TRANSACTIONS'],
  ['TRANSACTION_ABORTABLE', 10, 'INVALID_TXN_STATE'],
  ['TRANSACTION_ABORTABLE', 11, 'TRANSACTION_ABORTABLE'],
];

for (const [said, version, told] of TOLD) {
  test(`${said} of the coordinator is ${told} to a producer of v${version}, and nothing is written`, async () => {
    const transactions = new FakeCoordinator();
    transactions.answers = [said];
    const { connect, broker } = await world({ transactions });
    const { logs } = broker.add('t');
    const client = await connect();
    assert.equal((await produce(client, version, transactional())).error, told);
    assert.equal(logs[0]!.endOffset, 0);
  });
}

test('a coordinator that is still ending the last transaction is asked again for a while', async () => {
  const transactions = new FakeCoordinator();
  transactions.answers = ['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS', undefined];
  const { connect, broker } = await world({ transactions });
  broker.add('t');
  const client = await connect();
  assert.equal((await produce(client, 12, transactional())).error, undefined);
  assert.equal(transactions.asked.length, 3);
});

test('a connection keeps its order while the coordinator is asked', async () => {
  const transactions = new FakeCoordinator();
  let agree: () => void = () => undefined;
  transactions.pause = new Promise((resolve) => (agree = resolve));
  const { sim, connect, broker } = await world({ transactions });
  broker.add('t');
  const client = await connect();
  const other = await connect();
  const first = client.send(apis.produce, 12, produceBody('t', transactional(), { transactionalId: 'mine' }));
  const second = client.send(apis.produce, 12, produceBody('t', batchOf(['plain'])));
  await other.call(apis.produce, 12, produceBody('t', batchOf(['of another connection'])));
  agree();
  const offsets = [];
  for (const answer of [first, second])
    offsets.push((await sim.settle(answer)).responses[0]!.partitionResponses[0]!.baseOffset);
  assert.deepEqual(offsets, [1, 2]);
});

const ENDED_MEANWHILE = [
  // Of the transaction that is asked about, with one epoch for all of them.
  { version: 11, marker: { producerEpoch: 0, transactionVersion: 1 }, told: 'INVALID_TXN_STATE', asked: 1 },
  // The same with an epoch for each: the marker has the next one's.
  {
    version: 12,
    marker: { producerEpoch: 1, transactionVersion: 2 },
    told: 'INVALID_PRODUCER_EPOCH',
    asked: 1,
  },
  // Of the transaction before, whose markers were late.
  { version: 12, marker: { producerEpoch: 0, transactionVersion: 2 }, told: 'NONE', asked: 2 },
] as const;

for (const { version, marker, told, asked } of ENDED_MEANWHILE) {
  test(`a marker of epoch ${marker.producerEpoch} that is written while the coordinator is asked: Produce v${version} is told ${told}`, async () => {
    const transactions = new FakeCoordinator();
    let agree: () => void = () => undefined;
    transactions.pause = new Promise((resolve) => (agree = resolve));
    const { sim, connect, broker } = await world({ transactions });
    const { logs } = broker.add('t');
    const client = await connect();
    const body = produceBody('t', transactional(), { transactionalId: 'mine' });
    const answer = client.send(apis.produce, version, body);
    await sim.advance(10);
    assert.equal(transactions.asked.length, 1);
    endTransaction(broker, 'abort', marker);
    await sim.advance(10);
    agree();
    const { errorCode } = (await sim.settle(answer)).responses[0]!.partitionResponses[0]!;
    assert.equal(kafkaErrorName(errorCode), told);
    assert.equal(transactions.asked.length, asked);
    assert.equal(logs[0]!.endOffset, told === 'NONE' ? 2 : 1);
  });
}

test('a coordinator that does not answer holds up a connection no longer than the client waits', async () => {
  const transactions = new FakeCoordinator();
  transactions.pause = new Promise(() => undefined);
  const { connect, broker } = await world({ transactions });
  broker.add('t');
  const client = await connect();
  assert.equal((await produce(client, 12, transactional(), { timeoutMs: 300 })).error, 'NOT_ENOUGH_REPLICAS');
  assert.equal((await produce(client, 12, batchOf(['plain']))).error, undefined);
});

test('one request has one producer, and a transactional id', async () => {
  const transactions = new FakeCoordinator();
  const { connect, broker } = await world({ transactions });
  const { logs } = broker.add('t', { partitions: 2 });
  const client = await connect();
  const { responses } = await client.call(apis.produce, 12, {
    transactionalId: 'mine',
    acks: -1,
    timeoutMs: 1000,
    topicData: [
      {
        name: 't',
        partitionData: [5, 6].map((id, index) => ({ index, records: transactional(0, ['v'], id) })),
      },
    ],
  });
  const names = responses[0]!.partitionResponses.map(({ errorCode }) => kafkaErrorName(errorCode));
  assert.deepEqual(names, ['INVALID_PRODUCER_ID_MAPPING', 'INVALID_PRODUCER_ID_MAPPING']);
  const body = produceBody('t', transactional());
  const without = await client.call(apis.produce, 12, body);
  assert.equal(
    kafkaErrorName(without.responses[0]!.partitionResponses[0]!.errorCode),
    'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  );
  assert.deepEqual(
    logs.map(({ endOffset }) => endOffset),
    [0, 0],
  );
  assert.equal(transactions.asked.length, 0);
});

test('batches that are not of a transaction are not asked about', async () => {
  const transactions = new FakeCoordinator();
  const { connect, broker } = await world({ transactions });
  broker.add('t');
  const client = await connect();
  const idempotent = batchOf(['v'], { producerId: 5, producerEpoch: 0, baseSequence: 0 });
  assert.equal((await produce(client, 12, idempotent)).error, undefined);
  assert.equal(transactions.asked.length, 0);
});

test('a transaction goes the slow way of a compacted topic, and stays verified', async () => {
  const transactions = new FakeCoordinator();
  const { connect, broker } = await world({ transactions });
  broker.add('t', { configs: { 'cleanup.policy': 'compact' } });
  const client = await connect();
  const keyed = batchOf(['v'], {
    keys: true,
    transactional: true,
    producerId: 5,
    producerEpoch: 0,
    baseSequence: 0,
  });
  assert.equal((await produce(client, 12, keyed)).error, undefined);
});
