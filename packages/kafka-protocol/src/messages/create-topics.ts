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
  text,
  uuid,
  since,
  tagged,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Creates topics; -1 partitions or replicas take the broker's default from v4 (KIP-464), where assignments are absent. */
export const createTopics = api({
  key: 19,
  name: 'CreateTopics',
  versions: [2, 7],
  flexibleSince: 5,
  request: {
    topics: field(
      array(
        struct({
          name: field(string),
          numPartitions: field(int32),
          replicationFactor: field(int16),
          assignments: field(
            array(
              struct({
                partitionIndex: field(int32),
                brokerIds: field(array(int32)),
              }),
            ),
          ),
          configs: field(
            array(
              struct({
                name: field(string),
                value: field(nullable(text)),
              }),
            ),
          ),
        }),
      ),
    ),
    timeoutMs: field(int32, { default: 60_000 }),
    validateOnly: field(boolean, { default: false }),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    topics: field(
      array(
        struct({
          name: field(string),
          topicId: field(uuid, since(7), { ignorable: true }),
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          topicConfigErrorCode: field(int16, tagged(0, since(5)), { ignorable: true }),
          numPartitions: field(int32, since(5), { default: -1, ignorable: true }),
          replicationFactor: field(int16, since(5), { default: -1, ignorable: true }),
          configs: field(
            nullable(
              array(
                struct({
                  name: field(string),
                  value: field(nullable(string)),
                  readOnly: field(boolean),
                  configSource: field(int8, { default: -1 }),
                  isSensitive: field(boolean),
                }),
              ),
            ),
            since(5),
            { ignorable: true },
          ),
        }),
      ),
    ),
  },
});

export type CreateTopicsRequest = MessageOf<typeof createTopics.request>;
export type CreateTopicsResponse = MessageOf<typeof createTopics.response>;
export type CreateTopicsRequestInit = InitOf<typeof createTopics.request>;
export type CreateTopicsResponseInit = InitOf<typeof createTopics.response>;
