import {
  describeTopicPartitions,
  type DescribeTopicPartitionsRequest,
  type DescribeTopicPartitionsResponseInit,
} from '@polylog/kafka-protocol';

import type { ClusterImage, TopicImage } from '../../../cluster/image.ts';
import { BrokerError } from '../../../errors.ts';
import type { Access } from '../../../security/types.ts';
import { authorizedOperations } from '../authorized-operations.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { isLegalTopicName } from '../topic-names.ts';

/** Kafka's `max.request.partition.size.limit`: the most partitions in one response, whatever the client asks for. */
const PARTITIONS_PER_RESPONSE_MAX = 2000;

/**
 * DescribeTopicPartitions v0 (KIP-966).
 *
 * - Topics in the order of their names, from the cursor on; no topics asks for all. The response ends after the limit, with a cursor
 *   to go on from. A cursor whose topic is gone goes on with the next one.
 * - Unknown names are answered 3, illegal ones 17. Topics that the client may not describe are left out, or answered 29 where it names
 *   them; what it may do with the others is always told (KIP-430).
 *
 * Gaps: the last known ELR is not kept.
 */
export function describeTopicPartitionsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeTopicPartitions,
    versions: [0, 0],
    handle(request, { access }) {
      const { cursor } = request;
      if (cursor !== null && cursor.partitionIndex < 0) {
        throw new BrokerError('INVALID_REQUEST', 'The cursor has a negative partition');
      }
      const { image } = services.partitions;
      const limit = Math.min(PARTITIONS_PER_RESPONSE_MAX, Math.max(1, request.responsePartitionLimit));
      const topics: TopicEntry[] = [];
      let room = limit;
      for (const { name, topic } of wantedOf(image, request, access)) {
        if (topic === undefined) {
          topics.push({ errorCode: unknownCode(name), name, partitions: [] });
          continue;
        }
        const first = cursor?.topicName === name ? cursor.partitionIndex : 0;
        if (room === 0) return { topics, nextCursor: { topicName: name, partitionIndex: first } };
        const entry = topicEntry(image, topic, first, room, access);
        topics.push(entry);
        room -= entry.partitions.length;
        const next = first + entry.partitions.length;
        if (next < topic.partitions.length) {
          return { topics, nextCursor: { topicName: name, partitionIndex: next } };
        }
      }
      return { topics, nextCursor: null };
    },
    failure: (request, errorCode) => ({
      topics: request.topics.map(({ name }) => ({ errorCode, name, partitions: [] })),
    }),
  });
}

type TopicEntry = DescribeTopicPartitionsResponseInit['topics'][number];

function* wantedOf(
  image: ClusterImage,
  { topics, cursor }: DescribeTopicPartitionsRequest,
  access: Access,
): Generator<{ readonly name: string; readonly topic: TopicImage | undefined }, undefined> {
  const from = cursor?.topicName ?? '';
  if (topics.length === 0) {
    for (const topic of image.topicsFrom(from)) {
      const name = topic.kafkaName;
      if (access.shows('DESCRIBE', 'TOPIC', name)) yield { name, topic };
    }
    return;
  }
  const names = [...new Set(topics.map(({ name }) => name))].filter((name) => name >= from).sort();
  for (const name of names) yield { name, topic: image.topicByName(name) };
}

function unknownCode(name: string): number {
  const legal = name !== '' && isLegalTopicName(name);
  return errorCodeOf(legal ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'INVALID_TOPIC_EXCEPTION');
}

function topicEntry(
  image: ClusterImage,
  topic: TopicImage,
  first: number,
  count: number,
  access: Access,
): TopicEntry {
  return {
    errorCode: NONE,
    name: topic.kafkaName,
    topicId: topic.id,
    isInternal: topic.kind === 'internal',
    topicAuthorizedOperations: authorizedOperations(access, 'TOPIC', topic.kafkaName),
    partitions: topic.partitions.slice(first, first + count).map((partition, index) => {
      const hasLeader = image.brokers.has(partition.leader);
      return {
        errorCode: hasLeader ? NONE : errorCodeOf('LEADER_NOT_AVAILABLE'),
        partitionIndex: first + index,
        leaderId: hasLeader ? partition.leader : -1,
        leaderEpoch: partition.leaderEpoch,
        replicaNodes: partition.replicas,
        isrNodes: partition.isr,
        eligibleLeaderReplicas: partition.elr,
        lastKnownElr: [],
        offlineReplicas: partition.replicas.filter((id) => !image.brokers.has(id)),
      };
    }),
  };
}
