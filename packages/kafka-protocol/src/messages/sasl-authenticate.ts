import {
  api,
  bytes,
  field,
  int16,
  int64,
  nullable,
  since,
  string,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** One message of the SASL mechanism in each direction. */
export const saslAuthenticate = api({
  key: 36,
  name: 'SaslAuthenticate',
  versions: [0, 2],
  flexibleSince: 2,
  request: {
    authBytes: field(bytes),
  },
  response: {
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    authBytes: field(bytes),
    /** After so long the client has to authenticate again on this connection (KIP-368); 0: never. */
    sessionLifetimeMs: field(int64, since(1), { ignorable: true }),
  },
});

export type SaslAuthenticateRequest = MessageOf<typeof saslAuthenticate.request>;
export type SaslAuthenticateResponse = MessageOf<typeof saslAuthenticate.response>;
export type SaslAuthenticateRequestInit = InitOf<typeof saslAuthenticate.request>;
export type SaslAuthenticateResponseInit = InitOf<typeof saslAuthenticate.response>;
