import { initProducerId } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * InitProducerId v0-v5 (KIP-98, KIP-360).
 *
 * - Without a transactional id every request gets a producer id that nobody had before, with epoch 0, also when it names the producer's present
 *   one: its sequences begin anew.
 *
 * Gaps: transactions. A transactional id is answered 35, an empty one 42.
 */
export function initProducerIdHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: initProducerId,
    versions: [0, 5],
    async handle({ transactionalId, producerId, producerEpoch }) {
      if (transactionalId === '') {
        throw new BrokerError('INVALID_REQUEST', 'The transactional id is empty');
      }
      if (transactionalId !== null) {
        throw new BrokerError('UNSUPPORTED_VERSION', 'This release has no transactions');
      }
      // Either both are known to the client or none (KIP-360).
      if (producerId < -1 || producerEpoch < -1 || (producerId === -1) !== (producerEpoch === -1)) {
        throw new BrokerError('INVALID_REQUEST', 'Producer id and epoch do not fit together');
      }
      return { errorCode: NONE, producerId: await services.producerIds.next(), producerEpoch: 0 };
    },
    failure: (_request, errorCode) => ({ errorCode, producerId: -1, producerEpoch: -1 }),
  });
}
