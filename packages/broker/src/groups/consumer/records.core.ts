import {
  encodeConsumerGroup,
  encodeConsumerGroupKey,
  encodeConsumerMember,
  encodeCurrentAssignment,
  encodeRegularExpression,
  encodeTargetAssignment,
  encodeTargetAssignmentEpoch,
} from '@polylog/record';
import type { StateRecord } from '../../coordinator/types.ts';
import type { Assignment } from './assignment.core.ts';
import type { ConsumerGroup, ConsumerMember } from './consumer-group.core.ts';

/*
 * What of a consumer group goes to the log, one record for each thing that changes by itself.
 */
export function groupRecord({ groupId, epoch, metadataHash }: ConsumerGroup): StateRecord {
  const key = encodeConsumerGroupKey({ kind: 'consumer-group', group: groupId });
  return { key, value: encodeConsumerGroup({ epoch, metadataHash }) };
}

export function memberRecord(
  { groupId }: ConsumerGroup,
  { memberId, metadata }: ConsumerMember,
): StateRecord {
  return {
    key: encodeConsumerGroupKey({ kind: 'consumer-member', group: groupId, member: memberId }),
    value: encodeConsumerMember({
      instanceId: metadata.instanceId,
      rackId: metadata.rackId,
      clientId: metadata.clientId,
      clientHost: metadata.clientHost,
      subscribedTopics: metadata.topics,
      subscribedRegex: metadata.regex,
      rebalanceTimeoutMs: metadata.rebalanceTimeoutMs,
      serverAssignor: metadata.assignor,
      classic: metadata.classic ?? null,
    }),
  };
}

export function targetEpochRecord({ groupId, targetEpoch }: ConsumerGroup): StateRecord {
  const key = encodeConsumerGroupKey({ kind: 'target-assignment', group: groupId });
  return { key, value: encodeTargetAssignmentEpoch(targetEpoch) };
}

export function targetRecord(group: string, member: string, target: Assignment): StateRecord {
  return {
    key: encodeConsumerGroupKey({ kind: 'target-assignment-member', group, member }),
    value: encodeTargetAssignment(target),
  };
}

export function currentRecord(
  { groupId }: ConsumerGroup,
  { memberId, current }: ConsumerMember,
): StateRecord {
  const { epoch, previousEpoch, state, assigned, revoking, epochs } = current;
  return {
    key: encodeConsumerGroupKey({ kind: 'current-assignment', group: groupId, member: memberId }),
    value: encodeCurrentAssignment({
      memberEpoch: epoch,
      previousMemberEpoch: previousEpoch,
      state,
      assigned,
      revoking,
      epochs,
    }),
  };
}

export function regexRecord(group: ConsumerGroup, expression: string): StateRecord {
  const resolved = group.regexes.get(expression);
  const key = encodeConsumerGroupKey({ kind: 'regular-expression', group: group.groupId, expression });
  if (resolved === undefined) return { key, value: null };
  const { topics, version, timestampMs: timestamp } = resolved;
  return { key, value: encodeRegularExpression({ topics, version, timestamp }) };
}

/** Takes back all that was said of a member. */
export function memberTombstones({ groupId: group }: ConsumerGroup, memberId: string): StateRecord[] {
  return (['current-assignment', 'target-assignment-member', 'consumer-member'] as const).map((kind) => ({
    key: encodeConsumerGroupKey({ kind, group, member: memberId }),
    value: null,
  }));
}

/** Takes back all that was said of a group but its offsets. */
export function groupTombstones(group: ConsumerGroup): StateRecord[] {
  const { groupId, members, regexes } = group;
  const records = [...members.keys()].flatMap((memberId) => memberTombstones(group, memberId));
  for (const expression of regexes.keys()) {
    const key = encodeConsumerGroupKey({ kind: 'regular-expression', group: groupId, expression });
    records.push({ key, value: null });
  }
  for (const kind of ['target-assignment', 'consumer-group'] as const) {
    records.push({ key: encodeConsumerGroupKey({ kind, group: groupId }), value: null });
  }
  return records;
}

/** All that there is to say of a group but its offsets. */
export function allRecords(group: ConsumerGroup): StateRecord[] {
  const members = [...group.members.values()];
  return [
    ...members.map((member) => memberRecord(group, member)),
    groupRecord(group),
    ...members.map(({ memberId }) => targetRecord(group.groupId, memberId, group.targetOf(memberId))),
    targetEpochRecord(group),
    ...members.map((member) => currentRecord(group, member)),
  ];
}
