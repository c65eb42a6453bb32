import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  createTopics,
  describeCluster,
  describeLogDirs,
  describeTopicPartitions,
  updateFeatures,
  type DescribeTopicPartitionsResponse,
} from '@polylog/kafka-protocol';

import { errorCodeOf } from '../../../src/frontends/kafka/errors.ts';
import { AdminClient, newTopic } from './admin-client.ts';

describe('The cluster', () => {
  it('shows its brokers, and no controllers on this listener', async () => {
    const client = await AdminClient.connect();
    for (let version = 0; version <= 2; version++) {
      const body = await client.call(describeCluster, version, {
        includeClusterAuthorizedOperations: false,
        ...(version >= 2 ? { includeFencedBrokers: true } : {}),
      });
      assert.equal(body.controllerId, 1);
      assert.equal(body.clusterId, client.bench.tracker.image.clusterId);
      assert.deepEqual(
        body.brokers.map(({ brokerId, host, port }) => [brokerId, host, port]),
        [[1, '127.0.0.1', 9092]],
      );
    }
    for (const [endpointType, code] of [
      [2, 114],
      [7, 115],
    ] as const) {
      const body = await client.call(describeCluster, 1, {
        includeClusterAuthorizedOperations: false,
        endpointType,
      });
      assert.equal(body.errorCode, code);
    }
  });

  it('shows partitions in pages that together are everything, once', async () => {
    const client = await AdminClient.connect();
    for (const [name, count] of [
      ['a', 3],
      ['b', 1],
      ['c', 4],
    ] as const) {
      await client.call(createTopics, 5, { topics: [newTopic(name, { numPartitions: count })] });
    }
    for (const topics of [[], [{ name: 'c' }, { name: 'a' }, { name: 'b' }, { name: 'a' }]]) {
      for (const responsePartitionLimit of [1, 2, 3, 8, 9]) {
        const seen: string[] = [];
        let cursor: DescribeTopicPartitionsResponse['nextCursor'] = null;
        do {
          const page: DescribeTopicPartitionsResponse = await client.call(describeTopicPartitions, 0, {
            topics,
            responsePartitionLimit,
            cursor,
          });
          let inPage = 0;
          for (const topic of page.topics) {
            for (const { partitionIndex } of topic.partitions) seen.push(`${topic.name}${partitionIndex}`);
            inPage += topic.partitions.length;
          }
          assert.ok(inPage <= responsePartitionLimit);
          cursor = page.nextCursor;
        } while (cursor !== null);
        assert.deepEqual(seen, ['a0', 'a1', 'a2', 'b0', 'c0', 'c1', 'c2', 'c3']);
      }
    }
    const gone = await client.call(describeTopicPartitions, 0, {
      topics: [{ name: 'none' }, { name: 'no/slash' }],
    });
    assert.deepEqual(
      gone.topics.map(({ name, errorCode }) => [name, errorCode]),
      [
        ['no/slash', 17],
        ['none', 3],
      ],
    );
    const bad = await client.call(describeTopicPartitions, 0, {
      topics: [{ name: 'a' }],
      cursor: { topicName: 'a', partitionIndex: -1 },
    });
    assert.equal(bad.topics[0]!.errorCode, 42);
  });

  it('shows the sizes of what is hosted here', async () => {
    const client = await AdminClient.connect();
    await client.create('a', 'b');
    for (let version = 1; version <= 5; version++) {
      const all = await client.call(describeLogDirs, version, { topics: null });
      assert.deepEqual(
        all.results[0]!.topics.map(({ name }) => name),
        ['a', 'b'],
      );
      const one = await client.call(describeLogDirs, version, {
        topics: [
          { topic: 'a', partitions: [0, 5] },
          { topic: 'none', partitions: [0] },
        ],
      });
      assert.deepEqual(
        one.results[0]!.topics.map(({ name, partitions }) => [name, partitions.length]),
        [['a', 1]],
      );
      if (version >= 4) assert.deepEqual([all.results[0]!.totalBytes, all.results[0]!.usableBytes], [9, 5]);
    }
  });
});

describe('UpdateFeatures', () => {
  it('answers a feature that there is not with an error of the whole request', async () => {
    const client = await AdminClient.connect();
    const update = { feature: 'nonesuch.version', maxVersionLevel: 1 };
    for (const version of [0, 1, 2]) {
      const answer = await client.call(updateFeatures, version, {
        featureUpdates: [version === 0 ? { ...update, allowDowngrade: false } : update],
        ...(version === 0 ? {} : { validateOnly: false }),
      });
      assert.equal(answer.errorCode, errorCodeOf('INVALID_UPDATE_VERSION'));
      assert.match(answer.errorMessage ?? '', /nonesuch\.version cannot be set to 1/);
      assert.deepEqual(answer.results, []);
    }
  });
});
