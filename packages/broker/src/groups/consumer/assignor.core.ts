import type { Assignment } from './assignment.core.ts';
import { sorted, type Work } from './work.core.ts';

export interface MemberToAssign {
  readonly memberId: string;
  /** Static members keep their rank in a group by it, under whatever member id they come back. */
  readonly instanceId: string | null;
  /** An index of {@link AssignorInput.subscriptions}. */
  readonly subscription: number;
  /** What it had in the assignment before. */
  readonly before: Assignment;
}

export interface TopicToAssign {
  readonly id: string;
  readonly partitions: number;
}

export interface AssignorInput {
  readonly members: readonly MemberToAssign[];
  /** Those that exist and that somebody subscribes to, in the order of their ids. */
  readonly topics: readonly TopicToAssign[];
  /** Indexes of topics, distinct and ascending. Members with the same subscription share one: that there are few is what keeps the work small. */
  readonly subscriptions: readonly Int32Array[];
}

/** By member id; every member has an entry, and every partition of a topic that somebody subscribes to has one owner. */
export type GroupAssignment = ReadonlyMap<string, Assignment>;

/** A partition's owner: nobody. */
export const NOBODY = -1;

/** Static members first, by their instance ids, then the others by their member ids: as in Kafka, so that a restart changes nobody's rank. */
export function inOrder(members: readonly MemberToAssign[]): Work<MemberToAssign[]> {
  return sorted(members, (left, right) => {
    if (left.instanceId !== null && right.instanceId !== null)
      return compare(left.instanceId, right.instanceId);
    if (left.instanceId !== null) return -1;
    if (right.instanceId !== null) return 1;
    return compare(left.memberId, right.memberId);
  });
}

export function compare(left: string, right: string): number {
  if (left === right) return 0;
  return left < right ? -1 : 1;
}
