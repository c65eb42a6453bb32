import { initProducerId, type InitProducerIdRequest } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import type { ProducerIdentity } from '../../../transactions/types.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { transactionCodeOf } from './transaction-requests.ts';

const UNKNOWN = -1;
const PRODUCER_FENCED_SINCE = 4;
const TRANSACTION_ABORTABLE_SINCE = 5;

/**
 * InitProducerId v0-v5 (KIP-98, KIP-360).
 *
 * - Without a transactional id every request gets a producer id that nobody had before, with epoch 0, also when it names the producer's present
 *   one: its sequences begin anew.
 * - With one, its coordinator gives the producer id that belongs to it an epoch that fences all producers before; what one of them has left open is
 *   aborted first, and the request answered 51 until that is done. From v3 on a producer may name itself to go on after an error.
 * - A time-out above `transaction.max.timeout.ms` is answered 50; being fenced 90, before v4 47.
 */
export function initProducerIdHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: initProducerId,
    versions: [0, 5],
    async handle(request, { version }) {
      const { transactionalId, transactionTimeoutMs } = request;
      const expected = expectedOf(request);
      if (transactionalId === null) {
        return { errorCode: NONE, producerId: await services.producerIds.next(), producerEpoch: 0 };
      }
      const response = await services.transactions.initProducer({
        transactionalId,
        timeoutMs: transactionTimeoutMs,
        expected,
      });
      if (response.error === undefined) {
        const { producerId, producerEpoch } = response;
        return { errorCode: NONE, producerId, producerEpoch };
      }
      const known = {
        producerFenced: version >= PRODUCER_FENCED_SINCE,
        transactionAbortable: version >= TRANSACTION_ABORTABLE_SINCE,
      };
      return refused(transactionCodeOf(response.error, known));
    },
    failure: (_request, errorCode) => refused(errorCode),
  });
}

/** Either both are known to the client or none (KIP-360). */
function expectedOf({ producerId, producerEpoch }: InitProducerIdRequest): ProducerIdentity | undefined {
  const knowsId = producerId !== UNKNOWN;
  if (producerId < UNKNOWN || producerEpoch < UNKNOWN || knowsId !== (producerEpoch !== UNKNOWN)) {
    throw new BrokerError('INVALID_REQUEST', 'Producer id and epoch do not fit together');
  }
  return knowsId ? { producerId, producerEpoch } : undefined;
}

function refused(errorCode: number): { errorCode: number; producerId: number; producerEpoch: number } {
  return { errorCode, producerId: -1, producerEpoch: -1 };
}
