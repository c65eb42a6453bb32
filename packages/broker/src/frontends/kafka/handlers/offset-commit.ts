import {
  offsetCommit,
  type OffsetCommitRequest,
  type OffsetCommitResponseInit,
} from '@polylog/kafka-protocol';

import type { TopicImage } from '../../../cluster/image.ts';
import type { OffsetToCommit } from '../../../groups/types.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';
import { offsetOf, refusalOf } from './offsets-to-commit.ts';

/** Members of groups of KIP-848 may commit, with their epochs. */
const MEMBER_EPOCHS_SINCE = 9;
/** Topics by id (KIP-848). */
const TOPIC_IDS_SINCE = 10;

/**
 * OffsetCommit v2-v10: stores what a group has consumed, and answers when that is durable.
 *
 * - A member commits with its generation, or (v9, KIP-848) with its member epoch: 113 where that is another one by now, unless it has had all of the
 *   partitions since then (KIP-1251). Who is no member (generation -1) may commit while the group has none.
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
          const isUnknownId = image === undefined && version >= TOPIC_IDS_SINCE;
          const refusal = isUnknownId ? 'UNKNOWN_TOPIC_ID' : refusalOf(services, image, asked);
          if (refusal === undefined) accepted.push(offsetOf(image!.kafkaName, asked));
          else refusals.set(asked, codeOf(refusal));
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
