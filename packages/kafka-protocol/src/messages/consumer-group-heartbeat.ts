import {
  api,
  array,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  text,
  since,
  uuid,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** A member of a group of KIP-848 joins, stays and leaves, all by this one request; v1 has regular expressions and ids that members make. */
export const consumerGroupHeartbeat = api({
  key: 68,
  name: 'ConsumerGroupHeartbeat',
  versions: [0, 1],
  flexibleSince: 0,
  request: {
    groupId: field(string),
    memberId: field(string),
    memberEpoch: field(int32),
    instanceId: field(nullable(string), { default: null }),
    rackId: field(nullable(string), { default: null }),
    rebalanceTimeoutMs: field(int32, { default: -1 }),
    subscribedTopicNames: field(nullable(array(string)), { default: null }),
    subscribedTopicRegex: field(nullable(text), since(1), { default: null }),
    serverAssignor: field(nullable(string), { default: null }),
    topicPartitions: field(
      nullable(
        array(
          struct({
            topicId: field(uuid),
            partitions: field(array(int32)),
          }),
        ),
      ),
      { default: null },
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    memberId: field(nullable(string), { default: null }),
    memberEpoch: field(int32, { default: 0 }),
    heartbeatIntervalMs: field(int32, { default: 0 }),
    assignment: field(
      nullable(
        struct({
          topicPartitions: field(
            array(
              struct({
                topicId: field(uuid),
                partitions: field(array(int32)),
              }),
            ),
          ),
        }),
      ),
      { default: null },
    ),
  },
});

export type ConsumerGroupHeartbeatRequest = MessageOf<typeof consumerGroupHeartbeat.request>;
export type ConsumerGroupHeartbeatResponse = MessageOf<typeof consumerGroupHeartbeat.response>;
export type ConsumerGroupHeartbeatRequestInit = InitOf<typeof consumerGroupHeartbeat.request>;
export type ConsumerGroupHeartbeatResponseInit = InitOf<typeof consumerGroupHeartbeat.response>;
