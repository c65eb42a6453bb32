import { BrokerError } from '../errors.ts';
import type { SectionChanges, SectionWriter } from '../cluster/section-writer.ts';
import { encodeKeyPart, type Section } from '../cluster/sections.ts';
import { CLUSTER_NAME, matches, WILDCARD, type Acl, type AclFilter } from './acl.core.ts';
import { canonicalAddress } from '../platform/address.ts';

/** Rules of one cluster: each start reads them, and each change of one arranges all of them anew. */
const ACLS_MAX = 10_000;
/** UTF-16 units. Topics' names end at 249, but groups and transactions have none. */
const RESOURCE_NAME_CHARS_MAX = 1024;
/** UTF-16 units; a certificate's distinguished name fits. */
const PRINCIPAL_CHARS_MAX = 1024;

export const SECTION = 'acls/';

export interface AclStoreOptions {
  readonly writer: SectionWriter;
  /** The section `acls/` of the newest cluster image. */
  readonly section: () => Section;
}

/*
 * A rule is its key, so that one that is there already is not added again:
 *
 *   acls/<resource type>/<pattern type>/<name>/<principal>/<host>/<operation>/<permission>
 *
 * and its value is the rule once more, to be read.
 */
function keyOf(acl: Acl): string {
  const { resourceType, patternType, resourceName, principal, host, operation, permission } = acl;
  return [resourceType, patternType, resourceName, principal, host, operation, permission]
    .map(encodeKeyPart)
    .join('/');
}

/** The access rules in the cluster image. */
export class AclStore {
  readonly #options: AclStoreOptions;

  constructor(options: AclStoreOptions) {
    this.#options = options;
  }

  list(filter: AclFilter): Acl[] {
    const found: Acl[] = [];
    for (const [, record] of this.#options.section().entries()) {
      if (matches(filter, record as Acl)) found.push(record as Acl);
    }
    return found;
  }

  /** Those that are there already are left as they are. Every rule must be {@link checkAcl checked}. Rejects with BrokerError. */
  async create(acls: readonly Acl[]): Promise<void> {
    if (acls.length === 0) return;
    const wanted = new Map(acls.map((acl) => [keyOf(acl), acl] as const));
    await this.#options.writer.change(SECTION, wanted.keys(), (records) => {
      const added = new Map([...wanted].filter(([key]) => records.get(key) === undefined));
      if (records.size + added.size > ACLS_MAX) {
        throw new BrokerError(
          'POLICY_VIOLATION',
          `There would be more than ${ACLS_MAX} access rules; use prefixes, or delete some`,
        );
      }
      return added;
    });
  }

  /** What each filter has removed; a rule that several of them match is in each of their lists. Rejects with BrokerError. */
  async remove(filters: readonly AclFilter[]): Promise<Acl[][]> {
    let removed: Map<string, Acl>[] = [];
    await this.#options.writer.changeAny(SECTION, (records): SectionChanges => {
      removed = filters.map(() => new Map<string, Acl>());
      const changes = new Map<string, undefined>();
      for (const [key, record] of records) {
        for (const [index, filter] of filters.entries()) {
          if (!matches(filter, record as Acl)) continue;
          changes.set(key, undefined);
          removed[index]!.set(key, record as Acl);
        }
      }
      return changes;
    });
    return removed.map((acls) => Array.from(acls.values()));
  }
}

/** The rule as it is kept. Throws BrokerError, code INVALID_REQUEST, for one that could never do what it says. */
export function checkAcl(acl: Acl): Acl {
  const { resourceType, resourceName, principal } = acl;
  const refuse = (message: string): never => {
    throw new BrokerError('INVALID_REQUEST', message);
  };
  if (resourceName === '') refuse('The name of the resource is empty');
  if (resourceName.length > RESOURCE_NAME_CHARS_MAX) {
    refuse(`The name of the resource has more than ${RESOURCE_NAME_CHARS_MAX} characters`);
  }
  if (resourceType === 'CLUSTER' && resourceName !== CLUSTER_NAME) {
    refuse(`The only resource of the type CLUSTER is ${CLUSTER_NAME}`);
  }
  if (principal.length > PRINCIPAL_CHARS_MAX) {
    refuse(`The principal has more than ${PRINCIPAL_CHARS_MAX} characters`);
  }
  if (!/^[^:]+:./s.test(principal)) refuse('The principal must have a type and a name, as in User:alice');
  return { ...acl, host: checkHost(acl.host) };
}

/** Connections have addresses and no names: a rule for a name would never apply, which is worst for one that denies. */
function checkHost(host: string): string {
  if (host === WILDCARD) return host;
  const address = canonicalAddress(host);
  if (address === undefined) {
    throw new BrokerError(
      'INVALID_REQUEST',
      `The host must be an IP address or *, not ${JSON.stringify(host)}`,
    );
  }
  return address;
}
