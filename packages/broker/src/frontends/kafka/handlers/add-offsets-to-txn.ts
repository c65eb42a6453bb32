import { addOffsetsToTxn } from '@polylog/kafka-protocol';

import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { transactionCodeOf } from './transaction-requests.ts';

const PRODUCER_FENCED_SINCE = 2;
const TRANSACTION_ABORTABLE_SINCE = 4;

/**
 * AddOffsetsToTxn v0-v4 (KIP-98): the partition of `__consumer_offsets` that has the group becomes part of the transaction, so that what
 * TxnOffsetCommit stores there ends with it. Clients of transactions version 2 leave it out (KIP-890).
 */
export function addOffsetsToTxnHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: addOffsetsToTxn,
    versions: [0, 4],
    async handle({ transactionalId, producerId, producerEpoch, groupId }, { version }) {
      const known = {
        producerFenced: version >= PRODUCER_FENCED_SINCE,
        transactionAbortable: version >= TRANSACTION_ABORTABLE_SINCE,
      };
      // It may be the first that anybody hears of a group.
      const { error } = await services.groups.coordinatorOf(groupId);
      const failure =
        error ??
        (await services.transactions.addOffsets({ transactionalId, producerId, producerEpoch, groupId }));
      return { errorCode: transactionCodeOf(failure, known) };
    },
    failure: (_request, errorCode) => ({ errorCode }),
  });
}
