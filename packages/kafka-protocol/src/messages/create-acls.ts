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

/** Adds access rules (KIP-140); each has its own outcome, in the order of the request. */
export const createAcls = api({
  key: 30,
  name: 'CreateAcls',
  versions: [1, 3],
  flexibleSince: 2,
  request: {
    creations: field(
      array(
        struct({
          resourceType: field(int8),
          resourceName: field(string),
          resourcePatternType: field(int8, { default: aclPatternTypes.LITERAL }),
          principal: field(string),
          host: field(string),
          operation: field(int8),
          permissionType: field(int8),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    results: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
        }),
      ),
    ),
  },
});

export type CreateAclsRequest = MessageOf<typeof createAcls.request>;
export type CreateAclsResponse = MessageOf<typeof createAcls.response>;
export type CreateAclsRequestInit = InitOf<typeof createAcls.request>;
export type CreateAclsResponseInit = InitOf<typeof createAcls.response>;
