import {
  createTopics,
  type CreateTopicsRequest,
  type CreateTopicsResponseInit,
} from '@polylog/kafka-protocol';

import { BrokerError } from '../../../errors.ts';
import type { MutationAllowance } from '../../../quotas/client-quotas.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import {
  duplicatesOf,
  ItemRefusal,
  NO_ERROR,
  runItem,
  throttleFor,
  withinTimeout,
} from './admin-requests.ts';
import { topicConfigEntries } from './config-entries.ts';

/**
 * CreateTopics v2-v7.
 *
 * - Every topic has its own outcome: 17, 36, 37, 38, 39, 40, or 42 for one that the request names twice, in all its places.
 * - -1 partitions and replicas take `num.partitions` and `default.replication.factor` (KIP-464); with assigned replicas both must be -1.
 * - validateOnly answers what would be; v5+ answers with the topic's shape and configs (KIP-525), v7 with its id.
 * - Over `controller_mutation_rate` a topic is 89 from v6 on; before, the connection only waits (KIP-599).
 * - Answered when this broker can serve the topic, or after timeoutMs with 7, while the creation goes on.
 *
 * Gaps: no create-topic policy.
 */
export function createTopicsHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: createTopics,
    versions: [2, 7],
    isAdmin: true,
    async handle(request, exchange) {
      const mutations = exchange.allowance?.mutations({ strict: exchange.version >= 6 });
      const duplicates = duplicatesOf(request.topics.map(({ name }) => name));
      const inherited = shownConfigs(services, new Map());
      const topics = request.topics.map((topic) =>
        runItem(
          () => {
            if (duplicates.has(topic.name)) {
              throw new ItemRefusal('INVALID_REQUEST', `The topic ${topic.name} comes twice in the request`);
            }
            return create(services, request, topic, { inherited, mutations });
          },
          (error) => ({ name: topic.name, ...error, configs: null }),
        ),
      );
      const outcomes = await Promise.all(topics);
      throttleFor(exchange, mutations);
      return { topics: outcomes };
    },
    failure: (request, errorCode, errorMessage) => ({
      topics: request.topics.map(({ name }) => ({ name, errorCode, errorMessage, configs: null })),
    }),
  });
}

type Topic = CreateTopicsRequest['topics'][number];

async function create(
  services: KafkaServices,
  request: CreateTopicsRequest,
  topic: Topic,
  shared: {
    /** What a topic without configs of its own shows: made once for all of them. */
    readonly inherited: ShownConfigs;
    readonly mutations: MutationAllowance | undefined;
  },
): Promise<CreateTopicsResponseInit['topics'][number]> {
  const configs = new Map<string, string>();
  for (const { name, value } of topic.configs) {
    if (value === null) throw new BrokerError('INVALID_CONFIG', `The config ${name} has no value`);
    configs.set(name, value);
  }
  const creation = services.admin.createTopic({
    kafkaName: topic.name,
    partitions: topic.numPartitions,
    replicationFactor: topic.replicationFactor,
    ...(topic.assignments.length === 0 ? {} : { assignments: assignmentsOf(topic) }),
    configs,
    validateOnly: request.validateOnly,
    charge: (partitions) => shared.mutations?.take(partitions),
  });
  const created = await withinTimeout(services.timers, request.timeoutMs, creation);
  return {
    ...NO_ERROR,
    name: topic.name,
    topicId: created.topicId,
    numPartitions: created.partitions,
    replicationFactor: created.replicationFactor,
    configs: configs.size === 0 ? shared.inherited : shownConfigs(services, configs),
  };
}

type ShownConfigs = NonNullable<CreateTopicsResponseInit['topics'][number]['configs']>;

function shownConfigs(services: KafkaServices, overrides: ReadonlyMap<string, string>): ShownConfigs {
  return topicConfigEntries(overrides, services.config).map(
    ({ name, value, readOnly, configSource, isSensitive }) => ({
      name,
      value,
      readOnly,
      configSource,
      isSensitive,
    }),
  );
}

/** Replica lists by partition; the request may have them in any order, but for all partitions from 0 on. */
function assignmentsOf({ assignments }: Topic): readonly (readonly number[])[] {
  const sorted = [...assignments].sort((left, right) => left.partitionIndex - right.partitionIndex);
  if (sorted.some(({ partitionIndex }, index) => partitionIndex !== index)) {
    throw new BrokerError(
      'INVALID_REPLICA_ASSIGNMENT',
      'Assigned partitions must be numbered from 0 on, without gaps and each once',
    );
  }
  return sorted.map(({ brokerIds }) => brokerIds);
}
