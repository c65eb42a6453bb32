import {
  api,
  ZERO_UUID,
  array,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  uuid,
  since,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Deletes topics, by name until v5, by name or id from v6 (KIP-516). */
export const deleteTopics = api({
  key: 20,
  name: 'DeleteTopics',
  versions: [1, 6],
  flexibleSince: 4,
  request: {
    topics: field(
      array(
        struct({
          name: field(nullable(string), { default: null }),
          topicId: field(uuid, { default: ZERO_UUID }),
        }),
      ),
      since(6),
    ),
    topicNames: field(array(string), until(5), { ignorable: true }),
    timeoutMs: field(int32),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    responses: field(
      array(
        struct({
          name: field(nullable(string, since(6))),
          topicId: field(uuid, since(6), { ignorable: true }),
          errorCode: field(int16),
          errorMessage: field(nullable(string), since(5), { default: null, ignorable: true }),
        }),
      ),
    ),
  },
});

export type DeleteTopicsRequest = MessageOf<typeof deleteTopics.request>;
export type DeleteTopicsResponse = MessageOf<typeof deleteTopics.response>;
export type DeleteTopicsRequestInit = InitOf<typeof deleteTopics.request>;
export type DeleteTopicsResponseInit = InitOf<typeof deleteTopics.response>;
