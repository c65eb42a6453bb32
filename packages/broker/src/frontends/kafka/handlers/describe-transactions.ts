import { describeTransactions, type DescribeTransactionsResponseInit } from '@polylog/kafka-protocol';

import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

type State = DescribeTransactionsResponseInit['transactionStates'][number];

/**
 * DescribeTransactions v0 (KIP-664): what transactional ids of this broker are doing, with the partitions of an open transaction; once it is being
 * completed, those that have no marker yet. An id that is not known is answered 105.
 */
export function describeTransactionsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeTransactions,
    versions: [0, 0],
    isAdmin: true,
    async handle({ transactionalIds }) {
      // Each once, however often it is asked for: an answer is much longer than an id.
      const wanted = [...new Set(transactionalIds)];
      return { transactionStates: await Promise.all(wanted.map((id) => stateOf(services, id))) };
    },
    failure: ({ transactionalIds }, errorCode) => ({
      transactionStates: transactionalIds.map((id) => nothing(id, errorCode)),
    }),
  });
}

async function stateOf({ transactions }: KafkaServices, transactionalId: string): Promise<State> {
  const described = await transactions.describe(transactionalId);
  if (described.error !== undefined) return nothing(transactionalId, errorCodeOf(described.error));
  return {
    errorCode: NONE,
    transactionalId,
    transactionState: described.state,
    transactionTimeoutMs: described.timeoutMs,
    transactionStartTimeMs: described.startMs,
    producerId: described.producerId,
    producerEpoch: described.producerEpoch,
    topics: [...described.partitions].map(([topic, partitions]) => ({ topic, partitions: [...partitions] })),
  };
}

function nothing(transactionalId: string, errorCode: number): State {
  return {
    errorCode,
    transactionalId,
    transactionState: '',
    transactionTimeoutMs: 0,
    transactionStartTimeMs: 0,
    producerId: 0,
    producerEpoch: 0,
    topics: [],
  };
}
