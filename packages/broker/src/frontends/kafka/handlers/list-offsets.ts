import {
  listOffsets,
  OFFSET_EARLIEST,
  OFFSET_EARLIEST_LOCAL,
  OFFSET_EARLIEST_PENDING_UPLOAD,
  OFFSET_LATEST,
  OFFSET_LATEST_TIERED,
  OFFSET_MAX_TIMESTAMP,
  type ListOffsetsRequest,
  type ListOffsetsResponseInit,
} from '@polylog/kafka-protocol';

import { BrokerError, type ErrorName } from '../../../errors.ts';
import { DiskError } from '../../../platform/disk.ts';

import {
  findOffset,
  type Isolation,
  type OffsetFound,
  type OffsetWanted,
} from '../../../topics/list-offsets.ts';
import { lookUpByName } from '../../../topics/lookup.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { duplicatesOf } from './admin-requests.ts';

/**
 * ListOffsets v1-v11.
 *
 * - By timestamp: the first record at or after it; without one, offset -1 and no error.
 * - -1 the high watermark, or with read_committed the last stable offset; -2 the log start; -3 the record with the largest timestamp
 *   (v7, KIP-734); -4 the log start on this disk (v8, KIP-405). Earlier versions get UNSUPPORTED_VERSION for those.
 * - A new leader that does not know its high watermark yet answers OFFSET_NOT_AVAILABLE (v5, KIP-207), before that LEADER_NOT_AVAILABLE; the log
 *   start is told nevertheless.
 * - Without tiered storage -5 (v9, KIP-1005) and -6 (v11, KIP-1023) are offset -1.
 * - A partition that comes more than once is INVALID_REQUEST in all its places: each look-up may cost a read.
 *
 * Gaps: `timeoutMs` (v10) is for reads from tiered storage, and ignored. Followers do not ask this way: replicaId is ignored.
 */
export function listOffsetsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: listOffsets,
    versions: [1, 11],
    async handle(request, exchange) {
      const isolation = request.isolationLevel === 1 ? 'read_committed' : 'read_uncommitted';
      const duplicates = duplicatesOf(
        request.topics.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex }) => keyOf(name, partitionIndex)),
        ),
      );
      const topics = [];
      for (const { name, partitions } of request.topics) {
        const answers = partitions.map(async (asked) => {
          const { partitionIndex } = asked;
          return duplicates.has(keyOf(name, partitionIndex))
            ? { partitionIndex, errorCode: errorCodeOf('INVALID_REQUEST') }
            : ask(services, name, asked, isolation, exchange.version);
        });
        // A request for many topics shall not start all of its reads at once
        topics.push({ name, partitions: await Promise.all(answers) });
      }
      return { topics };
    },
    failure: (request, errorCode) => ({
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
      })),
    }),
  });
}

function keyOf(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}

type Asked = ListOffsetsRequest['topics'][number]['partitions'][number];
type Answer = ListOffsetsResponseInit['topics'][number]['partitions'][number];

const SINCE: ReadonlyMap<number, number> = new Map([
  [OFFSET_MAX_TIMESTAMP, 7],
  [OFFSET_EARLIEST_LOCAL, 8],
  [OFFSET_LATEST_TIERED, 9],
  [OFFSET_EARLIEST_PENDING_UPLOAD, 11],
]);

async function ask(
  services: KafkaServices,
  topic: string,
  asked: Asked,
  isolation: Isolation,
  version: number,
): Promise<Answer> {
  const { partitionIndex, timestamp } = asked;
  const refuse = (error: ErrorName): Answer => {
    const unknownBefore5 = error === 'OFFSET_NOT_AVAILABLE' && version < 5;
    return { partitionIndex, errorCode: errorCodeOf(unknownBefore5 ? 'LEADER_NOT_AVAILABLE' : error) };
  };
  if ((SINCE.get(timestamp) ?? 0) > version) return refuse('UNSUPPORTED_VERSION');
  const { partition, error } = lookUpByName(services.partitions, topic, partitionIndex);
  if (partition === undefined) return refuse(error);
  let found: OffsetFound;
  try {
    found = await findOffset(partition, wantedOf(timestamp), {
      isolation,
      leaderEpoch: asked.currentLeaderEpoch,
    });
  } catch (failure) {
    if (failure instanceof BrokerError) return refuse(failure.code);
    if (failure instanceof DiskError) return refuse('KAFKA_STORAGE_ERROR');
    throw failure;
  }
  if (found.error !== undefined) return refuse(found.error);
  const tiered = timestamp === OFFSET_LATEST_TIERED || timestamp === OFFSET_EARLIEST_PENDING_UPLOAD;
  if (tiered) return { partitionIndex, errorCode: NONE };
  const answer: Answer = {
    partitionIndex,
    errorCode: NONE,
    timestamp: found.timestamp,
    offset: found.offset,
  };
  if (version >= 4) answer.leaderEpoch = found.leaderEpoch;
  return answer;
}

function wantedOf(timestamp: number): OffsetWanted {
  switch (timestamp) {
    case OFFSET_LATEST:
    case OFFSET_LATEST_TIERED:
    case OFFSET_EARLIEST_PENDING_UPLOAD:
      return { kind: 'latest' };
    case OFFSET_EARLIEST:
    case OFFSET_EARLIEST_LOCAL:
      return { kind: 'earliest' };
    case OFFSET_MAX_TIMESTAMP:
      return { kind: 'max-timestamp' };
    default:
      return { kind: 'timestamp', timestampMs: Math.max(0, timestamp) };
  }
}
