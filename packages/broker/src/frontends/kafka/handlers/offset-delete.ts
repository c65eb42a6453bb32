import { offsetDelete } from '@polylog/kafka-protocol';

import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { codeOf } from './group-requests.ts';

/**
 * OffsetDelete v0 (KIP-496): forgets what a group has committed. Topics that its members subscribe to are answered 86, partitions that do not
 * exist 3; a group that does not exist 69.
 */
export function offsetDeleteHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: offsetDelete,
    versions: [0, 0],
    isAdmin: true,
    async handle({ groupId, topics }) {
      const { image } = services.partitions;
      const asked = topics.flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex }) => ({ topic: name, partition: partitionIndex })),
      );
      const isKnown = ({ topic, partition }: (typeof asked)[number]): boolean =>
        image.topicByName(topic)?.partitions[partition] !== undefined;
      const known = asked.filter(isKnown);
      const deleted = await services.groups.deleteOffsets(groupId, known);
      if (deleted.error !== undefined) return { errorCode: codeOf(deleted.error), topics: [] };
      const codes = new Map(known.map((partition, index) => [partition, codeOf(deleted.results[index])]));
      let next = 0;
      return {
        errorCode: NONE,
        topics: topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({
            partitionIndex,
            errorCode: codes.get(asked[next++]!) ?? errorCodeOf('UNKNOWN_TOPIC_OR_PARTITION'),
          })),
        })),
      };
    },
    failure: (_request, errorCode) => ({ errorCode, topics: [] }),
  });
}
