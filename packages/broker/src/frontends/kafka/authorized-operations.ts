import { aclOperations } from '@polylog/kafka-protocol';

import { CLUSTER_NAME, SUPPORTED_OPERATIONS, type ResourceType } from '../../security/acl.core.ts';
import type { Access } from '../../security/types.ts';

/** What the client may do with a resource, as KIP-430 tells it: bit n for the operation of that number. All of it where no rules are in force. */
export function authorizedOperations(access: Access, type: ResourceType, name: string): number {
  let bits = 0;
  for (const operation of SUPPORTED_OPERATIONS[type]) {
    if (access.shows(operation, type, name)) bits |= 1 << aclOperations[operation];
  }
  return bits;
}

/** Nothing, to who may not describe it. */
export function clusterOperations(access: Access): number {
  return access.shows('DESCRIBE', 'CLUSTER', CLUSTER_NAME)
    ? authorizedOperations(access, 'CLUSTER', CLUSTER_NAME)
    : 0;
}
