import { describeGroups, type DescribeGroupsResponseInit } from '@polylog/kafka-protocol';

import { authorizedOperations } from '../authorized-operations.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/** Since then a group that does not exist is an error (KIP-1043); before it is one that is dead. */
const NOT_FOUND_SINCE = 6;

type GroupAnswer = DescribeGroupsResponseInit['groups'][number];

/**
 * DescribeGroups v0-v6: classic groups with their members. What members have told and got is shown while the group is stable; a group that does
 * not exist, or is one of KIP-848 (ConsumerGroupDescribe), is `Dead`, from v6 on 69.
 * What the client may do with it is told where it asks (v3, KIP-430).
 */
export function describeGroupsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeGroups,
    versions: [0, 6],
    isAdmin: true,
    async handle({ groups, includeAuthorizedOperations }, { version, access }) {
      // Each once, however often it is asked for: an answer is much longer than a name.
      const wanted = [...new Set(groups)];
      const answers = await Promise.all(wanted.map((groupId) => answerOf(services, groupId, version)));
      if (includeAuthorizedOperations) {
        for (const answer of answers) {
          if (answer.errorCode !== NONE) continue;
          answer.authorizedOperations = authorizedOperations(access, 'GROUP', answer.groupId);
        }
      }
      return { groups: answers };
    },
    failure: ({ groups }, errorCode, errorMessage, version) => ({
      groups: groups.map((groupId) =>
        Object.assign(
          nothing(groupId, ''),
          version < NOT_FOUND_SINCE ? { errorCode } : { errorCode, errorMessage },
        ),
      ),
    }),
  });
}

async function answerOf(services: KafkaServices, groupId: string, version: number): Promise<GroupAnswer> {
  const described = await services.groups.describe(groupId);
  if (described.error === undefined) {
    const { state, protocolType, protocol, members } = described;
    return {
      errorCode: NONE,
      groupId,
      groupState: state,
      protocolType,
      protocolData: protocol,
      members: members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        memberMetadata: member.metadata,
        memberAssignment: member.assignment,
      })),
    };
  }
  if (described.error !== 'GROUP_ID_NOT_FOUND') {
    return { ...nothing(groupId, ''), errorCode: codeOf(described.error) };
  }
  if (version < NOT_FOUND_SINCE) return nothing(groupId, 'Dead');
  const errorMessage = `Group ${groupId} is not a classic group.`;
  return { ...nothing(groupId, 'Dead'), errorCode: codeOf(described.error), errorMessage };
}

function nothing(groupId: string, groupState: string): GroupAnswer {
  return { errorCode: NONE, groupId, groupState, protocolType: '', protocolData: '', members: [] };
}
