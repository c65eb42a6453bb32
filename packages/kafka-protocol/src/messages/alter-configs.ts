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

/** Replaces all configs of a resource: keys that are left out go back to their defaults. */
export const alterConfigs = api({
  key: 33,
  name: 'AlterConfigs',
  versions: [0, 2],
  flexibleSince: 2,
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

export type AlterConfigsRequest = MessageOf<typeof alterConfigs.request>;
export type AlterConfigsResponse = MessageOf<typeof alterConfigs.response>;
export type AlterConfigsRequestInit = InitOf<typeof alterConfigs.request>;
export type AlterConfigsResponseInit = InitOf<typeof alterConfigs.response>;
