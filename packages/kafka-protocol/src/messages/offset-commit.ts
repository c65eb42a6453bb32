import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  nullable,
  string,
  struct,
  text,
  uuid,
  since,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Stores the offsets of a group; topics go by name until v9 and by id from v10 (KIP-848). */
export const offsetCommit = api({
  key: 8,
  name: 'OffsetCommit',
  versions: [2, 10],
  flexibleSince: 8,
  request: {
    groupId: field(string),
    generationIdOrMemberEpoch: field(int32, { default: -1 }),
    memberId: field(string),
    groupInstanceId: field(nullable(string), since(7), { default: null }),
    retentionTimeMs: field(int64, until(4), { default: -1, ignorable: true }),
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
                committedLeaderEpoch: field(int32, since(6), { default: -1, ignorable: true }),
                committedMetadata: field(nullable(text)),
              }),
            ),
          ),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, since(3), { ignorable: true }),
    topics: field(
      array(
        struct({
          name: field(string, until(9), { ignorable: true }),
          topicId: field(uuid, since(10), { ignorable: true }),
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

export type OffsetCommitRequest = MessageOf<typeof offsetCommit.request>;
export type OffsetCommitResponse = MessageOf<typeof offsetCommit.response>;
export type OffsetCommitRequestInit = InitOf<typeof offsetCommit.request>;
export type OffsetCommitResponseInit = InitOf<typeof offsetCommit.response>;
