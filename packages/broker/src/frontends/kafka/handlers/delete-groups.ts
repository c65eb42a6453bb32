import { deleteGroups } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/** DeleteGroups v0-v2 (KIP-229): groups without members, with their offsets. 68 for one that has members, 69 for one that does not exist. */
export function deleteGroupsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: deleteGroups,
    versions: [0, 2],
    isAdmin: true,
    async handle({ groupsNames }) {
      const results = [...new Set(groupsNames)].map(async (groupId) => ({
        groupId,
        errorCode: codeOf(await services.groups.deleteGroup(groupId)),
      }));
      return { results: await Promise.all(results) };
    },
    failure: ({ groupsNames }, errorCode) => ({
      results: groupsNames.map((groupId) => ({ groupId, errorCode })),
    }),
  });
}
