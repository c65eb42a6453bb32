import {
  ZERO_UUID,
  type CreateTopicsRequest,
  type CreateTopicsResponseInit,
  type DeleteTopicsRequest,
  type DeleteTopicsResponseInit,
  type FetchRequest,
  type FetchResponseInit,
  type MetadataRequest,
  type MetadataResponseInit,
  type OffsetForLeaderEpochRequest,
  type OffsetForLeaderEpochResponseInit,
  type ProduceRequest,
  type ProduceResponseInit,
} from '@polylog/kafka-protocol';
import { ATTRIBUTES_AT, isTransactional } from '@polylog/record';

import { CLUSTER_NAME, type Operation, type ResourceType } from '../../security/acl.core.ts';
import {
  eachEntry,
  errorFor,
  type Facts,
  type Filter,
  type Step,
  type Verdict,
} from './authorization-steps.ts';
import { errorCodeOf, NONE } from './errors.ts';
import { isLegalTopicName } from './topic-names.ts';

/* The rules of authorization.ts for topics and their configs that its few steps cannot say. */

const TOPIC_FAILED = 'TOPIC_AUTHORIZATION_FAILED';

/** What the batches say counts, not the request: one that is part of a transaction needs a transactional id to be allowed by. */
export function transactionalRecords(): Step<ProduceRequest, ProduceResponseInit> {
  return {
    checks: [
      { operation: 'WRITE', resource: 'TRANSACTIONAL_ID', refusal: 'request', when: 'transactional batches' },
    ],
    judge({ transactionalId, topicData }, { access }) {
      const hasSome = topicData.some(({ partitionData }) =>
        partitionData.some(({ records }) => records !== null && saysTransactional(records)),
      );
      if (!hasSome) return undefined;
      return transactionalId !== null && access.allows('WRITE', 'TRANSACTIONAL_ID', transactionalId)
        ? undefined
        : 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED';
    },
  };
}

/** By the low byte of the first batch's attributes; what is no whole header is refused by the handler. */
function saysTransactional(records: Uint8Array): boolean {
  return isTransactional(records[ATTRIBUTES_AT + 1] ?? 0);
}

export function followersOnly(): Step<FetchRequest, FetchResponseInit> {
  return {
    checks: [
      { operation: 'CLUSTER_ACTION', resource: 'CLUSTER', refusal: 'request', when: 'fetches of followers' },
    ],
    judge: ({ replicaId, replicaState }, { access }) =>
      Math.max(replicaId, replicaState.replicaId) < 0 ||
      access.allows('CLUSTER_ACTION', 'CLUSTER', CLUSTER_NAME)
        ? undefined
        : TOPIC_FAILED,
  };
}

// Metadata

type MetadataTopic = NonNullable<MetadataRequest['topics']>[number];

function asksForAll({ topics }: MetadataRequest, version: number): boolean {
  return topics === null || (version === 0 && topics.length === 0);
}

export function describableTopics(): Step<MetadataRequest, MetadataResponseInit> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'entry', when: 'topics that are named' },
      {
        operation: 'CREATE',
        resource: 'TOPIC',
        refusal: 'entry',
        when: 'topics that would be created; or CREATE on the cluster',
      },
    ],
    judge(request, facts) {
      if (request.topics === null || asksForAll(request, facts.version)) return undefined;
      const refused = new Map<string, MetadataTopic>();
      const left = request.topics.filter((topic) => {
        if (maySee(topic, request, facts)) return true;
        // Each once, however often it is asked for.
        refused.set(topic.topicId === ZERO_UUID ? (topic.name ?? '') : topic.topicId, topic);
        return false;
      });
      if (refused.size === 0) return undefined;
      return {
        // Brokers are told to everyone.
        left: { ...request, topics: left },
        refused: [{ request: { ...request, topics: [...refused.values()] }, error: TOPIC_FAILED }],
      };
    },
  };
}

function maySee({ name, topicId }: MetadataTopic, request: MetadataRequest, facts: Facts): boolean {
  const { access, image, autoCreateTopics } = facts;
  const wanted = topicId === ZERO_UUID ? name : image.topicById(topicId)?.kafkaName;
  if (wanted === null || wanted === undefined) return true;
  if (!access.allows('DESCRIBE', 'TOPIC', wanted)) return false;
  const isCreation =
    autoCreateTopics &&
    request.allowAutoTopicCreation &&
    isLegalTopicName(wanted) &&
    image.topicByName(wanted) === undefined;
  return !isCreation || mayCreate(wanted, facts);
}

function mayCreate(topic: string, { access }: Facts): boolean {
  return access.shows('CREATE', 'CLUSTER', CLUSTER_NAME) || access.allows('CREATE', 'TOPIC', topic);
}

export function shownTopics(): Filter<MetadataRequest, MetadataResponseInit> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'left out', when: 'requests for all topics' },
    ],
    apply(answer, request, { access, version }) {
      if (request.topics !== null && version > 0) return answer;
      // In v0 a request of which nothing was left has become one for all topics.
      const named = asksForAll(request, version)
        ? undefined
        : new Set(request.topics?.map(({ name }) => name));
      const topics = answer.topics.filter(
        ({ name }) =>
          typeof name === 'string' &&
          (named === undefined || named.has(name)) &&
          access.shows('DESCRIBE', 'TOPIC', name),
      );
      return { ...answer, topics };
    },
  };
}

// CreateTopics

export function creatableTopics(): Step<CreateTopicsRequest, CreateTopicsResponseInit> {
  return eachEntry({
    checks: [{ operation: 'CREATE', resource: 'TOPIC', refusal: 'entry', when: 'or CREATE on the cluster' }],
    of: ({ topics }) => topics,
    with: (request, topics) => ({ ...request, topics }),
    refusal: ({ name }, facts) => (mayCreate(name, facts) ? undefined : TOPIC_FAILED),
  });
}

/** Who may create a topic need not see what its configs are (KIP-525). */
export function visibleCreation(): Filter<CreateTopicsRequest, CreateTopicsResponseInit> {
  return {
    checks: [
      {
        operation: 'DESCRIBE_CONFIGS',
        resource: 'TOPIC',
        refusal: 'left out',
        when: 'shape and configs of what was created',
      },
    ],
    apply: (answer, _request, { access }) => ({
      ...answer,
      topics: answer.topics.map((topic) =>
        topic.errorCode !== NONE || access.shows('DESCRIBE_CONFIGS', 'TOPIC', topic.name)
          ? topic
          : {
              ...topic,
              numPartitions: -1,
              replicationFactor: -1,
              configs: [],
              topicConfigErrorCode: errorCodeOf(TOPIC_FAILED),
            },
      ),
    }),
  };
}

// DeleteTopics

/** Topics by name or id (KIP-516). */
const DELETED_BY_ID_SINCE = 6;

export function deletableTopics(): Step<DeleteTopicsRequest, DeleteTopicsResponseInit> {
  const byName = eachEntry<DeleteTopicsRequest, DeleteTopicsResponseInit, string>({
    checks: [
      { operation: 'DELETE', resource: 'TOPIC', refusal: 'entry', when: 'or DELETE on the cluster' },
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'entry', when: 'topics that do not exist' },
    ],
    of: ({ topicNames }) => topicNames,
    with: (request, topicNames) => ({ ...request, topicNames }),
    refusal: (name, facts) => (mayDelete(name, facts) ? undefined : TOPIC_FAILED),
  });
  return {
    checks: byName.checks,
    judge: (request, facts) =>
      facts.version < DELETED_BY_ID_SINCE ? byName.judge(request, facts) : judgeDeletions(request, facts),
  };
}

/** Without DESCRIBE nobody learns whether it exists; with it, one that does not is answered as such. */
function mayDelete(topic: string, { access, image }: Facts): boolean {
  if (access.shows('DELETE', 'CLUSTER', CLUSTER_NAME)) return true;
  const isThere = image.topicByName(topic) !== undefined;
  return access.allows(isThere ? 'DELETE' : 'DESCRIBE', 'TOPIC', topic);
}

function judgeDeletions(
  request: DeleteTopicsRequest,
  facts: Facts,
): Verdict<DeleteTopicsRequest, DeleteTopicsResponseInit> {
  const refused: DeleteTopicsRequest['topics'][number][] = [];
  const left = request.topics.filter((topic) => {
    const name = topic.name ?? facts.image.topicById(topic.topicId)?.kafkaName;
    if (name === undefined || mayDelete(name, facts)) return true;
    // The name to an id is for those who may describe the topic.
    refused.push(facts.access.shows('DESCRIBE', 'TOPIC', name) ? { ...topic, name } : topic);
    return false;
  });
  if (refused.length === 0) return undefined;
  return {
    left: left.length === 0 ? undefined : { ...request, topics: left },
    refused: [{ request: { ...request, topics: refused }, error: TOPIC_FAILED }],
  };
}

/** Followers ask it too, and may for everything. */
export function topicsOfEpochs(): Step<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponseInit> {
  return eachEntry({
    checks: [
      {
        operation: 'DESCRIBE',
        resource: 'TOPIC',
        refusal: 'entry',
        when: 'or CLUSTER_ACTION on the cluster',
      },
    ],
    of: ({ topics }) => topics,
    with: (request, topics) => ({ ...request, topics }),
    refusal: ({ topic }, { access }) =>
      access.shows('CLUSTER_ACTION', 'CLUSTER', CLUSTER_NAME) || access.allows('DESCRIBE', 'TOPIC', topic)
        ? undefined
        : TOPIC_FAILED,
  });
}

// DescribeConfigs, AlterConfigs, IncrementalAlterConfigs

/** Resources that have configs by their number (KIP-133, KIP-412, KIP-714, KIP-848), and whose permission those need. */
const CONFIG_RESOURCES: ReadonlyMap<number, ResourceType> = new Map([
  [2, 'TOPIC'],
  [4, 'CLUSTER'],
  [8, 'CLUSTER'],
  [16, 'CLUSTER'],
  [32, 'GROUP'],
]);

interface ConfigResource {
  readonly resourceType: number;
  readonly resourceName: string;
}

export function configsOfEach<Q extends { readonly resources: readonly ConfigResource[] }, S>(
  operation: Operation,
): Step<Q, S> {
  return eachEntry<Q, S, Q['resources'][number]>({
    checks: [
      { operation, resource: 'TOPIC', refusal: 'entry', when: 'topics' },
      { operation, resource: 'GROUP', refusal: 'entry', when: 'groups' },
      { operation, resource: 'CLUSTER', refusal: 'entry', when: 'brokers and all else' },
    ],
    of: ({ resources }) => resources,
    with: (request, resources) => ({ ...request, resources }),
    refusal: ({ resourceType, resourceName }, { access }) => {
      const resource = CONFIG_RESOURCES.get(resourceType);
      // The handler knows no other, and says so.
      if (resource === undefined) return undefined;
      const name = resource === 'CLUSTER' ? CLUSTER_NAME : resourceName;
      return access.allows(operation, resource, name) ? undefined : errorFor(resource);
    },
  });
}
