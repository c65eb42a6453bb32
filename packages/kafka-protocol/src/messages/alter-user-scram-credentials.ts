import {
  api,
  array,
  bytes,
  field,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Sets and removes SCRAM credentials (KIP-554). Passwords come salted, but whoever reads the request can log in with what it holds. */
export const alterUserScramCredentials = api({
  key: 51,
  name: 'AlterUserScramCredentials',
  versions: [0, 0],
  flexibleSince: 0,
  request: {
    deletions: field(
      array(
        struct({
          name: field(string),
          /** 1 SCRAM-SHA-256, 2 SCRAM-SHA-512. */
          mechanism: field(int8),
        }),
      ),
    ),
    upsertions: field(
      array(
        struct({
          name: field(string),
          mechanism: field(int8),
          iterations: field(int32),
          salt: field(bytes),
          /** PBKDF2 of the password. */
          saltedPassword: field(bytes),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    results: field(
      array(
        struct({
          user: field(string),
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
        }),
      ),
    ),
  },
});

export type AlterUserScramCredentialsRequest = MessageOf<typeof alterUserScramCredentials.request>;
export type AlterUserScramCredentialsResponse = MessageOf<typeof alterUserScramCredentials.response>;
export type AlterUserScramCredentialsRequestInit = InitOf<typeof alterUserScramCredentials.request>;
export type AlterUserScramCredentialsResponseInit = InitOf<typeof alterUserScramCredentials.response>;
