import {
  createPartitions,
  createTopics,
  deleteTopics,
  describeLogDirs,
  kafkaErrors,
  OFFSET_EARLIEST,
  OFFSET_LATEST,
} from '@polylog/kafka-protocol';
import type { Command } from 'commander';
import type { Cluster, TopicInfo } from '../client/cluster.ts';
import { alterConfigs, describeConfigs, RESOURCE_TOPIC, type ConfigEntry } from '../client/configs.ts';
import { offsetsAt, partitionKey } from '../client/offsets.ts';
import { addCommand, addGroup, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, protocolError, usageError } from '../errors.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { formatBytes } from '../output/units.ts';
import { collect, integer, nameValue, type NameValue } from '../values.ts';

const PARTITIONS_MAX = 100_000;
const BROKER_DEFAULT = -1;

export function addTopicCommands(program: Command, runner: Runner): void {
  const topic = addGroup(program, 'topic', 'Create, list, describe, alter and delete topics');
  addCreate(topic, runner);
  addList(topic, runner);
  addDescribe(topic, runner);
  addAlter(topic, runner);
  addDelete(topic, runner);
}

interface CreateOptions {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly config?: readonly NameValue[];
  readonly ifNotExists?: boolean;
  readonly dryRun?: boolean;
}

function addCreate(group: Command, runner: Runner): void {
  addCommand<CreateOptions, [string[]]>(group, runner, {
    usage: 'create <name...>',
    summary: 'Create topics',
    options: [
      option(
        '-p, --partitions <n>',
        "number of partitions (default: the broker's)",
        integer(1, PARTITIONS_MAX),
      ),
      option('-r, --replication-factor <n>', "copies of each partition (default: the broker's)", integer(1)),
      option('-c, --config <name=value>', 'setting of the topic; may be repeated', nameValue),
      option('--if-not-exists', 'a topic that exists is no error'),
      option('--dry-run', 'check only, create nothing'),
    ],
    examples: [
      ['topic create orders', 'a topic as the broker makes them by default'],
      ['topic create orders -p 6 -c retention.ms=86400000', 'six partitions, kept for a day'],
    ],
    run: create,
  });
}

async function create(context: Context, options: CreateOptions, names: string[]): Promise<void> {
  const { partitions = BROKER_DEFAULT, replicationFactor = BROKER_DEFAULT, config = [] } = options;
  const answer = await context.cluster.request(createTopics, {
    topics: names.map((name) => ({
      name,
      numPartitions: partitions,
      replicationFactor,
      assignments: [],
      configs: [...config],
    })),
    timeoutMs: context.timeoutMs,
    validateOnly: options.dryRun ?? false,
  });
  const isFine = ({ errorCode }: { readonly errorCode: number }): boolean =>
    errorCode === 0 || (errorCode === kafkaErrors.TOPIC_ALREADY_EXISTS.code && options.ifNotExists === true);
  const refused = answer.topics.find((topic) => !isFine(topic));
  const created = answer.topics.filter(({ errorCode }) => errorCode === 0 && options.dryRun !== true);
  if (refused !== undefined) throw refusedTopic('create', refused, doneText('Created', created));
  const made = answer.topics.map((topic) => ({
    name: topic.name,
    id: created.includes(topic) ? topic.topicId : null,
    partitions: topic.numPartitions,
    replicationFactor: topic.replicationFactor,
    created: created.includes(topic),
  }));
  await context.print({ topics: made }, () =>
    made.map((topic) => `${createdText(topic, options.dryRun === true)}\n`).join(''),
  );
}

function createdText(
  topic: { readonly name: string; readonly partitions: number; readonly created: boolean },
  dryRun: boolean,
): string {
  if (dryRun) return `Topic ${topic.name} could be created with ${partitionsText(topic.partitions)}.`;
  if (!topic.created) return `Topic ${topic.name} exists already.`;
  return `Created topic ${topic.name} with ${partitionsText(topic.partitions)}.`;
}

function partitionsText(count: number): string {
  return count === 1 ? '1 partition' : `${count} partitions`;
}

function refusedTopic(
  action: string,
  topic: { readonly name: string | null; readonly errorCode: number; readonly errorMessage: string | null },
  hint?: string,
): CliError {
  return protocolError(
    topic.errorCode,
    `cannot ${action} topic ${topic.name ?? ''}`,
    topic.errorMessage,
    hint,
  );
}

/** What a request did for other topics than the one that failed; undefined for nothing. */
function doneText(verb: string, topics: readonly { readonly name: string | null }[]): string | undefined {
  return topics.length === 0
    ? undefined
    : `${verb} nevertheless: ${topics.map(({ name }) => name).join(', ')}.`;
}

interface ListOptions {
  readonly internal?: boolean;
}

function addList(group: Command, runner: Runner): void {
  addCommand<ListOptions, []>(group, runner, {
    usage: 'list',
    summary: 'List topics',
    options: [option('--internal', "show the broker's own topics too")],
    examples: [
      ['topic list', 'all topics of the applications'],
      ["topic list --json | jq -r '.topics[].name'", 'their names alone'],
    ],
    async run(context, options) {
      const all = await context.cluster.topics();
      const topics = all
        .filter(({ internal }) => options.internal === true || !internal)
        .map(({ name, id, internal, partitions }) => ({
          name,
          id,
          internal,
          partitions: partitions.length,
          replicationFactor: replicationFactorOf(partitions),
        }));
      await context.print({ topics }, () => topicsText(context, topics));
      if (topics.length === 0) context.note('No topics yet. `polylog topic create NAME` makes one.');
    },
  });
}

interface TopicRow {
  readonly name: string;
  readonly internal: boolean;
  readonly partitions: number;
  readonly replicationFactor: number;
}

function topicsText(context: Context, topics: readonly TopicRow[]): string {
  if (topics.length === 0) return '';
  return context.table(
    [{ title: 'topic' }, { title: 'partitions', align: 'right' }, { title: 'replicas', align: 'right' }],
    topics.map(({ name, partitions, replicationFactor }) => [name, partitions, replicationFactor]),
  );
}

function replicationFactorOf(partitions: TopicInfo['partitions']): number {
  return partitions[0]?.replicas.length ?? 0;
}

function addDescribe(group: Command, runner: Runner): void {
  addCommand<object, [string[]]>(group, runner, {
    usage: 'describe <name...>',
    summary: 'Show partitions, offsets, sizes and settings of topics',
    examples: [['topic describe orders', 'one topic']],
    notes: `
START and END are the first offset and the one that the next record gets. Only
settings that differ from the broker's are shown: see \`polylog config list\`.`,
    async run(context, _options, names) {
      const topics = await context.cluster.topicsNamed(names);
      const described: TopicDescription[] = [];
      for (const topic of topics) described.push(await describeTopic(context.cluster, topic));
      await context.print({ topics: described.map(descriptionJson) }, () =>
        described.map((topic) => descriptionText(context, topic)).join('\n'),
      );
    },
  });
}

interface TopicDescription {
  readonly topic: TopicInfo;
  readonly configs: readonly ConfigEntry[];
  readonly partitions: readonly (TopicInfo['partitions'][number] & {
    /** Null without a leader. */
    readonly startOffset: number | null;
    readonly endOffset: number | null;
    /** On the leader; null if it does not say. */
    readonly bytes: number | null;
  })[];
}

async function describeTopic(cluster: Cluster, topic: TopicInfo): Promise<TopicDescription> {
  const led = topic.partitions.filter(({ leader }) => leader >= 0);
  const ask = (timestamp: number): Promise<Map<string, number>> =>
    offsetsAt(
      cluster,
      led.map(({ partition }) => ({ topic: topic.name, partition, timestamp })),
    );
  const [starts, ends] = [await ask(OFFSET_EARLIEST), await ask(OFFSET_LATEST)];
  const sizes = await sizesOf(cluster, topic);
  const { configs } = await describeConfigs(cluster, { type: RESOURCE_TOPIC, name: topic.name });
  return {
    topic,
    configs: configs.filter(({ source }) => source === 'topic'),
    partitions: topic.partitions.map((partition) => {
      const key = partitionKey({ topic: topic.name, partition: partition.partition });
      const [startOffset = null, endOffset = null] = [starts.get(key), ends.get(key)];
      return { ...partition, startOffset, endOffset, bytes: sizes.get(partition.partition) ?? null };
    }),
  };
}

/** Bytes of each partition on its leader. */
async function sizesOf(cluster: Cluster, topic: TopicInfo): Promise<Map<number, number>> {
  const sizes = new Map<number, number>();
  for (const [node, led] of Map.groupBy(topic.partitions, ({ leader }) => leader)) {
    if (node < 0) continue;
    const partitions = led.map(({ partition }) => partition);
    const body = { topics: [{ topic: topic.name, partitions }] };
    const answer = await cluster.request(describeLogDirs, body, { node });
    for (const { topics } of answer.results) {
      for (const { partitionIndex, partitionSize, isFutureKey } of topics[0]?.partitions ?? []) {
        if (!isFutureKey) sizes.set(partitionIndex, partitionSize);
      }
    }
  }
  return sizes;
}

function descriptionJson({ topic, configs, partitions }: TopicDescription): object {
  return {
    name: topic.name,
    id: topic.id,
    internal: topic.internal,
    replicationFactor: replicationFactorOf(topic.partitions),
    configs: Object.fromEntries(configs.map(({ name, value }) => [name, value])),
    partitions,
  };
}

function descriptionText(context: Context, { topic, configs, partitions }: TopicDescription): string {
  const settings = configs.map(({ name, value }) => `${name}=${value ?? '(hidden)'}`);
  const facts: [string, string | number][] = [
    ['Topic', topic.internal ? `${topic.name} (internal)` : topic.name],
    ['Id', topic.id],
    ['Partitions', topic.partitions.length],
    ['Replicas', replicationFactorOf(topic.partitions)],
    ['Size', formatBytes(sum(partitions.map(({ bytes }) => bytes ?? 0)))],
    ['Settings', settings.length === 0 ? "all as the broker's" : settings[0]!],
    ...settings.slice(1).map((line): [string, string] => ['', line]),
  ];
  const table = context.table(
    [
      { title: 'partition', align: 'right' },
      { title: 'leader', align: 'right' },
      { title: 'replicas' },
      { title: 'in sync' },
      { title: 'start', align: 'right' },
      { title: 'end', align: 'right' },
      { title: 'size', align: 'right' },
    ],
    partitions.map((one) => [
      one.partition,
      one.leader < 0 ? 'none' : one.leader,
      one.replicas.join(','),
      one.isr.join(','),
      one.startOffset ?? '-',
      one.endOffset ?? '-',
      one.bytes === null ? '-' : formatBytes(one.bytes),
    ]),
  );
  return `${context.facts(facts)}\n${table}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

interface AlterOptions {
  readonly partitions?: number;
  readonly config?: readonly NameValue[];
  readonly unset?: readonly string[];
}

function addAlter(group: Command, runner: Runner): void {
  addCommand<AlterOptions, [string]>(group, runner, {
    usage: 'alter <name>',
    summary: 'Add partitions to a topic, or change its settings',
    options: [
      option(
        '-p, --partitions <n>',
        'new number of partitions; it can only grow',
        integer(1, PARTITIONS_MAX),
      ),
      option('-c, --config <name=value>', 'setting to change; may be repeated', nameValue),
      option('--unset <name>', "setting that goes back to the broker's; may be repeated", collect),
    ],
    examples: [
      ['topic alter orders -p 12', 'twelve partitions from now on'],
      ['topic alter orders -c cleanup.policy=compact --unset retention.ms', 'two settings at once'],
    ],
    notes: 'With more partitions, keys move: records of one key may lie in two partitions.',
    run: alter,
  });
}

async function alter(context: Context, options: AlterOptions, name: string): Promise<void> {
  const { partitions, config = [], unset = [] } = options;
  if (partitions === undefined && config.length === 0 && unset.length === 0) {
    throw usageError('nothing to change', 'Give --partitions, --config or --unset.');
  }
  const topic = await context.cluster.topic(name);
  if (config.length > 0 || unset.length > 0) {
    await alterConfigs(context.cluster, { type: RESOURCE_TOPIC, name }, { set: config, unset });
  }
  if (partitions !== undefined) {
    const answer = await context.cluster.request(createPartitions, {
      topics: [{ name, count: partitions, assignments: null }],
      timeoutMs: context.timeoutMs,
      validateOnly: false,
    });
    const result = answer.results[0]!;
    if (result.errorCode !== 0) throw refusedTopic('add partitions to', result);
  }
  const count = partitions ?? topic.partitions.length;
  const changes = {
    name,
    partitions: count,
    set: Object.fromEntries(config.map((one) => [one.name, one.value])),
    unset,
  };
  await context.print(changes, () =>
    [
      ...config.map((one) => `Set ${one.name}=${one.value} on topic ${name}.\n`),
      ...unset.map((one) => `Topic ${name} takes ${one} from the broker again.\n`),
      ...(partitions === undefined ? [] : [`Topic ${name} has ${partitionsText(partitions)} now.\n`]),
    ].join(''),
  );
}

interface DeleteOptions {
  readonly yes?: boolean;
  readonly ifExists?: boolean;
}

function addDelete(group: Command, runner: Runner): void {
  addCommand<DeleteOptions, [string[]]>(group, runner, {
    usage: 'delete <name...>',
    summary: 'Delete topics with all their messages',
    options: [
      option('-y, --yes', 'do not ask'),
      option('--if-exists', 'a topic that does not exist is no error'),
    ],
    examples: [
      ['topic delete orders', 'asks first'],
      ['topic delete --yes --if-exists orders', 'for scripts'],
    ],
    run: remove,
  });
}

async function remove(context: Context, options: DeleteOptions, names: string[]): Promise<ExitCode> {
  const known = new Set((await context.cluster.metadata(null)).topics.map(({ name }) => name));
  const missing = names.filter((name) => !known.has(name));
  if (missing[0] !== undefined && options.ifExists !== true)
    throw await context.cluster.unknownTopic(missing[0]);
  const present = names.filter((name) => known.has(name));
  if (present.length > 0) {
    const what = present.length === 1 ? `topic ${present[0]}` : `topics ${present.join(', ')}`;
    const yes = await context.confirm(`Delete ${what} with all messages?`, { yes: options.yes ?? false });
    if (!yes) return notDeleted(context);
    const answer = await context.cluster.request(deleteTopics, {
      topics: present.map((name) => ({ name })),
      topicNames: present,
      timeoutMs: context.timeoutMs,
    });
    const refused = answer.responses.find(({ errorCode }) => errorCode !== 0);
    const gone = answer.responses.filter(({ errorCode }) => errorCode === 0);
    if (refused !== undefined) throw refusedTopic('delete', refused, doneText('Deleted', gone));
  }
  await context.print({ deleted: present, missing }, () =>
    [
      ...present.map((name) => `Deleted topic ${name}.\n`),
      ...missing.map((name) => `There was no topic ${name}.\n`),
    ].join(''),
  );
  return EXIT.ok;
}

function notDeleted(context: Context): ExitCode {
  context.note('Nothing was deleted.');
  return EXIT.failed;
}
