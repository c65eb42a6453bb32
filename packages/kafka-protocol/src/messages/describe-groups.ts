import {
  api,
  array,
  boolean,
  bytes,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { AUTHORIZED_OPERATIONS_OMITTED } from './common.ts';

/** Classic groups with their members. */
export const describeGroups = api({
  key: 15,
  name: 'DescribeGroups',
  versions: [0, 6],
  flexibleSince: 5,
  request: {
    groups: field(array(string)),
    includeAuthorizedOperations: field(boolean, since(3)),
  },
  response: {
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    groups: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), since(6), { default: null }),
          groupId: field(string),
          groupState: field(string),
          protocolType: field(string),
          protocolData: field(string),
          members: field(
            array(
              struct({
                memberId: field(string),
                groupInstanceId: field(nullable(string), since(4), { default: null, ignorable: true }),
                clientId: field(string),
                clientHost: field(string),
                memberMetadata: field(bytes),
                memberAssignment: field(bytes),
              }),
            ),
          ),
          authorizedOperations: field(int32, since(3), { default: AUTHORIZED_OPERATIONS_OMITTED }),
        }),
      ),
    ),
  },
});

export type DescribeGroupsRequest = MessageOf<typeof describeGroups.request>;
export type DescribeGroupsResponse = MessageOf<typeof describeGroups.response>;
export type DescribeGroupsRequestInit = InitOf<typeof describeGroups.request>;
export type DescribeGroupsResponseInit = InitOf<typeof describeGroups.response>;
