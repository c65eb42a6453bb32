import type { ErrorName } from '../errors.ts';
import type { Partition } from '../replication/types.ts';
import type { HostedPartitions } from './types.ts';

/** A partition of this broker, or why it is not here. */
export type Lookup =
  | { readonly partition: Partition; readonly error: undefined }
  | { readonly partition: undefined; readonly error: ErrorName };

const NO_PARTITION: Lookup = { partition: undefined, error: 'UNKNOWN_TOPIC_OR_PARTITION' };
const NO_TOPIC_ID: Lookup = { partition: undefined, error: 'UNKNOWN_TOPIC_ID' };
/** It exists, but on other brokers, or this one has not taken it up yet: the client looks again. */
const ELSEWHERE: Lookup = { partition: undefined, error: 'NOT_LEADER_OR_FOLLOWER' };

export function lookUpByName(partitions: HostedPartitions, kafkaName: string, index: number): Lookup {
  const partition = partitions.get(kafkaName, index);
  if (partition !== undefined) return { partition, error: undefined };
  const topic = partitions.image.topicByName(kafkaName);
  return topic?.partitions[index] === undefined ? NO_PARTITION : ELSEWHERE;
}

export function lookUpById(partitions: HostedPartitions, topicId: string, index: number): Lookup {
  const partition = partitions.getById(topicId, index);
  if (partition !== undefined) return { partition, error: undefined };
  const topic = partitions.image.topicById(topicId);
  if (topic === undefined) return NO_TOPIC_ID;
  return topic.partitions[index] === undefined ? NO_PARTITION : ELSEWHERE;
}
