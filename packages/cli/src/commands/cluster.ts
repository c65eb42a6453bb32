import { describeCluster, describeLogDirs } from '@polylog/kafka-protocol';
import type { Command } from 'commander';
import type { BrokerInfo, Cluster, TopicInfo } from '../client/cluster.ts';
import { addCommand, addGroup, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, protocolError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { counted, formatBytes } from '../output/units.ts';

/** More are counted, not listed. */
const PROBLEMS_LISTED_MAX = 50;

export function addClusterCommands(program: Command, runner: Runner): void {
  const cluster = addGroup(program, 'cluster', 'Show brokers and their health');
  addCommand<object, []>(cluster, runner, {
    usage: 'describe',
    summary: 'Show brokers, their disks, and what they hold',
    examples: [['cluster describe', 'an overview']],
    run: describe,
  });
  addCommand<object, []>(cluster, runner, {
    usage: 'health',
    summary: 'Tell whether all partitions are led and in sync',
    description:
      'Tell whether all brokers answer and all partitions have a leader and all replicas in sync. Exit code 5 if not.',
    examples: [['cluster health || page-somebody', 'for scripts']],
    run: health,
  });
}

interface BrokerDescription extends BrokerInfo {
  readonly fenced: boolean;
  /** Null if the broker does not answer. */
  readonly storage: Storage | null;
  readonly error: string | null;
}

interface Storage {
  readonly partitions: number;
  readonly bytes: number;
  /** Of the volume below the data; null if the broker does not say. */
  readonly totalBytes: number | null;
  readonly usableBytes: number | null;
}

async function describe(context: Context): Promise<void> {
  const { cluster } = context;
  const topics = await cluster.topics();
  const answer = await cluster.request(describeCluster, { includeClusterAuthorizedOperations: false });
  if (answer.errorCode !== 0) throw protocolError(answer.errorCode, 'the cluster', answer.errorMessage);
  const brokers: BrokerDescription[] = [];
  for (const { brokerId, host, port, rack, isFenced } of answer.brokers.toSorted(
    (a, b) => a.brokerId - b.brokerId,
  )) {
    brokers.push({
      id: brokerId,
      host,
      port,
      rack,
      fenced: isFenced,
      ...(await storageOf(cluster, brokerId)),
    });
  }
  const { clusterId, controllerId } = answer;
  const partitions = topics.reduce((count, topic) => count + topic.partitions.length, 0);
  await context.print({ clusterId, controllerId, topics: topics.length, partitions, brokers }, () => {
    const facts = context.facts([
      ['Cluster', clusterId],
      ['Controller', controllerId < 0 ? 'none' : `broker ${controllerId}`],
      ['Topics', `${topics.length} with ${counted(partitions, 'partition')}`],
    ]);
    return `${facts}\n${brokersText(context, brokers)}`;
  });
}

async function storageOf(
  cluster: Cluster,
  node: number,
): Promise<{ readonly storage: Storage | null; readonly error: string | null }> {
  try {
    const { results } = await cluster.request(describeLogDirs, { topics: null }, { node });
    const failed = results.find(({ errorCode }) => errorCode !== 0);
    if (failed !== undefined) throw protocolError(failed.errorCode, failed.logDir);
    const partitions = results.flatMap(({ topics }) => topics.flatMap((topic) => topic.partitions));
    const total = (values: readonly number[]): number | null =>
      values.some((value) => value < 0) ? null : values.reduce((sum, value) => sum + value, 0);
    const storage = {
      partitions: partitions.length,
      bytes: partitions.reduce((sum, { partitionSize }) => sum + partitionSize, 0),
      totalBytes: total(results.map(({ totalBytes }) => totalBytes)),
      usableBytes: total(results.map(({ usableBytes }) => usableBytes)),
    };
    return { storage, error: null };
  } catch (error) {
    // One broker that is down must not hide the others.
    if (!(error instanceof CliError)) throw error;
    return { storage: null, error: error.message };
  }
}

function brokersText(context: Context, brokers: readonly BrokerDescription[]): string {
  const table = context.table(
    [
      { title: 'broker', align: 'right' },
      { title: 'address' },
      { title: 'rack' },
      { title: 'partitions', align: 'right' },
      { title: 'data', align: 'right' },
      { title: 'disk free', align: 'right' },
    ],
    brokers.map(({ id, host, port, rack, storage }) => [
      id,
      `${host}:${port}`,
      rack ?? '-',
      storage?.partitions ?? '-',
      storage === null ? '-' : formatBytes(storage.bytes),
      freeText(storage),
    ]),
  );
  const errors = brokers.flatMap(({ id, error }) =>
    error === null ? [] : [context.bad(`Broker ${id}: ${error}`)],
  );
  return errors.length === 0 ? table : `${table}\n${errors.join('\n')}\n`;
}

function freeText(storage: Storage | null): string {
  if (storage === null || storage.totalBytes === null || storage.usableBytes === null) return '-';
  const percent = storage.totalBytes === 0 ? 0 : Math.floor((storage.usableBytes / storage.totalBytes) * 100);
  return `${formatBytes(storage.usableBytes)} (${percent} %)`;
}

interface Problem {
  readonly kind: 'broker_unreachable' | 'no_leader' | 'under_replicated';
  readonly broker?: number;
  readonly topic?: string;
  readonly partition?: number;
  readonly text: string;
}

async function health(context: Context): Promise<ExitCode> {
  const { cluster } = context;
  const topics = await cluster.topics();
  const problems = [...(await silentBrokers(cluster)), ...topics.flatMap(partitionProblems)];
  const healthy = problems.length === 0;
  const partitions = topics.reduce((count, topic) => count + topic.partitions.length, 0);
  const brokers = cluster.brokers.length;
  await context.print({ healthy, brokers, partitions, problems: problems.map(problemJson) }, () => {
    if (healthy) {
      const all = `${counted(brokers, 'broker')}, ${counted(partitions, 'partition')}`;
      return `${context.good('Healthy')}: ${all}, all led and in sync.\n`;
    }
    const lines = problems.slice(0, PROBLEMS_LISTED_MAX).map(({ text }) => `  ${text}\n`);
    const rest = problems.length - lines.length;
    if (rest > 0) lines.push(`  and ${rest} more: --json lists all\n`);
    return `${context.bad('Not healthy')}: ${counted(problems.length, 'problem')}\n${lines.join('')}`;
  });
  return healthy ? EXIT.ok : EXIT.unhealthy;
}

async function silentBrokers(cluster: Cluster): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const { id } of cluster.brokers) {
    const { error } = await storageOf(cluster, id);
    if (error !== null)
      problems.push({ kind: 'broker_unreachable', broker: id, text: `broker ${id}: ${error}` });
  }
  return problems;
}

function partitionProblems({ name, partitions }: TopicInfo): Problem[] {
  return partitions.flatMap(({ partition, leader, replicas, isr }): Problem[] => {
    const where = { topic: name, partition };
    if (leader < 0) return [{ kind: 'no_leader', ...where, text: `${name}-${partition} has no leader` }];
    const missing = replicas.filter((id) => !isr.includes(id));
    if (missing.length === 0) return [];
    const text = `${name}-${partition}: not in sync: ${counted(missing.length, 'replica')} on ${missing.join(', ')}`;
    return [{ kind: 'under_replicated', ...where, text }];
  });
}

function problemJson({ kind, broker, topic, partition, text }: Problem): object {
  return { kind, broker: broker ?? null, topic: topic ?? null, partition: partition ?? null, text };
}
