import { setTimeout as sleep } from 'node:timers/promises';
import { MalformedError, Reader } from '@polylog/bytes';
import {
  consumerGroupDescribe,
  deleteGroups as deleteGroupsApi,
  describeGroups,
  kafkaErrors,
  listGroups,
  offsetCommit,
  offsetDelete,
  offsetFetch,
  type ListGroupsResponse,
} from '@polylog/kafka-protocol';
import { CliError, protocolError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { didYouMean } from '../suggest.ts';
import type { Cluster } from './cluster.ts';
import { partitionKey, type TopicPartition } from './offsets.ts';

const RETRY_PAUSE_MS = 100;
/** Topics by name up to here, by id from v10. */
const OFFSETS_VERSION_MAX = 9;
/** From here on one request asks for many groups (KIP-709). */
const OFFSET_FETCH_MANY_SINCE = 8;
/** Kafka's word for a group that does not exist. */
const DEAD = 'Dead';
const NO_OFFSET = -1;
const NO_GENERATION = -1;

export interface ListedGroup {
  readonly group: string;
  /** Kafka's words: Empty, PreparingRebalance, CompletingRebalance, Assigning, Reconciling, Stable, Dead. */
  readonly state: string;
  /** classic or consumer; empty if the broker is too old to say. */
  readonly type: string;
  /** Usually `consumer`; empty for a group that only stores offsets. */
  readonly protocolType: string;
}

export interface GroupMember {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly clientId: string;
  readonly host: string;
  readonly assignments: readonly { readonly topic: string; readonly partitions: readonly number[] }[];
}

export interface DescribedGroup {
  readonly group: string;
  readonly type: 'classic' | 'consumer';
  readonly state: string;
  /** Of a group of the consumer protocol (KIP-848), else null. */
  readonly epoch: number | null;
  readonly protocolType: string;
  /** How partitions are shared out, such as range; empty without members. */
  readonly assignor: string;
  /** Broker id. */
  readonly coordinator: number;
  readonly members: readonly GroupMember[];
}

export interface GroupOffset extends TopicPartition {
  readonly offset: number;
  readonly metadata: string;
}

/** Each broker knows the groups that it coordinates. By name. Throws CliError. */
export async function allGroups(cluster: Cluster): Promise<ListedGroup[]> {
  await cluster.metadata([]);
  const groups: ListGroupsResponse['groups'][number][] = [];
  for (const { id } of cluster.brokers) {
    const ask = async (): Promise<ListGroupsResponse> =>
      cluster.request(listGroups, { statesFilter: [], typesFilter: [] }, { node: id });
    const answer = await patiently(cluster, ask, ({ errorCode }) => errorCode);
    if (answer.errorCode !== 0) throw protocolError(answer.errorCode, `the groups of broker ${id}`);
    groups.push(...answer.groups);
  }
  return groups
    .map(({ groupId, groupState, groupType, protocolType }) => ({
      group: groupId,
      state: groupState,
      type: groupType,
      protocolType,
    }))
    .toSorted((a, b) => (a.group < b.group ? -1 : 1));
}

/** Undefined if there is no such group. Throws CliError. */
export async function describeGroup(cluster: Cluster, group: string): Promise<DescribedGroup | undefined> {
  const answer = await atCoordinator(cluster, group, async (node) => {
    const { groups } = await cluster.request(describeGroups, { groups: [group] }, { node });
    return { node, described: groups[0]!, errorCode: groups[0]!.errorCode };
  });
  const { node, described } = answer;
  if (described.errorCode === kafkaErrors.GROUP_ID_NOT_FOUND.code || described.groupState === DEAD) {
    return describeConsumerGroup(cluster, group);
  }
  if (described.errorCode !== 0)
    throw protocolError(described.errorCode, `group ${group}`, described.errorMessage);
  return {
    group,
    type: 'classic',
    epoch: null,
    state: described.groupState,
    protocolType: described.protocolType,
    assignor: described.protocolData,
    coordinator: node,
    members: described.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      clientId: member.clientId,
      host: member.clientHost,
      assignments: decodeAssignment(member.memberAssignment),
    })),
  };
}

/** One of the protocol where the broker assigns (KIP-848). Brokers that do not know it have none. */
async function describeConsumerGroup(cluster: Cluster, group: string): Promise<DescribedGroup | undefined> {
  const node = await cluster.coordinatorOf(group);
  const connection = await cluster.connection(node);
  if (!connection.serves(consumerGroupDescribe)) return undefined;
  const { described } = await atCoordinator(cluster, group, async (at) => {
    const { groups } = await cluster.request(consumerGroupDescribe, { groupIds: [group] }, { node: at });
    return { described: groups[0]!, errorCode: groups[0]!.errorCode };
  });
  if (described.errorCode === kafkaErrors.GROUP_ID_NOT_FOUND.code) return undefined;
  if (described.errorCode !== 0)
    throw protocolError(described.errorCode, `group ${group}`, described.errorMessage);
  return {
    group,
    type: 'consumer',
    epoch: described.groupEpoch,
    state: described.groupState,
    protocolType: 'consumer',
    assignor: described.assignorName,
    coordinator: node,
    members: described.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      clientId: member.clientId,
      host: member.clientHost,
      assignments: member.assignment.topicPartitions.map(({ topicName, partitions }) => ({
        topic: topicName,
        partitions,
      })),
    })),
  };
}

/** Throws CliError (not found), with a similar name if there is one. */
export async function existingGroup(cluster: Cluster, group: string): Promise<DescribedGroup> {
  const found = await describeGroup(cluster, group);
  if (found !== undefined) return found;
  const all = await allGroups(cluster);
  const type = all.find((one) => one.group === group)?.type;
  if (type !== undefined) {
    throw new CliError(
      `group ${group} is of the type ${type}: this program knows classic and consumer groups only`,
      {
        code: 'UNSUPPORTED_GROUP_TYPE',
      },
    );
  }
  const known = all.map((one) => one.group);
  throw new CliError(`no group ${group}${didYouMean(group, known)}`, {
    code: 'GROUP_ID_NOT_FOUND',
    exitCode: EXIT.notFound,
    hint: '`polylog group list` shows the groups.',
  });
}

/** Everything that a group has committed, by topic and partition. Throws CliError. */
export async function committedOffsets(cluster: Cluster, group: string): Promise<GroupOffset[]> {
  const answer = await atCoordinator(cluster, group, async (node) => {
    const connection = await cluster.connection(node);
    const version = connection.versionOf(offsetFetch, OFFSETS_VERSION_MAX);
    const many = version >= OFFSET_FETCH_MANY_SINCE;
    const body = many ? { groups: [{ groupId: group, topics: null }] } : { groupId: group, topics: null };
    const { groups, topics, errorCode } = await cluster.request(
      offsetFetch,
      { groupId: '', topics: [], groups: [], ...body },
      { node, versionMax: version },
    );
    return many ? { topics: groups[0]!.topics, errorCode: groups[0]!.errorCode } : { topics, errorCode };
  });
  if (answer.errorCode !== 0) throw protocolError(answer.errorCode, `the offsets of group ${group}`);
  return answer.topics
    .flatMap(({ name, partitions }) =>
      partitions.map((one) => ({
        topic: name,
        partition: one.partitionIndex,
        offset: one.committedOffset,
        metadata: one.metadata ?? '',
      })),
    )
    .filter(({ offset }) => offset !== NO_OFFSET)
    .toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1));
}

/** For a group without members. Throws CliError. */
export async function commitOffsets(
  cluster: Cluster,
  group: string,
  offsets: readonly (TopicPartition & { readonly offset: number })[],
): Promise<void> {
  const topics = byTopic(offsets, (one) => ({
    partitionIndex: one.partition,
    committedOffset: one.offset,
    committedMetadata: '',
  }));
  const body = { groupId: group, generationIdOrMemberEpoch: NO_GENERATION, memberId: '', topics };
  const answer = await atCoordinator(cluster, group, async (node) => {
    const response = await cluster.request(offsetCommit, body, { node, versionMax: OFFSETS_VERSION_MAX });
    return { ...response, ...firstError(response.topics) };
  });
  if (answer.errorCode !== 0)
    throw protocolError(answer.errorCode, `cannot commit for group ${group}, ${answer.where}`);
}

/** Throws CliError. */
export async function deleteOffsets(
  cluster: Cluster,
  group: string,
  partitions: readonly TopicPartition[],
): Promise<void> {
  const topics = byTopic(partitions, (one) => ({ partitionIndex: one.partition }));
  const answer = await atCoordinator(cluster, group, async (node) => {
    const response = await cluster.request(offsetDelete, { groupId: group, topics }, { node });
    if (response.errorCode !== 0) return { errorCode: response.errorCode, where: '' };
    return firstError(response.topics);
  });
  if (answer.errorCode !== 0) {
    const where = answer.where === '' ? '' : `, ${answer.where}`;
    throw protocolError(answer.errorCode, `cannot delete offsets of group ${group}${where}`);
  }
}

/** Throws CliError. */
export async function deleteGroup(cluster: Cluster, group: string): Promise<void> {
  const answer = await atCoordinator(cluster, group, async (node) => {
    const { results } = await cluster.request(deleteGroupsApi, { groupsNames: [group] }, { node });
    return results[0]!;
  });
  if (answer.errorCode !== 0) throw protocolError(answer.errorCode, `cannot delete group ${group}`);
}

function byTopic<T>(
  partitions: readonly TopicPartition[] | readonly (TopicPartition & { readonly offset: number })[],
  one: (partition: TopicPartition & { readonly offset: number }) => T,
): { name: string; partitions: T[] }[] {
  const all = partitions as readonly (TopicPartition & { readonly offset: number })[];
  return [...Map.groupBy(all, ({ topic }) => topic)].map(([name, some]) => ({
    name,
    partitions: some.map(one),
  }));
}

function firstError(
  topics: readonly {
    readonly name: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[];
  }[],
): { readonly errorCode: number; readonly where: string } {
  for (const { name, partitions } of topics) {
    const failed = partitions.find(({ errorCode }) => errorCode !== 0);
    if (failed === undefined) continue;
    const where = `partition ${partitionKey({ topic: name, partition: failed.partitionIndex })}`;
    return { errorCode: failed.errorCode, where };
  }
  return { errorCode: 0, where: '' };
}

/** Finds the coordinator again while it moves or loads its log. */
async function atCoordinator<T extends { readonly errorCode: number }>(
  cluster: Cluster,
  group: string,
  ask: (node: number) => Promise<T>,
): Promise<T> {
  return patiently(
    cluster,
    async () => ask(await cluster.coordinatorOf(group)),
    ({ errorCode }) => errorCode,
  );
}

const COORDINATOR_ERRORS: ReadonlySet<number> = new Set([
  kafkaErrors.COORDINATOR_LOAD_IN_PROGRESS.code,
  kafkaErrors.COORDINATOR_NOT_AVAILABLE.code,
  kafkaErrors.NOT_COORDINATOR.code,
]);

async function patiently<T>(
  cluster: Cluster,
  ask: () => Promise<T>,
  errorOf: (answer: T) => number,
): Promise<T> {
  const endMs = performance.now() + cluster.timeoutMs;
  while (true) {
    const answer = await ask();
    if (!COORDINATOR_ERRORS.has(errorOf(answer)) || performance.now() > endMs) return answer;
    await sleep(RETRY_PAUSE_MS);
  }
}

/**
 * The assignment of Kafka's consumer protocol: int16 version, then for each topic its name and partitions, then user data. Members of
 * other protocols, and those that wait for their first assignment, have none that can be read.
 */
function decodeAssignment(bytes: Uint8Array): GroupMember['assignments'] {
  if (bytes.length === 0) return [];
  try {
    const reader = new Reader(bytes);
    reader.int16();
    const assignments: { topic: string; partitions: number[] }[] = [];
    for (let topics = reader.int32(); topics > 0; topics--) {
      const topic = reader.string(reader.int16());
      const partitions: number[] = [];
      for (let count = reader.int32(); count > 0; count--) partitions.push(reader.int32());
      assignments.push({ topic, partitions: partitions.toSorted((a, b) => a - b) });
    }
    return assignments.toSorted((a, b) => (a.topic < b.topic ? -1 : 1));
  } catch (error) {
    if (error instanceof MalformedError) return [];
    throw error;
  }
}
