import { consumerGroupHeartbeat } from '@polylog/kafka-protocol';

import { featureLevel, GROUP_VERSION } from '../../../cluster/features.ts';
import { normalized } from '../../../groups/consumer/assignment.core.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { clientHostOf } from './group-requests.ts';

/** Members make their ids themselves, and may subscribe by a regular expression. */
const OWN_MEMBER_IDS_SINCE = 1;

/**
 * ConsumerGroupHeartbeat v0-v1 (KIP-848): a member joins (epoch 0), stays, or leaves (-1; -2 for a static member that comes back), and is told what it
 * shall have from now on. The broker assigns.
 *
 * - A regular expression (v1) is one of RE2; another is answered 128. It is looked at again when topics come and go, and stands for what the
 *   member may describe.
 * - A member whose epoch is not the one that is known is answered 110: it gives up what it has, and joins again. 111: another member still has
 *   its instance id; 112: there is no such assignor.
 * - A classic group becomes one of this protocol with its first such member, and back when the last one has left (group.consumer.migration.policy).
 * - Without the finalized feature `group.version`, or where group.coordinator.rebalance.protocols does not name it, it is answered 35.
 *
 * Gaps: racks are kept and shown, and play no part in assignments, as in Kafka 4.
 */
export function consumerGroupHeartbeatHandler({ groups, partitions }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: consumerGroupHeartbeat,
    versions: [0, 1],
    async handle(request, { version, clientId, connection, access }) {
      if (featureLevel(partitions.image, GROUP_VERSION) < 1) {
        const errorMessage = 'The feature group.version is not finalized.';
        return { errorCode: errorCodeOf('UNSUPPORTED_VERSION'), errorMessage };
      }
      const { topicPartitions } = request;
      const answer = await groups.consumerHeartbeat({
        groupId: request.groupId,
        memberId: request.memberId,
        memberEpoch: request.memberEpoch,
        instanceId: request.instanceId,
        rackId: request.rackId,
        rebalanceTimeoutMs: request.rebalanceTimeoutMs,
        subscribedTopics: request.subscribedTopicNames,
        subscribedRegex: request.subscribedTopicRegex,
        serverAssignor: request.serverAssignor,
        owned:
          topicPartitions === null
            ? null
            : normalized(topicPartitions.map(({ topicId, partitions: owned }) => [topicId, owned])),
        clientId,
        clientHost: clientHostOf(connection),
        maySee: (topic) => access.shows('DESCRIBE', 'TOPIC', topic),
        makesMemberId: version >= OWN_MEMBER_IDS_SINCE,
      });
      if (answer.error !== undefined) {
        return { errorCode: errorCodeOf(answer.error), errorMessage: answer.message };
      }
      const { memberId, memberEpoch, heartbeatIntervalMs, assignment } = answer;
      return {
        errorCode: NONE,
        memberId,
        memberEpoch,
        heartbeatIntervalMs,
        assignment: assignment && { topicPartitions: topicPartitionsOf(assignment) },
      };
    },
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage }),
  });
}

function topicPartitionsOf(
  assignment: ReadonlyMap<string, readonly number[]>,
): { topicId: string; partitions: readonly number[] }[] {
  return [...assignment].map(([topicId, partitions]) => ({ topicId, partitions }));
}
