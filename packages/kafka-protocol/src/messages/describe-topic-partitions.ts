import {
  api,
  ZERO_UUID,
  array,
  boolean,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  uuid,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { AUTHORIZED_OPERATIONS_OMITTED } from './common.ts';

/** Topics with their partitions, in pages behind a cursor, with eligible leader replicas (KIP-966). */
export const describeTopicPartitions = api({
  key: 75,
  name: 'DescribeTopicPartitions',
  versions: [0, 0],
  flexibleSince: 0,
  request: {
    topics: field(
      array(
        struct({
          name: field(string),
        }),
      ),
    ),
    responsePartitionLimit: field(int32, { default: 2000 }),
    cursor: field(
      nullable(
        struct({
          topicName: field(string),
          partitionIndex: field(int32),
        }),
      ),
      { default: null },
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    topics: field(
      array(
        struct({
          errorCode: field(int16),
          name: field(nullable(string)),
          topicId: field(uuid, { default: ZERO_UUID }),
          isInternal: field(boolean, { default: false }),
          partitions: field(
            array(
              struct({
                errorCode: field(int16),
                partitionIndex: field(int32),
                leaderId: field(int32),
                leaderEpoch: field(int32, { default: -1 }),
                replicaNodes: field(array(int32)),
                isrNodes: field(array(int32)),
                eligibleLeaderReplicas: field(nullable(array(int32)), { default: null }),
                lastKnownElr: field(nullable(array(int32)), { default: null }),
                offlineReplicas: field(array(int32)),
              }),
            ),
          ),
          topicAuthorizedOperations: field(int32, { default: AUTHORIZED_OPERATIONS_OMITTED }),
        }),
      ),
    ),
    nextCursor: field(
      nullable(
        struct({
          topicName: field(string),
          partitionIndex: field(int32),
        }),
      ),
      { default: null },
    ),
  },
});

export type DescribeTopicPartitionsRequest = MessageOf<typeof describeTopicPartitions.request>;
export type DescribeTopicPartitionsResponse = MessageOf<typeof describeTopicPartitions.response>;
export type DescribeTopicPartitionsRequestInit = InitOf<typeof describeTopicPartitions.request>;
export type DescribeTopicPartitionsResponseInit = InitOf<typeof describeTopicPartitions.response>;
