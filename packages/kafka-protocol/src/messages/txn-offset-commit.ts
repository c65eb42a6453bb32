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
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Stores offsets of a group as part of a transaction (KIP-98); since version 3 with the member that commits them (KIP-447). */
export const txnOffsetCommit = api({
  key: 28,
  name: 'TxnOffsetCommit',
  versions: [0, 5],
  flexibleSince: 3,
  request: {
    transactionalId: field(string),
    groupId: field(string),
    producerId: field(int64),
    producerEpoch: field(int16),
    generationId: field(int32, since(3), { default: -1 }),
    memberId: field(string, since(3)),
    groupInstanceId: field(nullable(string), since(3), { default: null }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                committedOffset: field(int64),
                committedLeaderEpoch: field(int32, since(2), { default: -1, ignorable: true }),
                committedMetadata: field(nullable(text)),
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

export type TxnOffsetCommitRequest = MessageOf<typeof txnOffsetCommit.request>;
export type TxnOffsetCommitResponse = MessageOf<typeof txnOffsetCommit.response>;
export type TxnOffsetCommitRequestInit = InitOf<typeof txnOffsetCommit.request>;
export type TxnOffsetCommitResponseInit = InitOf<typeof txnOffsetCommit.response>;
