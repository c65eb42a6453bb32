import type {
  AddPartitionsToTxnRequest,
  AddPartitionsToTxnResponseInit,
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponseInit,
  ConsumerGroupHeartbeatRequest,
  ConsumerGroupHeartbeatResponseInit,
  DescribeTransactionsRequest,
  DescribeTransactionsResponseInit,
  FindCoordinatorRequest,
  FindCoordinatorResponseInit,
  InitProducerIdRequest,
  InitProducerIdResponseInit,
  ListGroupsRequest,
  ListGroupsResponseInit,
  ListTransactionsRequest,
  ListTransactionsResponseInit,
  OffsetDeleteRequest,
  OffsetDeleteResponseInit,
  OffsetFetchRequest,
  OffsetFetchResponseInit,
  WriteTxnMarkersRequest,
  WriteTxnMarkersResponseInit,
} from '@polylog/kafka-protocol';

import { CLUSTER_NAME, type Operation, type ResourceType } from '../../security/acl.core.ts';
import {
  eachEntry,
  errorFor,
  onCluster,
  one,
  type AuthorizationError,
  type Facts,
  type Filter,
  type Refused,
  type Step,
  type Verdict,
} from './authorization-steps.ts';
import { errorCodeOf, NONE } from './errors.ts';

/* The rules of authorization.ts for groups and transactions that its few steps cannot say. */

const TOPIC_FAILED = 'TOPIC_AUTHORIZATION_FAILED';
const GROUP_FAILED = 'GROUP_AUTHORIZATION_FAILED';

// FindCoordinator

/** By the type of the key. */
const COORDINATORS: readonly { readonly operation: Operation; readonly resource: ResourceType }[] = [
  { operation: 'DESCRIBE', resource: 'GROUP' },
  { operation: 'DESCRIBE', resource: 'TRANSACTIONAL_ID' },
  { operation: 'CLUSTER_ACTION', resource: 'CLUSTER' },
];
/** Many keys in one request (KIP-699). */
const COORDINATOR_KEYS_SINCE = 4;

export function keyedCoordinators(): Step<FindCoordinatorRequest, FindCoordinatorResponseInit> {
  const refusalOf = (key: string, keyType: number, { access }: Facts): AuthorizationError | undefined => {
    const needed = COORDINATORS[keyType];
    if (needed === undefined) return undefined;
    const { operation, resource } = needed;
    const name = resource === 'CLUSTER' ? CLUSTER_NAME : key;
    return access.allows(operation, resource, name) ? undefined : errorFor(resource);
  };
  const many = eachEntry<FindCoordinatorRequest, FindCoordinatorResponseInit, string>({
    checks: [
      { operation: 'DESCRIBE', resource: 'GROUP', refusal: 'entry', when: 'groups' },
      { operation: 'DESCRIBE', resource: 'TRANSACTIONAL_ID', refusal: 'entry', when: 'transactional ids' },
      { operation: 'CLUSTER_ACTION', resource: 'CLUSTER', refusal: 'entry', when: 'share groups' },
    ],
    of: ({ coordinatorKeys }) => coordinatorKeys,
    with: (request, coordinatorKeys) => ({ ...request, coordinatorKeys }),
    refusal: (key, facts, { keyType }) => refusalOf(key, keyType, facts),
  });
  return {
    checks: many.checks,
    judge: (request, facts) =>
      facts.version >= COORDINATOR_KEYS_SINCE
        ? many.judge(request, facts)
        : refusalOf(request.key, request.keyType, facts),
  };
}

export function shownGroups(): Filter<ListGroupsRequest, ListGroupsResponseInit> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'GROUP', refusal: 'left out', when: 'or DESCRIBE on the cluster' },
    ],
    apply(answer, _request, { access }) {
      if (access.shows('DESCRIBE', 'CLUSTER', CLUSTER_NAME)) return answer;
      const groups = answer.groups.filter(({ groupId }) => access.shows('DESCRIBE', 'GROUP', groupId));
      return { ...answer, groups };
    },
  };
}

// OffsetFetch

/** Many groups in one request (KIP-709). */
const OFFSETS_OF_MANY_SINCE = 8;
/** Topics by id (KIP-848). */
const OFFSETS_BY_ID_SINCE = 10;

type OffsetsOfGroup = OffsetFetchRequest['groups'][number];
type OffsetsAnswer = NonNullable<OffsetFetchResponseInit['groups']>[number];
interface OffsetsTopic {
  readonly name: string;
  readonly topicId?: string;
  readonly partitionIndexes: readonly number[];
}

/** Groups are refused as such, and topics within those that are not. */
export function offsetFetches(): Step<OffsetFetchRequest, OffsetFetchResponseInit> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'GROUP', refusal: 'entry' },
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'entry', when: 'topics that are named' },
    ],
    judge: (request, facts) =>
      facts.version < OFFSETS_OF_MANY_SINCE ? judgeOneGroup(request, facts) : judgeGroups(request, facts),
  };
}

function judgeOneGroup(
  request: OffsetFetchRequest,
  facts: Facts,
): Verdict<OffsetFetchRequest, OffsetFetchResponseInit> {
  if (!facts.access.allows('DESCRIBE', 'GROUP', request.groupId)) return GROUP_FAILED;
  if (request.topics === null) return undefined;
  const [topics, refused] = divided(request.topics, (topic) => mayDescribe(topic, facts));
  if (refused.length === 0) return undefined;
  return {
    left: topics.length === 0 ? undefined : { ...request, topics },
    refused: [{ answer: { topics: refused.map(unreadable), errorCode: NONE } }],
  };
}

function judgeGroups(
  request: OffsetFetchRequest,
  facts: Facts,
): Verdict<OffsetFetchRequest, OffsetFetchResponseInit> {
  const [groups, refusedGroups] = divided(request.groups, ({ groupId }) =>
    facts.access.allows('DESCRIBE', 'GROUP', groupId),
  );
  const refused: Refused<OffsetFetchRequest, OffsetFetchResponseInit>[] = [];
  if (refusedGroups.length > 0) {
    refused.push({ request: { ...request, groups: refusedGroups }, error: GROUP_FAILED });
  }
  const left: OffsetsOfGroup[] = [];
  const unreadables: OffsetsAnswer[] = [];
  for (const group of groups) {
    const [topics, unseen] = divided(group.topics ?? [], (topic) => mayDescribe(topic, facts));
    left.push(unseen.length === 0 ? group : { ...group, topics });
    if (unseen.length > 0) unreadables.push({ groupId: group.groupId, topics: unseen.map(unreadable) });
  }
  // One answer for all of them: each that is merged walks through all groups.
  if (unreadables.length > 0) refused.push({ answer: { groups: unreadables } });
  if (refused.length === 0) return undefined;
  return { left: left.length === 0 ? undefined : { ...request, groups: left }, refused };
}

function divided<T>(all: readonly T[], isWanted: (item: T) => boolean): [wanted: T[], others: T[]] {
  const wanted: T[] = [];
  const others: T[] = [];
  for (const item of all) (isWanted(item) ? wanted : others).push(item);
  return [wanted, others];
}

function mayDescribe({ name, topicId }: OffsetsTopic, { access, version, image }: Facts): boolean {
  const wanted = version < OFFSETS_BY_ID_SINCE ? name : image.topicById(topicId ?? '')?.kafkaName;
  return wanted === undefined || access.allows('DESCRIBE', 'TOPIC', wanted);
}

function unreadable({ name, topicId, partitionIndexes }: OffsetsTopic) {
  return {
    name,
    ...(topicId === undefined ? {} : { topicId }),
    partitions: partitionIndexes.map((partitionIndex) => ({
      partitionIndex,
      committedOffset: -1,
      metadata: '',
      errorCode: errorCodeOf(TOPIC_FAILED),
    })),
  };
}

/** A group whose topics are refused in part is in both answers; one that failed has no topics. */
export function mergeOffsets(
  answer: OffsetFetchResponseInit,
  refused: OffsetFetchResponseInit,
): OffsetFetchResponseInit {
  if (refused.groups === undefined) {
    return { ...answer, topics: [...(answer.topics ?? []), ...(refused.topics ?? [])] };
  }
  const groups = new Map((answer.groups ?? []).map((group) => [group.groupId, group] as const));
  for (const group of refused.groups) groups.set(group.groupId, joined(groups.get(group.groupId), group));
  return { ...answer, groups: [...groups.values()] };
}

function joined(answered: OffsetsAnswer | undefined, refused: OffsetsAnswer): OffsetsAnswer {
  if (answered === undefined) return refused;
  if ((answered.errorCode ?? NONE) !== NONE) return answered;
  return { ...answered, topics: [...answered.topics, ...refused.topics] };
}

export function shownOffsets(): Filter<OffsetFetchRequest, OffsetFetchResponseInit> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'left out', when: 'requests for all topics' },
    ],
    apply(answer, request, { access, image, version }) {
      const shows = (topic: Partial<Record<'name' | 'topicId', string | undefined>>): boolean => {
        const byName = version < OFFSETS_BY_ID_SINCE;
        const shown = byName ? topic.name : image.topicById(topic.topicId ?? '')?.kafkaName;
        return shown === undefined || access.shows('DESCRIBE', 'TOPIC', shown);
      };
      if (version < OFFSETS_OF_MANY_SINCE) {
        if (request.topics !== null || answer.topics === undefined) return answer;
        return { ...answer, topics: answer.topics.filter(shows) };
      }
      const forAll = new Set(
        request.groups.filter(({ topics }) => topics === null).map(({ groupId }) => groupId),
      );
      const groups = answer.groups?.map((group) =>
        forAll.has(group.groupId) ? { ...group, topics: group.topics.filter(shows) } : group,
      );
      return groups === undefined ? answer : { ...answer, groups };
    },
  };
}

/** The handler's `failure` is one of the whole group: the topics' errors are said here. */
export function offsetDeletions(): Step<OffsetDeleteRequest, OffsetDeleteResponseInit> {
  return {
    checks: [{ operation: 'READ', resource: 'TOPIC', refusal: 'entry' }],
    judge(request, { access }) {
      const [topics, refused] = divided(request.topics, ({ name }) => access.allows('READ', 'TOPIC', name));
      if (refused.length === 0) return undefined;
      const errors = refused.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({
          partitionIndex,
          errorCode: errorCodeOf(TOPIC_FAILED),
        })),
      }));
      return {
        left: topics.length === 0 ? undefined : { ...request, topics },
        refused: [{ answer: { errorCode: NONE, topics: errors } }],
      };
    },
  };
}

// ConsumerGroupHeartbeat, ConsumerGroupDescribe

/** A member may name only what it may describe; one topic that it may not fails the whole of its request. */
export function subscribedTopics(): Step<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponseInit> {
  return {
    checks: [{ operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'request', when: 'topics that are named' }],
    judge: ({ subscribedTopicNames }, { access }) =>
      (subscribedTopicNames ?? []).every((name) => access.allows('DESCRIBE', 'TOPIC', name))
        ? undefined
        : TOPIC_FAILED,
  };
}

/** A group is not shown in part: who may not describe one of the topics that its members have is told that. */
export function groupsOfShownTopics(): Filter<
  ConsumerGroupDescribeRequest,
  ConsumerGroupDescribeResponseInit
> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'entry', when: 'topics of the assignments' },
    ],
    apply: (answer, _request, { access }) => ({
      ...answer,
      groups: answer.groups.map((group) => {
        const isShown = group.members.every(({ assignment, targetAssignment }) =>
          [...assignment.topicPartitions, ...targetAssignment.topicPartitions].every(({ topicName }) =>
            access.shows('DESCRIBE', 'TOPIC', topicName),
          ),
        );
        if (isShown) return group;
        const { groupId } = group;
        const errorMessage = 'The group has topics that the client may not describe.';
        return { errorCode: errorCodeOf(TOPIC_FAILED), errorMessage, groupId, members: [] };
      }),
    }),
  };
}

// InitProducerId

/** KIP-679: who may write to any topic may do so idempotently. */
export function idempotentOrTransactional(): Step<InitProducerIdRequest, InitProducerIdResponseInit> {
  return {
    checks: [
      {
        operation: 'WRITE',
        resource: 'TRANSACTIONAL_ID',
        refusal: 'request',
        when: 'with a transactional id',
      },
      {
        operation: 'IDEMPOTENT_WRITE',
        resource: 'CLUSTER',
        refusal: 'request',
        when: 'without one; or WRITE on any topic',
      },
    ],
    judge({ transactionalId }, { access }) {
      if (transactionalId !== null) {
        return access.allows('WRITE', 'TRANSACTIONAL_ID', transactionalId)
          ? undefined
          : 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED';
      }
      return access.shows('IDEMPOTENT_WRITE', 'CLUSTER', CLUSTER_NAME) || access.allowsOnAny('WRITE', 'TOPIC')
        ? undefined
        : 'CLUSTER_AUTHORIZATION_FAILED';
    },
  };
}

// AddPartitionsToTxn

/** From then on brokers send it for their clients (KIP-890). */
const ADDED_BY_BROKERS_SINCE = 4;

export function addedBy(): Step<AddPartitionsToTxnRequest, AddPartitionsToTxnResponseInit> {
  const broker = onCluster<AddPartitionsToTxnRequest, AddPartitionsToTxnResponseInit>('CLUSTER_ACTION');
  const client = one<AddPartitionsToTxnRequest, AddPartitionsToTxnResponseInit>(
    'WRITE',
    'TRANSACTIONAL_ID',
    (request) => request.v3AndBelowTransactionalId,
  );
  return {
    checks: [
      { operation: 'WRITE', resource: 'TRANSACTIONAL_ID', refusal: 'request', when: 'v0 to v3' },
      { operation: 'CLUSTER_ACTION', resource: 'CLUSTER', refusal: 'request', when: 'from v4 on' },
    ],
    judge: (request, facts) =>
      (facts.version >= ADDED_BY_BROKERS_SINCE ? broker : client).judge(request, facts),
  };
}

/** All partitions are added or none: beside one that is refused, the others are not attempted. */
export function addedTopics(): Step<AddPartitionsToTxnRequest, AddPartitionsToTxnResponseInit> {
  return {
    checks: [{ operation: 'WRITE', resource: 'TOPIC', refusal: 'entry', when: 'v0 to v3' }],
    judge({ v3AndBelowTopics: topics }, { access, image, version }) {
      if (version >= ADDED_BY_BROKERS_SINCE) return undefined;
      const refused = new Set(topics.filter(({ name }) => !access.allows('WRITE', 'TOPIC', name)));
      if (refused.size === 0) return undefined;
      const errorOf = (topic: (typeof topics)[number], partition: number) => {
        if (refused.has(topic)) return TOPIC_FAILED;
        const isThere = image.topicByName(topic.name)?.partitions[partition] !== undefined;
        return isThere ? 'OPERATION_NOT_ATTEMPTED' : 'UNKNOWN_TOPIC_OR_PARTITION';
      };
      const results = topics.map((topic) => ({
        name: topic.name,
        resultsByPartition: topic.partitions.map((partitionIndex) => ({
          partitionIndex,
          partitionErrorCode: errorCodeOf(errorOf(topic, partitionIndex)),
        })),
      }));
      return { left: undefined, refused: [{ answer: { resultsByTopicV3AndBelow: results } }] };
    },
  };
}

// DescribeTransactions, ListTransactions

export function shownTransactionTopics(): Filter<
  DescribeTransactionsRequest,
  DescribeTransactionsResponseInit
> {
  return {
    checks: [
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'left out', when: 'topics in the transaction' },
    ],
    apply: (answer, _request, { access }) => ({
      ...answer,
      transactionStates: answer.transactionStates.map((state) => ({
        ...state,
        topics: state.topics.filter(({ topic }) => access.shows('DESCRIBE', 'TOPIC', topic)),
      })),
    }),
  };
}

export function shownTransactions(): Filter<ListTransactionsRequest, ListTransactionsResponseInit> {
  return {
    checks: [{ operation: 'DESCRIBE', resource: 'TRANSACTIONAL_ID', refusal: 'left out' }],
    apply: (answer, _request, { access }) => ({
      ...answer,
      transactionStates: answer.transactionStates.filter(({ transactionalId }) =>
        access.shows('DESCRIBE', 'TRANSACTIONAL_ID', transactionalId),
      ),
    }),
  };
}

/** From other brokers; or from an administrator who ends a transaction that hangs (KIP-664). */
export function markersOfBrokers(): Step<WriteTxnMarkersRequest, WriteTxnMarkersResponseInit> {
  return {
    checks: [
      {
        operation: 'CLUSTER_ACTION',
        resource: 'CLUSTER',
        refusal: 'request',
        when: 'or ALTER on the cluster',
      },
    ],
    judge: (_, { access }) =>
      access.shows('ALTER', 'CLUSTER', CLUSTER_NAME) ||
      access.allows('CLUSTER_ACTION', 'CLUSTER', CLUSTER_NAME)
        ? undefined
        : 'CLUSTER_AUTHORIZATION_FAILED',
  };
}
