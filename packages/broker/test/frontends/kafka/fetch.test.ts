import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis } from '@polylog/kafka-protocol';

import { BROKER_ID, LEADER_EPOCH, batchOf, fetchBody, produceBody, world } from './harness.ts';
import { withRecords } from './with-records.ts';

// Fetch

test('Fetch answers in every version', async () => {
  const { client, topic } = await withRecords(['a']);
  for (let version = 4; version <= 18; version++) {
    const target = { topic: 't', offset: 0, ...(version >= 13 ? { topicId: topic.image.id } : {}) };
    const { responses } = await client.call(apis.fetch, version, fetchBody([target]));
    const [partition] = responses[0]!.partitions;
    assert.equal(partition!.errorCode, 0);
    assert.equal(partition!.highWatermark, 2);
    assert.ok(partition!.records!.length > 61);
    assert.equal(partition!.abortedTransactions, null);
  }
});

test('an offset inside a batch gives the whole batch', async () => {
  const { client, log } = await withRecords(['a', 'b']);
  const { responses } = await client.call(apis.fetch, 12, fetchBody([{ topic: 't', offset: 1 }]));
  assert.equal(responses[0]!.partitions[0]!.records!.length, log.sizeBytes);
});

test('the first partition with records gives a whole batch above every limit, later ones keep to them', async () => {
  const { client, broker, connect } = await withRecords(['a'.repeat(3000), 'b'.repeat(3000)]);
  broker.add('u');
  await client.call(apis.produce, 9, produceBody('u', batchOf(['c'.repeat(3000)])));
  const other = await connect();
  const body = fetchBody(
    [
      { topic: 't', offset: 4, bytesMax: 1 },
      { topic: 't', offset: 0, bytesMax: 1 },
      { topic: 'u', offset: 0, bytesMax: 1 },
    ],
    { maxBytes: 1 },
  );
  const { responses } = await other.call(apis.fetch, 11, body);
  const lengths = responses.flatMap(({ partitions }) => partitions.map(({ records }) => records!.length));
  assert.equal(lengths.length, 2, 'a partition named twice counts once');
  assert.ok(lengths[0]! > 3000 && lengths[0]! < 7000, 'one batch');
  assert.equal(lengths[1], 0);
});

test('at the end of the log a fetch waits for max_wait and is empty, beyond it is error 1', async () => {
  const { client, sim } = await withRecords(['a']);
  const before = sim.nowMs;
  const empty = await client.call(apis.fetch, 12, fetchBody([{ topic: 't', offset: 2 }], { maxWaitMs: 300 }));
  assert.ok(sim.nowMs - before >= 300);
  assert.equal(empty.responses[0]!.partitions[0]!.errorCode, 0);
  assert.equal(empty.responses[0]!.partitions[0]!.records!.length, 0);
  const beyond = await client.call(
    apis.fetch,
    12,
    fetchBody([{ topic: 't', offset: 3 }], { maxWaitMs: 60_000 }),
  );
  assert.equal(beyond.responses[0]!.partitions[0]!.errorCode, 1);
});

test('a waiting fetch is woken by records, and holds no slices while it waits', async () => {
  const { client, sim, connect, log } = await withRecords([]);
  const fetched = client.send(apis.fetch, 12, fetchBody([{ topic: 't', offset: 0 }], { maxWaitMs: 60_000 }));
  await sim.advance(100);
  const producer = await connect();
  await producer.call(apis.produce, 9, produceBody('t', batchOf(['a'])));
  const { responses } = await sim.settle(fetched, 50);
  assert.equal(responses[0]!.partitions[0]!.highWatermark, 1);
  assert.equal(log.slicesOut, 0);
});

test('min_bytes counts over all partitions', async () => {
  const { sim, connect, broker } = await world();
  broker.add('t', { partitions: 2 });
  const client = await connect();
  const producer = await connect();
  const bytes = batchOf(['x'.repeat(1000)]).length;
  const fetched = client.send(apis.fetch, 12, {
    ...fetchBody([
      { topic: 't', offset: 0 },
      { topic: 't', partition: 1, offset: 0 },
    ]),
    minBytes: 2 * bytes,
    maxWaitMs: 60_000,
  });
  await producer.call(apis.produce, 9, produceBody('t', batchOf(['x'.repeat(1000)])));
  await sim.advance(1000);
  assert.equal(client.unanswered, 1);
  await producer.call(apis.produce, 9, produceBody('t', batchOf(['x'.repeat(1000)]), { partition: 1 }));
  await sim.settle(fetched, 50);
});

test('a waiting fetch ends when its partition goes', async () => {
  const { client, sim, topic } = await withRecords([]);
  const fetched = client.send(apis.fetch, 12, fetchBody([{ topic: 't', offset: 0 }], { maxWaitMs: 60_000 }));
  await sim.advance(100);
  topic.partitions[0]!.close();
  const { responses } = await sim.settle(fetched, 50);
  assert.equal(responses[0]!.partitions[0]!.errorCode, 6);
});

test('leader epochs: an older one is fenced, a newer one unknown', async () => {
  const { client } = await withRecords(['a']);
  const ask = async (currentLeaderEpoch: number) => {
    const { responses } = await client.call(apis.fetch, 12, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [
        {
          topic: 't',
          partitions: [{ partition: 0, currentLeaderEpoch, fetchOffset: 0, partitionMaxBytes: 1 }],
        },
      ],
      forgottenTopicsData: [],
    });
    return responses[0]!.partitions[0]!;
  };
  assert.equal((await ask(LEADER_EPOCH - 1)).errorCode, 74);
  assert.equal((await ask(LEADER_EPOCH - 1)).currentLeader.leaderId, BROKER_ID);
  assert.equal((await ask(LEADER_EPOCH + 1)).errorCode, 75);
  assert.equal((await ask(LEADER_EPOCH)).errorCode, 0);
  assert.equal((await ask(-1)).errorCode, 0);
});

test('a fetch that went beyond the end of its last epoch is told where the logs part', async () => {
  const { client } = await withRecords(['a']);
  const ask = async (lastFetchedEpoch: number, fetchOffset: number) => {
    const { responses } = await client.call(apis.fetch, 12, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [
        { topic: 't', partitions: [{ partition: 0, fetchOffset, lastFetchedEpoch, partitionMaxBytes: 1 }] },
      ],
      forgottenTopicsData: [],
    });
    return responses[0]!.partitions[0]!;
  };
  assert.deepEqual((await ask(LEADER_EPOCH, 2)).divergingEpoch, { epoch: -1, endOffset: -1 });
  assert.deepEqual((await ask(LEADER_EPOCH, 9)).divergingEpoch, { epoch: LEADER_EPOCH, endOffset: 2 });
});

test('followers are refused honestly', async () => {
  const { client } = await withRecords(['a']);
  const body = fetchBody([{ topic: 't', offset: 0 }]);
  assert.equal((await client.call(apis.fetch, 12, { ...body, replicaId: 2 })).errorCode, 42);
  const state = { replicaState: { replicaId: 2 }, topics: [] };
  assert.equal((await client.call(apis.fetch, 17, { ...body, ...state })).errorCode, 42);
  const old = await client.call(apis.fetch, 4, { ...body, replicaId: 2 });
  assert.equal(old.responses[0]!.partitions[0]!.errorCode, 42);
});

test('read_committed carries an empty list of aborted transactions', async () => {
  const { client } = await withRecords(['a']);
  const body = fetchBody([{ topic: 't', offset: 0 }], { isolationLevel: 1 });
  const { responses } = await client.call(apis.fetch, 12, body);
  assert.deepEqual(responses[0]!.partitions[0]!.abortedTransactions, []);
  assert.equal(responses[0]!.partitions[0]!.lastStableOffset, 2);
});

// Fetch sessions (KIP-227)

test('an incremental fetch answers only what changed', async () => {
  const { connect, broker } = await world();
  broker.add('t', { partitions: 2 });
  const client = await connect();
  const both = [
    { topic: 't', offset: 0 },
    { topic: 't', partition: 1, offset: 0 },
  ];
  const first = await client.call(apis.fetch, 12, fetchBody(both, { sessionEpoch: 0, maxWaitMs: 0 }));
  assert.notEqual(first.sessionId, 0);
  assert.equal(first.responses.flatMap(({ partitions }) => partitions).length, 2);
  const { sessionId } = first;
  const quiet = await client.call(
    apis.fetch,
    12,
    fetchBody([], { sessionId, sessionEpoch: 1, maxWaitMs: 0 }),
  );
  assert.deepEqual([quiet.errorCode, quiet.sessionId, quiet.responses.length], [0, sessionId, 0]);
  await client.call(apis.produce, 9, produceBody('t', batchOf(['a']), { partition: 1 }));
  const changed = await client.call(
    apis.fetch,
    12,
    fetchBody([], { sessionId, sessionEpoch: 2, maxWaitMs: 0 }),
  );
  assert.deepEqual(
    changed.responses[0]!.partitions.map(({ partitionIndex }) => partitionIndex),
    [1],
  );
  const moved = fetchBody([{ topic: 't', partition: 1, offset: 1 }], {
    sessionId,
    sessionEpoch: 3,
    maxWaitMs: 0,
  });
  assert.equal((await client.call(apis.fetch, 12, moved)).responses.length, 0);
  const forget = fetchBody([], {
    sessionId,
    sessionEpoch: 4,
    maxWaitMs: 0,
    forgottenTopicsData: [{ topic: 't', partitions: [1] }],
  });
  await client.call(apis.fetch, 12, forget);
  await client.call(apis.produce, 9, produceBody('t', batchOf(['b']), { partition: 1 }));
  const after = await client.call(
    apis.fetch,
    12,
    fetchBody([], { sessionId, sessionEpoch: 5, maxWaitMs: 0 }),
  );
  assert.equal(after.responses.length, 0);
});

test('session errors: 70 unknown, 71 wrong epoch, 106 ids and names mixed', async () => {
  const { client, topic } = await withRecords(['a']);
  const target = [{ topic: 't', offset: 0 }];
  const { sessionId } = await client.call(apis.fetch, 12, fetchBody(target, { sessionEpoch: 0 }));
  const ask = async (version: number, id: number, sessionEpoch: number) => {
    const answer = await client.call(
      apis.fetch,
      version,
      fetchBody([], { sessionId: id, sessionEpoch, maxWaitMs: 0 }),
    );
    return answer.errorCode;
  };
  assert.equal(await ask(12, sessionId + 1, 1), 70);
  assert.equal(await ask(12, sessionId, 7), 71);
  assert.equal(await ask(13, sessionId, 1), 106);
  assert.equal(await ask(12, sessionId, 1), 0);
  // A full fetch with epoch -1 ends the session.
  await client.call(apis.fetch, 12, fetchBody(target, { sessionId, sessionEpoch: -1 }));
  assert.equal(await ask(12, sessionId, 2), 70);
  const byId = fetchBody([{ topic: '', topicId: topic.image.id, offset: 0 }], { sessionEpoch: 0 });
  assert.notEqual((await client.call(apis.fetch, 13, byId)).sessionId, 0);
});

test('an error in a session is answered again until it is gone', async () => {
  const { client, broker } = await withRecords(['a']);
  const target = [
    { topic: 't', offset: 2 },
    { topic: 'later', offset: 0 },
  ];
  const { sessionId } = await client.call(apis.fetch, 12, fetchBody(target, { sessionEpoch: 0 }));
  const ask = async (sessionEpoch: number) => {
    const answer = await client.call(
      apis.fetch,
      12,
      fetchBody([], { sessionId, sessionEpoch, maxWaitMs: 0 }),
    );
    return answer.responses.map(({ topic, partitions }) => [topic, partitions[0]!.errorCode]);
  };
  assert.deepEqual(await ask(1), [['later', 3]]);
  assert.deepEqual(await ask(2), [['later', 3]]);
  broker.add('later');
  assert.deepEqual(await ask(3), [['later', 0]]);
  assert.deepEqual(await ask(4), []);
});

test('a partition that gave records goes behind those that wait', async () => {
  const { connect, broker } = await world();
  broker.add('t', { partitions: 3 });
  const client = await connect();
  const targets = [0, 1, 2].map((partition) => ({ topic: 't', partition, offset: 0 }));
  for (const { partition } of targets) {
    await client.call(apis.produce, 9, produceBody('t', batchOf(['x'.repeat(1000)]), { partition }));
  }
  const first = await client.call(apis.fetch, 12, fetchBody(targets, { sessionEpoch: 0, maxBytes: 1 }));
  const { sessionId } = first;
  const given = (answer: typeof first) =>
    answer.responses.flatMap(({ partitions }) =>
      partitions.filter(({ records }) => records!.length > 0).map(({ partitionIndex }) => partitionIndex),
    );
  const order = [given(first)];
  for (const sessionEpoch of [1, 2, 3]) {
    order.push(
      given(await client.call(apis.fetch, 12, fetchBody([], { sessionId, sessionEpoch, maxBytes: 1 }))),
    );
  }
  assert.deepEqual(order, [[0], [1], [2], [0]]);
});

test('the session cache is bounded; only sessions that were left alone make room', async () => {
  const { sim, connect, broker } = await world({
    limits: { fetchSessionsMax: 2, fetchSessionEvictionMs: 10_000 },
  });
  broker.add('t');
  const client = await connect();
  const open = async () => {
    const body = fetchBody([{ topic: 't', offset: 0 }], { sessionEpoch: 0, maxWaitMs: 0 });
    return (await client.call(apis.fetch, 12, body)).sessionId;
  };
  const ids = [await open(), await open()];
  assert.ok(ids.every((id) => id > 0));
  assert.equal(await open(), 0);
  await sim.advance(11_000);
  assert.notEqual(await open(), 0);
  const gone = fetchBody([], { sessionId: ids[0]!, sessionEpoch: 1 });
  assert.equal((await client.call(apis.fetch, 12, gone)).errorCode, 70);
});
