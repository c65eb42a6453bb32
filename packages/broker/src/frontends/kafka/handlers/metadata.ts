import {
  metadata,
  ZERO_UUID,
  type MetadataRequest,
  type MetadataResponseInit,
} from '@polylog/kafka-protocol';

import type { ClusterImage, PartitionImage, TopicImage } from '../../../cluster/image.ts';
import { BrokerError, type ErrorName } from '../../../errors.ts';
import type { MutationAllowance } from '../../../quotas/client-quotas.ts';
import type { Access } from '../../../security/types.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { authorizedOperations, clusterOperations } from '../authorized-operations.ts';
import { isLegalTopicName } from '../topic-names.ts';
import { throttleFor } from './admin-requests.ts';

/**
 * Metadata v0-v13.
 *
 * - v0: an empty list asks for all topics. v1+: null does, and an empty list asks for none.
 * - A topic that is missing is created if the client (v4+) and `auto.create.topics.enable` allow it, and the answer then has it;
 *   Kafka answers LEADER_NOT_AVAILABLE at first. Over `controller_mutation_rate` the connection waits (KIP-599).
 * - By id from v12 (KIP-516); v10 and v11 carry ids, which Kafka refuses as INVALID_REQUEST, and so do we.
 * - Brokers are shown with the address that they advertise for the listener the client came through.
 *
 * - What the client may do with topics (v8+) and cluster (v8-v10) is told where it asks (KIP-430).
 *
 * Gaps: KIP-1102's REBOOTSTRAP_REQUIRED is never sent, since there is
 * one cluster id.
 */
export function metadataHandler(services: KafkaServices): KafkaHandler {
  const { partitions } = services;
  return defineHandler({
    api: metadata,
    versions: [0, 13],
    handle(request, exchange) {
      const { version } = exchange;
      const wanted = request.topics;
      const answer = (topics: TopicEntry[]): MetadataResponseInit =>
        withOperations(response(services, exchange.connection.listener, topics), request, exchange.access);
      if (wanted === null || (version === 0 && wanted.length === 0)) {
        const all: TopicEntry[] = [];
        for (const topic of partitions.image.topics()) all.push(topicEntry(partitions.image, topic));
        return answer(all);
      }
      if (version < 12 && wanted.some(({ topicId, name }) => topicId !== ZERO_UUID || name === null)) {
        throw new BrokerError('INVALID_REQUEST', `topic ids are not supported in version ${version}`);
      }
      const missing = namesToCreate(services, request);
      if (missing.length === 0) return answer(entriesOf(services, wanted, NO_FAILURES));
      // Whoever asks cannot be told that it is refused: it waits.
      const mutations = exchange.allowance?.mutations({ strict: false });
      return createAll(services, missing, mutations).then((failures) => {
        throttleFor(exchange, mutations);
        return answer(entriesOf(services, wanted, failures));
      });
    },
    failure: (request, errorCode, _message, version) => ({
      brokers: [],
      topics: (request.topics ?? []).map(({ name, topicId }) => ({
        errorCode,
        name: name ?? (version >= 12 ? null : ''),
        topicId,
        partitions: [],
      })),
    }),
  });
}

function withOperations(
  answer: MetadataResponseInit,
  request: MetadataRequest,
  access: Access,
): MetadataResponseInit {
  const topics = !request.includeTopicAuthorizedOperations
    ? answer.topics
    : answer.topics.map((topic) =>
        typeof topic.name === 'string'
          ? { ...topic, topicAuthorizedOperations: authorizedOperations(access, 'TOPIC', topic.name) }
          : topic,
      );
  const cluster = request.includeClusterAuthorizedOperations
    ? { clusterAuthorizedOperations: clusterOperations(access) }
    : {};
  return { ...answer, ...cluster, topics };
}

type Wanted = NonNullable<MetadataRequest['topics']>;
type TopicEntry = MetadataResponseInit['topics'][number];
const NO_FAILURES: ReadonlyMap<string, ErrorName> = new Map();

function namesToCreate(services: KafkaServices, request: MetadataRequest): string[] {
  if (!services.autoCreateTopics || !request.allowAutoTopicCreation) return [];
  const { image } = services.partitions;
  const names = new Set<string>();
  for (const { name, topicId } of request.topics ?? []) {
    if (name === null || topicId !== ZERO_UUID || !isLegalTopicName(name)) continue;
    if (image.topicByName(name) === undefined) names.add(name);
  }
  return [...names];
}

/** Resolves with what could not be created, and why. */
async function createAll(
  services: KafkaServices,
  names: readonly string[],
  mutations: MutationAllowance | undefined,
): Promise<Map<string, ErrorName>> {
  const failures = new Map<string, ErrorName>();
  const charge = (partitions: number): void => mutations?.take(partitions);
  const outcomes = await Promise.allSettled(
    names.map((name) => services.admin.autoCreateTopic(name, charge)),
  );
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.status === 'fulfilled') continue;
    const error: unknown = outcome.reason;
    if (!(error instanceof BrokerError)) throw error;
    failures.set(names[index]!, error.code);
  }
  return failures;
}

function entriesOf(
  services: KafkaServices,
  wanted: Wanted,
  failures: ReadonlyMap<string, ErrorName>,
): TopicEntry[] {
  const { image } = services.partitions;
  const entries: TopicEntry[] = [];
  const seen = new Set<string>();
  for (const { name, topicId } of wanted) {
    const key = topicId === ZERO_UUID ? (name ?? '') : topicId;
    if (seen.has(key)) continue;
    seen.add(key);
    if (topicId !== ZERO_UUID) {
      const topic = image.topicById(topicId);
      entries.push(topic === undefined ? unknownId(topicId) : topicEntry(image, topic));
    } else if (name !== null) {
      const topic = image.topicByName(name);
      entries.push(topic === undefined ? unknownName(name, failures.get(name)) : topicEntry(image, topic));
    }
  }
  return entries;
}

function unknownId(topicId: string): TopicEntry {
  return { errorCode: errorCodeOf('UNKNOWN_TOPIC_ID'), name: null, topicId, partitions: [] };
}

function unknownName(name: string, failure: ErrorName | undefined): TopicEntry {
  const error = isLegalTopicName(name) ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'INVALID_TOPIC_EXCEPTION';
  return { errorCode: errorCodeOf(failure ?? error), name, partitions: [] };
}

function topicEntry(image: ClusterImage, topic: TopicImage): TopicEntry {
  return {
    errorCode: NONE,
    name: topic.kafkaName,
    topicId: topic.id,
    isInternal: topic.kind === 'internal',
    partitions: topic.partitions.map((partition, index) => partitionEntry(image, partition, index)),
  };
}

function partitionEntry(image: ClusterImage, partition: PartitionImage, partitionIndex: number) {
  const hasLeader = image.brokers.has(partition.leader);
  return {
    errorCode: hasLeader ? NONE : errorCodeOf('LEADER_NOT_AVAILABLE'),
    partitionIndex,
    leaderId: hasLeader ? partition.leader : -1,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: partition.replicas,
    isrNodes: partition.isr,
    offlineReplicas: partition.replicas.filter((id) => !image.brokers.has(id)),
  };
}

function response(services: KafkaServices, listener: string, topics: TopicEntry[]): MetadataResponseInit {
  const { image } = services.partitions;
  const brokers = [];
  for (const broker of image.brokers.values()) {
    const endpoint = broker.endpoints.get(listener);
    if (endpoint === undefined) continue;
    brokers.push({
      nodeId: broker.id,
      host: endpoint.host,
      port: endpoint.port,
      rack: broker.rack ?? null,
    });
  }
  return { brokers, clusterId: image.clusterId, controllerId: image.controllerId, topics };
}
