import { describeProducers, type DescribeProducersResponseInit } from '@polylog/kafka-protocol';

import type { ErrorName } from '../../../errors.ts';
import { lookUpByName } from '../../../topics/lookup.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { duplicatesOf } from './admin-requests.ts';

/**
 * DescribeProducers v0 (KIP-664): the producers that a partition remembers, with their open transactions, from its leader.
 *
 * - `lastTimestamp` is when the broker took the last batch or marker; after a start, when it was read again, unless a snapshot says it.
 * - A partition that comes twice is INVALID_REQUEST in all its places: an answer is much longer than its question.
 */
export function describeProducersHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeProducers,
    versions: [0, 0],
    isAdmin: true,
    handle({ topics }) {
      const duplicates = duplicatesOf(
        topics.flatMap(({ name, partitionIndexes }) => partitionIndexes.map((index) => keyOf(name, index))),
      );
      return {
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((index) =>
            duplicates.has(keyOf(name, index))
              ? refused(index, 'INVALID_REQUEST')
              : producersOf(services, name, index),
          ),
        })),
      };
    },
    failure: ({ topics }, errorCode, errorMessage) => ({
      topics: topics.map(({ name, partitionIndexes }) => ({
        name,
        partitions: partitionIndexes.map((partitionIndex) => ({
          partitionIndex,
          errorCode,
          errorMessage,
          activeProducers: [],
        })),
      })),
    }),
  });
}

type Answer = DescribeProducersResponseInit['topics'][number]['partitions'][number];

function keyOf(topic: string, partition: number): string {
  return `${partition} ${topic}`;
}

function refused(partitionIndex: number, error: ErrorName): Answer {
  return { partitionIndex, errorCode: errorCodeOf(error), activeProducers: [] };
}

function producersOf({ partitions }: KafkaServices, topic: string, partitionIndex: number): Answer {
  const { partition, error } = lookUpByName(partitions, topic, partitionIndex);
  if (partition === undefined) return refused(partitionIndex, error);
  if (!partition.isLeader) return refused(partitionIndex, 'NOT_LEADER_OR_FOLLOWER');
  return {
    partitionIndex,
    errorCode: NONE,
    activeProducers: partition.describeProducers().map((producer) => ({
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      lastSequence: producer.lastSequence,
      lastTimestamp: producer.lastTimestampMs,
      coordinatorEpoch: producer.coordinatorEpoch,
      currentTxnStartOffset: producer.transactionStartOffset,
    })),
  };
}
