import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis, encodeRequest } from '@polylog/kafka-protocol';

import { featuresIn } from '../../../src/frontends/kafka/handlers/api-versions.ts';
import { BROKER_ID, LEADER_EPOCH, PORT, fetchBody, produceBody, world } from './harness.ts';
import { withRecords } from './with-records.ts';

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
  Object.defineProperty(topic.partitions[0], 'highWatermarkIsCurrent', { value: false });
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

test('DeleteRecords: the time that a client gives is for other replicas, not for what is written here', async () => {
  const { client, log } = await withRecords(['a', 'b']);
  log.persistStart = () => new Promise((resolve) => setTimeout(resolve, 50));
  const { topics } = await client.call(apis.deleteRecords, 2, {
    topics: [{ name: 't', partitions: [{ partitionIndex: 0, offset: 1 }] }],
    timeoutMs: 0,
  });
  const { errorCode, lowWatermark } = topics[0]!.partitions[0]!;
  assert.deepEqual([errorCode, lowWatermark], [0, 1]);
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
