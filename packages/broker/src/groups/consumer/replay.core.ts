import {
  type ConsumerGroupKey,
  decodeConsumerGroup,
  decodeConsumerMember,
  decodeCurrentAssignment,
  decodeRegularExpression,
  decodeTargetAssignment,
  decodeTargetAssignmentEpoch,
} from '@polylog/record';
import { epochsOf, normalized } from './assignment.core.ts';
import {
  type ConsumerGroup,
  type ConsumerMember,
  type MemberMetadata,
  NO_METADATA,
} from './consumer-group.core.ts';
import type { ConsumerGroupDriver } from './driver.core.ts';
import { type CurrentAssignment, JOINING } from './reconcile.core.ts';
import { distinctNames } from './subscriptions.core.ts';

/**
 * Makes one record of a group so. What the log has of a member comes in any order after a compaction: a member of which only a part is known yet
 * has {@link NO_METADATA}.
 */
export function replayValue(
  group: ConsumerGroup,
  key: ConsumerGroupKey,
  value: Uint8Array,
  driver: ConsumerGroupDriver,
): void {
  switch (key.kind) {
    case 'consumer-group': {
      const { epoch, metadataHash } = decodeConsumerGroup(value);
      group.epoch = epoch;
      group.metadataHash = metadataHash;
      group.hasRecord = true;
      return;
    }
    case 'consumer-member':
      group.setMetadata(memberFor(group, key.member, driver), storedMetadata(value));
      return;
    case 'target-assignment':
      group.targetEpoch = decodeTargetAssignmentEpoch(value);
      return;
    case 'target-assignment-member':
      group.setTarget(key.member, normalized(decodeTargetAssignment(value)));
      return;
    case 'current-assignment':
      group.setCurrent(memberFor(group, key.member, driver), storedCurrent(value));
      return;
    case 'regular-expression': {
      const { topics, version, timestamp } = decodeRegularExpression(value);
      group.setRegex(key.expression, { topics, version, timestampMs: timestamp });
      return;
    }
    // Kafka before 4.1 kept the partitions of the topics there; what they are is known without it.
    case 'consumer-group-partitions':
  }
}

/** The same for a record that takes one back. */
export function replayTombstone(group: ConsumerGroup, key: ConsumerGroupKey): void {
  switch (key.kind) {
    case 'consumer-member': {
      const member = group.members.get(key.member);
      if (member !== undefined) group.remove(member);
      return;
    }
    case 'target-assignment-member':
      group.setTarget(key.member, undefined);
      return;
    case 'current-assignment': {
      const member = group.members.get(key.member);
      if (member !== undefined) group.setCurrent(member, JOINING);
      return;
    }
    case 'regular-expression':
      group.setRegex(key.expression, undefined);
      return;
    // The group itself goes with the first of them, which the caller sees to; the others say nothing then.
    case 'consumer-group':
    case 'target-assignment':
    case 'consumer-group-partitions':
  }
}

/** Members that the log does not say enough of: nothing else is left of them. */
export function dropIncomplete(group: ConsumerGroup): void {
  for (const member of group.members.values()) if (member.metadata === NO_METADATA) group.remove(member);
}

function memberFor(group: ConsumerGroup, memberId: string, driver: ConsumerGroupDriver): ConsumerMember {
  const known = group.members.get(memberId);
  return known ?? driver.addMember(group, { memberId, metadata: NO_METADATA, current: JOINING });
}

function storedMetadata(value: Uint8Array): MemberMetadata {
  const stored = decodeConsumerMember(value);
  return {
    instanceId: filled(stored.instanceId),
    rackId: filled(stored.rackId),
    clientId: stored.clientId,
    clientHost: stored.clientHost,
    topics: distinctNames(stored.subscribedTopics),
    regex: stored.subscribedRegex ?? '',
    rebalanceTimeoutMs: stored.rebalanceTimeoutMs,
    assignor: filled(stored.serverAssignor),
    classic: stored.classic ?? undefined,
  };
}

/** Kafka's records have an empty text here and there where there is none. */
function filled(text: string | null): string | null {
  return text === '' ? null : text;
}

function storedCurrent(value: Uint8Array): CurrentAssignment {
  const { memberEpoch, previousMemberEpoch, state, assigned, revoking, epochs } =
    decodeCurrentAssignment(value);
  return {
    epoch: memberEpoch,
    previousEpoch: previousMemberEpoch,
    state,
    assigned: normalized(assigned),
    revoking: normalized(revoking),
    epochs: epochsOf([assigned, revoking], epochs, memberEpoch),
  };
}
