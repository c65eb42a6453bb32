import {
  api,
  array,
  boolean,
  field,
  float64,
  int16,
  int32,
  nullable,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Sets and removes quotas of entities, each on its own (KIP-546). */
export const alterClientQuotas = api({
  key: 49,
  name: 'AlterClientQuotas',
  versions: [0, 1],
  flexibleSince: 1,
  request: {
    entries: field(
      array(
        struct({
          entity: field(array(struct({ entityType: field(string), entityName: field(nullable(string)) }))),
          ops: field(array(struct({ key: field(string), value: field(float64), remove: field(boolean) }))),
        }),
      ),
    ),
    validateOnly: field(boolean),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    entries: field(
      array(
        struct({
          errorCode: field(int16),
          errorMessage: field(nullable(string), { default: null }),
          entity: field(array(struct({ entityType: field(string), entityName: field(nullable(string)) }))),
        }),
      ),
    ),
  },
});

export type AlterClientQuotasRequest = MessageOf<typeof alterClientQuotas.request>;
export type AlterClientQuotasResponse = MessageOf<typeof alterClientQuotas.response>;
export type AlterClientQuotasRequestInit = InitOf<typeof alterClientQuotas.request>;
export type AlterClientQuotasResponseInit = InitOf<typeof alterClientQuotas.response>;
