import { listTransactions } from '@polylog/kafka-protocol';
import { TRANSACTION_STATES } from '@polylog/record';

import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

const STATES: ReadonlySet<string> = new Set(TRANSACTION_STATES);

/**
 * ListTransactions v0-v2: the transactional ids that this broker coordinates, filtered by state and producer id, by how long they have been running
 * (v1, KIP-994) and by a regular expression (v2, KIP-1152; an illegal one, and one that would take too long, is answered 128). States that do not exist are told, and match nothing.
 * While a part of the ids is still being loaded it is answered 14.
 */
export function listTransactionsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: listTransactions,
    versions: [0, 2],
    isAdmin: true,
    async handle({ stateFilters, producerIdFilters, durationFilter, transactionalIdPattern }) {
      const listed = await services.transactions.list({
        states: new Set(stateFilters),
        producerIds: new Set(producerIdFilters),
        durationMs: durationFilter < 0 ? undefined : durationFilter,
        idPattern: transactionalIdPattern === '' ? undefined : (transactionalIdPattern ?? undefined),
      });
      if (listed.error !== undefined) return failed(errorCodeOf(listed.error));
      return {
        errorCode: NONE,
        unknownStateFilters: stateFilters.filter((state) => !STATES.has(state)),
        transactionStates: listed.transactions.map(({ transactionalId, producerId, state }) => ({
          transactionalId,
          producerId,
          transactionState: state,
        })),
      };
    },
    failure: (_request, errorCode) => failed(errorCode),
  });
}

function failed(errorCode: number): { errorCode: number; unknownStateFilters: []; transactionStates: [] } {
  return { errorCode, unknownStateFilters: [], transactionStates: [] };
}
