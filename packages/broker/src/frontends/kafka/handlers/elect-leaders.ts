import { electLeaders, type ElectLeadersRequest } from '@polylog/kafka-protocol';

import type { ClusterImage, PartitionImage } from '../../../cluster/image.ts';
import { BrokerError } from '../../../errors.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal, itemErrorOf, type ItemError } from './admin-requests.ts';

const PREFERRED = 0;
const UNCLEAN = 1;

/**
 * ElectLeaders v0-v2 (KIP-183, KIP-460).
 *
 * - Each partition has its own outcome: 3 if it does not exist, 84 if the leader is the wanted one already, 80 if the preferred replica
 *   cannot lead, 83 if no replica can. A request for all partitions is told only of those with another outcome than 84, as in Kafka.
 * - An election type that does not exist is 42 for the whole request.
 *
 * Gaps: while a partition has one replica there is nobody else to elect.
 */
export function electLeadersHandler({ partitions }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: electLeaders,
    versions: [0, 2],
    isAdmin: true,
    handle(request, { version }) {
      const type = version === 0 ? PREFERRED : request.electionType;
      if (type !== PREFERRED && type !== UNCLEAN) {
        throw new BrokerError('INVALID_REQUEST', `The election type ${type} is unknown`);
      }
      const replicaElectionResults = wantedOf(partitions.image, request).map(
        ({ topic, indexes, isAsked }) => ({
          topic,
          partitionResult: indexes
            .map((partitionId) => ({ partitionId, ...outcomeOf(partitions.image, topic, partitionId, type) }))
            .filter(({ isNeeded }) => isAsked || isNeeded),
        }),
      );
      return {
        errorCode: NONE,
        replicaElectionResults: replicaElectionResults.filter(
          ({ partitionResult }) => partitionResult.length > 0,
        ),
      };
    },
    failure: ({ topicPartitions }, errorCode, errorMessage) => ({
      errorCode,
      replicaElectionResults: (topicPartitions ?? []).map(({ topic, partitions: indexes }) => ({
        topic,
        partitionResult: indexes.map((partitionId) => ({ partitionId, errorCode, errorMessage })),
      })),
    }),
  });
}

interface Wanted {
  readonly topic: string;
  readonly indexes: readonly number[];
  /** By name; the request for all asks for none. */
  readonly isAsked: boolean;
}

function wantedOf(image: ClusterImage, { topicPartitions }: ElectLeadersRequest): Wanted[] {
  if (topicPartitions !== null) {
    return topicPartitions.map(({ topic, partitions }) => ({ topic, indexes: partitions, isAsked: true }));
  }
  return [...image.topics()].map(({ kafkaName, partitions }) => ({
    topic: kafkaName,
    indexes: [...partitions.keys()],
    isAsked: false,
  }));
}

function outcomeOf(
  image: ClusterImage,
  topic: string,
  index: number,
  type: number,
): ItemError & { readonly isNeeded: boolean } {
  const partition = image.topicByName(topic)?.partitions[index];
  if (partition === undefined) {
    const message = `There is no partition ${index} of a topic ${topic}`;
    return { ...itemErrorOf(new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', message)), isNeeded: true };
  }
  const refusal = refusalOf(partition, type);
  return { ...itemErrorOf(refusal), isNeeded: !isLedAsWanted(partition, type) };
}

function isLedAsWanted({ leader, replicas }: PartitionImage, type: number): boolean {
  return type === PREFERRED ? leader === replicas[0] : leader !== -1;
}

function refusalOf(partition: PartitionImage, type: number): ItemRefusal {
  const { leader, replicas } = partition;
  if (isLedAsWanted(partition, type)) {
    return new ItemRefusal('ELECTION_NOT_NEEDED', `Broker ${leader} leads the partition, as it should`);
  }
  return type === PREFERRED
    ? new ItemRefusal('PREFERRED_LEADER_NOT_AVAILABLE', `Broker ${replicas[0]} cannot lead the partition`)
    : new ItemRefusal(
        'ELIGIBLE_LEADERS_NOT_AVAILABLE',
        `None of the brokers ${replicas.join(', ')} can lead it`,
      );
}
