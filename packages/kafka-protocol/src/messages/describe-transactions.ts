import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** What transactional ids are doing at present (KIP-664). */
export const describeTransactions = api({
  key: 65,
  name: 'DescribeTransactions',
  versions: [0, 0],
  flexibleSince: 0,
  request: {
    transactionalIds: field(array(string)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    transactionStates: field(
      array(
        struct({
          errorCode: field(int16),
          transactionalId: field(string),
          transactionState: field(string),
          transactionTimeoutMs: field(int32),
          transactionStartTimeMs: field(int64),
          producerId: field(int64),
          producerEpoch: field(int16),
          topics: field(array(struct({ topic: field(string), partitions: field(array(int32)) }))),
        }),
      ),
    ),
  },
});

export type DescribeTransactionsRequest = MessageOf<typeof describeTransactions.request>;
export type DescribeTransactionsResponse = MessageOf<typeof describeTransactions.response>;
export type DescribeTransactionsRequestInit = InitOf<typeof describeTransactions.request>;
export type DescribeTransactionsResponseInit = InitOf<typeof describeTransactions.response>;
