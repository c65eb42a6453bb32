import { deleteAcls } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import type { Acl, AclFilter } from '../../../security/acl.core.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { aclStoreOf, entryOf, filterOf, patternOf, requireAuthorizer } from './acl-terms.ts';
import { itemErrorOf, NO_ERROR, type ItemError } from './admin-requests.ts';

/** Each filter looks at all rules, in one go. */
const FILTERS_MAX = 1000;

/** DeleteAcls v1-v3 (KIP-140, KIP-290): each filter is answered with what it has removed. 54 where no rules are in force. */
export function deleteAclsHandler(services: KafkaServices): KafkaHandler {
  const acls = aclStoreOf(services);
  return defineHandler({
    api: deleteAcls,
    versions: [1, 3],
    isAdmin: true,
    async handle({ filters }) {
      requireAuthorizer(services);
      if (filters.length > FILTERS_MAX) {
        throw new BrokerError('INVALID_REQUEST', `${filters.length} filters are more than ${FILTERS_MAX}`);
      }
      const legal: AclFilter[] = [];
      const refusals = filters.map((filter): ItemError | undefined => {
        try {
          legal.push(filterOf(filter));
          return undefined;
        } catch (error) {
          return itemErrorOf(error);
        }
      });
      const removed = (await acls.remove(legal)).values();
      return {
        filterResults: refusals.map((refusal) =>
          Object.assign(
            { matchingAcls: refusal === undefined ? shown(removed.next().value ?? []) : [] },
            refusal ?? NO_ERROR,
          ),
        ),
      };
    },
    failure: ({ filters }, errorCode, errorMessage) => ({
      filterResults: filters.map(() => ({ errorCode, errorMessage, matchingAcls: [] })),
    }),
  });
}

function shown(acls: readonly Acl[]) {
  return acls.map((acl) => Object.assign(patternOf(acl), entryOf(acl)));
}
