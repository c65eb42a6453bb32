import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int64,
  nullable,
  string,
  struct,
  uuid,
  between,
  since,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The stored offsets of a group, from v8 of many groups (KIP-709); topics go by id from v10 (KIP-848). */
export const offsetFetch = api({
  key: 9,
  name: 'OffsetFetch',
  versions: [1, 10],
  flexibleSince: 6,
  request: {
    groupId: field(string, until(7)),
    topics: field(
      nullable(
        array(
          struct({
            name: field(string),
            partitionIndexes: field(array(int32)),
          }),
        ),
        between(2, 7),
      ),
      until(7),
    ),
    groups: field(
      array(
        struct({
          groupId: field(string),
          memberId: field(nullable(string), since(9), { default: null, ignorable: true }),
          memberEpoch: field(int32, since(9), { default: -1, ignorable: true }),
          topics: field(
            nullable(
              array(
                struct({
                  name: field(string, until(9), { ignorable: true }),
                  topicId: field(uuid, since(10), { ignorable: true }),
                  partitionIndexes: field(array(int32)),
                }),
              ),
            ),
          ),
        }),
      ),
      since(8),
    ),
    requireStable: field(boolean, since(7)),
  },
  response: {
    throttleTimeMs: field(int32, since(3), { ignorable: true }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                committedOffset: field(int64),
                committedLeaderEpoch: field(int32, since(5), { default: -1, ignorable: true }),
                metadata: field(nullable(string)),
                errorCode: field(int16),
              }),
            ),
          ),
        }),
      ),
      until(7),
    ),
    errorCode: field(int16, between(2, 7), { ignorable: true }),
    groups: field(
      array(
        struct({
          groupId: field(string),
          topics: field(
            array(
              struct({
                name: field(string, until(9), { ignorable: true }),
                topicId: field(uuid, since(10), { ignorable: true }),
                partitions: field(
                  array(
                    struct({
                      partitionIndex: field(int32),
                      committedOffset: field(int64),
                      committedLeaderEpoch: field(int32, { default: -1 }),
                      metadata: field(nullable(string)),
                      errorCode: field(int16),
                    }),
                  ),
                ),
              }),
            ),
          ),
          errorCode: field(int16, { default: 0 }),
        }),
      ),
      since(8),
    ),
  },
});

export type OffsetFetchRequest = MessageOf<typeof offsetFetch.request>;
export type OffsetFetchResponse = MessageOf<typeof offsetFetch.response>;
export type OffsetFetchRequestInit = InitOf<typeof offsetFetch.request>;
export type OffsetFetchResponseInit = InitOf<typeof offsetFetch.response>;
