import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { apis, kafkaErrorName, kafkaErrors, type InitOf } from '@polylog/kafka-protocol';
import { batchBody, decodeRecords, isControl, readControlRecord } from '@polylog/record';
import { Slices } from '../../../src/expressions/slices.ts';
import { OFFSETS_TOPIC, TRANSACTIONS_TOPIC } from '../../../src/cluster/topic-names.ts';
import { kafkaHandlers } from '../../../src/frontends/kafka/handlers.ts';
import type { KafkaServices } from '../../../src/frontends/kafka/handler.ts';
import { GroupService } from '../../../src/groups/service.ts';
import { OwnBrokerPort } from '../../../src/peer/own-broker.ts';
import { TransactionMarkers } from '../../../src/topics/transaction-markers.ts';
import { TransactionService } from '../../../src/transactions/service.ts';
import { SETTINGS as GROUP_SETTINGS, TIMES } from '../../groups/harness.ts';
import { SETTINGS } from '../../transactions/harness.ts';
import {
  backend,
  BROKER_ID,
  LEADER_EPOCH,
  PORT,
  world,
  type TestBroker,
  type TestClient,
  type World,
} from './harness.ts';

const errors = kafkaErrors;

interface Made extends World {
  readonly client: TestClient;
  readonly transactions: TransactionService;
}

/** A front end whose transactions are real, over logs in memory. */
async function transactionWorld(): Promise<Made> {
  const made = await world({ serve: false });
  const { broker, platform, metrics, frontend } = made;
  broker.add('a', { partitions: 2 });
  broker.add('b');
  const compacted = { 'cleanup.policy': 'compact' };
  broker.add(OFFSETS_TOPIC, { partitions: 3, kind: 'internal', configs: compacted });
  broker.add(TRANSACTIONS_TOPIC, { partitions: 3, kind: 'internal', configs: compacted });
  const parts = { ...platform, partitions: broker, admin: broker, slices: new Slices(platform) };
  const topic = {
    partitions: 3,
    replicationFactor: 1,
    segmentBytes: 1 << 20,
    flush: 'fsync' as const,
    minInsyncReplicas: 1,
  };
  let nextProducerId = 1000;
  const producerIds = { next: () => Promise.resolve(nextProducerId++) };
  const markers = new TransactionMarkers(parts);
  const transactions = new TransactionService({
    ...parts,
    peer: new OwnBrokerPort({ brokerId: BROKER_ID, markers }),
    producerIds,
    settings: SETTINGS,
    topic,
  });
  const groups = new GroupService({
    ...parts,
    verifier: transactions,
    timesOf: () => TIMES,
    settings: GROUP_SETTINGS,
    topic,
  });
  const services = { ...backend(broker, metrics), groups, transactions, producerIds };
  // The handlers that other services are needed for are not asked.
  const stubs = {
    listener: 'kafka',
    config: { settings: {}, topicDefaults: new Map(), entries: new Map() },
    limits: { fetchSessionsMax: 1 },
  };
  frontend.serve(services, kafkaHandlers({ ...platform, ...services, ...stubs } as unknown as KafkaServices));
  const client = await made.connect();
  await made.sim.advance(50);
  return { ...made, client, transactions };
}

interface Producer {
  readonly producerId: number;
  readonly producerEpoch: number;
}

const T = { transactionalId: 't' };

async function init(client: TestClient, version = 5, more: object = {}): Promise<Producer> {
  const answer = await client.call(apis.initProducerId, version, {
    ...T,
    transactionTimeoutMs: 10_000,
    ...more,
  });
  assert.equal(kafkaErrorName(answer.errorCode), 'NONE');
  return { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
}

function name(code: number): string | undefined {
  return kafkaErrorName(code);
}

/** As clients do; answers by partition. */
async function add(
  client: TestClient,
  version: number,
  producer: Producer,
  topics: Record<string, number[]>,
): Promise<Record<string, string | undefined>> {
  const { resultsByTopicV3AndBelow: results } = await client.call(apis.addPartitionsToTxn, version, {
    v3AndBelowTransactionalId: 't',
    v3AndBelowProducerId: producer.producerId,
    v3AndBelowProducerEpoch: producer.producerEpoch,
    v3AndBelowTopics: Object.entries(topics).map(([topic, partitions]) => ({ name: topic, partitions })),
  });
  return byPartition(results);
}

function byPartition(
  results: readonly {
    readonly name: string;
    readonly resultsByPartition: readonly { partitionIndex: number; partitionErrorCode: number }[];
  }[],
): Record<string, string | undefined> {
  return Object.fromEntries(
    results.flatMap((topic) =>
      topic.resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => [
        `${topic.name}-${partitionIndex}`,
        name(partitionErrorCode),
      ]),
    ),
  );
}

async function end(
  client: TestClient,
  version: number,
  producer: Producer,
  committed: boolean,
): Promise<InitOf<typeof apis.endTxn.response>> {
  return client.call(apis.endTxn, version, { ...T, ...producer, committed });
}

/** All that a partition holds, which is nothing else. */
function markersIn(broker: TestBroker, topic: string, partition: number): object[] {
  return broker.topics.get(topic)!.logs[partition]!.batches.map(({ header, bytes }) => {
    assert.ok(isControl(header.attributes));
    const [record] = decodeRecords(batchBody(bytes, header, { maxBytes: 1000 }), header);
    const { producerId, producerEpoch } = header;
    return { ...readControlRecord(record!), producerId, producerEpoch };
  });
}

function versions(api: { versionMin: number; versionMax: number }, from = api.versionMin): number[] {
  return Array.from({ length: api.versionMax - from + 1 }, (_, index) => from + index);
}

describe('the transaction APIs', () => {
  it('find the coordinator of a transactional id', async () => {
    const { client } = await transactionWorld();
    for (const version of versions(apis.findCoordinator, 1)) {
      const many = version >= 4;
      const answer = await client.call(apis.findCoordinator, version, {
        keyType: 1,
        ...(many ? { coordinatorKeys: ['t'] } : { key: 't' }),
      });
      const one = many ? answer.coordinators[0]! : answer;
      assert.deepEqual([one.errorCode, one.nodeId, one.port], [0, BROKER_ID, PORT]);
    }
  });

  it('initialise a producer in every version, and fence the one before with the error that the version has', async () => {
    for (const version of versions(apis.initProducerId)) {
      const { client } = await transactionWorld();
      const first = await init(client, version);
      assert.deepEqual(first, { producerId: 1000, producerEpoch: 0 });
      const second = await init(client, version);
      assert.deepEqual(second, { producerId: 1000, producerEpoch: 1 });
      if (version < 3) continue;
      const fenced = await client.call(apis.initProducerId, version, {
        ...T,
        transactionTimeoutMs: 1,
        ...first,
      });
      assert.equal(name(fenced.errorCode), version < 4 ? 'INVALID_PRODUCER_EPOCH' : 'PRODUCER_FENCED');
      assert.deepEqual([fenced.producerId, fenced.producerEpoch], [-1, -1]);
      assert.deepEqual(await init(client, version, second), { producerId: 1000, producerEpoch: 2 });
    }
  });

  it('refuse time-outs that are too long, and the empty id', async () => {
    const { client } = await transactionWorld();
    const refusal = async (body: object): Promise<string | undefined> =>
      name((await client.call(apis.initProducerId, 5, { ...T, transactionTimeoutMs: 1, ...body })).errorCode);
    assert.equal(await refusal({ transactionTimeoutMs: 60_001 }), 'INVALID_TRANSACTION_TIMEOUT');
    assert.equal(await refusal({ transactionalId: '' }), 'INVALID_REQUEST');
  });

  it('add partitions that exist, all or none', async () => {
    for (const version of versions(apis.addPartitionsToTxn).filter((each) => each < 4)) {
      const { client } = await transactionWorld();
      const producer = await init(client);
      assert.deepEqual(await add(client, version, producer, { a: [0, 7], c: [0] }), {
        'a-0': 'OPERATION_NOT_ATTEMPTED',
        'a-7': 'UNKNOWN_TOPIC_OR_PARTITION',
        'c-0': 'UNKNOWN_TOPIC_OR_PARTITION',
      });
      assert.deepEqual(await add(client, version, producer, { a: [0], [TRANSACTIONS_TOPIC]: [0] }), {
        'a-0': 'OPERATION_NOT_ATTEMPTED',
        [`${TRANSACTIONS_TOPIC}-0`]: 'TOPIC_AUTHORIZATION_FAILED',
      });
      assert.deepEqual(await add(client, version, producer, { a: [0, 1], b: [0] }), {
        'a-0': 'NONE',
        'a-1': 'NONE',
        'b-0': 'NONE',
      });
      const fenced = { ...producer, producerEpoch: 9 };
      assert.deepEqual(await add(client, version, fenced, { a: [0] }), {
        'a-0': version < 2 ? 'INVALID_PRODUCER_EPOCH' : 'PRODUCER_FENCED',
      });
    }
  });

  it('take the questions of other brokers, for many transactions at a time', async () => {
    for (const version of [4, 5]) {
      const { client } = await transactionWorld();
      const producer = await init(client);
      await add(client, 3, producer, { a: [0] });
      const ask = { ...T, ...producer };
      const answer = await client.call(apis.addPartitionsToTxn, version, {
        transactions: [
          { ...ask, verifyOnly: true, topics: [{ name: 'a', partitions: [0, 1] }] },
          { ...ask, transactionalId: 'u', verifyOnly: true, topics: [{ name: 'a', partitions: [0] }] },
          { ...ask, verifyOnly: false, topics: [{ name: 'b', partitions: [0] }] },
        ],
      });
      assert.equal(answer.errorCode, 0);
      assert.deepEqual(
        answer.resultsByTransaction.map(({ topicResults }) => byPartition(topicResults)),
        [
          { 'a-0': 'NONE', 'a-1': version < 5 ? 'INVALID_TXN_STATE' : 'TRANSACTION_ABORTABLE' },
          { 'a-0': 'INVALID_PRODUCER_ID_MAPPING' },
          { 'b-0': 'NONE' },
        ],
      );
    }
  });

  it('end a transaction with a marker in each partition, and tell the next epoch where the version has it', async () => {
    for (const version of versions(apis.endTxn)) {
      for (const committed of [true, false]) {
        const { client, sim, broker } = await transactionWorld();
        const producer = await init(client);
        await add(client, 3, producer, { a: [1], b: [0] });
        const answer = await end(client, version, producer, committed);
        assert.equal(name(answer.errorCode), 'NONE');
        const told = version >= 5 ? [1000, 1] : [-1, -1];
        assert.deepEqual([answer.producerId, answer.producerEpoch], told);
        await sim.advance(50);
        for (const [topic, partition] of [
          ['a', 1],
          ['b', 0],
        ] as const) {
          assert.deepEqual(markersIn(broker, topic, partition), [
            {
              type: committed ? 'commit' : 'abort',
              coordinatorEpoch: LEADER_EPOCH,
              producerId: producer.producerId,
              producerEpoch: version >= 5 ? 1 : 0,
            },
          ]);
        }
        assert.deepEqual(markersIn(broker, 'a', 0), []);
        const { transactionStates } = await client.call(apis.describeTransactions, 0, {
          transactionalIds: ['t'],
        });
        assert.equal(transactionStates[0]!.transactionState, committed ? 'CompleteCommit' : 'CompleteAbort');
      }
    }
  });

  it('refuse an end that does not fit, with the error that the version has', async () => {
    const { client } = await transactionWorld();
    const producer = await init(client);
    await add(client, 3, producer, { a: [0] });
    for (const version of versions(apis.endTxn)) {
      const fenced = await end(client, version, { ...producer, producerEpoch: 9 }, true);
      assert.equal(name(fenced.errorCode), version < 2 ? 'INVALID_PRODUCER_EPOCH' : 'PRODUCER_FENCED');
      const unknown = await client.call(apis.endTxn, version, {
        transactionalId: 'u',
        ...producer,
        committed: true,
      });
      assert.equal(unknown.errorCode, errors.INVALID_PRODUCER_ID_MAPPING.code);
    }
  });

  it('take the offsets of a group into a transaction', async () => {
    for (const version of versions(apis.addOffsetsToTxn)) {
      const { client } = await transactionWorld();
      const producer = await init(client);
      const body = { ...T, ...producer, groupId: 'my-group' };
      const { errorCode } = await client.call(apis.addOffsetsToTxn, version, body);
      assert.equal(errorCode, 0);
      const { transactionStates } = await client.call(apis.describeTransactions, 0, {
        transactionalIds: ['t'],
      });
      const [{ topics, transactionState } = { topics: [], transactionState: '' }] = transactionStates;
      assert.equal(transactionState, 'Ongoing');
      assert.deepEqual(
        topics.map(({ topic, partitions }) => [topic, partitions.length]),
        [[OFFSETS_TOPIC, 1]],
      );
      const fenced = await client.call(apis.addOffsetsToTxn, version, { ...body, producerEpoch: 9 });
      assert.equal(name(fenced.errorCode), version < 2 ? 'INVALID_PRODUCER_EPOCH' : 'PRODUCER_FENCED');
    }
  });

  it('describe what a transactional id does', async () => {
    const { client } = await transactionWorld();
    const producer = await init(client);
    await add(client, 3, producer, { a: [1, 0] });
    const { transactionStates } = await client.call(apis.describeTransactions, 0, {
      transactionalIds: ['t', 'u', '', 't'],
    });
    assert.equal(transactionStates.length, 3, 'each once');
    const [known, unknown, empty] = transactionStates;
    assert.deepEqual(
      { ...known, transactionStartTimeMs: 0 },
      {
        errorCode: 0,
        transactionalId: 't',
        transactionState: 'Ongoing',
        transactionTimeoutMs: 10_000,
        transactionStartTimeMs: 0,
        ...producer,
        topics: [{ topic: 'a', partitions: [1, 0] }],
      },
    );
    assert.ok(known!.transactionStartTimeMs > 0);
    assert.equal(unknown!.errorCode, errors.TRANSACTIONAL_ID_NOT_FOUND.code);
    assert.equal(empty!.errorCode, errors.INVALID_REQUEST.code);
  });

  it('list transactional ids by state, producer, duration and expression', async () => {
    const { client, sim } = await transactionWorld();
    const producer = await init(client);
    await init(client, 5, { transactionalId: 'other' });
    await add(client, 3, producer, { a: [0] });
    await sim.advance(500);
    const all = { stateFilters: [], producerIdFilters: [] };
    const list = async (version: number, filter: object): Promise<unknown> => {
      const answer = await client.call(apis.listTransactions, version, { ...all, ...filter });
      if (answer.errorCode !== 0) return name(answer.errorCode);
      return answer.transactionStates
        .map(({ transactionalId, transactionState }) => `${transactionalId} ${transactionState}`)
        .toSorted();
    };
    for (const version of [0, 1, 2]) {
      assert.deepEqual(await list(version, {}), ['other Empty', 't Ongoing']);
      assert.deepEqual(await list(version, { stateFilters: ['Ongoing'] }), ['t Ongoing']);
      assert.deepEqual(await list(version, { producerIdFilters: [producer.producerId] }), ['t Ongoing']);
      const answer = await client.call(apis.listTransactions, version, {
        ...all,
        stateFilters: ['Sleepy', 'Dead'],
      });
      assert.deepEqual(answer.unknownStateFilters, ['Sleepy']);
      assert.deepEqual(answer.transactionStates, []);
    }
    const open = { stateFilters: ['Ongoing'] };
    assert.deepEqual(await list(1, { ...open, durationFilter: 100 }), ['t Ongoing']);
    assert.deepEqual(await list(1, { ...open, durationFilter: 10_000 }), []);
    assert.deepEqual(await list(2, { transactionalIdPattern: 'o.*r' }), ['other Empty']);
    assert.deepEqual(await list(2, { transactionalIdPattern: 'o' }), [], 'the whole id has to match');
    assert.deepEqual(await list(2, { transactionalIdPattern: '' }), ['other Empty', 't Ongoing']);
    assert.equal(await list(2, { transactionalIdPattern: '(' }), 'INVALID_REGULAR_EXPRESSION');
    assert.equal(await list(2, { transactionalIdPattern: 'x'.repeat(5000) }), 'INVALID_REGULAR_EXPRESSION');
  });
});
