import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The configs of topics (resource type 2), brokers (4) and others, with where each value comes from (KIP-226). */
export const describeConfigs = api({
  key: 32,
  name: 'DescribeConfigs',
  versions: [1, 4],
  flexibleSince: 4,
  request: {
    resources: field(
      array(
        struct({
          resourceType: field(int8),
          resourceName: field(string),
          /** Null asks for all. */
          configurationKeys: field(nullable(array(string))),
        }),
      ),
    ),
    includeSynonyms: field(boolean, { default: false }),
    includeDocumentation: field(boolean, since(3)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    results: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          resourceType: field(int8),
          resourceName: field(string),
          configs: field(
            array(
              struct({
                name: field(string),
                value: field(nullable(string)),
                readOnly: field(boolean),
                /** 1 topic, 2 dynamic broker, 3 dynamic default broker, 4 static broker, 5 default, 6 broker logger, 7 client metrics, 8 group. */
                configSource: field(int8, { default: -1 }),
                isSensitive: field(boolean),
                synonyms: field(
                  array(
                    struct({
                      name: field(string),
                      value: field(nullable(string)),
                      source: field(int8),
                    }),
                  ),
                ),
                /** 1 boolean, 2 string, 3 int, 4 short, 5 long, 6 double, 7 list, 8 class, 9 password. */
                configType: field(int8, since(3), { ignorable: true }),
                documentation: field(nullable(string), since(3), { ignorable: true }),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type DescribeConfigsRequest = MessageOf<typeof describeConfigs.request>;
export type DescribeConfigsResponse = MessageOf<typeof describeConfigs.response>;
export type DescribeConfigsRequestInit = InitOf<typeof describeConfigs.request>;
export type DescribeConfigsResponseInit = InitOf<typeof describeConfigs.response>;
