import { listGroups } from '@polylog/kafka-protocol';

import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/**
 * ListGroups v0-v5: the groups that this broker coordinates, filtered by state (v4, KIP-518) and type (v5, KIP-848); names of both in any case.
 * While a part of them is still being loaded it is answered 14.
 */
export function listGroupsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: listGroups,
    versions: [0, 5],
    isAdmin: true,
    async handle({ statesFilter, typesFilter }) {
      const states = new Set(statesFilter.map((state) => state.toLowerCase()));
      const types = new Set(typesFilter.map((type) => type.toLowerCase()));
      const listed = await services.groups.list();
      if (listed.error !== undefined) return { errorCode: codeOf(listed.error), groups: [] };
      const isWanted = ({ state, type }: { readonly state: string; readonly type: string }): boolean =>
        (states.size === 0 || states.has(state.toLowerCase())) && (types.size === 0 || types.has(type));
      return {
        errorCode: NONE,
        groups: listed.groups.filter(isWanted).map(({ groupId, type, protocolType, state }) => ({
          groupId,
          protocolType,
          groupState: state,
          groupType: type,
        })),
      };
    },
    failure: (_request, errorCode) => ({ errorCode, groups: [] }),
  });
}
