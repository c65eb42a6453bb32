/** A raw client's view of compacted topics: whole batches in, all records out. */
import { apis } from '@polylog/kafka-protocol';
import { decodeBatch, readBatchHeader, sizeInBytes, verifyCrc } from '@polylog/record';
import { KafkaClient } from './fuzz/client.ts';

const PRODUCE_VERSION = 9;
const FETCH_VERSION = 11;
const LIST_OFFSETS_VERSION = 5;
const ALTER_CONFIGS_VERSION = 1;
const TOPIC_RESOURCE = 2;
const TIMEOUT_MS = 60_000;
const FETCH_BYTES = 4 * 1024 * 1024;
const DECOMPRESSED_BYTES_MAX = 64 * 1024 * 1024;

export interface KeyedRecord {
  readonly offset: number;
  readonly key: string;
  /** Null: a tombstone. */
  readonly value: Uint8Array | null;
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/** Appends one batch with acks=all; its base offset. */
export async function produce(
  client: KafkaClient,
  topic: string,
  index: number,
  batch: Uint8Array,
): Promise<number> {
  const answer = await client.request(apis.produce, PRODUCE_VERSION, {
    acks: -1,
    timeoutMs: TIMEOUT_MS,
    topicData: [{ name: topic, partitionData: [{ index, records: batch }] }],
  });
  const result = answer.responses[0]!.partitionResponses[0]!;
  if (result.errorCode !== 0) throw new Error(`${topic}-${index} was answered error ${result.errorCode}`);
  return result.baseOffset;
}

/** Sets configs of a topic while it is in use. */
export async function configure(
  client: KafkaClient,
  topic: string,
  configs: Readonly<Record<string, string>>,
): Promise<void> {
  const { responses } = await client.request(apis.incrementalAlterConfigs, ALTER_CONFIGS_VERSION, {
    resources: [
      {
        resourceType: TOPIC_RESOURCE,
        resourceName: topic,
        configs: Object.entries(configs).map(([name, value]) => ({ name, configOperation: 0, value })),
      },
    ],
    validateOnly: false,
  });
  const { errorCode, errorMessage } = responses[0]!;
  if (errorCode !== 0) throw new Error(`${topic} was not configured: ${errorMessage}`);
}

export async function endOffset(client: KafkaClient, topic: string, partitionIndex: number): Promise<number> {
  const { topics } = await client.request(apis.listOffsets, LIST_OFFSETS_VERSION, {
    topics: [{ name: topic, partitions: [{ partitionIndex, timestamp: -1 }] }],
  });
  const { errorCode, offset } = topics[0]!.partitions[0]!;
  if (errorCode !== 0)
    throw new Error(`the end of ${topic}-${partitionIndex} was answered error ${errorCode}`);
  return offset;
}

/** Visits every record of a partition up to its end, as it was at the first fetch; returns that end. Batches must have no holes between them. */
export async function readAll(
  client: KafkaClient,
  topic: string,
  partition: number,
  visit: (record: KeyedRecord) => void,
): Promise<number> {
  const end = await endOffset(client, topic, partition);
  let offset = 0;
  while (offset < end) {
    const records = await fetchFrom(client, topic, partition, offset);
    if (records.length === 0)
      throw new Error(`nothing at ${offset} of ${topic}-${partition}, which ends at ${end}`);
    let expected: number | undefined;
    for (let at = 0; at + 61 <= records.length;) {
      const header = readBatchHeader(records, at);
      if (at + sizeInBytes(header) > records.length) break;
      if (!verifyCrc(records, at))
        throw new Error(`a bad CRC at ${header.baseOffset} of ${topic}-${partition}`);
      if (expected !== undefined && header.baseOffset !== expected)
        throw new Error(`a hole from ${expected} to ${header.baseOffset} in ${topic}-${partition}`);
      const batch = records.subarray(at, at + sizeInBytes(header));
      for (const { offset: at1, key, value } of decodeBatch(batch, { maxBytes: DECOMPRESSED_BYTES_MAX })) {
        if (at1 >= offset) visit({ offset: at1, key: Buffer.from(key!).toString(), value });
      }
      expected = header.baseOffset + header.lastOffsetDelta + 1;
      at += sizeInBytes(header);
    }
    if (expected === undefined) throw new Error(`no whole batch at ${offset} of ${topic}-${partition}`);
    offset = expected;
  }
  return end;
}

async function fetchFrom(
  client: KafkaClient,
  topic: string,
  partition: number,
  fetchOffset: number,
): Promise<Uint8Array> {
  const { responses } = await client.request(apis.fetch, FETCH_VERSION, {
    maxWaitMs: 1000,
    minBytes: 1,
    maxBytes: FETCH_BYTES,
    topics: [{ topic, partitions: [{ partition, fetchOffset, partitionMaxBytes: FETCH_BYTES }] }],
    forgottenTopicsData: [],
  });
  const { errorCode, records } = responses[0]!.partitions[0]!;
  if (errorCode !== 0)
    throw new Error(`a fetch at ${fetchOffset} of ${topic}-${partition} was answered error ${errorCode}`);
  if (records === null) return new Uint8Array(0);
  return records instanceof Uint8Array ? records : Buffer.concat(records);
}

/** One value of /metrics, without labels. */
export async function metric(httpAddress: string, name: string): Promise<number> {
  const response = await fetch(`http://${httpAddress}/metrics`);
  const line = (await response.text()).split('\n').find((one) => one.startsWith(`${name} `));
  if (line === undefined) throw new Error(`there is no metric ${name}`);
  return Number(line.slice(name.length + 1));
}
