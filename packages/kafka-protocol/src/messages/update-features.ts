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
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Changes the finalized levels of features (KIP-584, KIP-778). From v2 on all updates succeed or fail together (KIP-1022). */
export const updateFeatures = api({
  key: 57,
  name: 'UpdateFeatures',
  versions: [0, 2],
  flexibleSince: 0,
  request: {
    timeoutMs: field(int32, { default: 60_000 }),
    featureUpdates: field(
      array(
        struct({
          feature: field(string),
          /** Below 1 the feature is no longer finalized. */
          maxVersionLevel: field(int16),
          allowDowngrade: field(boolean, until(0)),
          /** 1: upgrade only, 2: a downgrade that loses nothing, 3: one that may. */
          upgradeType: field(int8, since(1), { default: 1 }),
        }),
      ),
    ),
    validateOnly: field(boolean, since(1)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    results: field(
      array(
        struct({
          feature: field(string),
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
        }),
      ),
      until(1),
      { ignorable: true },
    ),
  },
});

export type UpdateFeaturesRequest = MessageOf<typeof updateFeatures.request>;
export type UpdateFeaturesResponse = MessageOf<typeof updateFeatures.response>;
export type UpdateFeaturesRequestInit = InitOf<typeof updateFeatures.request>;
export type UpdateFeaturesResponseInit = InitOf<typeof updateFeatures.response>;
