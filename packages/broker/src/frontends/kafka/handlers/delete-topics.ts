import { deleteTopics, ZERO_UUID, type DeleteTopicsRequest } from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import {
  duplicatesOf,
  ItemRefusal,
  NO_ERROR,
  runItem,
  throttleFor,
  withinTimeout,
} from './admin-requests.ts';

/**
 * DeleteTopics v1-v6.
 *
 * - By name, and from v6 by id (KIP-516): 3 or 100 for what does not exist, 42 for what comes twice or has both or neither.
 * - `delete.topic.enable=false` answers 73, and 42 before v3, which did not know it.
 * - Answered when the topic is gone from this broker and its folders are renamed; files go after `file.delete.delay.ms`.
 * - Over `controller_mutation_rate` a topic is 89 from v5 on; before, the connection only waits (KIP-599).
 *
 */
export function deleteTopicsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: deleteTopics,
    versions: [1, 6],
    isAdmin: true,
    async handle(request, exchange) {
      const { version } = exchange;
      const mutations = exchange.allowance?.mutations({ strict: version >= 5 });
      const wanted = wantedOf(request, version);
      const duplicates = duplicatesOf(wanted.map(({ name, topicId }) => name ?? topicId));
      const responses = wanted.map(({ name, topicId }) =>
        runItem(
          async () => {
            if (!services.config.settings['delete.topic.enable']) {
              throw new ItemRefusal(
                version < 3 ? 'INVALID_REQUEST' : 'TOPIC_DELETION_DISABLED',
                'delete.topic.enable is false',
              );
            }
            if (duplicates.has(name ?? topicId)) {
              throw new ItemRefusal('INVALID_REQUEST', 'The topic comes twice in the request');
            }
            const resolved = resolve(services, name, topicId);
            mutations?.take(services.partitions.image.topicByName(resolved.name)?.partitions.length ?? 0);
            const deletion = services.admin.deleteTopic(resolved.name);
            await withinTimeout(services.timers, request.timeoutMs, deletion);
            return { ...resolved, ...NO_ERROR };
          },
          (error) => ({ name, topicId, ...error }),
        ),
      );
      const outcomes = await Promise.all(responses);
      throttleFor(exchange, mutations);
      return { responses: outcomes };
    },
    failure: (request, errorCode, errorMessage, version) => ({
      responses: wantedOf(request, version).map(({ name, topicId }) => ({
        name,
        topicId,
        errorCode,
        errorMessage,
      })),
    }),
  });
}

function wantedOf(
  request: DeleteTopicsRequest,
  version: number,
): readonly { readonly name: string | null; readonly topicId: string }[] {
  if (version >= 6) return request.topics.map(({ name, topicId }) => ({ name, topicId }));
  return request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }));
}

/** Name and id of an existing topic, of which the request has one. */
function resolve(
  services: KafkaServices,
  name: string | null,
  topicId: string,
): { name: string; topicId: string } {
  const { image } = services.partitions;
  if (name === null) {
    if (topicId === ZERO_UUID) throw new ItemRefusal('INVALID_REQUEST', 'Neither name nor id is given');
    const topic = image.topicById(topicId);
    if (topic === undefined) {
      throw new BrokerError('UNKNOWN_TOPIC_ID', `No topic has the id ${topicId}`);
    }
    return { name: topic.kafkaName, topicId };
  }
  if (topicId !== ZERO_UUID) throw new ItemRefusal('INVALID_REQUEST', 'Both name and id are given');
  const topic = image.topicByName(name);
  if (topic === undefined) {
    throw new BrokerError('UNKNOWN_TOPIC_OR_PARTITION', `Topic ${name} does not exist`);
  }
  return { name, topicId: topic.id };
}
