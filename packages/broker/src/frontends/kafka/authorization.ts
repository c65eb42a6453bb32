import { apis, type Api, type InitOf, type MessageOf } from '@polylog/kafka-protocol';

import type { Operation } from '../../security/acl.core.ts';
import {
  addedBy,
  addedTopics,
  groupsOfShownTopics,
  idempotentOrTransactional,
  keyedCoordinators,
  markersOfBrokers,
  mergeOffsets,
  offsetDeletions,
  offsetFetches,
  shownGroups,
  shownOffsets,
  shownTransactions,
  shownTransactionTopics,
  subscribedTopics,
} from './authorization-groups.ts';
import {
  appended,
  eachNamed,
  onCluster,
  one,
  type Facts,
  type Rule,
  type Step,
} from './authorization-steps.ts';
import {
  configsOfEach,
  creatableTopics,
  deletableTopics,
  describableTopics,
  followersOnly,
  shownTopics,
  topicsOfEpochs,
  transactionalRecords,
  visibleCreation,
} from './authorization-topics.ts';

type Apis = typeof apis;
type Rules = {
  readonly [K in keyof Apis]: Rule<MessageOf<Apis[K]['request']>, InitOf<Apis[K]['response']>>;
};

/** For everyone. */
const FREE = { steps: [] };

function onGroup<Q extends { readonly groupId: string }, S>(operation: Operation): Step<Q, S> {
  return one(operation, 'GROUP', ({ groupId }) => groupId);
}

function onTransaction<Q extends { readonly transactionalId: string }, S>(operation: Operation): Step<Q, S> {
  return one(operation, 'TRANSACTIONAL_ID', ({ transactionalId }) => transactionalId);
}

const itself = (name: string): string => name;

interface Named {
  readonly name: string;
}
interface NamedOrIdentified extends Named {
  readonly topicId: string;
}

function byName({ name }: Named): string {
  return name;
}

/** A topic that goes by its id from a version on (KIP-516). */
function byIdSince(since: number): (entry: NamedOrIdentified, facts: Facts) => string | undefined {
  return ({ name, topicId }, { version, image }) =>
    version < since ? name : image.topicById(topicId)?.kafkaName;
}

/** A list `topics` of the request. */
function topics<I, Q extends { readonly topics: readonly I[] }>(
  nameOf: (entry: I, facts: Facts) => string | undefined,
) {
  return {
    of: (request: Q) => request.topics,
    with: (request: Q, kept: readonly I[]): Q => ({ ...request, topics: kept }),
    nameOf,
  };
}

/**
 * Who may do what: for every API the permissions that it asks for, and how it says that one is missing, as in Kafka. An API that has a schema but
 * no entry here does not compile, and one without an entry is not served.
 *
 * To add one: list its steps (authorization-steps.ts), in the order in which they are asked. `one` and `onCluster` fail the request as a whole;
 * `eachNamed` takes what is refused out of the request, answers it with the handler's `failure`, and needs a `merge`: the handler sees only what
 * it may act on. A `filter` leaves out of an answer what may not be seen. What these cannot say is a function in one of the files beside. Then
 * add the API to the cases of test/authorization/, which the matrix walks.
 */
export const AUTHORIZATION: Rules = {
  produce: {
    steps: [
      transactionalRecords(),
      eachNamed('WRITE', 'TOPIC', {
        of: ({ topicData }) => topicData,
        with: (request, topicData) => ({ ...request, topicData }),
        nameOf: byIdSince(13),
      }),
    ],
    merge: appended('responses'),
    isSilent: ({ acks }) => acks === 0,
  },
  fetch: {
    steps: [followersOnly()],
    // An incremental fetch does not say all of its topics: the session does.
    inHandler: [{ operation: 'READ', resource: 'TOPIC', refusal: 'entry' }],
  },
  listOffsets: {
    steps: [eachNamed('DESCRIBE', 'TOPIC', topics(byName))],
    merge: appended('topics'),
  },
  metadata: { steps: [describableTopics()], merge: appended('topics'), filter: shownTopics() },
  offsetCommit: {
    steps: [onGroup('READ'), eachNamed('READ', 'TOPIC', topics(byIdSince(10)))],
    merge: appended('topics'),
  },
  offsetFetch: { steps: [offsetFetches()], merge: mergeOffsets, filter: shownOffsets() },
  findCoordinator: { steps: [keyedCoordinators()], merge: appended('coordinators') },
  joinGroup: { steps: [onGroup('READ')] },
  heartbeat: { steps: [onGroup('READ')] },
  leaveGroup: { steps: [onGroup('READ')] },
  syncGroup: { steps: [onGroup('READ')] },
  describeGroups: {
    steps: [
      eachNamed('DESCRIBE', 'GROUP', {
        of: ({ groups }) => groups,
        with: (request, groups) => ({ ...request, groups }),
        nameOf: itself,
      }),
    ],
    merge: appended('groups'),
  },
  listGroups: { steps: [], filter: shownGroups() },
  saslHandshake: FREE,
  apiVersions: FREE,
  createTopics: { steps: [creatableTopics()], merge: appended('topics'), filter: visibleCreation() },
  deleteTopics: { steps: [deletableTopics()], merge: appended('responses') },
  deleteRecords: {
    steps: [eachNamed('DELETE', 'TOPIC', topics(byName))],
    merge: appended('topics'),
  },
  initProducerId: { steps: [idempotentOrTransactional()] },
  offsetForLeaderEpoch: { steps: [topicsOfEpochs()], merge: appended('topics') },
  addPartitionsToTxn: { steps: [addedBy(), addedTopics()], merge: appended('resultsByTopicV3AndBelow') },
  addOffsetsToTxn: { steps: [onTransaction('WRITE'), onGroup('READ')] },
  endTxn: { steps: [onTransaction('WRITE')] },
  writeTxnMarkers: { steps: [markersOfBrokers()] },
  txnOffsetCommit: {
    steps: [onTransaction('WRITE'), onGroup('READ'), eachNamed('READ', 'TOPIC', topics(byName))],
    merge: appended('topics'),
  },
  describeAcls: { steps: [onCluster('DESCRIBE')] },
  createAcls: { steps: [onCluster('ALTER')] },
  deleteAcls: { steps: [onCluster('ALTER')] },
  describeConfigs: { steps: [configsOfEach('DESCRIBE_CONFIGS')], merge: appended('results') },
  alterConfigs: { steps: [configsOfEach('ALTER_CONFIGS')], merge: appended('responses') },
  alterReplicaLogDirs: { steps: [onCluster('ALTER')] },
  describeLogDirs: { steps: [onCluster('DESCRIBE')] },
  saslAuthenticate: FREE,
  createPartitions: {
    steps: [eachNamed('ALTER', 'TOPIC', topics(byName))],
    merge: appended('results'),
  },
  deleteGroups: {
    steps: [
      eachNamed('DELETE', 'GROUP', {
        of: ({ groupsNames }) => groupsNames,
        with: (request, groupsNames) => ({ ...request, groupsNames }),
        nameOf: itself,
      }),
    ],
    merge: appended('results'),
  },
  electLeaders: { steps: [onCluster('ALTER')] },
  incrementalAlterConfigs: { steps: [configsOfEach('ALTER_CONFIGS')], merge: appended('responses') },
  alterPartitionReassignments: { steps: [onCluster('ALTER')] },
  listPartitionReassignments: { steps: [onCluster('DESCRIBE')] },
  offsetDelete: {
    steps: [onGroup('DELETE'), offsetDeletions()],
    merge: appended('topics'),
  },
  describeClientQuotas: { steps: [onCluster('DESCRIBE_CONFIGS')] },
  alterClientQuotas: { steps: [onCluster('ALTER_CONFIGS')] },
  describeUserScramCredentials: { steps: [onCluster('DESCRIBE')] },
  alterUserScramCredentials: { steps: [onCluster('ALTER')] },
  updateFeatures: { steps: [onCluster('ALTER')] },
  // What the principal may do with the cluster is told where it is asked for.
  describeCluster: FREE,
  describeProducers: {
    steps: [eachNamed('READ', 'TOPIC', topics(byName))],
    merge: appended('topics'),
  },
  describeTransactions: {
    steps: [
      eachNamed('DESCRIBE', 'TRANSACTIONAL_ID', {
        of: ({ transactionalIds }) => transactionalIds,
        with: (request, transactionalIds) => ({ ...request, transactionalIds }),
        nameOf: itself,
      }),
    ],
    merge: appended('transactionStates'),
    filter: shownTransactionTopics(),
  },
  listTransactions: { steps: [], filter: shownTransactions() },
  consumerGroupHeartbeat: {
    steps: [onGroup('READ'), subscribedTopics()],
    // Which topics those are is found by whoever keeps the group.
    inHandler: [
      {
        operation: 'DESCRIBE',
        resource: 'TOPIC',
        refusal: 'left out',
        when: 'topics that a regular expression describes',
      },
    ],
  },
  consumerGroupDescribe: {
    steps: [
      eachNamed('DESCRIBE', 'GROUP', {
        of: ({ groupIds }) => groupIds,
        with: (request, groupIds) => ({ ...request, groupIds }),
        nameOf: itself,
      }),
    ],
    merge: appended('groups'),
    filter: groupsOfShownTopics(),
  },
  listConfigResources: { steps: [onCluster('DESCRIBE_CONFIGS')] },
  describeTopicPartitions: {
    steps: [eachNamed('DESCRIBE', 'TOPIC', topics(byName))],
    merge: appended('topics'),
    // Pages are counted in topics that may be seen.
    inHandler: [
      { operation: 'DESCRIBE', resource: 'TOPIC', refusal: 'left out', when: 'requests for all topics' },
    ],
  },
};

/** A rule with its types erased, as the pipeline sees it. */
export type AnyRule = Rule<unknown, unknown>;

const byKey = new Map(
  Object.entries(AUTHORIZATION).map(([name, rule]): [number, AnyRule] => [
    apis[name as keyof Apis].key,
    // The pipeline passes what the API of the same name decoded.
    rule as unknown as AnyRule,
  ]),
);

/** Throws for an API that the table does not have: it must not be served. */
export function ruleOf(api: Api): AnyRule {
  const rule = byKey.get(api.key);
  if (rule === undefined) throw new Error(`${api.name} has no entry in the table of permissions`);
  return rule;
}
