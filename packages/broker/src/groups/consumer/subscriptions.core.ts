import type { MemberToAssign } from './assignor.core.ts';
import type { ConsumerGroup, MemberMetadata } from './consumer-group.core.ts';
import type { TopicView } from './types.ts';

const NO_TOPICS: ReadonlySet<string> = new Set();
/** FNV-1a, of 64 bits. */
const HASH_START = 0xcbf2_9ce4_8422_2325n;
const HASH_PRIME = 0x0000_0100_0000_01b3n;
const LOW_32 = 0xffff_ffffn;
/** Multipliers of two independent hashes of 32 bits, by which one of 64 is made without big integers for each character. */
const LEFT_PRIME = 0x0100_0193;
const RIGHT_PRIME = 0x5bd1_e995;

/** By topic id, of the subscribed topics that exist. */
export function partitionCountsOf(group: ConsumerGroup, topics: TopicView): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of group.subscribedTopics) {
    const topic = topics.byName(name);
    if (topic !== undefined) counts.set(topic.id, topic.partitions);
  }
  return counts;
}

/** Tells one state of the subscribed topics from another: their ids and numbers of partitions. Never 0, which says that it is not known. */
export function metadataHashOf(group: ConsumerGroup, topics: TopicView): bigint {
  let hash = HASH_START;
  for (const [topicId, partitions] of [...partitionCountsOf(group, topics)].sort(byId)) {
    let left = partitions;
    let right = ~partitions;
    for (let at = 0; at < topicId.length; at++) {
      const code = topicId.charCodeAt(at);
      left = Math.imul(left ^ code, LEFT_PRIME);
      right = Math.imul(right ^ code, RIGHT_PRIME) ^ (right >>> 15);
    }
    const word = (BigInt(left >>> 0) << 32n) | (BigInt(right >>> 0) & LOW_32);
    hash = BigInt.asUintN(64, (hash ^ word) * HASH_PRIME);
  }
  return BigInt.asIntN(64, hash === 0n ? 1n : hash);
}

function byId([left]: readonly [string, number], [right]: readonly [string, number]): number {
  return left < right ? -1 : 1;
}

/** The members as assignors see them. Members that subscribe to the same share one set. */
export function membersToAssign(group: ConsumerGroup, topics: TopicView): MemberToAssign[] {
  const sets = new Map<string, ReadonlySet<string>>();
  return [...group.members.values()].map(({ memberId, metadata }) => {
    // No name of a topic and no expression has a zero character that matters.
    const key = `${metadata.topics.join('\0')}\0\0${metadata.regex}`;
    let ids = sets.get(key);
    if (ids === undefined) sets.set(key, (ids = topicIdsOf(group, metadata, topics)));
    return { memberId, instanceId: metadata.instanceId, topics: ids, before: group.targetOf(memberId) };
  });
}

function topicIdsOf(
  group: ConsumerGroup,
  { topics: names, regex }: MemberMetadata,
  topics: TopicView,
): ReadonlySet<string> {
  const resolved = regex === '' ? [] : (group.regexes.get(regex)?.topics ?? []);
  if (names.length + resolved.length === 0) return NO_TOPICS;
  const ids = new Set<string>();
  for (const name of [...names, ...resolved]) {
    const topic = topics.byName(name);
    if (topic !== undefined) ids.add(topic.id);
  }
  return ids;
}

/** In the form of {@link MemberMetadata.topics}. */
export function distinctNames(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
