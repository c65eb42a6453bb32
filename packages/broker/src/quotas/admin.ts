import { BrokerError } from '../errors.ts';
import type { SectionRecords } from '../cluster/section-writer.ts';
import type { Section } from '../cluster/sections.ts';
import { canonicalAddress } from '../platform/address.ts';
import {
  entityKey,
  entityMistake,
  entityOf,
  isEntityType,
  keyMistake,
  parseEntityKey,
  quotaValue,
  quotaValues,
  valueMistake,
} from './entities.ts';
import type { EntityType, QuotaEntity, QuotaKey, QuotaValues } from './types.ts';

/** Entities with quotas, of all kinds together: every broker keeps them in memory. */
export const QUOTA_ENTITIES_MAX = 50_000;

export interface QuotaAlteration {
  readonly entity: readonly (readonly [type: string, name: string | null])[];
  /** `value` undefined removes the key. */
  readonly operations: readonly { readonly key: string; readonly value: number | undefined }[];
}

/** The keys that the alterations are about. */
export function quotaKeys(alterations: readonly QuotaAlteration[]): ReadonlySet<string> {
  const sound = alterations.filter((alteration) => mistakeOf(alteration) === undefined);
  return new Set(sound.map(({ entity }) => entityKey(entityOf(entity))));
}

/**
 * What has to be written so that the alterations hold, for SectionWriter.change, and the mistake of each one that does not. Alterations of
 * one entity follow each other.
 */
export function quotaChanges(
  records: SectionRecords,
  alterations: readonly QuotaAlteration[],
): {
  readonly changes: ReadonlyMap<string, unknown>;
  readonly mistakes: readonly (string | undefined)[];
} {
  const changes = new Map<string, unknown>();
  let entities = records.size;
  const mistakes = alterations.map((alteration) => {
    const mistake = mistakeOf(alteration);
    if (mistake !== undefined) return mistake;
    const key = entityKey(entityOf(alteration.entity));
    const before = changes.has(key) ? changes.get(key) : records.get(key);
    const after = altered(before === undefined ? {} : (before as QuotaValues), alteration);
    const growth = Number(after !== undefined) - Number(before !== undefined);
    if (growth > 0 && entities >= QUOTA_ENTITIES_MAX) {
      return `There are quotas for ${QUOTA_ENTITIES_MAX} entities already: set defaults, or remove some`;
    }
    entities += growth;
    changes.set(key, after);
    return undefined;
  });
  return { changes, mistakes };
}

function mistakeOf({ entity, operations }: QuotaAlteration): string | undefined {
  const mistake = entityMistake(entity);
  if (mistake !== undefined) return mistake;
  const of = entityOf(entity);
  for (const { key, value } of operations) {
    const wrong = value === undefined ? keyMistake(of, key) : valueMistake(of, key, value);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function altered(before: QuotaValues, { operations }: QuotaAlteration): QuotaValues | undefined {
  const values = new Map(Object.entries(before));
  for (const { key, value } of operations) {
    if (value === undefined) values.delete(key);
    else values.set(key, quotaValue(key as QuotaKey, value));
  }
  return values.size === 0 ? undefined : Object.fromEntries(values);
}

/** One condition of a description, for one type of entity. */
export interface QuotaFilter {
  readonly type: string;
  /** That name, the default, or any of the type, the default among them. */
  readonly match: { readonly name: string } | 'default' | 'any';
}

export interface DescribedQuota {
  readonly entity: QuotaEntity;
  readonly values: QuotaValues;
}

/**
 * The quotas whose entities fulfil all conditions; `strict`: and have no other types. Without conditions all of them, or none if strict.
 * Throws BrokerError INVALID_REQUEST, or UNSUPPORTED_VERSION for a type that there is not.
 */
export function describeQuotas(
  section: Section,
  filters: readonly QuotaFilter[],
  options: { readonly strict: boolean },
): DescribedQuota[] {
  const conditions = conditionsOf(filters);
  const found: DescribedQuota[] = [];
  for (const [key, record] of section.entries()) {
    const entity = parseEntityKey(key);
    if (options.strict && entity.size !== conditions.size) continue;
    if ([...conditions].every(([type, match]) => matches(entity.get(type), match))) {
      found.push({ entity, values: quotaValues(record) });
    }
  }
  return found;
}

function conditionsOf(filters: readonly QuotaFilter[]): ReadonlyMap<EntityType, QuotaFilter['match']> {
  const conditions = new Map<EntityType, QuotaFilter['match']>();
  for (const { type, match } of filters) {
    if (type === '') throw new BrokerError('INVALID_REQUEST', 'A filter component has no type of entity');
    if (!isEntityType(type)) {
      throw new BrokerError(
        'UNSUPPORTED_VERSION',
        `There are no quotas for the type of entity ${JSON.stringify(type)}`,
      );
    }
    if (conditions.has(type)) {
      throw new BrokerError(
        'INVALID_REQUEST',
        `The filter has two components for the type of entity ${type}`,
      );
    }
    conditions.set(type, type === 'ip' ? ofAddress(match) : match);
  }
  if (conditions.has('ip') && conditions.size > 1) {
    throw new BrokerError('INVALID_REQUEST', 'No quota is for an ip and for a user or client-id');
  }
  return conditions;
}

/** Addresses are kept in one of their spellings. */
function ofAddress(match: QuotaFilter['match']): QuotaFilter['match'] {
  return typeof match === 'string' ? match : { name: canonicalAddress(match.name) ?? match.name };
}

/** `name`: of the entity; undefined if it has no such part. */
function matches(name: string | null | undefined, match: QuotaFilter['match']): boolean {
  if (match === 'any') return name !== undefined;
  return name === (match === 'default' ? null : match.name);
}
