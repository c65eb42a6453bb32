import { describeAcls, type DescribeAclsResponseInit } from '@polylog/kafka-protocol';

import type { Acl } from '../../../security/acl.core.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { aclStoreOf, entryOf, filterOf, patternOf, requireAuthorizer } from './acl-terms.ts';
import { NO_ERROR } from './admin-requests.ts';

/** DescribeAcls v1-v3 (KIP-140, KIP-290): the rules that a filter matches. 54 where no rules are in force. */
export function describeAclsHandler(services: KafkaServices): KafkaHandler {
  const acls = aclStoreOf(services);
  return defineHandler({
    api: describeAcls,
    versions: [1, 3],
    isAdmin: true,
    handle(request) {
      requireAuthorizer(services);
      return { ...NO_ERROR, resources: byResource(acls.list(filterOf(request))) };
    },
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, resources: [] }),
  });
}

type Resource = DescribeAclsResponseInit['resources'][number];

function byResource(acls: readonly Acl[]): Resource[] {
  const grouped = Map.groupBy(acls, ({ resourceType, patternType, resourceName }) =>
    [resourceType, patternType, resourceName].join(' '),
  );
  return [...grouped.values()].map((group) =>
    Object.assign(patternOf(group[0]!), { acls: group.map((acl) => entryOf(acl)) }),
  );
}
