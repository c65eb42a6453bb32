import type { ErrorName } from '../errors.ts';
import { memberOf } from './answers.core.ts';
import type { ClassicGroup } from './classic-group.core.ts';
import type { ConsumerGroup } from './consumer/consumer-group.core.ts';
import { CONSUMER_PROTOCOL_TYPE } from './subscription.core.ts';
import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import type { TopicView } from './consumer/types.ts';
import type { MemberIdentity } from './types.ts';

/** A group of either protocol. Both keep offsets; what follows asks them the same. */
export type Group = ClassicGroup | ConsumerGroup;

/** Whether a group has no members, and nobody is about to become one. */
export function isVacant(group: Group): boolean {
  if (group.kind === 'consumer') return group.members.size === 0;
  return group.state === 'Empty' && group.pendingJoins.size === 0;
}

/** Whether members read a topic at present. Where their subscriptions are not known, they read everything. */
export function readsTopic(group: Group, topic: string): boolean {
  if (group.kind === 'consumer') return group.members.size > 0 && group.subscribed.has(topic);
  return group.state !== 'Empty' && (group.subscribedTopics?.has(topic) ?? true);
}

/** Why offsets cannot be deleted while a group has members, whatever topics they are of (KIP-496). */
export function hidesSubscriptions(group: Group): boolean {
  return group.kind === 'classic' && group.state !== 'Empty' && group.protocolType !== CONSUMER_PROTOCOL_TYPE;
}

/** From when the retention of an offset counts (KIP-211); undefined: it does not expire. */
export function baseOfExpiry(group: Group, topic: string, commitMs: number): number | undefined {
  if (group.kind === 'consumer') {
    if (group.members.size === 0) return Math.max(commitMs, group.emptySinceMs);
    return group.subscribed.has(topic) ? undefined : commitMs;
  }
  if (group.protocolType === '') return commitMs;
  if (group.state === 'Empty') return Math.max(commitMs, group.stateSinceMs);
  if (group.state !== 'Stable' || group.protocolType !== CONSUMER_PROTOCOL_TYPE) return undefined;
  return (group.subscribedTopics?.has(topic) ?? true) ? undefined : commitMs;
}

/** A member as it names itself in a commit. */
export interface Committer extends MemberIdentity {
  /** Or its member epoch; below 0: it does not say. */
  readonly generationId: number;
  /** Whether the request is of a version that knows member epochs. */
  readonly knowsMemberEpochs: boolean;
}

/** Why a commit is not a member's of the present generation or epoch; undefined: it is. */
export function committerRefusal(group: Group, committer: Committer): ErrorName | undefined {
  const { memberId, generationId } = committer;
  if (group.kind === 'classic') {
    const member = memberOf(group, committer);
    if (typeof member === 'string') return member;
    return generationId === group.generation ? undefined : 'ILLEGAL_GENERATION';
  }
  const member = group.members.get(memberId);
  if (member === undefined) return 'UNKNOWN_MEMBER_ID';
  const isClassic = member.metadata.classic !== undefined;
  if (!isClassic && !committer.knowsMemberEpochs) return 'UNSUPPORTED_VERSION';
  if (generationId === member.current.epoch) return undefined;
  return isClassic ? 'ILLEGAL_GENERATION' : 'STALE_MEMBER_EPOCH';
}

/**
 * The same for offsets. In a consumer group an earlier epoch does, where the member had all of these partitions in it and has them still, be it to give
 * them up (KIP-1251): it may have been told of the newer epoch while its commit was on the way.
 */
export function commitRefusal(
  group: Group,
  committer: Committer & { readonly offsets: readonly TopicPartition[] },
  topics: TopicView,
): ErrorName | undefined {
  const refusal = committerRefusal(group, committer);
  const isEpoch = refusal === 'STALE_MEMBER_EPOCH' || refusal === 'ILLEGAL_GENERATION';
  if (group.kind === 'classic' || !isEpoch) return refusal;
  const { memberId, generationId, offsets } = committer;
  const { epoch, epochs } = group.members.get(memberId)!.current;
  if (generationId > epoch) return refusal;
  const isHeld = offsets.every(({ topic, partition }) => {
    const since = epochs.get(topics.byName(topic)?.id ?? '')?.get(partition);
    return since !== undefined && since <= generationId;
  });
  return isHeld ? undefined : refusal;
}
