import { setTimeout as sleep } from 'node:timers/promises';
import { listOffsets } from '@polylog/kafka-protocol';
import { isRetriable, protocolError } from '../errors.ts';
import type { Cluster, TopicInfo } from './cluster.ts';

const RETRY_PAUSE_MS = 100;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface OffsetQuery extends TopicPartition {
  /** ms since the epoch, or one of the negative constants of ListOffsets. */
  readonly timestamp: number;
}

export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

/**
 * Asks the leaders for offsets; the answer is keyed by {@link partitionKey}. -1 where no record is as late as the timestamp.
 * A leader that has just moved is found again, within the cluster's time limit.
 *
 * @throws CliError
 */
export async function offsetsAt(
  cluster: Cluster,
  queries: readonly OffsetQuery[],
): Promise<Map<string, number>> {
  const endMs = performance.now() + cluster.timeoutMs;
  const found = new Map<string, number>();
  let open = queries;
  while (open.length > 0) {
    const names = [...new Set(open.map(({ topic }) => topic))];
    const leaders = leadersOf(await cluster.topicsNamed(names));
    const failed: { readonly query: OffsetQuery; readonly errorCode: number }[] = [];
    for (const [node, asked] of Map.groupBy(open, (query) => leaders.get(partitionKey(query)) ?? -1)) {
      for (const answer of await askLeader(cluster, node, asked)) {
        if (answer.errorCode === 0) found.set(partitionKey(answer.query), answer.offset);
        else failed.push(answer);
      }
    }
    const fatal = failed.find(({ errorCode }) => !isRetriable(errorCode) || performance.now() > endMs);
    if (fatal !== undefined) throw protocolError(fatal.errorCode, `partition ${partitionKey(fatal.query)}`);
    if (failed.length > 0) await sleep(RETRY_PAUSE_MS);
    open = failed.map(({ query }) => query);
  }
  return found;
}

const LEADER_NOT_AVAILABLE = 5;
const UNKNOWN_TOPIC_OR_PARTITION = 3;

async function askLeader(
  cluster: Cluster,
  node: number,
  queries: readonly OffsetQuery[],
): Promise<{ readonly query: OffsetQuery; readonly errorCode: number; readonly offset: number }[]> {
  if (node < 0) return queries.map((query) => ({ query, errorCode: LEADER_NOT_AVAILABLE, offset: -1 }));
  const topics = [...Map.groupBy(queries, ({ topic }) => topic)].map(([name, asked]) => ({
    name,
    partitions: asked.map(({ partition, timestamp }) => ({ partitionIndex: partition, timestamp })),
  }));
  const body = { isolationLevel: 0, topics, timeoutMs: cluster.timeoutMs };
  const answer = await cluster.request(listOffsets, body, { node });
  const answers = new Map(
    answer.topics.flatMap(({ name, partitions }) =>
      partitions.map((one) => [partitionKey({ topic: name, partition: one.partitionIndex }), one]),
    ),
  );
  return queries.map((query) => {
    const one = answers.get(partitionKey(query));
    return { query, errorCode: one?.errorCode ?? UNKNOWN_TOPIC_OR_PARTITION, offset: one?.offset ?? -1 };
  });
}

function leadersOf(topics: readonly TopicInfo[]): Map<string, number> {
  return new Map(
    topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partition, leader }) => [partitionKey({ topic: name, partition }), leader]),
    ),
  );
}
