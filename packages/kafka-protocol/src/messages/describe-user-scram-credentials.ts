import {
  api,
  array,
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

/** Which users have SCRAM credentials, without any secret (KIP-554). */
export const describeUserScramCredentials = api({
  key: 50,
  name: 'DescribeUserScramCredentials',
  versions: [0, 0],
  flexibleSince: 0,
  request: {
    /** Null or empty: all. */
    users: field(nullable(array(struct({ name: field(string) })))),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    results: field(
      array(
        struct({
          user: field(string),
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          credentialInfos: field(
            array(
              struct({
                /** 1 SCRAM-SHA-256, 2 SCRAM-SHA-512. */
                mechanism: field(int8),
                iterations: field(int32),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type DescribeUserScramCredentialsRequest = MessageOf<typeof describeUserScramCredentials.request>;
export type DescribeUserScramCredentialsResponse = MessageOf<typeof describeUserScramCredentials.response>;
export type DescribeUserScramCredentialsRequestInit = InitOf<typeof describeUserScramCredentials.request>;
export type DescribeUserScramCredentialsResponseInit = InitOf<typeof describeUserScramCredentials.response>;
