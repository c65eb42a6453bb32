import type { CommittedOffset } from '@polylog/record';
import type { ClassicGroup } from './classic-group.core.ts';
import { CONSUMER_PROTOCOL_TYPE } from './subscription.core.ts';
import type { TopicPartition } from './types.ts';

/**
 * The offsets of a group whose time is over (KIP-211): the retention counts from the moment that the group became empty, or from the
 * commit if that was later; for a group that never had members, from the commit; for topics that a consumer group has members for, but
 * that none of them subscribes to any more, from the commit too. Offsets of what is being read never expire. A client's own retention
 * (OffsetCommit before v5) takes the place of all that.
 */
export function expiredOffsets(group: ClassicGroup, retentionMs: number, nowMs: number): TopicPartition[] {
  const baseOf = baseOfExpiry(group);
  if (baseOf === undefined) return [];
  const expired: TopicPartition[] = [];
  for (const [topic, partitions] of group.offsets.byTopic) {
    for (const [partition, committed] of partitions) {
      const baseMs = baseOf(topic, committed);
      if (baseMs === undefined) continue;
      const atMs = committed.expireTimestamp >= 0 ? committed.expireTimestamp : baseMs + retentionMs;
      if (nowMs >= atMs) expired.push({ topic, partition });
    }
  }
  return expired;
}

/** From when the retention of an offset counts; undefined: it does not expire. */
function baseOfExpiry(
  group: ClassicGroup,
): ((topic: string, committed: CommittedOffset) => number | undefined) | undefined {
  if (group.protocolType === '') return (_topic, committed) => committed.commitTimestamp;
  if (group.state === 'Empty') {
    return (_topic, committed) => Math.max(committed.commitTimestamp, group.stateSinceMs);
  }
  const { subscribedTopics } = group;
  const isKnown = group.protocolType === CONSUMER_PROTOCOL_TYPE && subscribedTopics !== undefined;
  if (group.state !== 'Stable' || !isKnown) return undefined;
  return (topic, committed) => (subscribedTopics.has(topic) ? undefined : committed.commitTimestamp);
}
