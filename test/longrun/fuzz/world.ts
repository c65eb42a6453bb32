import { ZERO_UUID } from '@polylog/kafka-protocol';

/** What requests may refer to, so that they get past the look-up: small sets, or the broker would drown in topics. */
export interface World {
  /** Topics that stay, each with {@link PARTITIONS_PER_TOPIC} partitions at first. */
  readonly topics: readonly string[];
  /** Topics that requests create and delete. */
  readonly passingTopics: readonly string[];
  /** Ids of the topics that stay; renewed as they change. */
  topicIds: readonly string[];
}

export const PARTITIONS_PER_TOPIC = 4;

/** The topics that stay, with what makes each take another path through Produce. */
export const STAYING_TOPICS: ReadonlyMap<string, Readonly<Record<string, string>>> = new Map([
  ['fuzz-plain', {}],
  ['fuzz-compact', { 'cleanup.policy': 'compact' }],
  ['fuzz-gzip', { 'compression.type': 'gzip' }],
  ['fuzz-zstd', { 'compression.type': 'zstd', 'message.timestamp.type': 'LogAppendTime' }],
  ['fuzz-lz4', { 'compression.type': 'lz4', 'cleanup.policy': 'compact,delete', flush: 'os' }],
  ['fuzz-snappy', { 'compression.type': 'snappy', 'segment.bytes': '1048576', 'retention.bytes': '2097152' }],
  ['fuzz-plainest', { 'compression.type': 'uncompressed', 'message.timestamp.before.max.ms': '1000' }],
]);

export function newWorld(): World {
  return {
    topics: [...STAYING_TOPICS.keys()],
    passingTopics: ['fuzz-passing-0', 'fuzz-passing-1', 'fuzz-passing-2', 'fuzz-passing-3'],
    topicIds: [ZERO_UUID],
  };
}
