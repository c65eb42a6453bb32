import {
  ACL_ANY,
  aclOperations,
  aclPatternTypes,
  aclPermissions,
  aclResourceTypes,
} from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import type { Acl, AclFilter } from '../../../security/acl.core.ts';
import { AclStore } from '../../../security/acl-store.ts';
import { canonicalAddress } from '../../../platform/address.ts';
import type { KafkaServices } from '../handler.ts';

/** What the ACL APIs have in common: their numbers, and the rules behind them. */

export function aclStoreOf({ sections, partitions }: KafkaServices): AclStore {
  return new AclStore({ writer: sections, section: () => partitions.image.section('acls/') });
}

/** Throws BrokerError where no rules are in force: one that is added would protect nothing. */
export function requireAuthorizer({ authorizer }: KafkaServices): void {
  if (authorizer !== undefined) return;
  throw new BrokerError('SECURITY_DISABLED', 'Access rules are not in force: set authorization.enabled=true');
}

interface WireFilter {
  readonly resourceTypeFilter: number;
  readonly resourceNameFilter: string | null;
  readonly patternTypeFilter: number;
  readonly principalFilter: string | null;
  readonly hostFilter: string | null;
  readonly operation: number;
  readonly permissionType: number;
}

/** Throws BrokerError for a number that means nothing. */
export function filterOf(wire: WireFilter): AclFilter {
  const { hostFilter } = wire;
  return {
    resourceType: termOrAny(aclResourceTypes, wire.resourceTypeFilter, 'resource type'),
    patternType: termOrAny(aclPatternTypes, wire.patternTypeFilter, 'pattern type'),
    resourceName: wire.resourceNameFilter ?? undefined,
    principal: wire.principalFilter ?? undefined,
    host: hostFilter === null ? undefined : (canonicalAddress(hostFilter) ?? hostFilter),
    operation: termOrAny(aclOperations, wire.operation, 'operation'),
    permission: termOrAny(aclPermissions, wire.permissionType, 'permission'),
  };
}

interface WireAcl {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly resourcePatternType: number;
  readonly principal: string;
  readonly host: string;
  readonly operation: number;
  readonly permissionType: number;
}

/** Throws BrokerError for a number that means nothing, or too much. */
export function aclOf(wire: WireAcl): Acl {
  const { resourceName, principal, host } = wire;
  const patternType = term(aclPatternTypes, wire.resourcePatternType, 'pattern type');
  if (patternType === 'MATCH') throw unknownTerm('pattern type', wire.resourcePatternType);
  return {
    resourceType: term(aclResourceTypes, wire.resourceType, 'resource type'),
    patternType,
    resourceName,
    principal,
    host,
    operation: term(aclOperations, wire.operation, 'operation'),
    permission: term(aclPermissions, wire.permissionType, 'permission'),
  };
}

export function entryOf({ principal, host, operation, permission }: Acl) {
  return {
    principal,
    host,
    operation: aclOperations[operation],
    permissionType: aclPermissions[permission],
  };
}

export function patternOf({ resourceType, resourceName, patternType }: Acl) {
  return {
    resourceType: aclResourceTypes[resourceType],
    resourceName,
    patternType: aclPatternTypes[patternType],
  };
}

type Terms = Readonly<Record<string, number>>;

function term<T extends Terms>(terms: T, code: number, what: string): keyof T & string {
  for (const name in terms) if (terms[name] === code) return name;
  throw unknownTerm(what, code);
}

function termOrAny<T extends Terms>(terms: T, code: number, what: string): (keyof T & string) | undefined {
  return code === ACL_ANY ? undefined : term(terms, code, what);
}

function unknownTerm(what: string, code: number): BrokerError {
  return new BrokerError('INVALID_REQUEST', `No access rule has the ${what} ${code}`);
}
