import type { Assignment } from './assignment.core.ts';

export interface MemberToAssign {
  readonly memberId: string;
  /** Static members keep their rank in a group by it, under whatever member id they come back. */
  readonly instanceId: string | null;
  /** Topic ids, distinct. Members with the same subscription may share one set. */
  readonly topics: ReadonlySet<string>;
  /** What it had in the assignment before. */
  readonly before: Assignment;
}

export interface AssignorInput {
  readonly members: readonly MemberToAssign[];
  /** By topic id, of the subscribed topics that exist. */
  readonly partitionCounts: ReadonlyMap<string, number>;
}

/** By member id; every member has an entry, and every partition of a topic that somebody subscribes to has one owner. */
export type GroupAssignment = ReadonlyMap<string, Assignment>;

/** A partition's owner: nobody. */
export const NOBODY = -1;

/** Static members first, by their instance ids, then the others by their member ids: as in Kafka, so that a restart changes nobody's rank. */
export function inOrder(members: readonly MemberToAssign[]): MemberToAssign[] {
  return [...members].sort((left, right) => {
    if (left.instanceId !== null && right.instanceId !== null)
      return compare(left.instanceId, right.instanceId);
    if (left.instanceId !== null) return -1;
    if (right.instanceId !== null) return 1;
    return compare(left.memberId, right.memberId);
  });
}

function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

/** Whether all members subscribe to the same topics. */
export function isHomogeneous(members: readonly MemberToAssign[]): boolean {
  const first = members[0]?.topics;
  return members.every(({ topics }) => topics === first || isSameSet(topics, first!));
}

function isSameSet(left: ReadonlySet<string>, right: ReadonlySet<string>): boolean {
  if (left.size !== right.size) return false;
  for (const item of left) if (!right.has(item)) return false;
  return true;
}
