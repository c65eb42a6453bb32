import {
  api,
  array,
  boolean,
  field,
  float64,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Quotas of the entities that a filter finds (KIP-546). */
export const describeClientQuotas = api({
  key: 48,
  name: 'DescribeClientQuotas',
  versions: [0, 1],
  flexibleSince: 1,
  request: {
    components: field(
      array(
        struct({
          entityType: field(string),
          /** 0: the name in `match`, 1: the default, 2: any. */
          matchType: field(int8),
          match: field(nullable(string)),
        }),
      ),
    ),
    strict: field(boolean),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    entries: field(
      nullable(
        array(
          struct({
            entity: field(array(struct({ entityType: field(string), entityName: field(nullable(string)) }))),
            values: field(array(struct({ key: field(string), value: field(float64) }))),
          }),
        ),
      ),
    ),
  },
});

export type DescribeClientQuotasRequest = MessageOf<typeof describeClientQuotas.request>;
export type DescribeClientQuotasResponse = MessageOf<typeof describeClientQuotas.response>;
export type DescribeClientQuotasRequestInit = InitOf<typeof describeClientQuotas.request>;
export type DescribeClientQuotasResponseInit = InitOf<typeof describeClientQuotas.response>;
