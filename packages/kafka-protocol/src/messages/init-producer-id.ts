import {
  api,
  field,
  int16,
  int32,
  int64,
  nullable,
  string,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/**
 * Gives a producer its id and epoch; with a transactional id it also fences the earlier holder (KIP-98, KIP-360). v6 adds
 * two-phase commit (KIP-939), which Kafka 4.3 marks as unstable: it is not here.
 */
export const initProducerId = api({
  key: 22,
  name: 'InitProducerId',
  versions: [0, 5],
  flexibleSince: 2,
  request: {
    transactionalId: field(nullable(string)),
    transactionTimeoutMs: field(int32),
    producerId: field(int64, since(3), { default: -1 }),
    producerEpoch: field(int16, since(3), { default: -1 }),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    producerId: field(int64, { default: -1 }),
    producerEpoch: field(int16),
  },
});

export type InitProducerIdRequest = MessageOf<typeof initProducerId.request>;
export type InitProducerIdResponse = MessageOf<typeof initProducerId.response>;
export type InitProducerIdRequestInit = InitOf<typeof initProducerId.request>;
export type InitProducerIdResponseInit = InitOf<typeof initProducerId.response>;
