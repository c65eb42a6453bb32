import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, kafkaErrorName, kafkaErrors } from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';

import { ComputeError } from '../../../src/platform/compute.ts';
import { LEADER_EPOCH, NOW_MS, batchOf, produceBody, world } from './harness.ts';

const MISSING_ID = 'bWlzc2luZ21pc3NpbmdtaQ';

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
    53,
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
