import {
  type ConsumerGroupKey,
  decodeConsumerGroup,
  decodeConsumerMember,
  decodeCurrentAssignment,
  decodeRegularExpression,
  decodeTargetAssignment,
  decodeTargetAssignmentEpoch,
  type StoredAssignment,
} from '@polylog/record';

/** A record of a group of KIP-848 in `__consumer_offsets`. Throws MalformedError. */
export function consumerGroupMeaning(key: ConsumerGroupKey, value: Uint8Array | null): string {
  const group = `group ${key.group}`;
  switch (key.kind) {
    case 'consumer-group':
      return value === null ? `${group}: deleted` : `${group}: epoch ${decodeConsumerGroup(value).epoch}`;
    case 'consumer-group-partitions':
      return `${group}: partitions of its topics, as Kafka before 4.1 kept them`;
    case 'target-assignment':
      return value === null
        ? `${group}: no target assignment`
        : `${group}: target assignment of epoch ${decodeTargetAssignmentEpoch(value)}`;
    case 'consumer-member':
      return `${group}, member ${key.member}: ${value === null ? 'gone' : toldBy(value)}`;
    case 'target-assignment-member':
      return `${group}, member ${key.member}: ${value === null ? 'shall have nothing' : `shall have ${partitionsOf(decodeTargetAssignment(value))}`}`;
    case 'current-assignment':
      return `${group}, member ${key.member}: ${value === null ? 'has nothing' : currentOf(value)}`;
    case 'regular-expression': {
      const topics = value === null ? undefined : decodeRegularExpression(value).topics;
      return `${group}, expression ${key.expression}: ${topics?.join(', ') ?? 'forgotten'}`;
    }
  }
}

function toldBy(value: Uint8Array): string {
  const { clientId, subscribedTopics, subscribedRegex, classic } = decodeConsumerMember(value);
  const wants = [...subscribedTopics, ...(subscribedRegex ? [`what matches ${subscribedRegex}`] : [])];
  const how = classic === null ? '' : ', by the classic protocol';
  return `client ${clientId} subscribes to ${wants.join(', ')}${how}`;
}

function currentOf(value: Uint8Array): string {
  const { memberEpoch, state, assigned, revoking } = decodeCurrentAssignment(value);
  const gives = revoking.size === 0 ? '' : `, gives up ${partitionsOf(revoking)}`;
  return `epoch ${memberEpoch}, ${state}, has ${partitionsOf(assigned)}${gives}`;
}

/** Topics by their ids: the log knows no names. */
function partitionsOf(assignment: StoredAssignment): string {
  if (assignment.size === 0) return 'nothing';
  return [...assignment].map(([topicId, partitions]) => `${topicId}[${partitions.join(' ')}]`).join(', ');
}
