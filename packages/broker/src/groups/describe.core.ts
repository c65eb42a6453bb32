import { type ClassicGroup, NO_ASSIGNMENT } from './classic-group.core.ts';
import type { ConsumerGroup } from './consumer/consumer-group.core.ts';
import type { ConsumerGroupSettings, DescribedConsumerGroup } from './consumer/types.ts';
import type { DescribedGroup } from './types.ts';

export function describeClassic(group: ClassicGroup): DescribedGroup {
  const isStable = group.state === 'Stable';
  const members = [...group.members.values()].map((member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    clientId: member.clientId,
    clientHost: member.clientHost,
    // Between generations nothing of it holds.
    metadata: isStable ? group.metadataOf(member) : NO_ASSIGNMENT,
    assignment: isStable ? member.assignment : NO_ASSIGNMENT,
  }));
  const protocol = isStable ? (group.protocol ?? '') : '';
  return { error: undefined, state: group.state, protocolType: group.protocolType, protocol, members };
}

export function describeConsumer(
  group: ConsumerGroup,
  { assignors }: ConsumerGroupSettings,
): DescribedConsumerGroup {
  return {
    error: undefined,
    state: group.state,
    groupEpoch: group.epoch,
    assignmentEpoch: group.targetEpoch,
    assignor: group.preferredAssignor(assignors),
    members: [...group.members.values()].map(({ memberId, metadata, current }) => ({
      memberId,
      groupInstanceId: metadata.instanceId,
      rackId: metadata.rackId,
      memberEpoch: current.epoch,
      clientId: metadata.clientId,
      clientHost: metadata.clientHost,
      subscribedTopics: metadata.topics,
      subscribedRegex: metadata.regex === '' ? null : metadata.regex,
      assignment: current.assigned,
      targetAssignment: group.targetOf(memberId),
      isClassic: metadata.classic !== undefined,
    })),
  };
}
