import type { Operation, ResourceType } from './acl.core.ts';

/** What one request may do. */
export interface Access {
  /** Everything, so that nobody need ask. */
  readonly isUnlimited: boolean;
  /** A refusal is counted, and told in the audit log. */
  allows(operation: Operation, type: ResourceType, name: string): boolean;
  /** The same where something is only left out of a list, or another permission would do: a refusal is not worth a line. */
  shows(operation: Operation, type: ResourceType, name: string): boolean;
  /** Whether there is any name with which it may do it, existing or not. A refusal is told as one for all of the type's resources. */
  allowsOnAny(operation: Operation, type: ResourceType): boolean;
}

export const UNLIMITED: Access = {
  isUnlimited: true,
  allows: () => true,
  shows: () => true,
  allowsOnAny: () => true,
};
