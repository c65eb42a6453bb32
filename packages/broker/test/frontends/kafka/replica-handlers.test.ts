import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  alterPartitionReassignments,
  alterReplicaLogDirs,
  electLeaders,
  listPartitionReassignments,
} from '@polylog/kafka-protocol';

import { AdminClient } from './admin-client.ts';

describe('ElectLeaders', () => {
  const partitionsOf = (topic: string, ...partitions: number[]) => [{ topic, partitions }];

  it('says that the wanted leader leads already, or what there is not', async () => {
    const client = await AdminClient.connect();
    await client.create('orders');
    for (const version of [0, 1, 2]) {
      const { errorCode, replicaElectionResults } = await client.call(electLeaders, version, {
        ...(version === 0 ? {} : { electionType: 0 }),
        topicPartitions: [...partitionsOf('orders', 0, 9), ...partitionsOf('nonesuch', 0)],
      });
      assert.equal(errorCode, 0);
      const codes = replicaElectionResults.map(({ topic, partitionResult }) => [
        topic,
        ...partitionResult.map((result) => result.errorCode),
      ]);
      assert.deepEqual(codes, [
        ['orders', 84, 3],
        ['nonesuch', 3],
      ]);
    }
    const unclean = { electionType: 1, topicPartitions: partitionsOf('orders', 0) };
    const [result] = (await client.call(electLeaders, 2, unclean)).replicaElectionResults;
    assert.equal(result?.partitionResult[0]?.errorCode, 84);
  });

  it('tells whoever asks for all of those only that needed an election', async () => {
    const client = await AdminClient.connect();
    await client.create('orders');
    const answer = await client.call(electLeaders, 2, { electionType: 0, topicPartitions: null });
    assert.deepEqual([answer.errorCode, answer.replicaElectionResults], [0, []]);
  });

  it('refuses a type of election that there is not', async () => {
    const client = await AdminClient.connect();
    const answer = await client.call(electLeaders, 2, {
      electionType: 2,
      topicPartitions: partitionsOf('orders', 0),
    });
    assert.equal(answer.errorCode, 42);
    assert.equal(answer.replicaElectionResults[0]?.partitionResult[0]?.errorCode, 42);
  });
});

describe('AlterReplicaLogDirs', () => {
  it('leaves a replica in the only folder there is, and knows no other', async () => {
    const client = await AdminClient.connect();
    await client.create('orders');
    assert.ok(client.bench.logs.get('orders', 0));
    const { results } = await client.call(alterReplicaLogDirs, 2, {
      dirs: [
        {
          path: '/data',
          topics: [
            { name: 'orders', partitions: [0] },
            { name: 'nonesuch', partitions: [0] },
          ],
        },
        { path: '/elsewhere', topics: [{ name: 'orders', partitions: [0] }] },
      ],
    });
    assert.deepEqual(
      results.map(({ topicName, partitions }) => [
        topicName,
        ...partitions.map(({ errorCode }) => errorCode),
      ]),
      [
        ['orders', 0, 57],
        ['nonesuch', 3],
      ],
    );
  });
});

describe('AlterPartitionReassignments and ListPartitionReassignments', () => {
  it('moves nothing, and says of each partition why', async () => {
    const client = await AdminClient.connect();
    await client.create('orders');
    const wanted = [[1], [], [1, 1], [1, 7], null];
    const codes = [];
    for (const version of [0, 1]) {
      for (const replicas of wanted) {
        const { errorCode, responses } = await client.call(alterPartitionReassignments, version, {
          topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, replicas }] }],
        });
        assert.equal(errorCode, 0);
        codes.push(responses[0]!.partitions[0]!.errorCode);
      }
    }
    assert.deepEqual(codes, [0, 39, 39, 39, 85, 0, 39, 39, 39, 85]);
    const { responses } = await client.call(alterPartitionReassignments, 0, {
      topics: [{ name: 'nonesuch', partitions: [{ partitionIndex: 0, replicas: [1] }] }],
    });
    assert.equal(responses[0]!.partitions[0]!.errorCode, 3);
    const listed = await client.call(listPartitionReassignments, 0, { topics: null });
    assert.deepEqual([listed.errorCode, listed.topics], [0, []]);
  });
});
