import { OFFSET_LATEST } from '@polylog/kafka-protocol';
import type { Command } from 'commander';
import type { Cluster } from '../client/cluster.ts';
import {
  allGroups,
  committedOffsets,
  deleteGroup,
  deleteOffsets,
  existingGroup,
  type DescribedGroup,
  type GroupMember,
  type ListedGroup,
} from '../client/groups.ts';
import { offsetsAt, partitionKey, type TopicPartition } from '../client/offsets.ts';
import { addCommand, addGroup, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { collect } from '../values.ts';
import { addResetCommand } from './group-reset.ts';
import { parsePartitions, type PartitionChoice } from './partition-choice.ts';

export function addGroupCommands(program: Command, runner: Runner): void {
  const group = addGroup(program, 'group', 'List, describe, reset and delete consumer groups');
  addList(group, runner);
  addDescribe(group, runner);
  addResetCommand(group, runner);
  addDelete(group, runner);
  addDeleteOffsets(group, runner);
}

interface ListOptions {
  readonly state?: readonly string[];
  readonly type?: readonly string[];
}

function addList(group: Command, runner: Runner): void {
  addCommand<ListOptions, []>(group, runner, {
    usage: 'list',
    summary: 'List consumer groups',
    options: [
      option('--state <state>', 'only groups in that state, such as Stable; may be repeated', collect),
      option('--type <type>', 'only groups of that type, classic or consumer; may be repeated', collect),
    ],
    examples: [
      ['group list', 'all groups'],
      ['group list --state Empty', 'those without members'],
    ],
    async run(context, { state, type }) {
      const isAmong = (wanted: readonly string[] | undefined, word: string): boolean =>
        wanted?.some((one) => one.toLowerCase() === word.toLowerCase()) ?? true;
      const groups = (await allGroups(context.cluster)).filter(
        (one) => isAmong(state, one.state) && isAmong(type, one.type),
      );
      await context.print({ groups }, () => groupsText(context, groups));
      if (groups.length === 0) context.note('No groups.');
    },
  });
}

function groupsText(context: Context, groups: readonly ListedGroup[]): string {
  if (groups.length === 0) return '';
  return context.table(
    [{ title: 'group' }, { title: 'state' }, { title: 'type' }, { title: 'protocol' }],
    groups.map(({ group, state, type, protocolType }) => [group, state, type || '-', protocolType || '-']),
  );
}

function addDescribe(group: Command, runner: Runner): void {
  addCommand<object, [string[]]>(group, runner, {
    usage: 'describe <group...>',
    summary: 'Show state, members, offsets and lag of groups',
    examples: [
      ['group describe billing', 'who reads what, and how far behind'],
      ["group describe billing --json | jq '.groups[0].lag'", 'the lag alone, for a script'],
    ],
    notes: `
LAG is how many offsets lie between what is committed and the end. The last
column is the client that has the partition now.`,
    async run(context, _options, groups) {
      const described: GroupDescription[] = [];
      for (const one of groups) described.push(await describe(context.cluster, one));
      await context.print({ groups: described.map(descriptionJson) }, () =>
        described.map((one) => descriptionText(context, one)).join('\n'),
      );
    },
  });
}

interface OffsetRow extends TopicPartition {
  /** Null: nothing is committed. */
  readonly committed: number | null;
  /** Null: the partition has no leader, or its topic is gone. */
  readonly end: number | null;
  readonly lag: number | null;
  readonly member: GroupMember | undefined;
}

interface GroupDescription extends DescribedGroup {
  readonly address: string;
  readonly offsets: readonly OffsetRow[];
}

async function describe(cluster: Cluster, group: string): Promise<GroupDescription> {
  const described = await existingGroup(cluster, group);
  const committed = new Map((await committedOffsets(cluster, group)).map((one) => [partitionKey(one), one]));
  const owners = new Map<string, { readonly where: TopicPartition; readonly member: GroupMember }>();
  for (const member of described.members) {
    for (const { topic, partitions } of member.assignments) {
      for (const partition of partitions) {
        owners.set(partitionKey({ topic, partition }), { where: { topic, partition }, member });
      }
    }
  }
  const all = new Map<string, TopicPartition>([
    ...committed,
    ...[...owners].map(([key, { where }]): [string, TopicPartition] => [key, where]),
  ]);
  const ends = await endOffsets(cluster, [...all.values()]);
  const offsets = [...all].map(([key, { topic, partition }]): OffsetRow => {
    const [offset = null, end = null] = [committed.get(key)?.offset, ends.get(key)];
    const lag = offset === null || end === null ? null : Math.max(0, end - offset);
    return { topic, partition, committed: offset, end, lag, member: owners.get(key)?.member };
  });
  const broker = cluster.brokers.find(({ id }) => id === described.coordinator);
  return {
    ...described,
    address: broker === undefined ? '' : `${broker.host}:${broker.port}`,
    offsets: offsets.toSorted((a, b) =>
      a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1,
    ),
  };
}

/** Leaves out partitions that are gone, or that nobody leads: their offsets are still committed. */
async function endOffsets(
  cluster: Cluster,
  partitions: readonly TopicPartition[],
): Promise<Map<string, number>> {
  if (partitions.length === 0) return new Map();
  const { topics } = await cluster.metadata([...new Set(partitions.map(({ topic }) => topic))]);
  const led = new Set(
    topics.flatMap(({ name, partitions: parts }) =>
      parts
        .filter(({ leaderId }) => leaderId >= 0)
        .map(({ partitionIndex }) => partitionKey({ topic: name ?? '', partition: partitionIndex })),
    ),
  );
  const queries = partitions
    .filter((one) => led.has(partitionKey(one)))
    .map(({ topic, partition }) => ({ topic, partition, timestamp: OFFSET_LATEST }));
  return offsetsAt(cluster, queries);
}

/** The sum over all partitions that have one. */
function totalLag({ offsets }: GroupDescription): number {
  return offsets.reduce((sum, { lag }) => sum + (lag ?? 0), 0);
}

function descriptionJson(one: GroupDescription): object {
  return {
    group: one.group,
    type: one.type,
    state: one.state,
    epoch: one.epoch,
    protocolType: one.protocolType,
    assignor: one.assignor,
    coordinator: one.coordinator,
    lag: totalLag(one),
    members: one.members,
    offsets: one.offsets.map(({ topic, partition, committed, end, lag, member }) => ({
      topic,
      partition,
      committed,
      end,
      lag,
      memberId: member?.memberId ?? null,
      clientId: member?.clientId ?? null,
    })),
  };
}

function descriptionText(context: Context, one: GroupDescription): string {
  const facts = context.facts([
    ['Group', one.group],
    ['State', one.assignor === '' ? one.state : `${one.state}, ${one.assignor}`],
    ...(one.epoch === null ? [] : ([['Epoch', `${one.epoch}, of the consumer protocol`]] as const)),
    ['Coordinator', `broker ${one.coordinator} at ${one.address}`],
    ['Members', one.members.length],
    ['Lag', totalLag(one)],
  ]);
  const parts = [facts];
  if (one.offsets.length > 0) parts.push(offsetsText(context, one.offsets));
  if (one.members.length > 0) parts.push(membersText(context, one.members));
  return parts.join('\n');
}

function offsetsText(context: Context, offsets: readonly OffsetRow[]): string {
  return context.table(
    [
      { title: 'topic' },
      { title: 'partition', align: 'right' },
      { title: 'committed', align: 'right' },
      { title: 'end', align: 'right' },
      { title: 'lag', align: 'right' },
      { title: 'client' },
    ],
    offsets.map(({ topic, partition, committed, end, lag, member }) => [
      topic,
      partition,
      committed ?? '-',
      end ?? '-',
      lag ?? '-',
      member?.clientId ?? '-',
    ]),
  );
}

function membersText(context: Context, members: readonly GroupMember[]): string {
  return context.table(
    [{ title: 'client' }, { title: 'host' }, { title: 'instance' }, { title: 'partitions' }],
    members.map(({ clientId, host, instanceId, assignments }) => [
      clientId,
      host.replace(/^\//, ''),
      instanceId ?? '-',
      assignments.map(({ topic, partitions }) => `${topic}:${partitions.join(',')}`).join(' ') || '-',
    ]),
  );
}

interface DeleteOptions {
  readonly yes?: boolean;
}

function addDelete(group: Command, runner: Runner): void {
  addCommand<DeleteOptions, [string[]]>(group, runner, {
    usage: 'delete <group...>',
    summary: 'Delete groups with their offsets',
    description: 'Delete groups with their offsets. A group that has members is refused.',
    options: [option('-y, --yes', 'do not ask')],
    examples: [['group delete billing', 'asks first']],
    async run(context, options, groups): Promise<ExitCode> {
      for (const one of groups) await existingGroup(context.cluster, one);
      const what = groups.length === 1 ? `group ${groups[0]}` : `groups ${groups.join(', ')}`;
      const yes = await context.confirm(`Delete ${what} with all offsets?`, { yes: options.yes ?? false });
      if (!yes) return nothingDeleted(context);
      for (const one of groups) await deleteGroup(context.cluster, one);
      await context.print({ deleted: groups }, () => groups.map((one) => `Deleted group ${one}.\n`).join(''));
      return EXIT.ok;
    },
  });
}

interface DeleteOffsetsOptions extends DeleteOptions {
  readonly topic?: readonly PartitionChoice[];
}

function addDeleteOffsets(group: Command, runner: Runner): void {
  addCommand<DeleteOffsetsOptions, [string]>(group, runner, {
    usage: 'delete-offsets <group>',
    summary: 'Delete what a group has committed for a topic',
    description: 'Delete what a group has committed for a topic that none of its members reads.',
    options: [
      option(
        '-t, --topic <topic[:partitions]>',
        'of which topic, such as orders or orders:0,2',
        parsePartitions,
      ),
      option('-y, --yes', 'do not ask'),
    ],
    examples: [['group delete-offsets billing --topic orders', 'asks first']],
    run: removeOffsets,
  });
}

async function removeOffsets(
  context: Context,
  options: DeleteOffsetsOptions,
  group: string,
): Promise<ExitCode> {
  const choices = options.topic ?? [];
  if (choices.length === 0) throw usageError('which topic?', 'Give --topic NAME.');
  await existingGroup(context.cluster, group);
  const committed = await committedOffsets(context.cluster, group);
  const chosen = committed.filter((one) =>
    choices.some(
      ({ topic, partitions }) => topic === one.topic && (partitions?.includes(one.partition) ?? true),
    ),
  );
  if (chosen.length === 0) {
    const message = `group ${group} has committed nothing for ${choices.map(({ topic }) => topic).join(', ')}`;
    throw new CliError(message, { code: 'NO_OFFSETS', exitCode: EXIT.notFound });
  }
  const list = chosen.map(partitionKey).join(', ');
  const yes = await context.confirm(`Delete the offsets of group ${group} for ${list}?`, {
    yes: options.yes ?? false,
  });
  if (!yes) return nothingDeleted(context);
  await deleteOffsets(context.cluster, group, chosen);
  const deleted = chosen.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
  await context.print({ group, deleted }, () =>
    chosen.map((one) => `Deleted offset ${one.offset} of ${partitionKey(one)}.\n`).join(''),
  );
  return EXIT.ok;
}

function nothingDeleted(context: Context): ExitCode {
  context.note('Nothing was deleted.');
  return EXIT.failed;
}
