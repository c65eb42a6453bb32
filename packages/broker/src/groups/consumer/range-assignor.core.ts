import { type AssignorInput, type GroupAssignment, inOrder, type MemberToAssign } from './assignor.core.ts';

/**
 * KIP-848's assignor `range`: each topic is cut into consecutive ranges, one for each of its subscribers in their order, and the first ones get
 * one more where it does not come out even. Topics with the same number of partitions and the same subscribers are cut alike, so that partition 3
 * of both belongs to the same member: what is joined by key needs that. What members had before does not count; the order of static members
 * follows their instance ids, so that their restarts move nothing.
 */
export function assignRange({ members, partitionCounts }: AssignorInput): GroupAssignment {
  const ordered = inOrder(members);
  const assigned = new Map(ordered.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
  for (const [topicId, subscribers] of subscribersOf(ordered)) {
    const count = partitionCounts.get(topicId) ?? 0;
    const share = Math.floor(count / subscribers.length);
    const withOneMore = count % subscribers.length;
    let next = 0;
    subscribers.forEach(({ memberId }, rank) => {
      const length = share + (rank < withOneMore ? 1 : 0);
      if (length === 0) return;
      const first = next;
      next += length;
      assigned.get(memberId)!.set(
        topicId,
        Array.from({ length }, (_, index) => first + index),
      );
    });
  }
  return assigned;
}

/** By topic id, in the order of the members. */
export function subscribersOf(
  members: readonly MemberToAssign[],
): ReadonlyMap<string, readonly MemberToAssign[]> {
  const subscribers = new Map<string, MemberToAssign[]>();
  for (const member of members) {
    for (const topicId of member.topics) {
      const known = subscribers.get(topicId);
      if (known === undefined) subscribers.set(topicId, [member]);
      else known.push(member);
    }
  }
  return subscribers;
}
