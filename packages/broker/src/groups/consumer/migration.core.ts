import type { ClassicGroup, Member } from '../classic-group.core.ts';
import { CONSUMER_PROTOCOL_TYPE, encodeAssignment, parseAssignment } from '../subscription.core.ts';
import { type Assignment, epochsOf, normalized, splitBy, union } from './assignment.core.ts';
import { assignmentOf, namesOf, subscriptionOf } from './classic-members.core.ts';
import type { ConsumerGroup, ConsumerMember } from './consumer-group.core.ts';
import type { ConsumerGroupDriver } from './driver.core.ts';
import { distinctNames } from './subscriptions.core.ts';
import type { MigrationPolicy, TopicView } from './types.ts';

/** Why members of the consumer protocol cannot join a classic group that has members; undefined: it can become a group of theirs. */
export function upgradeRefusal(
  group: ClassicGroup,
  settings: { readonly migrationPolicy: MigrationPolicy; readonly membersMax: number },
): string | undefined {
  const { groupId, protocolType, members } = group;
  const { migrationPolicy, membersMax } = settings;
  if (migrationPolicy !== 'bidirectional' && migrationPolicy !== 'upgrade') {
    return `The group ${groupId} is a classic one, and group.consumer.migration.policy does not let it become a consumer group.`;
  }
  if (protocolType !== CONSUMER_PROTOCOL_TYPE) {
    return `The group ${groupId} is a classic one of members that are no consumers.`;
  }
  if (members.size > membersMax) {
    return `The group ${groupId} is a classic one with more members than group.consumer.max.size.`;
  }
  for (const member of members.values()) {
    if (
      subscriptionOf(preferred(group, member)) === undefined ||
      parseAssignment(member.assignment) === undefined
    )
      return `The group ${groupId} is a classic one whose member ${member.memberId} has no subscription that can be read.`;
  }
  return undefined;
}

/** The present protocol first: its metadata are those of the last generation. */
function preferred({ protocol }: ClassicGroup, { protocols }: Member): Member['protocols'] {
  const present = protocols.find(({ name }) => name === protocol);
  return present === undefined ? protocols : [present];
}

/**
 * Fills a new consumer group with the members of a classic one: what they were assigned and what they said to have stays theirs, until they say
 * otherwise. Members that have not completed their first join are left out: they will come again.
 */
export function takeMembers(from: ClassicGroup, to: ConsumerGroup, driver: ConsumerGroupDriver): void {
  to.epoch = from.generation;
  to.targetEpoch = from.generation;
  const members = [...from.members.values()].filter(({ isNew }) => !isNew);
  let taken: Assignment = new Map();
  const assigned = new Map<string, Assignment>();
  const take = (memberId: string, claimed: Assignment): void => {
    const { outside: free } = splitBy(claimed, taken);
    taken = union(taken, free);
    assigned.set(memberId, union(assigned.get(memberId) ?? new Map(), free));
  };
  for (const { memberId, assignment } of members) {
    take(memberId, assignmentOf(parseAssignment(assignment) ?? [], driver.topics));
  }
  // What a member had before the assignment, and perhaps has still.
  for (const member of members) {
    take(member.memberId, assignmentOf(subscriptionOf(preferred(from, member))?.owned ?? [], driver.topics));
  }
  for (const member of members) {
    const { memberId, protocols } = member;
    const own = normalized(assigned.get(memberId)!);
    const subscription = subscriptionOf(preferred(from, member));
    driver.addMember(to, {
      memberId,
      metadata: {
        instanceId: member.groupInstanceId,
        rackId: subscription?.rackId ?? null,
        clientId: member.clientId,
        clientHost: member.clientHost,
        topics: distinctNames(subscription?.topics ?? []),
        regex: '',
        rebalanceTimeoutMs: member.rebalanceTimeoutMs,
        assignor: null,
        classic: { sessionTimeoutMs: member.sessionTimeoutMs, protocols },
      },
      current: {
        epoch: from.generation,
        previousEpoch: from.generation,
        state: 'stable',
        assigned: own,
        revoking: new Map(),
        epochs: epochsOf([own], new Map(), from.generation),
      },
    });
    to.setTarget(memberId, own);
  }
}

/** Whether a group without members of the consumer protocol becomes a classic one. */
export function canDowngrade(
  members: Iterable<ConsumerMember>,
  settings: { readonly migrationPolicy: MigrationPolicy; readonly classicMembersMax: number },
): boolean {
  const { migrationPolicy, classicMembersMax } = settings;
  if (migrationPolicy !== 'bidirectional' && migrationPolicy !== 'downgrade') return false;
  let count = 0;
  for (const { metadata } of members) {
    if (metadata.classic === undefined) return false;
    count++;
  }
  return count > 0 && count <= classicMembersMax;
}

/** The members of a group that becomes a classic one, as those of its present generation. */
export function classicMembersOf({ members }: ConsumerGroup, topics: TopicView): Omit<Member, 'session'>[] {
  return [...members.values()].map(({ memberId, metadata, current }) => {
    const { protocols, sessionTimeoutMs } = metadata.classic!;
    const version = subscriptionOf(protocols)?.version ?? 0;
    return {
      memberId,
      groupInstanceId: metadata.instanceId,
      clientId: metadata.clientId,
      clientHost: metadata.clientHost,
      sessionTimeoutMs,
      rebalanceTimeoutMs: metadata.rebalanceTimeoutMs,
      protocols,
      // What it was told to give up is its own until it has joined again.
      assignment: encodeAssignment(version, namesOf(union(current.assigned, current.revoking), topics)),
      awaitingJoin: undefined,
      awaitingSync: undefined,
      isNew: false,
    };
  });
}
