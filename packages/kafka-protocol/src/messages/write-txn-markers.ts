import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int64,
  int8,
  since,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** From a transaction coordinator to the leaders of partitions: the ends of transactions. v2 says by which version they ran (KIP-1228). */
export const writeTxnMarkers = api({
  key: 27,
  name: 'WriteTxnMarkers',
  versions: [1, 2],
  flexibleSince: 1,
  request: {
    markers: field(
      array(
        struct({
          producerId: field(int64),
          producerEpoch: field(int16),
          /** False aborts, true commits. */
          transactionResult: field(boolean),
          topics: field(array(struct({ name: field(string), partitionIndexes: field(array(int32)) }))),
          coordinatorEpoch: field(int32),
          transactionVersion: field(int8, since(2), { default: 0, ignorable: true }),
        }),
      ),
    ),
  },
  response: {
    markers: field(
      array(
        struct({
          producerId: field(int64),
          topics: field(
            array(
              struct({
                name: field(string),
                partitions: field(array(struct({ partitionIndex: field(int32), errorCode: field(int16) }))),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type WriteTxnMarkersRequest = MessageOf<typeof writeTxnMarkers.request>;
export type WriteTxnMarkersResponse = MessageOf<typeof writeTxnMarkers.response>;
export type WriteTxnMarkersRequestInit = InitOf<typeof writeTxnMarkers.request>;
export type WriteTxnMarkersResponseInit = InitOf<typeof writeTxnMarkers.response>;
