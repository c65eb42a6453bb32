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
  text,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The transactional ids of a broker (KIP-664); filtered by duration from v1 (KIP-994), by a pattern from v2 (KIP-1152). */
export const listTransactions = api({
  key: 66,
  name: 'ListTransactions',
  versions: [0, 2],
  flexibleSince: 0,
  request: {
    stateFilters: field(array(string)),
    producerIdFilters: field(array(int64)),
    durationFilter: field(int64, since(1), { default: -1 }),
    transactionalIdPattern: field(nullable(text), since(2), { default: null }),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    unknownStateFilters: field(array(string)),
    transactionStates: field(
      array(
        struct({
          transactionalId: field(string),
          producerId: field(int64),
          transactionState: field(string),
        }),
      ),
    ),
  },
});

export type ListTransactionsRequest = MessageOf<typeof listTransactions.request>;
export type ListTransactionsResponse = MessageOf<typeof listTransactions.response>;
export type ListTransactionsRequestInit = InitOf<typeof listTransactions.request>;
export type ListTransactionsResponseInit = InitOf<typeof listTransactions.response>;
