import { setTimeout as sleep } from 'node:timers/promises';
import { Consumer, type KafkaRecord, type RecordsBatch } from '@platformatic/kafka';
import type { ReadRecord } from './kcat.ts';

const FETCH_BYTES_MAX = 10 * 1024 * 1024;
const FETCH_WAIT_MS = 500;

/**
 * Reads one partition from `from` to the high watermark with the client's Fetch, without a group.
 * @throws Error with the protocol's error code, if a fetch is answered by one
 */
export async function platformaticRead(
  address: string,
  topic: string,
  { partition = 0, from = 0 } = {},
): Promise<ReadRecord[]> {
  const consumer = new Consumer({ clientId: 'reader', groupId: 'unused', bootstrapBrokers: [address] });
  try {
    const metadata = await consumer.metadata({ topics: [topic] });
    const { id: topicId, partitions } = metadata.topics.get(topic) ?? { id: '', partitions: [] };
    const node = partitions[partition]?.leader ?? -1;
    const records: ReadRecord[] = [];
    for (let fetchOffset = BigInt(from), endOffset = 1n << 62n; fetchOffset < endOffset;) {
      const answer = await consumer.fetch({
        node,
        minBytes: 0,
        maxBytes: FETCH_BYTES_MAX,
        maxWaitTime: FETCH_WAIT_MS,
        topics: [
          {
            topicId,
            partitions: [
              {
                partition,
                currentLeaderEpoch: -1,
                fetchOffset,
                lastFetchedEpoch: -1,
                partitionMaxBytes: FETCH_BYTES_MAX,
              },
            ],
          },
        ],
      });
      const fetched = answer.responses[0]?.partitions[0];
      if (fetched === undefined || fetched.errorCode !== 0) {
        throw new Error(
          `fetch of ${topic}-${partition} at ${fetchOffset}: error ${fetched?.errorCode ?? 'no partition'}`,
        );
      }
      endOffset = fetched.highWatermark;
      for (const batch of fetched.records ?? []) {
        records.push(...recordsOf(batch).filter(({ offset }) => offset >= Number(fetchOffset)));
        fetchOffset = batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n;
      }
      if ((fetched.records ?? []).length === 0 && fetchOffset < endOffset) await sleep(10);
    }
    return records;
  } finally {
    await consumer.close(true);
  }
}

function recordsOf(batch: RecordsBatch): ReadRecord[] {
  return batch.records.map((record: KafkaRecord) => ({
    offset: Number(batch.firstOffset) + record.offsetDelta,
    key: record.key?.toString('utf8') ?? null,
    value: record.value?.toString('utf8') ?? null,
    timestampMs: Number(batch.firstTimestamp + record.timestampDelta),
    headers: record.headers.map(([name, value]) => [
      name?.toString('utf8') ?? '',
      value?.toString('utf8') ?? '',
    ]),
  }));
}
