import {
  deleteRecords,
  type DeleteRecordsRequest,
  type DeleteRecordsResponseInit,
} from '@polylog/kafka-protocol';

import { BrokerError, type ErrorName } from '../../../errors.ts';
import { lookUpByName } from '../../../topics/lookup.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { duplicatesOf, withinTimeout } from './admin-requests.ts';

/**
 * DeleteRecords v0-v2 (KIP-107): moves log start offsets forward; -1 means to the high watermark. Nothing is rewritten: whole
 * segments below go later.
 *
 * - A partition that comes twice is INVALID_REQUEST in all its places, and nothing is done for it.
 * - Beyond the high watermark is OFFSET_OUT_OF_RANGE; a topic whose cleanup.policy lacks `delete` is POLICY_VIOLATION.
 * - What is not known to all replicas within `timeoutMs` is REQUEST_TIMED_OUT, and happens nevertheless. For what is written here nobody
 *   waits too long: a time of 0 is enough for a topic with one replica, as in Kafka.
 */
export function deleteRecordsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: deleteRecords,
    versions: [0, 2],
    isAdmin: true,
    async handle(request) {
      const { timeoutMs } = request;
      const duplicates = duplicatesOf(keysOf(request));
      const topics = await Promise.all(
        request.topics.map(async ({ name, partitions }) => ({
          name,
          partitions: await Promise.all(
            partitions.map(async ({ partitionIndex, offset }) =>
              duplicates.has(keyOf(name, partitionIndex))
                ? refused(partitionIndex, 'INVALID_REQUEST')
                : deleteBefore(services, { topic: name, partitionIndex, offset, timeoutMs }),
            ),
          ),
        })),
      );
      return { topics };
    },
    failure: (request, errorCode) => ({
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, lowWatermark: -1, errorCode })),
      })),
    }),
  });
}

function keyOf(topic: string, partitionIndex: number): string {
  return `${partitionIndex} ${topic}`;
}

function* keysOf({ topics }: DeleteRecordsRequest): Iterable<string> {
  for (const { name, partitions } of topics) {
    for (const { partitionIndex } of partitions) yield keyOf(name, partitionIndex);
  }
}

function refused(partitionIndex: number, error: ErrorName): Answer {
  return { partitionIndex, lowWatermark: -1, errorCode: errorCodeOf(error) };
}

type Answer = DeleteRecordsResponseInit['topics'][number]['partitions'][number];

async function deleteBefore(
  services: KafkaServices,
  asked: { topic: string; partitionIndex: number; offset: number; timeoutMs: number },
): Promise<Answer> {
  const { topic, partitionIndex, offset } = asked;
  const { partition, error } = lookUpByName(services.partitions, topic, partitionIndex);
  if (partition === undefined) return refused(partitionIndex, error);
  if (!partition.isLeader) return refused(partitionIndex, 'NOT_LEADER_OR_FOLLOWER');
  if (services.partitions.image.topicByName(topic)?.kind === 'internal') {
    return refused(partitionIndex, 'INVALID_TOPIC_EXCEPTION');
  }
  if (services.partitions.settings(topic)?.log.deleteOldSegments === false)
    return refused(partitionIndex, 'POLICY_VIOLATION');
  if (offset < -1) return refused(partitionIndex, 'OFFSET_OUT_OF_RANGE');
  try {
    const lowWatermark = await partition.deleteRecords(offset, (followers) =>
      withinTimeout(services.timers, asked.timeoutMs, followers),
    );
    return { partitionIndex, lowWatermark, errorCode: NONE };
  } catch (failure) {
    if (failure instanceof BrokerError) return refused(partitionIndex, failure.code);
    throw failure;
  }
}
