import { api, array, field, int16, string, type InitOf, type MessageOf } from '../schema/index.ts';

/** The client names the SASL mechanism that it wants to use. After v0 come bare tokens, after v1 SaslAuthenticate (KIP-152). Never flexible. */
export const saslHandshake = api({
  key: 17,
  name: 'SaslHandshake',
  versions: [0, 1],
  flexibleSince: null,
  request: {
    mechanism: field(string),
  },
  response: {
    errorCode: field(int16),
    /** Those that are enabled. */
    mechanisms: field(array(string)),
  },
});

export type SaslHandshakeRequest = MessageOf<typeof saslHandshake.request>;
export type SaslHandshakeResponse = MessageOf<typeof saslHandshake.response>;
export type SaslHandshakeRequestInit = InitOf<typeof saslHandshake.request>;
export type SaslHandshakeResponseInit = InitOf<typeof saslHandshake.response>;
