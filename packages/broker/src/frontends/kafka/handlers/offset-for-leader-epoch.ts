import { offsetForLeaderEpoch } from '@polylog/kafka-protocol';

import { lookUpByName } from '../../../topics/lookup.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * OffsetForLeaderEpoch v2-v4 (KIP-320): where an epoch ends in the leader's log.
 *
 * - An epoch that the leader does not know is answered -1/-1 without an error.
 * - A client whose own leader epoch is stale or ahead gets FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH.
 */
export function offsetForLeaderEpochHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: offsetForLeaderEpoch,
    versions: [2, 4],
    handle: (request) => ({
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
          const { partition, error } = lookUpByName(services.partitions, topic, index);
          if (partition === undefined) return { partition: index, errorCode: errorCodeOf(error) };
          const refusal = partition.isLeader
            ? partition.checkLeaderEpoch(currentLeaderEpoch)
            : 'NOT_LEADER_OR_FOLLOWER';
          if (refusal !== undefined) return { partition: index, errorCode: errorCodeOf(refusal) };
          const end = leaderEpoch < 0 ? undefined : partition.endOffsetForEpoch(leaderEpoch);
          return {
            partition: index,
            errorCode: NONE,
            leaderEpoch: end?.epoch ?? -1,
            endOffset: end?.endOffset ?? -1,
          };
        }),
      })),
    }),
    failure: (request, errorCode) => ({
      topics: request.topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition }) => ({ partition, errorCode })),
      })),
    }),
  });
}
