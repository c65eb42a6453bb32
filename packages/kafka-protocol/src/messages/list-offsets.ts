import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  int8,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The end of the log: the high watermark, or for read_committed the last stable offset. */
export const OFFSET_LATEST = -1;
/** The log start offset. */
export const OFFSET_EARLIEST = -2;
/** The record with the largest timestamp (v7, KIP-734). */
export const OFFSET_MAX_TIMESTAMP = -3;
/** The first offset that lies on this broker's disk (v8, KIP-405). */
export const OFFSET_EARLIEST_LOCAL = -4;
/** The last offset that lies in tiered storage (v9, KIP-1005). */
export const OFFSET_LATEST_TIERED = -5;
/** The first offset that is not in tiered storage yet (v11, KIP-1023). */
export const OFFSET_EARLIEST_PENDING_UPLOAD = -6;

/**
 * The offset at a timestamp, or at a place named by a negative one: see {@link OFFSET_LATEST} and its siblings. No match
 * is offset -1 without an error.
 */
export const listOffsets = api({
  key: 2,
  name: 'ListOffsets',
  versions: [1, 11],
  flexibleSince: 6,
  request: {
    replicaId: field(int32, { default: -1 }),
    isolationLevel: field(int8, since(2)),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                currentLeaderEpoch: field(int32, since(4), { default: -1, ignorable: true }),
                timestamp: field(int64),
              }),
            ),
          ),
        }),
      ),
    ),
    timeoutMs: field(int32, since(10), { ignorable: true }),
  },
  response: {
    throttleTimeMs: field(int32, since(2), { ignorable: true }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                errorCode: field(int16),
                timestamp: field(int64, { default: -1 }),
                offset: field(int64, { default: -1 }),
                /** Kafka fails where an older version cannot carry it; nothing is lost by dropping it. */
                leaderEpoch: field(int32, since(4), { default: -1, ignorable: true }),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type ListOffsetsRequest = MessageOf<typeof listOffsets.request>;
export type ListOffsetsResponse = MessageOf<typeof listOffsets.response>;
export type ListOffsetsRequestInit = InitOf<typeof listOffsets.request>;
export type ListOffsetsResponseInit = InitOf<typeof listOffsets.response>;
