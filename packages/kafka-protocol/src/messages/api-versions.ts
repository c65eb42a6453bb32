import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int64,
  string,
  struct,
  since,
  tagged,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** The first request on a connection: who is there, and which versions it speaks (KIP-35, KIP-511, KIP-584). */
export const apiVersions = api({
  key: 18,
  name: 'ApiVersions',
  versions: [0, 4],
  flexibleSince: 3,
  request: {
    clientSoftwareName: field(string, since(3), { ignorable: true }),
    clientSoftwareVersion: field(string, since(3), { ignorable: true }),
  },
  response: {
    errorCode: field(int16),
    apiKeys: field(
      array(struct({ apiKey: field(int16), minVersion: field(int16), maxVersion: field(int16) })),
    ),
    throttleTimeMs: field(int32, since(1), { ignorable: true }),
    /** Before v4 a feature with minimum 0 breaks clients and has to be left out (KAFKA-17011). */
    supportedFeatures: field(
      array(struct({ name: field(string), minVersion: field(int16), maxVersion: field(int16) })),
      tagged(0, since(3)),
      { ignorable: true },
    ),
    finalizedFeaturesEpoch: field(int64, tagged(1, since(3)), { default: -1, ignorable: true }),
    finalizedFeatures: field(
      array(struct({ name: field(string), maxVersionLevel: field(int16), minVersionLevel: field(int16) })),
      tagged(2, since(3)),
      { ignorable: true },
    ),
    zkMigrationReady: field(boolean, tagged(3, since(3)), { ignorable: true }),
  },
});

export type ApiVersionsRequest = MessageOf<typeof apiVersions.request>;
export type ApiVersionsResponse = MessageOf<typeof apiVersions.response>;
export type ApiVersionsRequestInit = InitOf<typeof apiVersions.request>;
export type ApiVersionsResponseInit = InitOf<typeof apiVersions.response>;
