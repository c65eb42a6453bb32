import type { CommittedOffset } from '@polylog/record';
import type { ClassicGroup } from './classic-group.core.ts';
import { CONSUMER_PROTOCOL_TYPE } from './subscription.core.ts';

/**
 * Whether the time of an offset is over (KIP-211). The retention counts from the moment that the group became empty, or from the commit if
 * that was later; in a group that never had members, from the commit; for topics that a consumer group has members for, but that none of them
 * subscribes to any more, from the commit too. Offsets of what is being read never expire. A client's own retention (OffsetCommit before v5)
 * takes the place of all that.
 */
export function isExpired(
  group: ClassicGroup,
  topic: string,
  committed: CommittedOffset,
  times: { readonly retentionMs: number; readonly nowMs: number },
): boolean {
  const baseMs = baseOfExpiry(group, topic, committed);
  if (baseMs === undefined) return false;
  const atMs = committed.expireTimestamp >= 0 ? committed.expireTimestamp : baseMs + times.retentionMs;
  return times.nowMs >= atMs;
}

/** From when the retention of an offset counts; undefined: it does not expire. */
function baseOfExpiry(group: ClassicGroup, topic: string, committed: CommittedOffset): number | undefined {
  if (group.protocolType === '') return committed.commitTimestamp;
  if (group.state === 'Empty') return Math.max(committed.commitTimestamp, group.stateSinceMs);
  if (group.state !== 'Stable' || group.protocolType !== CONSUMER_PROTOCOL_TYPE) return undefined;
  return (group.subscribedTopics?.has(topic) ?? true) ? undefined : committed.commitTimestamp;
}
