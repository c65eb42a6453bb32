import { deleteRecords, type DeleteRecordsResponseInit } from '@polylog/kafka-protocol';

import { BrokerError, type ErrorName } from '../../../errors.ts';
import { lookUpByName } from '../../../topics/lookup.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * DeleteRecords v0-v2 (KIP-107): moves log start offsets forward; -1 means to the high watermark. Nothing is rewritten: whole
 * segments below go later.
 *
 * - Beyond the high watermark is OFFSET_OUT_OF_RANGE; a topic whose cleanup.policy lacks `delete` is POLICY_VIOLATION.
 * - What is not known to all replicas within `timeoutMs` is REQUEST_TIMED_OUT, and happens nevertheless.
 */
export function deleteRecordsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: deleteRecords,
    versions: [0, 2],
    async handle(request) {
      const topics = await Promise.all(
        request.topics.map(async ({ name, partitions }) => ({
          name,
          partitions: await Promise.all(
            partitions.map(({ partitionIndex, offset }) =>
              deleteBefore(services, { topic: name, partitionIndex, offset, timeoutMs: request.timeoutMs }),
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

type Answer = DeleteRecordsResponseInit['topics'][number]['partitions'][number];

async function deleteBefore(
  services: KafkaServices,
  asked: { topic: string; partitionIndex: number; offset: number; timeoutMs: number },
): Promise<Answer> {
  const { topic, partitionIndex, offset } = asked;
  const refused = (error: ErrorName): Answer => ({
    partitionIndex,
    lowWatermark: -1,
    errorCode: errorCodeOf(error),
  });
  const { partition, error } = lookUpByName(services.partitions, topic, partitionIndex);
  if (partition === undefined) return refused(error);
  if (!partition.isLeader) return refused('NOT_LEADER_OR_FOLLOWER');
  if (services.partitions.image.topicByName(topic)?.kind === 'internal') {
    return refused('INVALID_TOPIC_EXCEPTION');
  }
  if (services.partitions.settings(topic)?.log.deleteOldSegments === false)
    return refused('POLICY_VIOLATION');
  if (offset < -1) return refused('OFFSET_OUT_OF_RANGE');
  try {
    const lowWatermark = await withTimeout(services, partition.deleteRecords(offset), asked.timeoutMs);
    return { partitionIndex, lowWatermark, errorCode: NONE };
  } catch (failure) {
    if (failure instanceof BrokerError) return refused(failure.code);
    throw failure;
  }
}

function withTimeout<T>(services: KafkaServices, work: Promise<T>, timeoutMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = services.timers.after(Math.max(0, timeoutMs), () =>
      reject(new BrokerError('REQUEST_TIMED_OUT', `not done within ${timeoutMs} ms`)),
    );
    work.then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}
