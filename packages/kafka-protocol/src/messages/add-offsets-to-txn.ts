import { api, field, int16, int32, int64, string, type InitOf, type MessageOf } from '../schema/index.ts';

/** Makes the offsets of a consumer group part of a transaction (KIP-98). */
export const addOffsetsToTxn = api({
  key: 25,
  name: 'AddOffsetsToTxn',
  versions: [0, 4],
  flexibleSince: 3,
  request: {
    transactionalId: field(string),
    producerId: field(int64),
    producerEpoch: field(int16),
    groupId: field(string),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
  },
});

export type AddOffsetsToTxnRequest = MessageOf<typeof addOffsetsToTxn.request>;
export type AddOffsetsToTxnResponse = MessageOf<typeof addOffsetsToTxn.response>;
export type AddOffsetsToTxnRequestInit = InitOf<typeof addOffsetsToTxn.request>;
export type AddOffsetsToTxnResponseInit = InitOf<typeof addOffsetsToTxn.response>;
