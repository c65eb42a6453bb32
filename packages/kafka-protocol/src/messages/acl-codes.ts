/*
 * How the ACL APIs number their terms (KIP-11, KIP-290, KIP-373, KIP-939). 0 is a term that the sender did not know; the names marked for filters
 * mean more than one and stand in no rule.
 */

/** For filters, in each of the four: anything. */
export const ACL_ANY = 1;

export const aclResourceTypes = {
  TOPIC: 2,
  GROUP: 3,
  CLUSTER: 4,
  TRANSACTIONAL_ID: 5,
  DELEGATION_TOKEN: 6,
  USER: 7,
} as const;

export const aclPatternTypes = {
  /** For filters: every pattern that applies to the resource of the name. */
  MATCH: 2,
  LITERAL: 3,
  PREFIXED: 4,
} as const;

export const aclOperations = {
  ALL: 2,
  READ: 3,
  WRITE: 4,
  CREATE: 5,
  DELETE: 6,
  ALTER: 7,
  DESCRIBE: 8,
  CLUSTER_ACTION: 9,
  DESCRIBE_CONFIGS: 10,
  ALTER_CONFIGS: 11,
  IDEMPOTENT_WRITE: 12,
  CREATE_TOKENS: 13,
  DESCRIBE_TOKENS: 14,
  TWO_PHASE_COMMIT: 15,
} as const;

export const aclPermissions = { DENY: 2, ALLOW: 3 } as const;
