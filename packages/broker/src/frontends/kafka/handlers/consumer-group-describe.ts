import { consumerGroupDescribe, type ConsumerGroupDescribeResponseInit } from '@polylog/kafka-protocol';

import type { ClusterImage } from '../../../cluster/image.ts';
import { authorizedOperations } from '../authorized-operations.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/** `memberType` (v1). */
const CLASSIC_MEMBER = 0;
const CONSUMER_MEMBER = 1;

type GroupAnswer = ConsumerGroupDescribeResponseInit['groups'][number];
type MemberAnswer = GroupAnswer['members'][number];

/**
 * ConsumerGroupDescribe v0-v1 (KIP-848): groups of the newer protocol with their members, what these have and what they shall get. A group that does
 * not exist, or is a classic one, is answered 69: clients ask DescribeGroups then.
 * What the client may do with it is told where it asks (KIP-430).
 *
 * Gaps: topics that are gone are left out of assignments.
 */
export function consumerGroupDescribeHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: consumerGroupDescribe,
    versions: [0, 1],
    isAdmin: true,
    async handle({ groupIds, includeAuthorizedOperations }, { access }) {
      // Each once, however often it is asked for: an answer is much longer than a name.
      const wanted = [...new Set(groupIds)];
      const answers = await Promise.all(wanted.map((groupId) => answerOf(services, groupId)));
      if (includeAuthorizedOperations) {
        for (const answer of answers) {
          if (answer.errorCode !== NONE) continue;
          answer.authorizedOperations = authorizedOperations(access, 'GROUP', answer.groupId);
        }
      }
      return { groups: answers };
    },
    failure: ({ groupIds }, errorCode, errorMessage) => ({
      groups: groupIds.map((groupId) => ({ errorCode, errorMessage, groupId, members: [] })),
    }),
  });
}

async function answerOf({ groups, partitions }: KafkaServices, groupId: string): Promise<GroupAnswer> {
  const described = await groups.describeConsumer(groupId);
  if (described.error !== undefined) {
    const isMissing = described.error === 'GROUP_ID_NOT_FOUND';
    const errorMessage = isMissing ? `Group ${groupId} is not a consumer group.` : null;
    return { errorCode: errorCodeOf(described.error), errorMessage, groupId, members: [] };
  }
  const { image } = partitions;
  return {
    errorCode: NONE,
    groupId,
    groupState: described.state,
    groupEpoch: described.groupEpoch,
    assignmentEpoch: described.assignmentEpoch,
    assignorName: described.assignor,
    members: described.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      rackId: member.rackId,
      memberEpoch: member.memberEpoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: member.subscribedTopics,
      subscribedTopicRegex: member.subscribedRegex,
      assignment: shown(image, member.assignment),
      targetAssignment: shown(image, member.targetAssignment),
      memberType: member.isClassic ? CLASSIC_MEMBER : CONSUMER_MEMBER,
    })),
  };
}

function shown(
  image: ClusterImage,
  assignment: ReadonlyMap<string, readonly number[]>,
): MemberAnswer['assignment'] {
  return {
    topicPartitions: [...assignment].flatMap(([topicId, partitions]) => {
      const topicName = image.topicById(topicId)?.kafkaName;
      return topicName === undefined ? [] : [{ topicId, topicName, partitions }];
    }),
  };
}
