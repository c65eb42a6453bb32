import { alterPartitionReassignments } from '@polylog/kafka-protocol';

import type { ClusterImage } from '../../../cluster/image.ts';
import { BrokerError } from '../../../errors.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal, NO_ERROR, runItem } from './admin-requests.ts';

/**
 * AlterPartitionReassignments v0-v1 (KIP-455).
 *
 * - The replicas that a partition has already are no change, and no error.
 * - 3 for what does not exist, 39 for a list that is empty, names a broker twice or one that is not registered, 85 for the end of a
 *   reassignment that is not under way.
 *
 * Gaps: partitions are not moved: another valid list is 44.
 */
export function alterPartitionReassignmentsHandler({ partitions }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: alterPartitionReassignments,
    versions: [0, 1],
    isAdmin: true,
    async handle({ topics, allowReplicationFactorChange }) {
      const responses = topics.map(async ({ name, partitions: wanted }) => ({
        name,
        partitions: await Promise.all(
          wanted.map(({ partitionIndex, replicas }) =>
            runItem(
              () => {
                check(partitions.image, name, partitionIndex, replicas);
                return { partitionIndex, ...NO_ERROR };
              },
              (error) => ({ partitionIndex, ...error }),
            ),
          ),
        ),
      }));
      return { errorCode: NONE, allowReplicationFactorChange, responses: await Promise.all(responses) };
    },
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, responses: [] }),
  });
}

function check(image: ClusterImage, topic: string, index: number, replicas: readonly number[] | null): void {
  const partition = image.topicByName(topic)?.partitions[index];
  if (partition === undefined) {
    throw new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', `There is no partition ${index} of a topic ${topic}`);
  }
  if (replicas === null) {
    throw new ItemRefusal('NO_REASSIGNMENT_IN_PROGRESS', 'The partition is not being reassigned');
  }
  const unknown = replicas.find((id) => !image.brokers.has(id));
  const problem =
    replicas.length === 0
      ? 'is empty'
      : new Set(replicas).size < replicas.length
        ? 'names a broker twice'
        : unknown === undefined
          ? undefined
          : `names broker ${unknown}, which is not registered`;
  if (problem !== undefined) {
    throw new BrokerError('INVALID_REPLICA_ASSIGNMENT', `The list of replicas ${problem}`);
  }
  if (replicas.join() !== partition.replicas.join()) {
    throw new BrokerError('POLICY_VIOLATION', 'Partitions are not moved between brokers here');
  }
}
