import {
  api,
  array,
  field,
  int16,
  int32,
  int8,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Resources that have configs, by their type (KIP-1142); v0 asks for those of client metrics only (KIP-714). */
export const listConfigResources = api({
  key: 74,
  name: 'ListConfigResources',
  versions: [0, 1],
  flexibleSince: 0,
  request: {
    /** Empty: all types. */
    resourceTypes: field(array(int8), since(1)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    configResources: field(
      array(
        struct({
          resourceName: field(string),
          resourceType: field(int8, since(1), { default: 16, ignorable: true }),
        }),
      ),
    ),
  },
});

export type ListConfigResourcesRequest = MessageOf<typeof listConfigResources.request>;
export type ListConfigResourcesResponse = MessageOf<typeof listConfigResources.response>;
export type ListConfigResourcesRequestInit = InitOf<typeof listConfigResources.request>;
export type ListConfigResourcesResponseInit = InitOf<typeof listConfigResources.response>;
