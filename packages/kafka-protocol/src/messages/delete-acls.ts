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

/** Removes the access rules that any of the filters matches (KIP-140), and says which those were. */
export const deleteAcls = api({
  key: 31,
  name: 'DeleteAcls',
  versions: [1, 3],
  flexibleSince: 2,
  request: {
    filters: field(
      array(
        struct({
          resourceTypeFilter: field(int8),
          resourceNameFilter: field(nullable(string)),
          patternTypeFilter: field(int8, { default: aclPatternTypes.LITERAL }),
          principalFilter: field(nullable(string)),
          hostFilter: field(nullable(string)),
          operation: field(int8),
          permissionType: field(int8),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    filterResults: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          matchingAcls: field(
            array(
              struct({
                errorCode: field(int16, { default: 0 }),
                errorMessage: field(nullable(string), { default: null }),
                resourceType: field(int8),
                resourceName: field(string),
                patternType: field(int8, { default: aclPatternTypes.LITERAL }),
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

export type DeleteAclsRequest = MessageOf<typeof deleteAcls.request>;
export type DeleteAclsResponse = MessageOf<typeof deleteAcls.response>;
export type DeleteAclsRequestInit = InitOf<typeof deleteAcls.request>;
export type DeleteAclsResponseInit = InitOf<typeof deleteAcls.response>;
