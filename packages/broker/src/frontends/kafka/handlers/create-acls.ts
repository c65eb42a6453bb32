import { createAcls } from '@polylog/kafka-protocol';

import { checkAcl } from '../../../security/acl-store.ts';
import type { Acl } from '../../../security/acl.core.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { aclOf, aclStoreOf, requireAuthorizer } from './acl-terms.ts';
import { itemErrorOf, NO_ERROR } from './admin-requests.ts';

/**
 * CreateAcls v1-v3 (KIP-140, KIP-290).
 *
 * - Each rule has its own outcome; one that is there already is success, one that could never apply 42, and the others are added.
 * - 54 where no rules are in force; 44 for all that are legal if there would be too many.
 * - The hosts of Kafka's rules are addresses but not checked; here names of hosts, which would never apply, are 42.
 */
export function createAclsHandler(services: KafkaServices): KafkaHandler {
  const acls = aclStoreOf(services);
  return defineHandler({
    api: createAcls,
    versions: [1, 3],
    isAdmin: true,
    async handle({ creations }) {
      requireAuthorizer(services);
      const legal: Acl[] = [];
      const results = creations.map((creation) => {
        try {
          legal.push(checkAcl(aclOf(creation)));
          return undefined;
        } catch (error) {
          return itemErrorOf(error);
        }
      });
      let outcome = NO_ERROR;
      try {
        await acls.create(legal);
      } catch (error) {
        outcome = itemErrorOf(error);
      }
      return { results: results.map((refusal) => refusal ?? outcome) };
    },
    failure: ({ creations }, errorCode, errorMessage) => ({
      results: creations.map(() => ({ errorCode, errorMessage })),
    }),
  });
}
