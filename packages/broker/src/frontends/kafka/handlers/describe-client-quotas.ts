import { describeClientQuotas, type DescribeClientQuotasRequest } from '@polylog/kafka-protocol';

import { describeQuotas, type QuotaFilter } from '../../../quotas/admin.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal, itemErrorOf, NO_ERROR } from './admin-requests.ts';

const MATCH_EXACT = 0;
const MATCH_DEFAULT = 1;
const MATCH_ANY = 2;

/**
 * DescribeClientQuotas v0-v1 (KIP-546).
 *
 * - An entity is found if it fulfils all components: a name, the default, or any of its type, the default among them. `strict` leaves out
 *   those that have other types as well; without components it asks for nothing, and otherwise for everything.
 * - A type of entity that there is not is 35, a component that contradicts itself or another is 42.
 */
export function describeClientQuotasHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeClientQuotas,
    versions: [0, 1],
    isAdmin: true,
    handle(request) {
      try {
        const section = services.partitions.image.section('quotas/');
        const found = describeQuotas(section, request.components.map(filterOf), request);
        const entries = found.map(({ entity, values }) => ({
          entity: [...entity].map(([entityType, entityName]) => ({ entityType, entityName })),
          values: Object.entries(values).map(([key, value]) => ({ key, value })),
        }));
        return { ...NO_ERROR, entries };
      } catch (error) {
        return { ...itemErrorOf(error), entries: null };
      }
    },
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, entries: null }),
  });
}

function filterOf({
  entityType,
  matchType,
  match,
}: DescribeClientQuotasRequest['components'][number]): QuotaFilter {
  if (matchType === MATCH_EXACT) {
    if (match === null) throw new ItemRefusal('INVALID_REQUEST', 'An exact match needs a name');
    return { type: entityType, match: { name: match } };
  }
  if (matchType !== MATCH_DEFAULT && matchType !== MATCH_ANY) {
    throw new ItemRefusal('INVALID_REQUEST', `The match type ${matchType} is unknown`);
  }
  if (match !== null) {
    throw new ItemRefusal('INVALID_REQUEST', `The match type ${matchType} has no name`);
  }
  return { type: entityType, match: matchType === MATCH_DEFAULT ? 'default' : 'any' };
}
