import { endTxn } from '@polylog/kafka-protocol';

import { EPOCH_PER_TRANSACTION_SINCE } from '../../../transactions/types.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { transactionCodeOf } from './transaction-requests.ts';

const PRODUCER_FENCED_SINCE = 2;
const TRANSACTION_ABORTABLE_SINCE = 4;
/** KIP-890 part 2: each transaction has its own epoch. */
const RAISES_EPOCH_SINCE = 5;

/**
 * EndTxn v0-v5 (KIP-98, KIP-890): answered when the end is durable, while the partitions still wait for their markers; until they have them,
 * whatever begins the next transaction is answered 51.
 *
 * - From v5 on the answer has the epoch with which the producer goes on, so that a late EndTxn cannot meet the next transaction, and one that is
 *   repeated is answered as the first was; an abort needs no partitions.
 * - An end that does not fit what was decided is answered 48; a producer that was fenced 90 (before v2 47), and so is one that commits what was aborted
 *   since its time had run out.
 */
export function endTxnHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: endTxn,
    versions: [0, 5],
    async handle({ transactionalId, producerId, producerEpoch, committed }, { version }) {
      const response = await services.transactions.end({
        transactionalId,
        producerId,
        producerEpoch,
        result: committed ? 'commit' : 'abort',
        transactionVersion: version >= RAISES_EPOCH_SINCE ? EPOCH_PER_TRANSACTION_SINCE : 0,
      });
      if (response.error === undefined) {
        return {
          errorCode: NONE,
          producerId: response.producerId,
          producerEpoch: response.producerEpoch,
        };
      }
      const known = {
        producerFenced: version >= PRODUCER_FENCED_SINCE,
        transactionAbortable: version >= TRANSACTION_ABORTABLE_SINCE,
      };
      return { errorCode: transactionCodeOf(response.error, known) };
    },
    failure: (_request, errorCode) => ({ errorCode }),
  });
}
