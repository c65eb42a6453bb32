import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Reader } from '@polylog/bytes';
import {
  createPartitions,
  createTopics,
  decodeResponse,
  deleteTopics,
  encodeRequest,
  FRAME_LENGTH_BYTES,
  listOffsets,
  metadata,
  OFFSET_LATEST,
  produce,
  type Api,
} from '@polylog/kafka-protocol';

import type { Address } from './connection.ts';
import { errorNameOf } from './errors.ts';
import { prepareBatch } from './requests.ts';

/** Kafka's controller changes at most 10,000 records at a time. */
const PARTITIONS_PER_REQUEST_MAX = 5000;
/** To make and remove a topic of thousands of partitions takes its time. */
const REQUEST_MS_MAX = 90_000;
const LEADERS_MS_MAX = 90_000;
const LEADERS_POLL_MS = 20;

/** Of a topic, in the terms of Kafka's CreateTopics. */
export type TopicConfig = Readonly<Record<string, string>>;

/** Creates a topic and waits until the leaders of all of its partitions answer for them: Kafka does both in the background. */
export async function createTopic(
  address: Address,
  topic: { readonly name: string; readonly partitions: number; readonly config: TopicConfig },
): Promise<void> {
  const { name, partitions, config } = topic;
  const { topics } = await ask(address, createTopics, 5, {
    topics: [
      {
        name,
        numPartitions: Math.min(partitions, PARTITIONS_PER_REQUEST_MAX),
        replicationFactor: 1,
        assignments: [],
        configs: Object.entries(config).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: REQUEST_MS_MAX,
  });
  check(topics[0]!.errorCode, `creating ${name}`);
  for (let made = PARTITIONS_PER_REQUEST_MAX; made < partitions;) {
    made = Math.min(partitions, made + PARTITIONS_PER_REQUEST_MAX);
    const { results } = await ask(address, createPartitions, 2, {
      topics: [{ name, count: made, assignments: null }],
      timeoutMs: REQUEST_MS_MAX,
      validateOnly: false,
    });
    check(results[0]!.errorCode, `adding partitions to ${name}`);
  }
  const deadlineMs = performance.now() + LEADERS_MS_MAX;
  for (;;) {
    const ends = await endOffsets(address, name, partitions);
    if (ends.every(({ errorCode }) => errorCode === 0)) return;
    if (performance.now() > deadlineMs) throw new Error(`${name} has partitions without a leader`);
    await sleep(LEADERS_POLL_MS);
  }
}

/** Whether a broker answers at this address, and knows of itself. */
export async function answers(address: Address): Promise<boolean> {
  try {
    const { brokers } = await ask(address, metadata, 9, { topics: [], allowAutoTopicCreation: false });
    return brokers.length > 0;
  } catch {
    // Not yet: nothing listens, or it closes connections.
    return false;
  }
}

/** One attempt to write one record as a client with an unknown topic does it: the broker is to create it. */
export async function produceFirst(address: Address, topic: string): Promise<boolean> {
  try {
    const { topics } = await ask(address, metadata, 9, {
      topics: [{ name: topic }],
      allowAutoTopicCreation: true,
    });
    if (topics[0]?.errorCode !== 0) return false;
    const { bytes } = prepareBatch({ batchBytes: 0, recordBytes: 10 }, Date.now());
    const { responses } = await ask(address, produce, 9, {
      acks: -1,
      timeoutMs: REQUEST_MS_MAX,
      topicData: [{ name: topic, partitionData: [{ index: 0, records: bytes }] }],
    });
    return responses[0]?.partitionResponses[0]?.errorCode === 0;
  } catch {
    // Not yet, as above.
    return false;
  }
}

export async function deleteTopic(address: Address, name: string): Promise<void> {
  const { responses } = await ask(address, deleteTopics, 4, {
    topicNames: [name],
    timeoutMs: REQUEST_MS_MAX,
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
  const { topics } = await ask(address, listOffsets, 6, { topics: [{ name, partitions: asked }] });
  return topics.flatMap((topic) => topic.partitions);
}

function check(errorCode: number, what: string): void {
  if (errorCode !== 0) throw new Error(`${what} was answered ${errorNameOf(errorCode)}`);
}

/** One request on a connection of its own. */
async function ask<QI, S>(address: Address, api: Api<unknown, QI, S>, version: number, body: QI): Promise<S> {
  const socket = connect(address);
  try {
    socket.setTimeout(REQUEST_MS_MAX, () => socket.destroy(new Error(`${api.name} had no answer in time`)));
    socket.write(Buffer.concat(encodeRequest(api, version, 1, 'bench', body)));
    const frame = await readFrame(socket);
    return decodeResponse(api, version, new Reader(frame)).body;
  } finally {
    socket.destroy();
  }
}

async function readFrame(socket: Socket): Promise<Buffer> {
  let bytes: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < FRAME_LENGTH_BYTES) continue;
    const end = FRAME_LENGTH_BYTES + bytes.readInt32BE(0);
    if (bytes.length >= end) return bytes.subarray(FRAME_LENGTH_BYTES, end);
  }
  throw new Error('the broker closed the connection instead of answering');
}
