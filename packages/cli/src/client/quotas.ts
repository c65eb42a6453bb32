import { alterClientQuotas, describeClientQuotas } from '@polylog/kafka-protocol';
import { protocolError } from '../errors.ts';
import type { Cluster } from './cluster.ts';

/** Kafka's numbers for how a filter matches. */
const MATCH_EXACT = 0;
const MATCH_DEFAULT = 1;

/** What a quota is for: a name, null for the default of all others, and left out where it does not matter. */
export interface QuotaEntity {
  readonly user?: string | null;
  readonly clientId?: string | null;
  readonly ip?: string | null;
}

export interface Quota {
  readonly entity: QuotaEntity;
  readonly values: Readonly<Record<string, number>>;
}

/** By their names in Kafka's protocol. */
const TYPES = [
  ['user', 'user'],
  ['clientId', 'client-id'],
  ['ip', 'ip'],
] as const;

/** The parts of an entity as the protocol writes them. */
function partsOf(entity: QuotaEntity): { entityType: string; entityName: string | null }[] {
  return TYPES.flatMap(([field, entityType]) => {
    const entityName = entity[field];
    return entityName === undefined ? [] : [{ entityType, entityName }];
  });
}

function entityOf(parts: readonly { entityType: string; entityName: string | null }[]): QuotaEntity {
  return Object.fromEntries(
    TYPES.flatMap(([field, type]) =>
      parts.filter(({ entityType }) => entityType === type).map((part) => [field, part.entityName]),
    ),
  );
}

/** As messages name it: `user alice, default client-id`. */
export function entityText(entity: QuotaEntity): string {
  return partsOf(entity)
    .map(({ entityType, entityName }) =>
      entityName === null ? `default ${entityType}` : `${entityType} ${entityName}`,
    )
    .join(', ');
}

/**
 * The quotas of all entities, or of those that have these parts, in the broker's order.
 *
 * @param exact only the entity with these parts and no others
 */
export async function listQuotas(
  cluster: Cluster,
  entity: QuotaEntity,
  { exact = false } = {},
): Promise<Quota[]> {
  const components = partsOf(entity).map(({ entityType, entityName }) => ({
    entityType,
    matchType: entityName === null ? MATCH_DEFAULT : MATCH_EXACT,
    match: entityName,
  }));
  const answer = await cluster.request(describeClientQuotas, { components, strict: exact });
  if (answer.errorCode !== 0) throw protocolError(answer.errorCode, 'the quotas', answer.errorMessage);
  return (answer.entries ?? []).map((entry) => ({
    entity: entityOf(entry.entity),
    values: Object.fromEntries(entry.values.map(({ key, value }) => [key, value])),
  }));
}

/** Sets and removes quotas of one entity, all or none. Throws CliError. */
export async function alterQuotas(
  cluster: Cluster,
  entity: QuotaEntity,
  changes: {
    readonly set: readonly (readonly [key: string, value: number])[];
    readonly remove: readonly string[];
  },
): Promise<void> {
  const ops = [
    ...changes.set.map(([key, value]) => ({ key, value, remove: false })),
    ...changes.remove.map((key) => ({ key, value: 0, remove: true })),
  ];
  const entries = [{ entity: partsOf(entity), ops }];
  const answer = await cluster.request(alterClientQuotas, { entries, validateOnly: false });
  const result = answer.entries[0]!;
  if (result.errorCode !== 0) {
    const what = `cannot change the quotas of ${entityText(entity)}`;
    throw protocolError(result.errorCode, what, result.errorMessage);
  }
}
