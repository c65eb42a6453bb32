import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, OFFSET_LATEST } from '@polylog/kafka-protocol';

import { batchOf, fetchBody, type TestBroker, type TestClient, world, type World } from './harness.ts';

interface Read {
  readonly bytes: number;
  readonly aborted: readonly (readonly [producerId: number, firstOffset: number])[] | undefined;
  readonly lastStableOffset: number;
  readonly highWatermark: number;
}

async function append(
  { sim, broker }: World,
  batches: readonly { producerId?: number; sequence?: number }[],
): Promise<void> {
  const partition = broker.get('t', 0)!;
  for (const { producerId, sequence = 0 } of batches) {
    const producer = { producerId: producerId ?? -1, producerEpoch: 0, baseSequence: sequence };
    const verification =
      producerId === undefined ? 0 : Number(partition.startVerification(producer, false, 0));
    const records = batchOf(['v'], producerId === undefined ? {} : { ...producer, transactional: true });
    const options = { requiredAcks: -1, nowMs: 0, origin: 'client', verification } as const;
    partition.append(records, options, (result) => assert.equal(result.error, undefined));
  }
  await sim.advance(1);
}

async function end({ sim, broker }: World, producerId: number, result: 'commit' | 'abort'): Promise<void> {
  const marker = { producerId, producerEpoch: 0, result, coordinatorEpoch: 0, transactionVersion: 1 };
  broker.get('t', 0)!.appendMarker(marker, 0, (answer) => assert.equal(answer.error, undefined));
  await sim.advance(1);
}

async function read(
  client: TestClient,
  offset: number,
  isolationLevel: 0 | 1,
  bytesMax = 1 << 20,
): Promise<Read> {
  const body = fetchBody([{ topic: 't', offset, bytesMax }], { isolationLevel, maxWaitMs: 0 });
  const { responses } = await client.call(apis.fetch, 12, body);
  const { records, abortedTransactions, lastStableOffset, highWatermark } = responses[0]!.partitions[0]!;
  return {
    bytes: records?.length ?? 0,
    aborted: abortedTransactions?.map(({ producerId, firstOffset }) => [producerId, firstOffset] as const),
    lastStableOffset,
    highWatermark,
  };
}

function sizeOf(broker: TestBroker, from: number, to: number): number {
  return broker.topics
    .get('t')!
    .logs[0]!.batches.slice(from, to)
    .reduce((sum, { bytes }) => sum + bytes.length, 0);
}

test('read_committed ends at the last stable offset, and names the aborted transactions of what it gives', async () => {
  const at = await world();
  at.broker.add('t');
  const client = await at.connect();
  // 0: plain, 1 and 3: of producer 1, aborted at 4, 2: of producer 2, committed at 5, 6: of producer 1, open
  await append(at, [{}, { producerId: 1 }, { producerId: 2 }, { producerId: 1, sequence: 1 }]);
  await end(at, 1, 'abort');
  await end(at, 2, 'commit');
  await append(at, [{ producerId: 1, sequence: 2 }, {}]);
  assert.deepEqual(await read(client, 0, 1), {
    bytes: sizeOf(at.broker, 0, 6),
    aborted: [[1, 1]],
    lastStableOffset: 6,
    highWatermark: 8,
  });
  assert.deepEqual(await read(client, 0, 0), {
    bytes: sizeOf(at.broker, 0, 8),
    aborted: undefined,
    lastStableOffset: 6,
    highWatermark: 8,
  });
  assert.deepEqual((await read(client, 5, 1)).aborted, []);
  assert.deepEqual((await read(client, 0, 1, 1)).aborted, []);
  assert.deepEqual((await read(client, 4, 1)).aborted, [[1, 1]]);
  assert.deepEqual(await read(client, 7, 1), {
    bytes: 0,
    aborted: [],
    lastStableOffset: 6,
    highWatermark: 8,
  });
});

test('a waiting read_committed fetch is answered when the transaction ends, not when it is written', async () => {
  const at = await world();
  at.broker.add('t');
  const client = await at.connect();
  let answered = false;
  const body = fetchBody([{ topic: 't', offset: 0 }], { isolationLevel: 1, maxWaitMs: 10_000 });
  const waiting = client.send(apis.fetch, 12, body).finally(() => (answered = true));
  await append(at, [{ producerId: 1 }, {}]);
  await at.sim.advance(100);
  assert.equal(answered, false);
  await end(at, 1, 'commit');
  const { responses } = await at.sim.settle(waiting, 100);
  assert.equal(responses[0]!.partitions[0]!.records?.length, sizeOf(at.broker, 0, 3));
});

test('ListOffsets tells the last stable offset as the end to those who read what is committed', async () => {
  const at = await world();
  at.broker.add('t');
  const client = await at.connect();
  await append(at, [{}, { producerId: 1 }, {}]);
  const latest = async (isolationLevel: 0 | 1): Promise<number> => {
    const partitions = [{ partitionIndex: 0, timestamp: OFFSET_LATEST }];
    const { topics } = await client.call(apis.listOffsets, 6, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name: 't', partitions }],
    });
    return topics[0]!.partitions[0]!.offset;
  };
  assert.deepEqual([await latest(0), await latest(1)], [3, 1]);
  await end(at, 1, 'abort');
  assert.deepEqual([await latest(0), await latest(1)], [4, 4]);
});
