import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { apis } from '@polylog/kafka-protocol';
import type { KafkaClient } from '../longrun/fuzz/client.ts';
import {
  both,
  errorName,
  expecting,
  GROUP_FAILED,
  CLUSTER_FAILED,
  onCluster,
  onGroup,
  onOtherGroup,
  onOtherTopic,
  onTopic,
  onTransaction,
  PASSED,
  TOPIC_FAILED,
  TRANSACTION_FAILED,
  type AuthorizationCase,
  type Expected,
} from './case.ts';

const UNKNOWN = 'UNKNOWN_TOPIC_OR_PARTITION';

/** Groups and transactional ids come to be when they are used: before the decision nobody can tell, after it each API has its own answer. */
function group(existing: string, missing: string): { existing: Expected; missing: Expected } {
  return { existing: expecting(GROUP_FAILED, existing), missing: expecting(GROUP_FAILED, missing) };
}
const TRANSACTION = {
  existing: expecting(TRANSACTION_FAILED, PASSED),
  missing: expecting(TRANSACTION_FAILED, PASSED),
};

const offsetsOf = (topic: { name: string; topicId: string }) => ({
  ...topic,
  partitions: [{ partitionIndex: 0, committedOffset: 0, committedMetadata: '' }],
});

function offsetCommit(of: 'group' | 'topic'): AuthorizationCase['ask'] {
  return async (client, resources, version) => {
    const topic =
      of === 'topic'
        ? { name: resources.topic, topicId: resources.topicId }
        : { name: resources.otherTopic, topicId: resources.otherTopicId };
    const { topics } = await client.request(apis.offsetCommit, version, {
      groupId: of === 'group' ? resources.group : resources.otherGroup,
      memberId: '',
      generationIdOrMemberEpoch: -1,
      topics: [offsetsOf(topic)],
    });
    return errorName(topics[0]!.partitions[0]!.errorCode);
  };
}

function offsetFetch(of: 'group' | 'topic' | 'all'): AuthorizationCase['ask'] {
  return async (client, resources, version) => {
    const groupId = of === 'group' ? resources.group : resources.otherGroup;
    const { topic, topicId, otherTopic, otherTopicId } = resources;
    // Of all topics the group has committed offsets for, `otherTopic` is the one that is looked for.
    const named = of === 'group' ? { name: otherTopic, topicId: otherTopicId } : { name: topic, topicId };
    const topics = of === 'all' ? null : [{ ...named, partitionIndexes: [0] }];
    const answer = await client.request(
      apis.offsetFetch,
      version,
      version < 8 ? { groupId, topics } : { groups: [{ groupId, topics }] },
    );
    const answered = version < 8 ? answer : answer.groups[0]!;
    if (answered.errorCode !== 0) return errorName(answered.errorCode);
    const found = answered.topics.find(
      (entry) =>
        of !== 'all' ||
        (version < 10 ? entry.name === otherTopic : 'topicId' in entry && entry.topicId === otherTopicId),
    );
    return found === undefined ? 'left out' : errorName(found.partitions[0]!.errorCode);
  };
}

function findCoordinator(
  keyType: number,
  keyOf: (r: Parameters<AuthorizationCase['ask']>[1]) => string,
): AuthorizationCase['ask'] {
  return async (client, resources, version) => {
    const key = keyOf(resources);
    const answer = await client.request(
      apis.findCoordinator,
      version,
      version < 4 ? { key, keyType } : { keyType, coordinatorKeys: [key] },
    );
    return errorName(version < 4 ? answer.errorCode : answer.coordinators[0]!.errorCode);
  };
}

const txnOffsetCommit =
  (of: 'group' | 'topic' | 'transaction'): AuthorizationCase['ask'] =>
  async (client, resources, version) => {
    const { transactionalId, producerId, producerEpoch } = resources;
    const { topics } = await client.request(apis.txnOffsetCommit, version, {
      transactionalId,
      groupId: of === 'group' ? resources.group : resources.otherGroup,
      producerId,
      producerEpoch,
      topics: [offsetsOf({ name: of === 'topic' ? resources.topic : resources.otherTopic, topicId: '' })].map(
        ({ name, partitions }) => ({ name, partitions }),
      ),
    });
    return errorName(topics[0]!.partitions[0]!.errorCode);
  };

const addPartitionsToTxn: (of: 'topic' | 'transaction') => AuthorizationCase['ask'] =
  (of) => async (client, resources, version) => {
    const { transactionalId, producerId, producerEpoch, topic, otherTopic } = resources;
    const topics = [{ name: of === 'topic' ? topic : otherTopic, partitions: [0] }];
    const answer = await client.request(
      apis.addPartitionsToTxn,
      version,
      version < 4
        ? {
            v3AndBelowTransactionalId: transactionalId,
            v3AndBelowProducerId: producerId,
            v3AndBelowProducerEpoch: producerEpoch,
            v3AndBelowTopics: topics,
          }
        : { transactions: [{ transactionalId, producerId, producerEpoch, verifyOnly: true, topics }] },
    );
    if (version >= 4) return errorName(answer.errorCode);
    return errorName(answer.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode);
  };

interface Subscription {
  readonly subscribedTopicNames?: readonly string[];
  readonly subscribedTopicRegex?: string;
}

/** A member joins, and stays until it has an assignment that it may know of. */
async function subscribe(
  client: KafkaClient,
  groupId: string,
  subscription: Subscription,
): Promise<{ errorCode: number; topicIds: string[] }> {
  const memberId = randomUUID();
  let memberEpoch = 0;
  let topicIds: string[] = [];
  // The assignment comes with a later heartbeat where topics are found in the background.
  for (let tries = 0; tries < 8 && topicIds.length === 0; tries++) {
    const answer = await client.request(apis.consumerGroupHeartbeat, 1, {
      groupId,
      memberId,
      memberEpoch,
      rebalanceTimeoutMs: 10_000,
      ...(memberEpoch === 0 ? { topicPartitions: [], ...subscription } : {}),
    });
    if (answer.errorCode !== 0) return { errorCode: answer.errorCode, topicIds };
    memberEpoch = answer.memberEpoch;
    topicIds = answer.assignment?.topicPartitions.map(({ topicId }) => topicId) ?? [];
    await sleep(50);
  }
  return { errorCode: 0, topicIds };
}

export const groupCases = {
  offsetCommit: [
    {
      about: 'group',
      version: 8,
      needs: onGroup('READ'),
      beside: onOtherTopic('READ'),
      ask: offsetCommit('group'),
      ...group('NONE', 'NONE'),
    },
    {
      about: 'topic by name',
      version: 8,
      needs: onTopic('READ'),
      beside: onOtherGroup('READ'),
      ask: offsetCommit('topic'),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting(TOPIC_FAILED, UNKNOWN),
    },
    {
      about: 'topic by id',
      version: 10,
      needs: onTopic('READ'),
      beside: onOtherGroup('READ'),
      ask: offsetCommit('topic'),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting('UNKNOWN_TOPIC_ID', 'UNKNOWN_TOPIC_ID'),
    },
  ],
  offsetFetch: [
    ...[7, 8].map((version) => ({
      about: 'group',
      version,
      needs: onGroup('DESCRIBE'),
      beside: onOtherTopic('DESCRIBE'),
      ask: offsetFetch('group'),
      ...group('NONE', 'NONE'),
    })),
    ...[7, 8].map((version) => ({
      about: 'topic by name',
      version,
      needs: onTopic('DESCRIBE'),
      beside: onOtherGroup('DESCRIBE'),
      ask: offsetFetch('topic'),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting(TOPIC_FAILED, 'NONE'),
    })),
    {
      about: 'topic by id',
      version: 10,
      needs: onTopic('DESCRIBE'),
      beside: onOtherGroup('DESCRIBE'),
      ask: offsetFetch('topic'),
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting('UNKNOWN_TOPIC_ID', 'UNKNOWN_TOPIC_ID'),
    },
    ...[7, 8, 10].map((version) => ({
      about: 'all topics',
      version,
      needs: onOtherTopic('DESCRIBE'),
      beside: onOtherGroup('DESCRIBE'),
      ask: offsetFetch('all'),
      existing: expecting('left out', 'NONE'),
    })),
  ],
  findCoordinator: [
    ...[3, 4].map((version) => ({
      about: 'group',
      version,
      needs: onGroup('DESCRIBE'),
      ask: findCoordinator(0, (resources) => resources.group),
      ...group('NONE', 'NONE'),
    })),
    ...[3, 4].map((version) => ({
      about: 'transactional id',
      version,
      needs: onTransaction('DESCRIBE'),
      ask: findCoordinator(1, ({ transactionalId }) => transactionalId),
      ...TRANSACTION,
    })),
    {
      about: 'share group',
      version: 6,
      needs: onCluster('CLUSTER_ACTION'),
      ask: findCoordinator(2, ({ otherGroup, otherTopicId }) => `${otherGroup}:${otherTopicId}:0`),
      existing: expecting(CLUSTER_FAILED, PASSED),
    },
  ],
  joinGroup: [
    {
      about: '',
      version: 5,
      needs: onGroup('READ'),
      async ask(client, { group: groupId }, version) {
        const { errorCode } = await client.request(apis.joinGroup, version, {
          groupId,
          sessionTimeoutMs: 10_000,
          rebalanceTimeoutMs: 10_000,
          memberId: '',
          protocolType: 'consumer',
          protocols: [{ name: 'range', metadata: new Uint8Array(0) }],
        });
        return errorName(errorCode);
      },
      ...group('MEMBER_ID_REQUIRED', 'MEMBER_ID_REQUIRED'),
    },
  ],
  heartbeat: [
    {
      about: '',
      version: 3,
      needs: onGroup('READ'),
      async ask(client, { group: groupId }, version) {
        const request = { groupId, generationId: 1, memberId: 'nobody' };
        return errorName((await client.request(apis.heartbeat, version, request)).errorCode);
      },
      ...group('UNKNOWN_MEMBER_ID', 'UNKNOWN_MEMBER_ID'),
    },
  ],
  leaveGroup: [
    {
      about: '',
      version: 3,
      needs: onGroup('READ'),
      async ask(client, { group: groupId }, version) {
        const request = { groupId, members: [{ memberId: 'nobody', groupInstanceId: null }] };
        return errorName((await client.request(apis.leaveGroup, version, request)).errorCode);
      },
      ...group(PASSED, PASSED),
    },
  ],
  syncGroup: [
    {
      about: '',
      version: 3,
      needs: onGroup('READ'),
      async ask(client, { group: groupId }, version) {
        const request = { groupId, generationId: 1, memberId: 'nobody', assignments: [] };
        return errorName((await client.request(apis.syncGroup, version, request)).errorCode);
      },
      ...group('UNKNOWN_MEMBER_ID', 'UNKNOWN_MEMBER_ID'),
    },
  ],
  consumerGroupHeartbeat: [
    {
      about: 'group',
      version: 1,
      needs: onGroup('READ'),
      beside: onOtherTopic('DESCRIBE'),
      destroys: true,
      async ask(client, { group: groupId, otherTopic }) {
        return errorName(
          (await subscribe(client, groupId, { subscribedTopicNames: [otherTopic] })).errorCode,
        );
      },
      ...group('NONE', 'NONE'),
    },
    {
      about: 'topic by name',
      version: 1,
      needs: onTopic('DESCRIBE'),
      beside: onGroup('READ'),
      destroys: true,
      async ask(client, { group: groupId, topic }) {
        return errorName((await subscribe(client, groupId, { subscribedTopicNames: [topic] })).errorCode);
      },
      existing: expecting(TOPIC_FAILED, 'NONE'),
      // Who subscribes to a topic may do so before it is there.
      missing: expecting(TOPIC_FAILED, 'NONE'),
    },
    {
      about: 'topic by regular expression',
      version: 1,
      needs: onTopic('DESCRIBE'),
      beside: onGroup('READ'),
      destroys: true,
      async ask(client, { group: groupId, topic, topicId }) {
        const { errorCode, topicIds } = await subscribe(client, groupId, {
          subscribedTopicRegex: `${topic.slice(0, -1)}.*`,
        });
        return `${errorName(errorCode)} ${topicIds.map((id) => (id === topicId ? 'assigned' : 'another')).join()}`;
      },
      existing: expecting('NONE ', 'NONE assigned'),
      missing: expecting('NONE ', 'NONE '),
    },
  ],
  consumerGroupDescribe: [
    {
      about: 'group',
      version: 0,
      needs: onGroup('DESCRIBE'),
      async ask(client, { group: groupId }, version) {
        const request = { groupIds: [groupId], includeAuthorizedOperations: false };
        const { groups } = await client.request(apis.consumerGroupDescribe, version, request);
        return errorName(groups[0]!.errorCode);
      },
      // That of the existing one is a classic one.
      ...group('GROUP_ID_NOT_FOUND', 'GROUP_ID_NOT_FOUND'),
    },
    {
      about: 'topics',
      version: 0,
      needs: onTopic('DESCRIBE'),
      beside: onGroup('DESCRIBE'),
      destroys: true,
      async prepare(admin, { group: groupId, topic }) {
        const { topicIds } = await subscribe(admin, groupId, { subscribedTopicNames: [topic] });
        assert.equal(topicIds.length, 1);
      },
      async ask(client, { group: groupId }, version) {
        const request = { groupIds: [groupId], includeAuthorizedOperations: true };
        const { groups } = await client.request(apis.consumerGroupDescribe, version, request);
        const { errorCode, members, authorizedOperations } = groups[0]!;
        return errorCode === 0
          ? `NONE ${members.length} ${authorizedOperations}`
          : `${errorName(errorCode)} ${members.length}`;
      },
      existing: expecting(`${TOPIC_FAILED} 0`, 'NONE 1 256'),
    },
  ],
  describeGroups: [5, 6].map((version): AuthorizationCase => ({
    about: '',
    version,
    needs: onGroup('DESCRIBE'),
    async ask(client, { group: groupId }) {
      const request = { groups: [groupId], includeAuthorizedOperations: true };
      const { groups } = await client.request(apis.describeGroups, version, request);
      const { errorCode, authorizedOperations } = groups[0]!;
      return errorCode === 0 ? `NONE ${authorizedOperations}` : errorName(errorCode);
    },
    ...group('NONE 256', version < 6 ? 'NONE 256' : 'GROUP_ID_NOT_FOUND'),
  })),
  listGroups: [
    { about: 'by DESCRIBE on the group', needs: onGroup('DESCRIBE') },
    { about: 'by DESCRIBE on the cluster', needs: onCluster('DESCRIBE') },
  ].map((permission): AuthorizationCase => ({
    ...permission,
    version: 4,
    async ask(client, { group: groupId }, version) {
      const { groups } = await client.request(apis.listGroups, version, { statesFilter: [] });
      return groups.some((listed) => listed.groupId === groupId) ? 'listed' : 'left out';
    },
    existing: expecting('left out', 'listed'),
    missing: expecting('left out', 'left out'),
  })),
  deleteGroups: [
    {
      about: '',
      version: 2,
      needs: onGroup('DELETE'),
      destroys: true,
      async ask(client, { group: groupId }, version) {
        const { results } = await client.request(apis.deleteGroups, version, { groupsNames: [groupId] });
        return errorName(results[0]!.errorCode);
      },
      ...group('NONE', 'GROUP_ID_NOT_FOUND'),
    },
  ],
  offsetDelete: [
    {
      about: 'group',
      version: 0,
      needs: onGroup('DELETE'),
      beside: onOtherTopic('READ'),
      destroys: true,
      async ask(client, { group: groupId, otherTopic: name }, version) {
        const topics = [{ name, partitions: [{ partitionIndex: 0 }] }];
        return errorName((await client.request(apis.offsetDelete, version, { groupId, topics })).errorCode);
      },
      ...group('NONE', 'GROUP_ID_NOT_FOUND'),
    },
    {
      about: 'topic',
      version: 0,
      needs: onTopic('READ'),
      beside: onOtherGroup('DELETE'),
      async ask(client, { otherGroup: groupId, topic: name }, version) {
        const request = { groupId, topics: [{ name, partitions: [{ partitionIndex: 0 }] }] };
        const { errorCode, topics } = await client.request(apis.offsetDelete, version, request);
        if (errorCode !== 0) return `${errorName(errorCode)} of the group`;
        return errorName(topics[0]!.partitions[0]!.errorCode);
      },
      existing: expecting(TOPIC_FAILED, 'NONE'),
      missing: expecting(TOPIC_FAILED, UNKNOWN),
    },
  ],
  initProducerId: [
    ...[
      { about: 'by IDEMPOTENT_WRITE', needs: onCluster('IDEMPOTENT_WRITE') },
      { about: 'by WRITE on any topic', needs: onTopic('WRITE') },
    ].map((permission): AuthorizationCase => ({
      ...permission,
      version: 4,
      async ask(client, _resources, version) {
        const request = { transactionalId: null, transactionTimeoutMs: 10_000 };
        return errorName((await client.request(apis.initProducerId, version, request)).errorCode);
      },
      existing: expecting(CLUSTER_FAILED, 'NONE'),
      missing: expecting(CLUSTER_FAILED, 'NONE'),
    })),
    {
      about: 'transactional',
      version: 4,
      needs: onTransaction('WRITE'),
      async ask(client, { transactionalId }, version) {
        const request = { transactionalId, transactionTimeoutMs: 10_000 };
        return errorName((await client.request(apis.initProducerId, version, request)).errorCode);
      },
      destroys: true,
      ...TRANSACTION,
    },
  ],
  addPartitionsToTxn: [
    {
      about: 'transactional id',
      version: 3,
      needs: onTransaction('WRITE'),
      beside: onOtherTopic('WRITE'),
      ask: addPartitionsToTxn('transaction'),
      ...TRANSACTION,
    },
    {
      about: 'topic',
      version: 3,
      needs: onTopic('WRITE'),
      beside: onTransaction('WRITE'),
      ask: addPartitionsToTxn('topic'),
      existing: expecting(TOPIC_FAILED, PASSED),
      missing: expecting(TOPIC_FAILED, UNKNOWN),
    },
    {
      about: 'of a broker',
      version: 4,
      needs: onCluster('CLUSTER_ACTION'),
      ask: addPartitionsToTxn('transaction'),
      existing: expecting(CLUSTER_FAILED, PASSED),
      missing: expecting(CLUSTER_FAILED, PASSED),
    },
  ],
  addOffsetsToTxn: [
    { about: 'transactional id', needs: onTransaction('WRITE'), beside: onGroup('READ'), ...TRANSACTION },
    { about: 'group', needs: onGroup('READ'), beside: onTransaction('WRITE'), ...group(PASSED, PASSED) },
  ].map((permission): AuthorizationCase => ({
    ...permission,
    version: 3,
    async ask(client, { transactionalId, group: groupId, producerId, producerEpoch }, version) {
      const request = { transactionalId, groupId, producerId, producerEpoch };
      return errorName((await client.request(apis.addOffsetsToTxn, version, request)).errorCode);
    },
  })),
  endTxn: [
    {
      about: '',
      version: 3,
      needs: onTransaction('WRITE'),
      async ask(client, { transactionalId, producerId, producerEpoch }, version) {
        const request = { transactionalId, producerId, producerEpoch, committed: false };
        return errorName((await client.request(apis.endTxn, version, request)).errorCode);
      },
      ...TRANSACTION,
    },
  ],
  txnOffsetCommit: [
    {
      about: 'transactional id',
      version: 3,
      needs: onTransaction('WRITE'),
      beside: both(onOtherGroup('READ'), onOtherTopic('READ')),
      ask: txnOffsetCommit('transaction'),
      ...TRANSACTION,
    },
    {
      about: 'group',
      version: 3,
      needs: onGroup('READ'),
      beside: both(onTransaction('WRITE'), onOtherTopic('READ')),
      ask: txnOffsetCommit('group'),
      ...group(PASSED, PASSED),
    },
    {
      about: 'topic',
      version: 3,
      needs: onTopic('READ'),
      beside: both(onTransaction('WRITE'), onOtherGroup('READ')),
      ask: txnOffsetCommit('topic'),
      existing: expecting(TOPIC_FAILED, PASSED),
      missing: expecting(TOPIC_FAILED, UNKNOWN),
    },
  ],
  writeTxnMarkers: [
    { about: 'by CLUSTER_ACTION', needs: onCluster('CLUSTER_ACTION') },
    { about: 'by ALTER', needs: onCluster('ALTER') },
  ].map((permission): AuthorizationCase => ({
    ...permission,
    version: 1,
    async ask(client, { topic: name }, version) {
      const producer = { producerId: 987_654, producerEpoch: 0, coordinatorEpoch: 0 };
      const topics = [{ name, partitionIndexes: [0] }];
      const { markers } = await client.request(apis.writeTxnMarkers, version, {
        markers: [{ ...producer, transactionResult: false, topics }],
      });
      return errorName(markers[0]!.topics[0]!.partitions[0]!.errorCode);
    },
    existing: expecting(CLUSTER_FAILED, PASSED),
    missing: expecting(CLUSTER_FAILED, UNKNOWN),
  })),
  describeTransactions: [
    {
      about: '',
      version: 0,
      needs: onTransaction('DESCRIBE'),
      async ask(client, { transactionalId }, version) {
        const request = { transactionalIds: [transactionalId] };
        const { transactionStates } = await client.request(apis.describeTransactions, version, request);
        return errorName(transactionStates[0]!.errorCode);
      },
      existing: expecting(TRANSACTION_FAILED, 'NONE'),
      missing: expecting(TRANSACTION_FAILED, 'TRANSACTIONAL_ID_NOT_FOUND'),
    },
  ],
  listTransactions: [
    {
      about: '',
      version: 1,
      needs: onTransaction('DESCRIBE'),
      async ask(client, { transactionalId }, version) {
        const request = { stateFilters: [], producerIdFilters: [] };
        const { transactionStates } = await client.request(apis.listTransactions, version, request);
        const isListed = transactionStates.some((state) => state.transactionalId === transactionalId);
        return isListed ? 'listed' : 'left out';
      },
      existing: expecting('left out', 'listed'),
      missing: expecting('left out', 'left out'),
    },
  ],
} satisfies Partial<Record<keyof typeof apis, AuthorizationCase[]>>;
