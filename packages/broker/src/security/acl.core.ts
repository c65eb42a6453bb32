/*
 * Access rules, in Kafka's terms (KIP-11, KIP-290): the same for every protocol. A rule allows or denies a principal, from a host, an operation
 * on the resources that its pattern names.
 */

export const RESOURCE_TYPES = [
  'TOPIC',
  'GROUP',
  'CLUSTER',
  'TRANSACTIONAL_ID',
  'DELEGATION_TOKEN',
  'USER',
] as const;
export type ResourceType = (typeof RESOURCE_TYPES)[number];

/** What is asked for; a rule may also name all of them at once. */
export const OPERATIONS = [
  'READ',
  'WRITE',
  'CREATE',
  'DELETE',
  'ALTER',
  'DESCRIBE',
  'CLUSTER_ACTION',
  'DESCRIBE_CONFIGS',
  'ALTER_CONFIGS',
  'IDEMPOTENT_WRITE',
  'CREATE_TOKENS',
  'DESCRIBE_TOKENS',
  'TWO_PHASE_COMMIT',
] as const;
export type Operation = (typeof OPERATIONS)[number];
export const ALL = 'ALL';
export type AclOperation = Operation | typeof ALL;

/** As a name it stands for every resource of a type, as a host for every address, in `User:*` for everyone. */
export const WILDCARD = '*';
export const EVERYONE = 'User:*';
/** The one resource of the type CLUSTER. */
export const CLUSTER_NAME = 'kafka-cluster';

export interface Acl {
  readonly resourceType: ResourceType;
  /** A literal name is one resource, or `*` all of them; a prefix is those whose names begin with it. */
  readonly patternType: 'LITERAL' | 'PREFIXED';
  readonly resourceName: string;
  /** `User:alice`, or `User:*`. */
  readonly principal: string;
  /** An address, or `*`. */
  readonly host: string;
  readonly operation: AclOperation;
  readonly permission: 'ALLOW' | 'DENY';
}

/** Operations that make sense on a resource: what clients are told of theirs (KIP-430). */
export const SUPPORTED_OPERATIONS: Readonly<Record<ResourceType, readonly Operation[]>> = {
  TOPIC: ['READ', 'WRITE', 'CREATE', 'DESCRIBE', 'DELETE', 'ALTER', 'DESCRIBE_CONFIGS', 'ALTER_CONFIGS'],
  GROUP: ['READ', 'DESCRIBE', 'DELETE', 'DESCRIBE_CONFIGS', 'ALTER_CONFIGS'],
  CLUSTER: [
    'CREATE',
    'CLUSTER_ACTION',
    'DESCRIBE_CONFIGS',
    'ALTER_CONFIGS',
    'IDEMPOTENT_WRITE',
    'ALTER',
    'DESCRIBE',
  ],
  TRANSACTIONAL_ID: ['DESCRIBE', 'WRITE', 'TWO_PHASE_COMMIT'],
  DELEGATION_TOKEN: ['DESCRIBE'],
  USER: ['CREATE_TOKENS', 'DESCRIBE_TOKENS'],
};

/** Sets of operations are bits, one for each place in {@link OPERATIONS}. */
export type OperationBits = number;
export const EVERY_OPERATION: OperationBits = (1 << OPERATIONS.length) - 1;

const BITS = Object.fromEntries(
  OPERATIONS.map((operation, index) => [operation, 1 << index]),
) as unknown as Readonly<Record<Operation, OperationBits>>;

export function bitOf(operation: Operation): OperationBits {
  return BITS[operation];
}

const IMPLY_DESCRIBE: ReadonlySet<AclOperation> = new Set(['READ', 'WRITE', 'DELETE', 'ALTER']);

/** What a rule that allows an operation allows with it. A rule that denies one denies just that. */
export function allowedBy(operation: AclOperation): OperationBits {
  if (operation === ALL) return EVERY_OPERATION;
  const own = BITS[operation];
  if (IMPLY_DESCRIBE.has(operation)) return own | BITS.DESCRIBE;
  return operation === 'ALTER_CONFIGS' ? own | BITS.DESCRIBE_CONFIGS : own;
}

export function deniedBy(operation: AclOperation): OperationBits {
  return operation === ALL ? EVERY_OPERATION : BITS[operation];
}

/** Which rules are meant; what is left out may be anything. */
export interface AclFilter {
  readonly resourceType: ResourceType | undefined;
  /** `MATCH`: every pattern that applies to the resource of that name. */
  readonly patternType: 'LITERAL' | 'PREFIXED' | 'MATCH' | undefined;
  readonly resourceName: string | undefined;
  readonly principal: string | undefined;
  readonly host: string | undefined;
  readonly operation: AclOperation | undefined;
  readonly permission: 'ALLOW' | 'DENY' | undefined;
}

export function matches(filter: AclFilter, acl: Acl): boolean {
  return (
    (filter.resourceType ?? acl.resourceType) === acl.resourceType &&
    matchesPattern(filter, acl) &&
    (filter.principal ?? acl.principal) === acl.principal &&
    (filter.host ?? acl.host) === acl.host &&
    (filter.operation ?? acl.operation) === acl.operation &&
    (filter.permission ?? acl.permission) === acl.permission
  );
}

function matchesPattern({ patternType, resourceName: name }: AclFilter, acl: Acl): boolean {
  if (patternType !== 'MATCH') {
    return (
      (patternType ?? acl.patternType) === acl.patternType && (name ?? acl.resourceName) === acl.resourceName
    );
  }
  return name === undefined || appliesTo(acl, name);
}

/** Whether the rule's pattern covers the resource of that name. */
export function appliesTo({ patternType, resourceName }: Acl, name: string): boolean {
  if (patternType === 'PREFIXED') return name.startsWith(resourceName);
  return resourceName === name || resourceName === WILDCARD;
}
