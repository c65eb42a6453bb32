import {
  ACL_ANY,
  aclOperations,
  aclPatternTypes,
  aclPermissions,
  aclResourceTypes,
  createAcls as createAclsApi,
  deleteAcls as deleteAclsApi,
  describeAcls,
} from '@polylog/kafka-protocol';
import { CliError, protocolError } from '../errors.ts';
import type { Cluster } from './cluster.ts';

export type AclResourceType = keyof typeof aclResourceTypes;
export type AclOperation = keyof typeof aclOperations;
export type AclPermission = keyof typeof aclPermissions;

/** The resources of a rule: one name, `*` for all, or all that begin with a prefix. */
export interface AclPattern {
  readonly resourceType: AclResourceType;
  readonly patternType: 'LITERAL' | 'PREFIXED';
  readonly name: string;
}

export interface Acl extends AclPattern {
  /** `User:alice`. */
  readonly principal: string;
  /** An address, or `*`. */
  readonly host: string;
  readonly operation: AclOperation;
  readonly permission: AclPermission;
}

/** What is left out may be anything. */
export interface AclFilter {
  readonly resourceType?: AclResourceType | undefined;
  /** `MATCH`: every pattern that applies to the name. */
  readonly patternType?: 'LITERAL' | 'PREFIXED' | 'MATCH' | undefined;
  readonly name?: string | undefined;
  readonly principal?: string | undefined;
  readonly host?: string | undefined;
  readonly operation?: AclOperation | undefined;
  readonly permission?: AclPermission | undefined;
}

/** The names of what the protocol's numbers mean; others, of newer brokers, are shown as numbers. */
function nameOf<T extends Readonly<Record<string, number>>>(terms: T, code: number): keyof T & string {
  return Object.keys(terms).find((name) => terms[name] === code) ?? String(code);
}

function codeOf<T extends Readonly<Record<string, number>>>(terms: T, name: keyof T | undefined): number {
  return name === undefined ? ACL_ANY : terms[name]!;
}

function filterOf(filter: AclFilter) {
  return {
    resourceTypeFilter: codeOf(aclResourceTypes, filter.resourceType),
    resourceNameFilter: filter.name ?? null,
    patternTypeFilter: codeOf(aclPatternTypes, filter.patternType),
    principalFilter: filter.principal ?? null,
    hostFilter: filter.host ?? null,
    operation: codeOf(aclOperations, filter.operation),
    permissionType: codeOf(aclPermissions, filter.permission),
  };
}

interface WireEntry {
  readonly principal: string;
  readonly host: string;
  readonly operation: number;
  readonly permissionType: number;
}

interface WirePattern {
  readonly resourceType: number;
  readonly resourceName: string;
  readonly patternType: number;
}

function aclOf(pattern: WirePattern, { principal, host, operation, permissionType }: WireEntry): Acl {
  return {
    resourceType: nameOf(aclResourceTypes, pattern.resourceType),
    patternType: pattern.patternType === aclPatternTypes.PREFIXED ? 'PREFIXED' : 'LITERAL',
    name: pattern.resourceName,
    principal,
    host,
    operation: nameOf(aclOperations, operation),
    permission: nameOf(aclPermissions, permissionType),
  };
}

/** The rules that the filter matches, in the broker's order. Throws CliError. */
export async function listAcls(cluster: Cluster, filter: AclFilter): Promise<Acl[]> {
  const answer = await cluster.request(describeAcls, filterOf(filter));
  if (answer.errorCode !== 0) throw aclError(answer.errorCode, answer.errorMessage);
  return answer.resources.flatMap((resource) => resource.acls.map((entry) => aclOf(resource, entry)));
}

/** Adds rules; those that are there already stay as they are. Throws CliError for the first one that was refused. */
export async function createAcls(cluster: Cluster, acls: readonly Acl[]): Promise<void> {
  const { results } = await cluster.request(createAclsApi, {
    creations: acls.map((acl) => ({
      resourceType: aclResourceTypes[acl.resourceType],
      resourceName: acl.name,
      resourcePatternType: aclPatternTypes[acl.patternType],
      principal: acl.principal,
      host: acl.host,
      operation: aclOperations[acl.operation],
      permissionType: aclPermissions[acl.permission],
    })),
  });
  const failed = results.find(({ errorCode }) => errorCode !== 0);
  if (failed !== undefined) throw aclError(failed.errorCode, failed.errorMessage);
}

/** Removes the rules that any of the filters matches: which those were, each once. Throws CliError. */
export async function deleteAcls(cluster: Cluster, filters: readonly AclFilter[]): Promise<Acl[]> {
  const { filterResults } = await cluster.request(deleteAclsApi, { filters: filters.map(filterOf) });
  const failed = filterResults.find(({ errorCode }) => errorCode !== 0);
  if (failed !== undefined) throw aclError(failed.errorCode, failed.errorMessage);
  const removed = filterResults.flatMap(({ matchingAcls }) => matchingAcls.map((one) => aclOf(one, one)));
  return [...new Map(removed.map((acl) => [JSON.stringify(acl), acl])).values()];
}

function aclError(errorCode: number, message: string | null): CliError {
  return protocolError(errorCode, 'the access rules', message);
}
