import { SortedMap } from './sorted-map.ts';

/**
 * What the image holds beside brokers and topics: small JSON records, each kind under a prefix of the metadata store.
 *
 *   users/            credentials of a user
 *   acls/             access rules
 *   quotas/           limits of users, client ids and addresses
 *   broker-configs/   settings of brokers, and of groups, that were changed while they ran
 *   features/         the level of a feature that the cluster has agreed on, see features.ts
 */
export const SECTIONS = ['users/', 'acls/', 'quotas/', 'broker-configs/', 'features/'] as const;

export type SectionName = (typeof SECTIONS)[number];

/** The records of one section by their keys without the prefix. The same object until one of them changes. */
export interface Section {
  readonly size: number;
  get(key: string): unknown;
  /** In the order of the keys. */
  entries(): Iterable<readonly [key: string, record: unknown]>;
}

export type Sections = ReadonlyMap<SectionName, SortedMap<unknown>>;

export function emptySections(): Sections {
  return new Map(SECTIONS.map((name) => [name, SortedMap.empty<unknown>()]));
}

/** The section that a key of the store belongs to, and the key in it. */
export function parseSectionKey(
  key: string,
): { readonly section: SectionName; readonly key: string } | undefined {
  const section = SECTIONS.find((name) => key.startsWith(name));
  return section === undefined ? undefined : { section, key: key.slice(section.length) };
}

/** A name of any characters as a part of a key, which may hold printable ASCII only, and no slash of its own. */
export function encodeKeyPart(name: string): string {
  return encodeURIComponent(name);
}

export function decodeKeyPart(part: string): string {
  return decodeURIComponent(part);
}
