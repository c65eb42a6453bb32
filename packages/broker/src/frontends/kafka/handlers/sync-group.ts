import { syncGroup } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf, kept } from './group-requests.ts';

/** SyncGroup v0-v5: the leader hands in the assignments, and each member is answered with its own once they are durable. */
export function syncGroupHandler({ groups }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: syncGroup,
    versions: [0, 5],
    async handle(request) {
      const { groupId, generationId, memberId, groupInstanceId, protocolType, protocolName } = request;
      const { error, ...synced } = await groups.sync({
        groupId,
        generationId,
        memberId,
        groupInstanceId,
        protocolType,
        protocolName,
        assignments: new Map(
          request.assignments.map(({ memberId: id, assignment }) => [id, kept(assignment)]),
        ),
      });
      return { ...synced, errorCode: codeOf(error) };
    },
    failure: (_request, errorCode) => ({ errorCode, assignment: new Uint8Array(0) }),
  });
}
