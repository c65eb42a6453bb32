import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Where an epoch ends in the leader's log (KIP-320): what followers and consumers truncate by. -1/-1: unknown epoch. */
export const offsetForLeaderEpoch = api({
  key: 23,
  name: 'OffsetForLeaderEpoch',
  versions: [2, 4],
  flexibleSince: 4,
  request: {
    replicaId: field(int32, since(3), { default: -2, ignorable: true }),
    topics: field(
      array(
        struct({
          topic: field(string),
          partitions: field(
            array(
              struct({
                partition: field(int32),
                currentLeaderEpoch: field(int32, { default: -1 }),
                leaderEpoch: field(int32),
              }),
            ),
          ),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    topics: field(
      array(
        struct({
          topic: field(string),
          partitions: field(
            array(
              struct({
                errorCode: field(int16),
                partition: field(int32),
                leaderEpoch: field(int32, { default: -1 }),
                endOffset: field(int64, { default: -1 }),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type OffsetForLeaderEpochRequest = MessageOf<typeof offsetForLeaderEpoch.request>;
export type OffsetForLeaderEpochResponse = MessageOf<typeof offsetForLeaderEpoch.response>;
export type OffsetForLeaderEpochRequestInit = InitOf<typeof offsetForLeaderEpoch.request>;
export type OffsetForLeaderEpochResponseInit = InitOf<typeof offsetForLeaderEpoch.response>;
