import {
  api,
  array,
  field,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { aclPatternTypes } from './acl-codes.ts';

/** The access rules that a filter matches, by the resources they are for (KIP-140); null and ANY match everything. */
export const describeAcls = api({
  key: 29,
  name: 'DescribeAcls',
  versions: [1, 3],
  flexibleSince: 2,
  request: {
    resourceTypeFilter: field(int8),
    resourceNameFilter: field(nullable(string)),
    patternTypeFilter: field(int8, { default: aclPatternTypes.LITERAL }),
    principalFilter: field(nullable(string)),
    hostFilter: field(nullable(string)),
    operation: field(int8),
    permissionType: field(int8),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    resources: field(
      array(
        struct({
          resourceType: field(int8),
          resourceName: field(string),
          patternType: field(int8, { default: aclPatternTypes.LITERAL }),
          acls: field(
            array(
              struct({
                principal: field(string),
                host: field(string),
                operation: field(int8),
                permissionType: field(int8),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type DescribeAclsRequest = MessageOf<typeof describeAcls.request>;
export type DescribeAclsResponse = MessageOf<typeof describeAcls.response>;
export type DescribeAclsRequestInit = InitOf<typeof describeAcls.request>;
export type DescribeAclsResponseInit = InitOf<typeof describeAcls.response>;
