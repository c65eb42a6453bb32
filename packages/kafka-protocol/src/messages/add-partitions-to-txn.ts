import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int64,
  string,
  struct,
  since,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

const topics = array(struct({ name: field(string), partitions: field(array(int32)) }));

const topicResults = array(
  struct({
    name: field(string),
    resultsByPartition: field(
      array(struct({ partitionIndex: field(int32), partitionErrorCode: field(int16) })),
    ),
  }),
);

/** Makes partitions part of a transaction: clients send v0-v3 with one transaction, brokers v4-v5 with many (KIP-98, KIP-890). */
export const addPartitionsToTxn = api({
  key: 24,
  name: 'AddPartitionsToTxn',
  versions: [0, 5],
  flexibleSince: 3,
  request: {
    transactions: field(
      array(
        struct({
          transactionalId: field(string),
          producerId: field(int64),
          producerEpoch: field(int16),
          verifyOnly: field(boolean),
          topics: field(topics),
        }),
      ),
      since(4),
    ),
    v3AndBelowTransactionalId: field(string, until(3)),
    v3AndBelowProducerId: field(int64, until(3)),
    v3AndBelowProducerEpoch: field(int16, until(3)),
    v3AndBelowTopics: field(topics, until(3)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16, since(4), { ignorable: true }),
    resultsByTransaction: field(
      array(struct({ transactionalId: field(string), topicResults: field(topicResults) })),
      since(4),
    ),
    resultsByTopicV3AndBelow: field(topicResults, until(3)),
  },
});

export type AddPartitionsToTxnRequest = MessageOf<typeof addPartitionsToTxn.request>;
export type AddPartitionsToTxnResponse = MessageOf<typeof addPartitionsToTxn.response>;
export type AddPartitionsToTxnRequestInit = InitOf<typeof addPartitionsToTxn.request>;
export type AddPartitionsToTxnResponseInit = InitOf<typeof addPartitionsToTxn.response>;
