import { alterClientQuotas, type AlterClientQuotasRequest } from '@polylog/kafka-protocol';

import { quotaChanges, quotaKeys, type QuotaAlteration } from '../../../quotas/admin.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * AlterClientQuotas v0-v1 (KIP-546).
 *
 * - Every entity has its own outcome: all of its operations hold, or none and 42 says why. Those of users, client ids and both together are
 *   `producer_byte_rate`, `consumer_byte_rate`, `request_percentage` and `controller_mutation_rate`, that of addresses is
 *   `connection_creation_rate`.
 * - An ip is an address; names are not looked up, as Kafka does.
 * - Answered when this broker goes by the new limits.
 */
export function alterClientQuotasHandler({ sections }: KafkaServices): KafkaHandler {
  return defineHandler({
    api: alterClientQuotas,
    versions: [0, 1],
    isAdmin: true,
    async handle({ entries, validateOnly }) {
      const alterations = entries.map(alterationOf);
      let mistakes: readonly (string | undefined)[] = [];
      await sections.change('quotas/', quotaKeys(alterations), (records) => {
        const outcome = quotaChanges(records, alterations);
        mistakes = outcome.mistakes;
        return validateOnly ? new Map() : outcome.changes;
      });
      return { entries: entries.map(({ entity }, index) => outcomeOf(entity, mistakes[index])) };
    },
    failure: ({ entries }, errorCode, errorMessage) => ({
      entries: entries.map(({ entity }) => ({ errorCode, errorMessage, entity })),
    }),
  });
}

type Entry = AlterClientQuotasRequest['entries'][number];

function alterationOf({ entity, ops }: Entry): QuotaAlteration {
  return {
    entity: entity.map(({ entityType, entityName }) => [entityType, entityName] as const),
    operations: ops.map(({ key, value, remove }) => ({ key, value: remove ? undefined : value })),
  };
}

function outcomeOf(
  entity: Entry['entity'],
  mistake: string | undefined,
): { errorCode: number; errorMessage: string | null; entity: Entry['entity'] } {
  return {
    errorCode: mistake === undefined ? NONE : errorCodeOf('INVALID_REQUEST'),
    errorMessage: mistake ?? null,
    entity,
  };
}
