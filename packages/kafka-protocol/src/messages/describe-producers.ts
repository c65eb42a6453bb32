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
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** What partitions remember of their idempotent and transactional producers (KIP-664). */
export const describeProducers = api({
  key: 61,
  name: 'DescribeProducers',
  versions: [0, 0],
  flexibleSince: 0,
  request: {
    topics: field(array(struct({ name: field(string), partitionIndexes: field(array(int32)) }))),
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
                errorMessage: field(nullable(string), { default: null }),
                activeProducers: field(
                  array(
                    struct({
                      producerId: field(int64),
                      producerEpoch: field(int32),
                      /** -1: it has written nothing in this epoch. */
                      lastSequence: field(int32, { default: -1 }),
                      lastTimestamp: field(int64, { default: -1 }),
                      /** Of the coordinator that wrote its last marker; -1: none has. */
                      coordinatorEpoch: field(int32),
                      /** -1: it has no transaction open here. */
                      currentTxnStartOffset: field(int64, { default: -1 }),
                    }),
                  ),
                ),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type DescribeProducersRequest = MessageOf<typeof describeProducers.request>;
export type DescribeProducersResponse = MessageOf<typeof describeProducers.response>;
export type DescribeProducersRequestInit = InitOf<typeof describeProducers.request>;
export type DescribeProducersResponseInit = InitOf<typeof describeProducers.response>;
