import { createPartitions } from '@polylog/kafka-protocol';

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
 * CreatePartitions v0-v3 (KIP-195).
 *
 * - Every topic has its own outcome: 3, 37 for a count that is not above the present one, 39, or 42 for one that comes twice.
 * - New partitions may be assigned to brokers, all of them or none.
 * - Over `controller_mutation_rate` a topic is 89 from v3 on; before, the connection only waits (KIP-599).
 *
 */
export function createPartitionsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: createPartitions,
    versions: [0, 3],
    isAdmin: true,
    async handle(request, exchange) {
      const mutations = exchange.allowance?.mutations({ strict: exchange.version >= 3 });
      const { timeoutMs, validateOnly } = request;
      const duplicates = duplicatesOf(request.topics.map(({ name }) => name));
      const results = request.topics.map(({ name, count, assignments }) =>
        runItem(
          async () => {
            if (duplicates.has(name)) {
              throw new ItemRefusal('INVALID_REQUEST', `The topic ${name} comes twice in the request`);
            }
            const growth = services.admin.createPartitions({
              kafkaName: name,
              count,
              ...(assignments === null ? {} : { assignments: assignments.map(({ brokerIds }) => brokerIds) }),
              validateOnly,
              charge: (added) => mutations?.take(added),
            });
            await withinTimeout(services.timers, timeoutMs, growth);
            return { name, ...NO_ERROR };
          },
          (error) => ({ name, ...error }),
        ),
      );
      const outcomes = await Promise.all(results);
      throttleFor(exchange, mutations);
      return { results: outcomes };
    },
    failure: (request, errorCode, errorMessage) => ({
      results: request.topics.map(({ name }) => ({ name, errorCode, errorMessage })),
    }),
  });
}
