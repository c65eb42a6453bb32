import {
  api,
  boolean,
  field,
  int16,
  int32,
  int64,
  string,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Commits or aborts a transaction (KIP-98); from v5 the producer goes on with the epoch of the answer (KIP-890). */
export const endTxn = api({
  key: 26,
  name: 'EndTxn',
  versions: [0, 5],
  flexibleSince: 3,
  request: {
    transactionalId: field(string),
    producerId: field(int64),
    producerEpoch: field(int16),
    committed: field(boolean),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    producerId: field(int64, since(5), { default: -1, ignorable: true }),
    producerEpoch: field(int16, since(5), { default: -1, ignorable: true }),
  },
});

export type EndTxnRequest = MessageOf<typeof endTxn.request>;
export type EndTxnResponse = MessageOf<typeof endTxn.response>;
export type EndTxnRequestInit = InitOf<typeof endTxn.request>;
export type EndTxnResponseInit = InitOf<typeof endTxn.response>;
