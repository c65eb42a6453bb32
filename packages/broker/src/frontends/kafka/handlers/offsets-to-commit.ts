import type { TopicImage } from '../../../cluster/image.ts';
import type { ErrorName } from '../../../errors.ts';
import type { OffsetToCommit } from '../../../groups/types.ts';
import type { KafkaServices } from '../handler.ts';

/** One partition of OffsetCommit and TxnOffsetCommit. */
export interface OffsetAsked {
  readonly partitionIndex: number;
  readonly committedOffset: number;
  readonly committedLeaderEpoch: number;
  readonly committedMetadata: string | null;
}

/** Why the offset of a partition of a topic that exists cannot be stored, before its group is asked. */
export function refusalOf(
  { groups }: KafkaServices,
  image: TopicImage | undefined,
  { partitionIndex, committedMetadata }: OffsetAsked,
): ErrorName | undefined {
  if (image?.partitions[partitionIndex] === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION';
  return groups.metadataTooLong(committedMetadata ?? '') ? 'OFFSET_METADATA_TOO_LARGE' : undefined;
}

export function offsetOf(topic: string, asked: OffsetAsked): OffsetToCommit {
  return {
    topic,
    partition: asked.partitionIndex,
    offset: asked.committedOffset,
    leaderEpoch: asked.committedLeaderEpoch,
    metadata: asked.committedMetadata ?? '',
  };
}
