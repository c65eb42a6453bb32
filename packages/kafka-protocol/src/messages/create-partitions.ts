import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Raises the number of partitions of topics; `count` is the new total. */
export const createPartitions = api({
  key: 37,
  name: 'CreatePartitions',
  versions: [0, 3],
  flexibleSince: 2,
  request: {
    topics: field(
      array(
        struct({
          name: field(string),
          count: field(int32),
          assignments: field(
            nullable(
              array(
                struct({
                  brokerIds: field(array(int32)),
                }),
              ),
            ),
          ),
        }),
      ),
    ),
    timeoutMs: field(int32),
    validateOnly: field(boolean),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    results: field(
      array(
        struct({
          name: field(string),
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
        }),
      ),
    ),
  },
});

export type CreatePartitionsRequest = MessageOf<typeof createPartitions.request>;
export type CreatePartitionsResponse = MessageOf<typeof createPartitions.response>;
export type CreatePartitionsRequestInit = InitOf<typeof createPartitions.request>;
export type CreatePartitionsResponseInit = InitOf<typeof createPartitions.response>;
