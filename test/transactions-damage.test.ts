import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { apis } from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';
import { Broker, type Logger } from 'polylog';
import { KafkaClient } from './longrun/fuzz/client.ts';

const TOPIC = 'damaged';
const ID = 'damaged-transactions';
const TRANSACTION_KEY = 1;
const READ_COMMITTED = 1;
const LATEST = -1;
/** From the end of a marker's batch: the low byte of its type, 0 abort, 1 commit, before its value of six bytes, with a length before, and its headers. */
const TYPE_FROM_END = 9;

function clientOf(broker: Broker): Promise<KafkaClient> {
  return KafkaClient.open(Number(broker.kafkaAddress.split(':').at(-1)));
}

async function untilDone<T>(ask: () => Promise<T>, isDone: (answer: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 1000; tries++) {
    const answer = await ask();
    if (isDone(answer)) return answer;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error('it never came');
}

/** Where a consumer of committed records that is up to date stands. */
async function lastStableOffset(client: KafkaClient): Promise<number> {
  const { topics } = await client.request(apis.listOffsets, 7, {
    replicaId: -1,
    isolationLevel: READ_COMMITTED,
    topics: [{ name: TOPIC, partitions: [{ partitionIndex: 0, timestamp: LATEST }] }],
  });
  return topics[0]!.partitions[0]!.offset;
}

async function openTransaction(client: KafkaClient) {
  const topics = [{ name: TOPIC, partitionIndexes: [0] }];
  const described = await client.request(apis.describeProducers, 0, { topics });
  return described.topics[0]!.partitions[0]!.activeProducers[0]!;
}

async function commitOne(client: KafkaClient): Promise<void> {
  const found = await client.request(apis.createTopics, 7, {
    topics: [{ name: TOPIC, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 5000,
    validateOnly: false,
  });
  assert.equal(found.topics[0]!.errorCode, 0);
  await client.request(apis.findCoordinator, 4, { keyType: TRANSACTION_KEY, coordinatorKeys: [ID] });
  const { producerId, producerEpoch } = await untilDone(
    () => client.request(apis.initProducerId, 3, { transactionalId: ID, transactionTimeoutMs: 60_000 }),
    ({ errorCode }) => errorCode === 0,
  );
  const producer = { producerId, producerEpoch };
  await client.request(apis.addPartitionsToTxn, 3, {
    v3AndBelowTransactionalId: ID,
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
    v3AndBelowTopics: [{ name: TOPIC, partitions: [0] }],
  });
  const records = buildBatch({
    ...producer,
    baseSequence: 0,
    transactional: true,
    records: [{ key: null, value: Buffer.from('a'), timestamp: Date.now() }],
  });
  const produced = await client.request(apis.produce, 9, {
    transactionalId: ID,
    acks: -1,
    timeoutMs: 5000,
    topicData: [{ name: TOPIC, partitionData: [{ index: 0, records }] }],
  });
  assert.equal(produced.responses[0]!.partitionResponses[0]!.errorCode, 0);
  const ended = await client.request(apis.endTxn, 3, { transactionalId: ID, ...producer, committed: true });
  assert.equal(ended.errorCode, 0);
  await untilDone(
    () => lastStableOffset(client),
    (offset) => offset === 2,
  );
}

describe('A marker that is damaged on the disk', () => {
  let data: string;
  let broker: Broker;
  let client: KafkaClient;
  before(async () => {
    data = await mkdtemp(path.join(tmpdir(), 'polylog-marker-'));
  });
  after(async () => {
    client.close();
    await broker.stop();
    await rm(data, { recursive: true, force: true });
  });

  test('neither commits nor aborts: its transaction stays open, is named in the log, and can be ended', async () => {
    broker = await Broker.start({ data, http: false });
    client = await clientOf(broker);
    await commitOne(client);
    client.close();
    await broker.stop();
    const file = path.join(data, `${TOPIC}-0`, '00000000000000000000.log');
    const bytes = await readFile(file);
    bytes[bytes.length - TYPE_FROM_END]! ^= 1;
    await writeFile(file, bytes);
    // As after a kill: the headers tell what is open.
    await rm(path.join(data, '.polylog_cleanshutdown'));
    for (const snapshot of globSync(`${data}/${TOPIC}-0/*.snapshot`)) await rm(snapshot);

    const errors: string[] = [];
    const logger: Logger = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (fields, message) => void errors.push(`${message} ${JSON.stringify(fields)}`),
      child: () => logger,
    };
    broker = await Broker.start({ data, http: false, logger });
    client = await clientOf(broker);
    assert.equal(await lastStableOffset(client), 0);
    const { producerId, producerEpoch, coordinatorEpoch, currentTxnStartOffset } =
      await openTransaction(client);
    assert.equal(currentTxnStartOffset, 0);
    const said = errors.find((line) => line.includes('damaged part of the log'));
    assert.match(said!, /kafka-transactions.sh abort --topic damaged --partition 0 --start-offset 0/);

    // What that tool sends.
    const { markers } = await client.request(apis.writeTxnMarkers, 1, {
      markers: [
        {
          producerId,
          producerEpoch,
          transactionResult: false,
          topics: [{ name: TOPIC, partitionIndexes: [0] }],
          coordinatorEpoch: Math.max(0, coordinatorEpoch),
        },
      ],
    });
    assert.equal(markers[0]!.topics[0]!.partitions[0]!.errorCode, 0);
    assert.equal(await lastStableOffset(client), 3);
    assert.equal((await openTransaction(client)).currentTxnStartOffset, -1);
  });
});
