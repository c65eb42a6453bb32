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
  text,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Changes single configs (KIP-339). */
export const incrementalAlterConfigs = api({
  key: 44,
  name: 'IncrementalAlterConfigs',
  versions: [0, 1],
  flexibleSince: 1,
  request: {
    resources: field(
      array(
        struct({
          resourceType: field(int8),
          resourceName: field(string),
          configs: field(
            array(
              struct({
                name: field(string),
                /** 0 set, 1 delete, 2 append, 3 subtract: the last two for lists. */
                configOperation: field(int8),
                value: field(nullable(text)),
              }),
            ),
          ),
        }),
      ),
    ),
    validateOnly: field(boolean),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    responses: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          resourceType: field(int8),
          resourceName: field(string),
        }),
      ),
    ),
  },
});

export type IncrementalAlterConfigsRequest = MessageOf<typeof incrementalAlterConfigs.request>;
export type IncrementalAlterConfigsResponse = MessageOf<typeof incrementalAlterConfigs.response>;
export type IncrementalAlterConfigsRequestInit = InitOf<typeof incrementalAlterConfigs.request>;
export type IncrementalAlterConfigsResponseInit = InitOf<typeof incrementalAlterConfigs.response>;
