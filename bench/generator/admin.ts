import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  createPartitions,
  createTopics,
  deleteTopics,
  listOffsets,
  metadata,
  OFFSET_LATEST,
  produce,
} from '@polylog/kafka-protocol';

import type { Address } from './connection.ts';
import { errorNameOf } from './errors.ts';
import { ANSWER_MS_MAX, askOnce } from './exchange.ts';
import { prepareBatch } from './requests.ts';

/** Kafka's controller changes at most 10,000 records at a time, and makes files for each partition before it goes on. */
const PARTITIONS_PER_REQUEST_MAX = 1000;
const LEADERS_MS_MAX = 300_000;
const LEADERS_POLL_MS = 20;
/** Of many partitions each poll is work for a broker that has enough to do. */
const LEADERS_POLL_MS_PER_PARTITION = 0.1;

/** Of a topic, in the terms of Kafka's CreateTopics. */
export type TopicConfig = Readonly<Record<string, string>>;

export interface TopicShape {
  readonly name: string;
  readonly partitions: number;
  readonly config: TopicConfig;
}

/** Creates a topic and waits until the leaders of all of its partitions answer for them: Kafka does both in the background. */
export async function createTopic(address: Address, { name, partitions, config }: TopicShape): Promise<void> {
  const first = Math.min(partitions, PARTITIONS_PER_REQUEST_MAX);
  const configs = Object.entries(config).map(([key, value]) => ({ name: key, value }));
  const { topics } = await askOnce(address, createTopics, 5, {
    topics: [{ name, numPartitions: first, replicationFactor: 1, assignments: [], configs }],
    timeoutMs: ANSWER_MS_MAX,
  });
  check(topics[0]!.errorCode, `creating ${name} with ${first} partitions`);
  await untilLed(address, name, first);
  for (let made = first; made < partitions;) {
    made = Math.min(partitions, made + PARTITIONS_PER_REQUEST_MAX);
    const { results } = await askOnce(address, createPartitions, 2, {
      topics: [{ name, count: made, assignments: null }],
      timeoutMs: ANSWER_MS_MAX,
      validateOnly: false,
    });
    check(results[0]!.errorCode, `adding partitions to ${name}, up to ${made}`);
    await untilLed(address, name, made);
  }
}

async function untilLed(address: Address, name: string, partitions: number): Promise<void> {
  const deadlineMs = performance.now() + LEADERS_MS_MAX;
  for (;;) {
    const ends = await endOffsets(address, name, partitions);
    const without = ends.filter(({ errorCode }) => errorCode !== 0);
    if (without.length === 0) return;
    if (performance.now() > deadlineMs)
      throw new Error(
        `${without.length} of ${partitions} partitions of ${name} have had no leader for ${LEADERS_MS_MAX} ms: ` +
          errorNameOf(without[0]!.errorCode),
      );
    await sleep(Math.max(LEADERS_POLL_MS, partitions * LEADERS_POLL_MS_PER_PARTITION));
  }
}

/** Whether a broker answers at this address, and knows of itself. */
export async function answers(address: Address): Promise<boolean> {
  try {
    const { brokers } = await askOnce(address, metadata, 9, { topics: [], allowAutoTopicCreation: false });
    return brokers.length > 0;
  } catch {
    // Not yet: nothing listens, or it closes connections.
    return false;
  }
}

/** Whether something takes connections at this address; sends nothing. */
export async function listens(address: Address): Promise<boolean> {
  const socket = connect(address);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    // Not yet.
    return false;
  } finally {
    socket.destroy();
  }
}

/** One attempt to write one record as a client with an unknown topic does it: the broker is to create it. */
export async function produceFirst(address: Address, topic: string): Promise<boolean> {
  try {
    const { topics } = await askOnce(address, metadata, 9, {
      topics: [{ name: topic }],
      allowAutoTopicCreation: true,
    });
    if (topics[0]?.errorCode !== 0) return false;
    const { bytes } = prepareBatch({ batchBytes: 0, recordBytes: 10 }, Date.now());
    const { responses } = await askOnce(address, produce, 9, {
      acks: -1,
      timeoutMs: ANSWER_MS_MAX,
      topicData: [{ name: topic, partitionData: [{ index: 0, records: bytes }] }],
    });
    return responses[0]?.partitionResponses[0]?.errorCode === 0;
  } catch {
    // Not yet, as above.
    return false;
  }
}

export async function deleteTopic(address: Address, name: string): Promise<void> {
  const { responses } = await askOnce(address, deleteTopics, 4, {
    topicNames: [name],
    timeoutMs: ANSWER_MS_MAX,
  });
  for (const { errorCode } of responses) check(errorCode, `deleting ${name}`);
}

/** The records that a topic holds, by the ends of its partitions; it must not have been cut at its start. */
export async function countRecords(address: Address, name: string, partitions: number): Promise<number> {
  let records = 0;
  for (const { errorCode, offset } of await endOffsets(address, name, partitions)) {
    check(errorCode, `listing the offsets of ${name}`);
    records += offset;
  }
  return records;
}

async function endOffsets(
  address: Address,
  name: string,
  partitions: number,
): Promise<{ readonly errorCode: number; readonly offset: number }[]> {
  const indexes = Array.from({ length: partitions }, (_, partitionIndex) => partitionIndex);
  const asked = indexes.map((partitionIndex) => ({ partitionIndex, timestamp: OFFSET_LATEST }));
  const { topics } = await askOnce(address, listOffsets, 6, { topics: [{ name, partitions: asked }] });
  return topics.flatMap((topic) => topic.partitions);
}

function check(errorCode: number, what: string): void {
  if (errorCode !== 0) throw new Error(`${what} was answered ${errorNameOf(errorCode)}`);
}
