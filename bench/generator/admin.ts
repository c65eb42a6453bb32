import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Reader } from '@polylog/bytes';
import {
  createTopics,
  decodeResponse,
  deleteTopics,
  encodeRequest,
  FRAME_LENGTH_BYTES,
  listOffsets,
  metadata,
  OFFSET_LATEST,
  type Api,
} from '@polylog/kafka-protocol';

import type { Address } from './connection.ts';
import { errorNameOf } from './errors.ts';

const REQUEST_MS_MAX = 15_000;
const LEADERS_MS_MAX = 15_000;
const LEADERS_POLL_MS = 20;
const INVALID_CONFIG = 40;

/** What an acknowledgement promises: the disk, or the operating system. */
export type Flush = 'fsync' | 'os';

/** Topics are named in Kafka's terms where a broker does not know Polylog's `flush`. */
const FLUSH_CONFIGS: Readonly<Record<'polylog' | 'kafka', Readonly<Record<Flush, Record<string, string>>>>> =
  {
    polylog: { os: { flush: 'os' }, fsync: { flush: 'fsync' } },
    kafka: { os: {}, fsync: { 'flush.messages': '1' } },
  };

/** Creates a topic and waits until all of its partitions have a leader. */
export async function createTopic(
  address: Address,
  topic: { readonly name: string; readonly partitions: number; readonly flush: Flush },
): Promise<void> {
  let errorCode = await tryCreate(address, topic, FLUSH_CONFIGS.polylog[topic.flush]);
  if (errorCode === INVALID_CONFIG)
    errorCode = await tryCreate(address, topic, FLUSH_CONFIGS.kafka[topic.flush]);
  check(errorCode, `creating ${topic.name}`);
  const deadlineMs = performance.now() + LEADERS_MS_MAX;
  while (!(await hasLeaders(address, topic))) {
    if (performance.now() > deadlineMs) throw new Error(`${topic.name} has partitions without a leader`);
    await sleep(LEADERS_POLL_MS);
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
  const { topics } = await ask(address, listOffsets, 6, {
    topics: [
      {
        name,
        partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
          partitionIndex,
          timestamp: OFFSET_LATEST,
        })),
      },
    ],
  });
  let records = 0;
  for (const { errorCode, offset } of topics.flatMap((topic) => topic.partitions)) {
    check(errorCode, `listing the offsets of ${name}`);
    records += offset;
  }
  return records;
}

async function tryCreate(
  address: Address,
  { name, partitions }: { readonly name: string; readonly partitions: number },
  configs: Readonly<Record<string, string>>,
): Promise<number> {
  const { topics } = await ask(address, createTopics, 5, {
    topics: [
      {
        name,
        numPartitions: partitions,
        replicationFactor: 1,
        assignments: [],
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      },
    ],
    timeoutMs: REQUEST_MS_MAX,
  });
  return topics[0]!.errorCode;
}

async function hasLeaders(
  address: Address,
  { name, partitions }: { readonly name: string; readonly partitions: number },
): Promise<boolean> {
  const { topics } = await ask(address, metadata, 9, { topics: [{ name }], allowAutoTopicCreation: false });
  const found = topics[0]?.partitions ?? [];
  return found.length === partitions && found.every(({ leaderId }) => leaderId >= 0);
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
