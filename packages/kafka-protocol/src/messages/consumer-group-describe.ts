import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  since,
  uuid,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { AUTHORIZED_OPERATIONS_OMITTED } from './common.ts';

const assignment = struct({
  topicPartitions: field(
    array(
      struct({
        topicId: field(uuid),
        topicName: field(string),
        partitions: field(array(int32)),
      }),
    ),
  ),
});

/** Groups of KIP-848 with their members. */
export const consumerGroupDescribe = api({
  key: 69,
  name: 'ConsumerGroupDescribe',
  versions: [0, 1],
  flexibleSince: 0,
  request: {
    groupIds: field(array(string)),
    includeAuthorizedOperations: field(boolean, { default: false }),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    groups: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          groupId: field(string),
          groupState: field(string, { default: '' }),
          groupEpoch: field(int32, { default: 0 }),
          assignmentEpoch: field(int32, { default: 0 }),
          assignorName: field(string, { default: '' }),
          members: field(
            array(
              struct({
                memberId: field(string),
                instanceId: field(nullable(string), { default: null }),
                rackId: field(nullable(string), { default: null }),
                memberEpoch: field(int32),
                clientId: field(string),
                clientHost: field(string),
                subscribedTopicNames: field(array(string)),
                subscribedTopicRegex: field(nullable(string), { default: null }),
                assignment: field(assignment),
                targetAssignment: field(assignment),
                memberType: field(int8, since(1), { default: -1, ignorable: true }),
              }),
            ),
          ),
          authorizedOperations: field(int32, { default: AUTHORIZED_OPERATIONS_OMITTED }),
        }),
      ),
    ),
  },
});

export type ConsumerGroupDescribeRequest = MessageOf<typeof consumerGroupDescribe.request>;
export type ConsumerGroupDescribeResponse = MessageOf<typeof consumerGroupDescribe.response>;
export type ConsumerGroupDescribeRequestInit = InitOf<typeof consumerGroupDescribe.request>;
export type ConsumerGroupDescribeResponseInit = InitOf<typeof consumerGroupDescribe.response>;
