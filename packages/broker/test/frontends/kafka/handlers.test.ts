import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, encodeRequest, kafkaErrorName, kafkaErrors } from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';

import { featuresIn } from '../../../src/frontends/kafka/handlers/api-versions.ts';
import { ComputeError } from '../../../src/platform/compute.ts';
import { BROKER_ID, LEADER_EPOCH, NOW_MS, PORT, batchOf, fetchBody, produceBody, world } from './harness.ts';

const MISSING_ID = 'bWlzc2luZ21pc3NpbmdtaQ';
const SOFTWARE = { clientSoftwareName: 'x', clientSoftwareVersion: '1.0' };

// ApiVersions

test('ApiVersions lists what is served, with Produce from 0 although it is accepted from 3', async () => {
  const { connect } = await world();
  const client = await connect();
  for (const version of [0, 1, 2, 3, 4]) {
    const { errorCode, apiKeys } = await client.call(apis.apiVersions, version, version >= 3 ? SOFTWARE : {});
    assert.equal(errorCode, 0);
    const range = (key: number) => {
      const found = apiKeys.find(({ apiKey }) => apiKey === key);
      return found === undefined ? undefined : [found.minVersion, found.maxVersion];
    };
    assert.deepEqual([0, 1, 2, 3, 18].map(range), [
      [0, 13],
      [4, 18],
      [1, 11],
      [0, 13],
      [0, 4],
    ]);
    assert.deepEqual(
      apiKeys.map(({ apiKey }) => apiKey),
      apiKeys.map(({ apiKey }) => apiKey).toSorted((a, b) => a - b),
    );
  }
});

test('an unknown ApiVersions version is answered in v0 with error 35 and the list, and the connection stays', async () => {
  const { sim, connect } = await world();
  const client = await connect();
  const chunks = encodeRequest(apis.apiVersions as never, 3, 77, 'c', SOFTWARE as never);
  const bytes = Buffer.concat(chunks);
  bytes.writeInt16BE(99, 6);
  let answer: Buffer = Buffer.alloc(0);
  client.takesAnything = true;
  client.onFrame = (frame) => void (answer = frame);
  client.raw(bytes);
  await sim.runUntil(() => answer.length > 0, 1000);
  assert.equal(answer.readInt32BE(0), 77);
  assert.equal(answer.readInt16BE(4), 35);
  assert.ok(answer.readInt32BE(6) > 5, 'v0: an int32 count of keys');
  assert.equal((await client.call(apis.apiVersions, 3, SOFTWARE)).errorCode, 0);
});

test('a malformed software name is error 42', async () => {
  const { connect } = await world();
  const client = await connect();
  const answer = await client.call(apis.apiVersions, 3, { ...SOFTWARE, clientSoftwareName: '-x' });
  assert.equal(answer.errorCode, 42);
});

test('features with minimum 0 are left out before v4', () => {
  const features = [
    { name: 'a', minVersion: 0, maxVersion: 1 },
    { name: 'b', minVersion: 1, maxVersion: 1 },
  ];
  assert.deepEqual(
    featuresIn(3, features).map(({ name }) => name),
    ['b'],
  );
  assert.equal(featuresIn(4, features).length, 2);
});

// Metadata

test('Metadata: null asks for all topics, an empty list for none, but in v0 for all', async () => {
  const { connect, broker } = await world();
  broker.add('a');
  broker.add('b', { partitions: 3 });
  const client = await connect();
  const names = async (version: number, topics: null | []) =>
    (await client.call(apis.metadata, version, { topics })).topics.map(({ name }) => name);
  assert.deepEqual(await names(0, []), ['a', 'b']);
  assert.deepEqual(await names(1, null), ['a', 'b']);
  assert.deepEqual(await names(1, []), []);
  assert.deepEqual(await names(13, null), ['a', 'b']);
});

test('Metadata names brokers, leaders, epochs and ids', async () => {
  const { connect, broker } = await world();
  const topic = broker.add('a', { partitions: 2 });
  const client = await connect();
  const answer = await client.call(apis.metadata, 12, { topics: [{ name: 'a' }] });
  assert.equal(answer.clusterId, 'test-cluster');
  assert.equal(answer.controllerId, BROKER_ID);
  assert.deepEqual(answer.brokers[0], { nodeId: BROKER_ID, host: '127.0.0.1', port: PORT, rack: null });
  const [found] = answer.topics;
  assert.equal(found!.topicId, topic.image.id);
  assert.deepEqual(
    found!.partitions.map(({ leaderId, leaderEpoch, partitionIndex }) => [
      leaderId,
      leaderEpoch,
      partitionIndex,
    ]),
    [
      [BROKER_ID, LEADER_EPOCH, 0],
      [BROKER_ID, LEADER_EPOCH, 1],
    ],
  );
});

test('Metadata creates a missing topic only if client and broker agree', async () => {
  const { connect, broker } = await world();
  const client = await connect();
  const ask = async (version: number, allow: boolean, name: string) => {
    const answer = await client.call(apis.metadata, version, {
      topics: [{ name }],
      ...(version >= 4 ? { allowAutoTopicCreation: allow } : {}),
    });
    return [answer.topics[0]!.errorCode, answer.topics[0]!.partitions.length];
  };
  assert.deepEqual(await ask(4, false, 'new'), [3, 0]);
  assert.deepEqual(await ask(9, true, 'new'), [0, 1]);
  assert.deepEqual(await ask(1, true, 'newer'), [0, 1]);
  assert.deepEqual(await ask(9, true, 'refused'), [44, 0]);
  for (const name of ['a b', '..', '', 'x'.repeat(250)]) assert.deepEqual(await ask(9, true, name), [17, 0]);
  assert.deepEqual(broker.created, ['new', 'newer']);
});

test('Metadata by id: unknown ids are error 100, and v10 refuses ids', async () => {
  const { connect, broker } = await world();
  const topic = broker.add('a');
  const client = await connect();
  const { topics } = await client.call(apis.metadata, 12, {
    topics: [
      { topicId: topic.image.id, name: null },
      { topicId: MISSING_ID, name: null },
    ],
  });
  assert.deepEqual(
    topics.map(({ name, errorCode }) => [name, errorCode]),
    [
      ['a', 0],
      [null, 100],
    ],
  );
  const refused = await client.call(apis.metadata, 10, { topics: [{ topicId: topic.image.id, name: 'a' }] });
  assert.equal(refused.topics[0]!.errorCode, 42);
});

// Produce

test('Produce answers in every version', async () => {
  const { connect, broker } = await world();
  const { image } = broker.add('t');
  const client = await connect();
  for (let version = 3; version <= 13; version++) {
    const topicId = version >= 13 ? { topicId: image.id } : {};
    const body = produceBody('t', batchOf(['v']), topicId);
    const { responses } = await client.call(apis.produce, version, body);
    assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0);
    assert.equal(responses[0]!.partitionResponses[0]!.baseOffset, version - 3);
  }
});

test('unknown topics, partitions, ids and leaders elsewhere are errors of their partition', async () => {
  const { connect, broker } = await world();
  broker.add('t');
  const away = broker.add('away', { elsewhere: true });
  broker.add('inside', { kind: 'internal' });
  const client = await connect();
  const one = async (
    version: number,
    topic: string,
    options: { partition?: number; topicId?: string } = {},
  ) => {
    const answer = await client.call(apis.produce, version, produceBody(topic, batchOf(['v']), options));
    return { ...answer.responses[0]!.partitionResponses[0]!, endpoints: answer.nodeEndpoints };
  };
  assert.equal((await one(9, 'nowhere')).errorCode, 3);
  assert.equal((await one(9, 't', { partition: 1 })).errorCode, 3);
  assert.equal((await one(9, 't', { partition: -1 })).errorCode, 3);
  assert.equal((await one(13, '', { topicId: MISSING_ID })).errorCode, 100);
  assert.equal((await one(9, 'inside')).errorCode, 17);
  const hint = await one(12, 'away');
  assert.equal(hint.errorCode, 6);
  assert.deepEqual(hint.currentLeader, { leaderId: 8, leaderEpoch: LEADER_EPOCH });
  assert.equal(hint.endpoints[0]!.nodeId, 8);
  assert.equal((await one(13, '', { topicId: away.image.id })).currentLeader.leaderId, 8);
});

function damaged(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  copy[copy.length - 1]! ^= 1;
  return copy;
}

const REFUSED: readonly [name: string, records: () => Uint8Array | null, errorCode: number][] = [
  ['no batch', () => null, 87],
  ['an empty set', () => new Uint8Array(0), 87],
  ['two batches', () => Buffer.concat([batchOf(['a']), batchOf(['b'])]), 87],
  ['half a batch', () => batchOf(['abc']).subarray(0, 50), 87],
  ['a bad CRC', () => damaged(batchOf(['abc'])), 2],
  ['a base offset', () => batchOf(['a'], { baseOffset: 5 }), 87],
  ['a control batch', () => batchOf(['a'], { control: true }), 87],
  ['log-append time', () => batchOf(['a'], { logAppendTimeMs: NOW_MS }), 87],
  [
    'a transaction',
    () => batchOf(['a'], { transactional: true, producerId: 1, producerEpoch: 0, baseSequence: 0 }),
    48,
  ],
  ['too many bytes', () => batchOf(['x'.repeat(2000)]), 10],
  ['a timestamp far ahead', () => batchOf(['a'], { timestamp: NOW_MS + 2 * 3_600_000 }), 32],
];

for (const [name, records, errorCode] of REFUSED) {
  test(`Produce refuses ${name} with error ${errorCode}, and closes on acks 0`, async () => {
    const { sim, connect, broker } = await world();
    const log = broker.add('t', { configs: { 'max.message.bytes': '1000' } }).logs[0]!;
    const client = await connect();
    const { responses } = await client.call(apis.produce, 9, produceBody('t', records()));
    const [answer] = responses[0]!.partitionResponses;
    assert.equal(answer!.errorCode, errorCode);
    assert.equal(answer!.baseOffset, -1);
    assert.equal(typeof answer!.errorMessage, 'string');
    client.sendWithoutResponse(9, produceBody('t', records(), { acks: 0 }));
    await sim.runUntil(() => client.isClosed, 5000);
    assert.equal(log.endOffset, 0);
  });
}

test('a batch above segment.bytes is error 18', async () => {
  const { connect, broker } = await world();
  broker.add('t', { configs: { 'segment.bytes': '1048576', 'max.message.bytes': '4194304' } });
  const client = await connect();
  const { responses } = await client.call(
    apis.produce,
    9,
    produceBody('t', batchOf(['x'.repeat(1_100_000)])),
  );
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 18);
});

test('timestamps too far back are error 32 where the topic says so', async () => {
  const { connect, broker } = await world();
  broker.add('t', { configs: { 'message.timestamp.before.max.ms': '1000' } });
  const client = await connect();
  const one = async (timestamp: number) =>
    (await client.call(apis.produce, 9, produceBody('t', batchOf(['a'], { timestamp })))).responses[0]!
      .partitionResponses[0]!.errorCode;
  assert.equal(await one(NOW_MS - 60_000), 32);
  assert.equal(await one(NOW_MS), 0);
});

test('log-append time is stamped, told, and covered by the CRC', async () => {
  const { connect, broker } = await world();
  const log = broker.add('t', { configs: { 'message.timestamp.type': 'LogAppendTime' } }).logs[0]!;
  const client = await connect();
  const { responses } = await client.call(
    apis.produce,
    9,
    produceBody('t', batchOf(['a'], { timestamp: 5 })),
  );
  const told = responses[0]!.partitionResponses[0]!.logAppendTimeMs;
  assert.ok(told >= NOW_MS);
  assert.equal(log.batches[0]!.header.maxTimestamp, told);
  const { verifyCrc } = await import('@polylog/record');
  assert.equal(verifyCrc(log.batches[0]!.bytes), true);
});

test('acks outside of -1, 0, 1 is error 21', async () => {
  const { connect, broker } = await world();
  broker.add('t');
  const client = await connect();
  const { responses } = await client.call(apis.produce, 9, produceBody('t', batchOf(['a']), { acks: 2 }));
  assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 21);
});

test('acks 0 has no response, and does not delay the next one', async () => {
  const { connect, broker } = await world();
  const log = broker.add('t').logs[0]!;
  const client = await connect();
  client.sendWithoutResponse(9, produceBody('t', batchOf(['a']), { acks: 0 }));
  const { responses } = await client.call(apis.produce, 9, produceBody('t', batchOf(['b'])));
  assert.equal(responses[0]!.partitionResponses[0]!.baseOffset, 1);
  assert.equal(log.endOffset, 2);
});

test('a duplicate of an idempotent batch gets the first offset, a gap error 45', async () => {
  const { connect, broker } = await world();
  const log = broker.add('t').logs[0]!;
  const client = await connect();
  const send = async (baseSequence: number) => {
    const records = batchOf(['a'], { producerId: 9, producerEpoch: 0, baseSequence });
    const { responses } = await client.call(apis.produce, 9, produceBody('t', records));
    const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!;
    return [errorCode, baseOffset];
  };
  assert.deepEqual(await send(0), [0, 0]);
  assert.deepEqual(await send(1), [0, 1]);
  assert.deepEqual(await send(0), [0, 0]);
  assert.deepEqual(await send(5), [45, -1]);
  assert.equal(log.endOffset, 2);
});

test('a refused append is an error of its partition, and the others go on', async () => {
  const { connect, broker } = await world();
  const topic = broker.add('t', { partitions: 2 });
  topic.logs[0]!.failNext = 'cut';
  const client = await connect();
  const { responses } = await client.call(apis.produce, 9, {
    acks: -1,
    timeoutMs: 100,
    topicData: [{ name: 't', partitionData: [0, 1].map((index) => ({ index, records: batchOf(['a']) })) }],
  });
  assert.deepEqual(
    responses[0]!.partitionResponses.map(({ errorCode }) => errorCode),
    [56, 0],
  );
});

test('keyless records on a compacted topic are error 87, each one named', async () => {
  const { connect, broker } = await world();
  const log = broker.add('t', { configs: { 'cleanup.policy': 'compact' } }).logs[0]!;
  const client = await connect();
  const refused = await client.call(apis.produce, 9, produceBody('t', batchOf(['a', 'b'])));
  const [answer] = refused.responses[0]!.partitionResponses;
  assert.equal(answer!.errorCode, 87);
  assert.deepEqual(
    answer!.recordErrors.map(({ batchIndex }) => batchIndex),
    [0, 1],
  );
  const taken = await client.call(apis.produce, 9, produceBody('t', batchOf(['a', 'b'], { keys: true })));
  assert.equal(taken.responses[0]!.partitionResponses[0]!.errorCode, 0);
  assert.equal(log.endOffset, 2);
});

test('compression.type rewrites batches of another codec, and keeps the order of the connection', async () => {
  const { sim, connect, broker } = await world();
  const log = broker.add('t', { partitions: 2, configs: { 'compression.type': 'zstd' } }).logs[0]!;
  const client = await connect();
  const codecs = ['none', 'gzip', 'zstd', 'lz4', 'snappy', 'none'] as const;
  const all = codecs.map((codec, index) =>
    client.send(apis.produce, 9, produceBody('t', batchOf([`${index}${'v'.repeat(5000)}`], { codec }))),
  );
  // One request for both partitions: the second one waits behind the first one's rewriting.
  const both = client.send(apis.produce, 9, {
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: 't', partitionData: [0, 1].map((index) => ({ index, records: batchOf(['last']) })) }],
  });
  const offsets = (await sim.settle(Promise.all([...all, both]))).map(
    ({ responses }) => responses[0]!.partitionResponses[0]!.baseOffset,
  );
  assert.deepEqual(offsets, [0, 1, 2, 3, 4, 5, 6]);
  for (const { header } of log.batches) assert.equal(header.attributes & 7, 4);
});

test('where records are read, each of their timestamps counts, and the wrong ones are named', async () => {
  const { connect, broker } = await world();
  const bounds = { 'message.timestamp.before.max.ms': '1000', 'message.timestamp.after.max.ms': '500' };
  broker.add('compacted', { configs: { ...bounds, 'cleanup.policy': 'compact' } });
  broker.add('packed', { configs: { ...bounds, 'compression.type': 'gzip' } });
  broker.add('stamped', {
    configs: { ...bounds, 'compression.type': 'gzip', 'message.timestamp.type': 'LogAppendTime' },
  });
  broker.add('opaque', { configs: bounds });
  const client = await connect();
  const send = async (topic: string, ages: readonly number[]) => {
    const records = ages.map((age) => ({ key: Buffer.from('k'), value: null, timestamp: NOW_MS - age }));
    const { responses } = await client.call(apis.produce, 9, produceBody(topic, buildBatch({ records })));
    const [answer] = responses[0]!.partitionResponses;
    return [answer!.errorCode, ...answer!.recordErrors.map(({ batchIndex }) => batchIndex)];
  };
  for (const topic of ['compacted', 'packed']) {
    assert.deepEqual(await send(topic, [0, 5000, 0, 4000]), [32, 1, 3], topic);
    assert.deepEqual(await send(topic, [0, 900, 0]), [0], topic);
  }
  assert.deepEqual(await send('stamped', [0, 5000, 0]), [0]);
  // The header shows the first and the latest one alone.
  assert.deepEqual(await send('opaque', [0, 5000, 0]), [0]);
  assert.deepEqual(await send('opaque', [5000, 0]), [32]);
});

test('a producer may try again when the compute worker is busy, died or is closed', async () => {
  const { connect, broker, platform } = await world();
  const log = broker.add('t', { configs: { 'compression.type': 'gzip' } }).logs[0]!;
  const client = await connect();
  for (const code of ['BUSY', 'CRASHED', 'CLOSED'] as const) {
    platform.compute.rewriteBatch = () => Promise.reject(new ComputeError(code, 'not now'));
    const { responses } = await client.call(apis.produce, 9, produceBody('t', batchOf(['a'])));
    const { errorCode } = responses[0]!.partitionResponses[0]!;
    assert.equal(kafkaErrors[kafkaErrorName(errorCode)!].retriable, true, `${code}: ${errorCode}`);
  }
  assert.equal(log.endOffset, 0);
});

test('zstd needs Produce v7', async () => {
  const { connect, broker } = await world();
  broker.add('t');
  const client = await connect();
  const send = async (version: number) => {
    const answer = await client.call(
      apis.produce,
      version,
      produceBody('t', batchOf(['a'], { codec: 'zstd' })),
    );
    return answer.responses[0]!.partitionResponses[0]!.errorCode;
  };
  assert.deepEqual([await send(6), await send(7)], [76, 0]);
});

// Fetch

async function withRecords(values: readonly string[]) {
  const w = await world();
  const topic = w.broker.add('t');
  const client = await w.connect();
  for (const value of values) await client.call(apis.produce, 9, produceBody('t', batchOf([value, value])));
  return { ...w, topic, log: topic.logs[0]!, client };
}

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

// ListOffsets, OffsetForLeaderEpoch, DeleteRecords

test('ListOffsets: the special timestamps, each from its version on', async () => {
  const { client, topic, log } = await withRecords(['a', 'b']);
  await topic.partitions[0]!.deleteRecords(1);
  Object.assign(log, {
    offsetForTimestamp: async (timestamp: number) =>
      timestamp > 500 ? undefined : { offset: 3, timestamp: 500, leaderEpoch: LEADER_EPOCH },
    offsetOfMaxTimestamp: async () => ({ offset: 2, timestamp: 600, leaderEpoch: LEADER_EPOCH }),
  });
  const ask = async (version: number, timestamp: number, name = 't') => {
    const { topics } = await client.call(apis.listOffsets, version, {
      topics: [{ name, partitions: [{ partitionIndex: 0, timestamp }] }],
    });
    const { errorCode, offset, timestamp: found } = topics[0]!.partitions[0]!;
    return [errorCode, offset, found];
  };
  assert.deepEqual(await ask(1, -1), [0, 4, -1]);
  assert.deepEqual(await ask(1, -2), [0, 1, -1]);
  assert.deepEqual(await ask(6, -3), [35, -1, -1]);
  assert.deepEqual(await ask(7, -3), [0, 2, 600]);
  assert.deepEqual(await ask(7, -4), [35, -1, -1]);
  assert.deepEqual(await ask(8, -4), [0, 1, -1]);
  assert.deepEqual(await ask(9, -5), [0, -1, -1]);
  assert.deepEqual(await ask(11, -6), [0, -1, -1]);
  assert.deepEqual(await ask(11, 400), [0, 3, 500]);
  assert.deepEqual(await ask(11, 501), [0, -1, -1]);
  assert.deepEqual(await ask(11, -1, 'nowhere'), [3, -1, -1]);
});

test('ListOffsets refuses partitions that come more than once, without looking for their offsets', async () => {
  const { client, log } = await withRecords(['a', 'b']);
  let lookUps = 0;
  Object.assign(log, {
    offsetForTimestamp: async () => {
      lookUps++;
      return undefined;
    },
  });
  const asked = { partitionIndex: 0, timestamp: 500 };
  const { topics } = await client.call(apis.listOffsets, 11, {
    topics: [
      { name: 't', partitions: [asked, asked, { ...asked, partitionIndex: 7 }] },
      { name: 't', partitions: [asked] },
    ],
  });
  assert.deepEqual(
    topics.map(({ partitions }) => partitions.map(({ errorCode }) => errorCode)),
    [[42, 42, 3], [42]],
  );
  assert.equal(lookUps, 0);
});

test('ListOffsets names the leader epochs of what it found', async () => {
  const { client, topic, log } = await withRecords(['a', 'b']);
  const ask = async (version: number, timestamp: number) => {
    const { topics } = await client.call(apis.listOffsets, version, {
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp }] }],
    });
    const { errorCode, offset, leaderEpoch } = topics[0]!.partitions[0]!;
    return [errorCode, offset, leaderEpoch];
  };
  assert.deepEqual(await ask(4, -2), [0, 0, LEADER_EPOCH]);
  assert.deepEqual(await ask(4, -1), [0, 4, LEADER_EPOCH]);
  assert.deepEqual(await ask(3, -2), [0, 0, -1]);
  const epochs = { ...log.epochs, epochAt: (offset: number) => (offset < 2 ? 1 : 2) };
  Object.defineProperty(log, 'epochs', { value: epochs });
  assert.deepEqual(await ask(9, -2), [0, 0, 1]);
  await topic.partitions[0]!.deleteRecords(2);
  assert.deepEqual(await ask(9, -2), [0, 2, 2]);
});

test('ListOffsets of a new leader that does not know its high watermark yet is error 78, and 5 before v5; the start is known', async () => {
  const { client, topic } = await withRecords(['a']);
  Object.defineProperty(topic.partitions[0]!, 'highWatermarkIsCurrent', { value: false });
  const ask = async (version: number, timestamp: number) => {
    const { topics } = await client.call(apis.listOffsets, version, {
      topics: [{ name: 't', partitions: [{ partitionIndex: 0, timestamp }] }],
    });
    return topics[0]!.partitions[0]!.errorCode;
  };
  for (const timestamp of [-1, -3, 5]) assert.equal(await ask(7, timestamp), 78);
  for (const timestamp of [-1, 5]) assert.equal(await ask(4, timestamp), 5);
  assert.equal(await ask(7, -2), 0);
});

test('OffsetForLeaderEpoch: the end of an epoch, -1/-1 for an unknown one, 74 and 75 for a wrong view', async () => {
  const { client } = await withRecords(['a', 'b']);
  const ask = async (leaderEpoch: number, currentLeaderEpoch = -1) => {
    const { topics } = await client.call(apis.offsetForLeaderEpoch, 4, {
      replicaId: -1,
      topics: [{ topic: 't', partitions: [{ partition: 0, currentLeaderEpoch, leaderEpoch }] }],
    });
    const { errorCode, leaderEpoch: found, endOffset } = topics[0]!.partitions[0]!;
    return [errorCode, found, endOffset];
  };
  assert.deepEqual(await ask(LEADER_EPOCH), [0, LEADER_EPOCH, 4]);
  assert.deepEqual(await ask(LEADER_EPOCH + 1), [0, -1, -1]);
  assert.deepEqual(await ask(LEADER_EPOCH, LEADER_EPOCH - 1), [74, -1, -1]);
  assert.deepEqual(await ask(LEADER_EPOCH, LEADER_EPOCH + 1), [75, -1, -1]);
});

test('DeleteRecords: -1 is the high watermark, beyond it is error 1, a compacted topic 44', async () => {
  const { client, broker, log } = await withRecords(['a', 'b']);
  broker.add('compacted', { configs: { 'cleanup.policy': 'compact' } });
  const ask = async (offset: number, name = 't') => {
    const { topics } = await client.call(apis.deleteRecords, 2, {
      topics: [{ name, partitions: [{ partitionIndex: 0, offset }] }],
      timeoutMs: 1000,
    });
    const { errorCode, lowWatermark } = topics[0]!.partitions[0]!;
    return [errorCode, lowWatermark];
  };
  assert.deepEqual(await ask(1), [0, 1]);
  assert.deepEqual(await ask(5), [1, -1]);
  assert.deepEqual(await ask(-7), [1, -1]);
  assert.deepEqual(await ask(-1), [0, 4]);
  assert.deepEqual(await ask(0, 'compacted'), [44, -1]);
  assert.deepEqual(await ask(0, 'nowhere'), [3, -1]);
  assert.equal(log.startOffset, 4);
});

test('DeleteRecords: a partition that comes twice is INVALID_REQUEST, and keeps its records', async () => {
  const { client, log } = await withRecords(['a', 'b']);
  const twice = { name: 't', partitions: [{ partitionIndex: 0, offset: -1 }] };
  const { topics } = await client.call(apis.deleteRecords, 2, { topics: [twice, twice], timeoutMs: 1000 });
  assert.deepEqual(
    topics.map(({ partitions }) => partitions[0]!.errorCode),
    [42, 42],
  );
  assert.equal(log.startOffset, 0);
});

test('metrics count requests, bytes, messages and errors', async () => {
  const { client, metrics } = await withRecords(['a']);
  await client.call(apis.fetch, 12, fetchBody([{ topic: 't', offset: 0 }]));
  await client.call(apis.produce, 9, produceBody('t', null));
  const counters = metrics.topic('t');
  assert.equal(counters.messagesIn, 2);
  assert.ok(counters.bytesIn > 0);
  assert.equal(counters.bytesOut, counters.bytesIn);
  assert.equal(counters.produceRequests, 1);
  assert.equal(metrics.apis.get('Produce')!.count, 2);
  assert.ok(metrics.counts.bytesReceived > 0 && metrics.counts.bytesSent > 0);
});
