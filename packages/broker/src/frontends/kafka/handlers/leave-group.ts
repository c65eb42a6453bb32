import { leaveGroup } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/** The first version in which many members leave, each with its own outcome (KIP-345). */
const MANY_SINCE = 3;

/** LeaveGroup v0-v5. Static members can be removed by their instance ids alone. Gaps: the `reason` (v5) is not logged. */
export function leaveGroupHandler({ groups }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: leaveGroup,
    versions: [0, 5],
    isAdmin: true,
    async handle({ groupId, memberId, members }, { version }) {
      const leaving =
        version >= MANY_SINCE
          ? members.map((member) => ({
              memberId: member.memberId,
              groupInstanceId: member.groupInstanceId,
            }))
          : [{ memberId, groupInstanceId: null }];
      const left = await groups.leave(groupId, leaving);
      if (left.error !== undefined) return { errorCode: codeOf(left.error), members: [] };
      if (version < MANY_SINCE) return { errorCode: codeOf(left.results[0]?.error) };
      return {
        errorCode: 0,
        members: left.results.map(({ error, memberId: id, groupInstanceId }) => ({
          memberId: id,
          groupInstanceId,
          errorCode: codeOf(error),
        })),
      };
    },
    failure: (_request, errorCode, _message, version) =>
      version < MANY_SINCE ? { errorCode } : { errorCode, members: [] },
  });
}
