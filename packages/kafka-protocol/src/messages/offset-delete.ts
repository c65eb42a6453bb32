import {
  api,
  array,
  field,
  int16,
  int32,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Forgets the offsets of a group for some partitions (KIP-496). The only newer API without flexible versions. */
export const offsetDelete = api({
  key: 47,
  name: 'OffsetDelete',
  versions: [0, 0],
  flexibleSince: null,
  request: {
    groupId: field(string),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
              }),
            ),
          ),
        }),
      ),
    ),
  },
  response: {
    errorCode: field(int16),
    throttleTimeMs: field(int32, { default: 0 }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                errorCode: field(int16),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type OffsetDeleteRequest = MessageOf<typeof offsetDelete.request>;
export type OffsetDeleteResponse = MessageOf<typeof offsetDelete.response>;
export type OffsetDeleteRequestInit = InitOf<typeof offsetDelete.request>;
export type OffsetDeleteResponseInit = InitOf<typeof offsetDelete.response>;
