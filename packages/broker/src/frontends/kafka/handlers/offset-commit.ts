import {
  offsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponseInit,
} from '@polylog/kafka-protocol';

import type { TopicImage } from '../../../cluster/image.ts';
import type { OffsetToCommit } from '../../../groups/types.ts';
import { errorCodeOf } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/** Members of groups of KIP-848 may commit, with their epochs. */
const MEMBER_EPOCHS_SINCE = 9;
/** Topics by id (KIP-848). */
const TOPIC_IDS_SINCE = 10;

/**
 * OffsetCommit v2-v10: stores what a group has consumed, and answers when that is durable.
 *
 * - A member commits with its generation, or (v9, KIP-848) with its member epoch: 113 where that is another one by now. Who is no member
 *   (generation -1) may commit while the group has none.
 * - Partitions that do not exist are answered 3 (100 by id, v10), metadata above `offset.metadata.max.bytes` 12; the others are stored.
 * - A retention time of the client (v2-v4) takes the place of the broker's.
 */
export function offsetCommitHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: offsetCommit,
    versions: [2, 10],
    async handle(request, { version }) {
      const { groups } = services;
      const accepted: OffsetToCommit[] = [];
      const refusals = new Map<Asked, number>();
      for (const topic of request.topics) {
        const image = imageOf(services, topic, version);
        for (const asked of topic.partitions) {
          const refusal = refusalOf(services, image, asked, version);
          if (refusal === undefined) accepted.push(offsetOf(image!.kafkaName, asked));
          else refusals.set(asked, refusal);
        }
      }
      const { groupId, memberId, groupInstanceId, retentionTimeMs } = request;
      const failure = await groups.commit({
        groupId,
        memberId,
        groupInstanceId,
        generationId: request.generationIdOrMemberEpoch,
        knowsMemberEpochs: version >= MEMBER_EPOCHS_SINCE,
        retentionMs: retentionTimeMs,
        offsets: accepted,
      });
      return responseOf(request, (asked) => refusals.get(asked) ?? codeOf(failure));
    },
    failure: (request, errorCode) => responseOf(request, () => errorCode),
  });
}

type Topic = OffsetCommitRequest['topics'][number];
type Asked = Topic['partitions'][number];

function imageOf({ partitions }: KafkaServices, topic: Topic, version: number): TopicImage | undefined {
  const { image } = partitions;
  return version >= TOPIC_IDS_SINCE ? image.topicById(topic.topicId) : image.topicByName(topic.name);
}

function refusalOf(
  { groups }: KafkaServices,
  image: TopicImage | undefined,
  asked: Asked,
  version: number,
): number | undefined {
  if (image === undefined && version >= TOPIC_IDS_SINCE) return errorCodeOf('UNKNOWN_TOPIC_ID');
  if (image?.partitions[asked.partitionIndex] === undefined) {
    return errorCodeOf('UNKNOWN_TOPIC_OR_PARTITION');
  }
  const isTooLong = groups.metadataTooLong(asked.committedMetadata ?? '');
  return isTooLong ? errorCodeOf('OFFSET_METADATA_TOO_LARGE') : undefined;
}

function offsetOf(topic: string, asked: Asked): OffsetToCommit {
  return {
    topic,
    partition: asked.partitionIndex,
    offset: asked.committedOffset,
    leaderEpoch: asked.committedLeaderEpoch,
    metadata: asked.committedMetadata ?? '',
  };
}

function responseOf(
  { topics }: OffsetCommitRequest,
  codeFor: (asked: Asked) => number,
): OffsetCommitResponseInit {
  return {
    topics: topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map((asked) => ({
        partitionIndex: asked.partitionIndex,
        errorCode: codeFor(asked),
      })),
    })),
  };
}
