import { decodeKeyPart, encodeKeyPart } from '../cluster/sections.ts';
import { canonicalAddress } from '../platform/address.ts';
import type { EntityType, QuotaEntity, QuotaKey, QuotaValues } from './types.ts';

/*
 * Quotas in the metadata store: one record per entity, whose key is its parts in this order, joined by a slash.
 *
 *   quotas/user:alice                 { "producer_byte_rate": 1048576 }
 *   quotas/user:alice/client-id:app   { "consumer_byte_rate": 2097152, "request_percentage": 12.5 }
 *   quotas/client-id:                 the default of client ids: a name is never empty
 *   quotas/ip:10.0.0.7                { "connection_creation_rate": 20 }
 */

const ENTITY_TYPES: readonly EntityType[] = ['user', 'client-id', 'ip'];

/** Of a key, by what it may be set for. */
const KEYS: Readonly<Record<QuotaKey, { readonly of: 'clients' | 'addresses'; readonly integral: boolean }>> =
  {
    producer_byte_rate: { of: 'clients', integral: true },
    consumer_byte_rate: { of: 'clients', integral: true },
    request_percentage: { of: 'clients', integral: false },
    controller_mutation_rate: { of: 'clients', integral: false },
    connection_creation_rate: { of: 'addresses', integral: true },
  };

/** As Kafka: a number that was parsed and printed may differ by so much. */
const INTEGRAL_TOLERANCE = 1e-6;
const LONG_MAX = 2 ** 63;

/** UTF-16 units: what client ids may have; each may take nine characters of a key. */
const ENTITY_NAME_LENGTH_MAX = 1024;

/** The parts' values in the order of {@link ENTITY_TYPES}: the same entity has one key, however it was put together. */
export function entityKey(entity: QuotaEntity): string {
  return ENTITY_TYPES.filter((type) => entity.has(type))
    .map((type) => `${type}:${encodeKeyPart(entity.get(type) ?? '')}`)
    .join('/');
}

export function parseEntityKey(key: string): QuotaEntity {
  return new Map(
    key.split('/').map((part): readonly [EntityType, string | null] => {
      const colon = part.indexOf(':');
      const name = decodeKeyPart(part.slice(colon + 1));
      return [part.slice(0, colon) as EntityType, name === '' ? null : name];
    }),
  );
}

/** An address stands alone. */
export function isAddressKey(key: string): boolean {
  return key.startsWith('ip:');
}

/** The limit that an entity has, if it has one. */
export function limitIn(
  section: { get(key: string): unknown },
  key: string,
  quota: QuotaKey,
): number | undefined {
  return (section.get(key) as QuotaValues | undefined)?.[quota];
}

export function isEntityType(type: string): type is EntityType {
  return (ENTITY_TYPES as readonly string[]).includes(type);
}

export function isQuotaKey(key: string): key is QuotaKey {
  return Object.hasOwn(KEYS, key);
}

/** Why nothing may be set for this entity, if so. */
export function entityMistake(
  parts: readonly (readonly [type: string, name: string | null])[],
): string | undefined {
  if (parts.length === 0) return 'A quota needs an entity: user, client-id, both, or ip';
  const types = new Set(parts.map(([type]) => type));
  if (types.size < parts.length) return 'A quota names each type of entity once';
  for (const [type, name] of parts) {
    if (!isEntityType(type)) {
      return `Unknown type of quota entity: ${JSON.stringify(type)}; there are ${ENTITY_TYPES.join(', ')}`;
    }
    if (name === '') return `The ${type} of a quota cannot be empty; its default is named by null`;
    if (name !== null && name.length > ENTITY_NAME_LENGTH_MAX) {
      return `The ${type} of a quota is longer than ${ENTITY_NAME_LENGTH_MAX} characters`;
    }
    if (type === 'ip' && name !== null && canonicalAddress(name) === undefined) {
      return `${JSON.stringify(name)} is not an IP address`;
    }
  }
  return types.has('ip') && types.size > 1
    ? 'A quota for an ip cannot name a user or client-id as well'
    : undefined;
}

/** Of an entity without mistakes. */
export function entityOf(parts: readonly (readonly [type: string, name: string | null])[]): QuotaEntity {
  return new Map(
    parts.map(([type, name]): readonly [EntityType, string | null] => [
      type as EntityType,
      type === 'ip' && name !== null ? (canonicalAddress(name) ?? name) : name,
    ]),
  );
}

/** Why the key cannot have this value for the entity, if so. */
export function valueMistake(entity: QuotaEntity, key: string, value: number): string | undefined {
  const known = keyMistake(entity, key);
  if (known !== undefined) return known;
  if (!Number.isFinite(value) || value < 0 || value >= LONG_MAX) {
    return `${key} must be a number from 0 on, and not ${value}`;
  }
  if (KEYS[key as QuotaKey].integral && Math.abs(value - Math.round(value)) > INTEGRAL_TOLERANCE) {
    return `${key} must be a whole number, and not ${value}`;
  }
  return undefined;
}

export function keyMistake(entity: QuotaEntity, key: string): string | undefined {
  const of = entity.has('ip') ? 'addresses' : 'clients';
  const known = (Object.keys(KEYS) as QuotaKey[]).filter((name) => KEYS[name].of === of);
  return (known as string[]).includes(key)
    ? undefined
    : `Unknown quota ${JSON.stringify(key)}; ${of === 'clients' ? 'users and client ids' : 'addresses'} have ${known.join(', ')}`;
}

/** A whole number where the key has none but those. */
export function quotaValue(key: QuotaKey, value: number): number {
  return KEYS[key].integral ? Math.round(value) : value;
}

/** What a record of the section holds, without what this release does not know. */
export function quotaValues(record: unknown): QuotaValues {
  return Object.fromEntries(
    Object.entries(record as Record<string, number>).filter(([key]) => isQuotaKey(key)),
  );
}
