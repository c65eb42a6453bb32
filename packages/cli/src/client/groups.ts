import { listGroups, type ListGroupsResponse } from '@polylog/kafka-protocol';
import { protocolError } from '../errors.ts';
import type { Cluster } from './cluster.ts';

export type ListedGroup = ListGroupsResponse['groups'][number];

/** Each broker knows the groups that it coordinates. Throws CliError. */
export async function allGroups(cluster: Cluster): Promise<ListedGroup[]> {
  await cluster.metadata([]);
  const groups: ListedGroup[] = [];
  for (const { id } of cluster.brokers) {
    const answer = await cluster.request(listGroups, { statesFilter: [], typesFilter: [] }, { node: id });
    if (answer.errorCode !== 0) throw protocolError(answer.errorCode, `the groups of broker ${id}`);
    groups.push(...answer.groups);
  }
  return groups.toSorted((a, b) => (a.groupId < b.groupId ? -1 : 1));
}

export async function groupNames(cluster: Cluster): Promise<string[]> {
  return (await allGroups(cluster)).map(({ groupId }) => groupId);
}
