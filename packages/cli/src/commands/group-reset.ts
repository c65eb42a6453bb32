import { OFFSET_EARLIEST, OFFSET_LATEST } from '@polylog/kafka-protocol';
import type { Command } from 'commander';
import type { Cluster } from '../client/cluster.ts';
import { commitOffsets, committedOffsets, describeGroup } from '../client/groups.ts';
import { offsetsAt, partitionKey, type TopicPartition } from '../client/offsets.ts';
import { addCommand, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { duration, integer, pointInTime } from '../values.ts';
import { parsePartitions, type PartitionChoice } from './partition-choice.ts';

interface ResetOptions {
  readonly topic?: readonly PartitionChoice[];
  readonly allTopics?: boolean;
  readonly toEarliest?: boolean;
  readonly toLatest?: boolean;
  readonly toOffset?: number;
  readonly toTime?: number;
  readonly byDuration?: number;
  readonly shiftBy?: number;
  readonly execute?: boolean;
}

const TARGETS = ['toEarliest', 'toLatest', 'toOffset', 'toTime', 'byDuration', 'shiftBy'] as const;
const TARGETS_TEXT = '--to-earliest, --to-latest, --to-offset, --to-time, --by-duration or --shift-by';

export function addResetCommand(group: Command, runner: Runner): void {
  addCommand<ResetOptions, [string]>(group, runner, {
    usage: 'reset <group>',
    summary: 'Move where a group goes on reading',
    description: 'Move where a group goes on reading. Shows what would change; --execute changes it.',
    options: [
      option(
        '-t, --topic <topic[:partitions]>',
        'for orders or orders:0,2; may be repeated',
        parsePartitions,
      ),
      option('--all-topics', 'for all that the group has committed'),
      option('--to-earliest', 'to the oldest message'),
      option('--to-latest', 'to the end: what is there now is skipped'),
      option('--to-offset <n>', 'to an offset', integer(0)),
      option('--to-time <time>', 'to the first message of that date or time, or later', pointInTime),
      option('--by-duration <duration>', 'to the first message that is younger', duration),
      option('--shift-by <n>', 'n messages on, or back if it is negative', integer(-Number.MAX_SAFE_INTEGER)),
      option('--execute', 'do it'),
    ],
    examples: [
      ['group reset billing --topic orders --to-earliest', 'what would be read again?'],
      ['group reset billing --topic orders --to-earliest --execute', 'read it again'],
      ['group reset billing --all-topics --by-duration 1h --execute', 'go back one hour'],
      ['group reset billing --topic orders:0 --shift-by -1 --execute', 'one message back in one partition'],
    ],
    notes: `
The group must not have members. Offsets that lie outside of a partition are
moved to its start or end. A group that does not exist comes into being.`,
    run: reset,
  });
}

async function reset(context: Context, options: ResetOptions, group: string): Promise<void> {
  check(options);
  const { cluster } = context;
  const described = await describeGroup(cluster, group);
  if (described !== undefined && described.members.length > 0) {
    throw new CliError(`group ${group} has ${described.members.length} members (${described.state})`, {
      code: 'NON_EMPTY_GROUP',
      hint: 'Stop its consumers first, or wait until their sessions have timed out.',
    });
  }
  const moves = await planned(cluster, options, group);
  if (options.execute === true) {
    await commitOffsets(
      cluster,
      group,
      moves.map((one) => ({ ...one.where, offset: one.after })),
    );
  }
  const executed = options.execute === true;
  const offsets = moves.map(({ where, before, after, end }) => ({
    ...where,
    before,
    after,
    lag: end - after,
  }));
  await context.print({ group, executed, offsets }, () => movesText(context, moves));
  if (!executed) context.note('Nothing was changed: --execute changes it.');
}

function check(options: ResetOptions): void {
  const targets = TARGETS.filter((name) => options[name] !== undefined);
  if (targets.length === 0) throw usageError('where to?', `Give ${TARGETS_TEXT}.`);
  if (targets.length > 1) throw usageError(`give one of ${TARGETS_TEXT}`);
  if ((options.topic === undefined) === (options.allTopics !== true)) {
    throw usageError('for which topics?', 'Give --topic NAME, or --all-topics.');
  }
}

interface Move {
  readonly where: TopicPartition;
  /** Null: nothing was committed. */
  readonly before: number | null;
  readonly after: number;
  readonly end: number;
}

async function planned(cluster: Cluster, options: ResetOptions, group: string): Promise<Move[]> {
  const committed = new Map((await committedOffsets(cluster, group)).map((one) => [partitionKey(one), one]));
  const partitions =
    options.topic === undefined ? [...committed.values()] : await chosen(cluster, options.topic);
  if (partitions.length === 0) {
    const message = `group ${group} has committed nothing`;
    throw new CliError(message, {
      code: 'NO_OFFSETS',
      exitCode: EXIT.notFound,
      hint: 'Name a topic with --topic.',
    });
  }
  const ask = async (timestamp: number): Promise<Map<string, number>> =>
    offsetsAt(
      cluster,
      partitions.map(({ topic, partition }) => ({ topic, partition, timestamp })),
    );
  const [starts, ends] = [await ask(OFFSET_EARLIEST), await ask(OFFSET_LATEST)];
  const timeMs = options.byDuration === undefined ? options.toTime : Date.now() - options.byDuration;
  const byTime = timeMs === undefined ? undefined : await ask(timeMs);
  return partitions.map(({ topic, partition }): Move => {
    const where = { topic, partition };
    const key = partitionKey(where);
    const [start, end, before] = [starts.get(key)!, ends.get(key)!, committed.get(key)?.offset ?? null];
    const wanted = target(options, where, { start, end, before, byTime: byTime?.get(key) });
    return { where, before, after: Math.min(Math.max(wanted, start), end), end };
  });
}

interface Known {
  readonly start: number;
  readonly end: number;
  readonly before: number | null;
  /** -1: no message is that young. */
  readonly byTime: number | undefined;
}

function target(options: ResetOptions, where: TopicPartition, { start, end, before, byTime }: Known): number {
  if (options.toEarliest === true) return start;
  if (options.toLatest === true) return end;
  if (options.toOffset !== undefined) return options.toOffset;
  if (byTime !== undefined) return byTime < 0 ? end : byTime;
  if (before === null) {
    throw new CliError(`nothing is committed for ${partitionKey(where)}, so it cannot be shifted`, {
      code: 'NO_OFFSETS',
      hint: 'Choose partitions with --topic NAME:0,1, or use --to-offset.',
    });
  }
  return before + (options.shiftBy ?? 0);
}

async function chosen(cluster: Cluster, choices: readonly PartitionChoice[]): Promise<TopicPartition[]> {
  const topics = await cluster.topicsNamed([...new Set(choices.map(({ topic }) => topic))]);
  return choices.flatMap(({ topic, partitions }) => {
    const count = topics.find(({ name }) => name === topic)!.partitions.length;
    const wanted = partitions ?? Array.from({ length: count }, (_, index) => index);
    const missing = wanted.find((partition) => partition >= count);
    if (missing !== undefined) {
      const message = `topic ${topic} has no partition ${missing}: it has ${count}`;
      throw new CliError(message, { code: 'UNKNOWN_TOPIC_OR_PARTITION', exitCode: EXIT.notFound });
    }
    return wanted.map((partition) => ({ topic, partition }));
  });
}

function movesText(context: Context, moves: readonly Move[]): string {
  return context.table(
    [
      { title: 'topic' },
      { title: 'partition', align: 'right' },
      { title: 'before', align: 'right' },
      { title: 'after', align: 'right' },
      { title: 'change', align: 'right' },
      { title: 'lag', align: 'right' },
    ],
    moves.map(({ where, before, after, end }) => [
      where.topic,
      where.partition,
      before ?? '-',
      after,
      before === null ? '-' : after > before ? `+${after - before}` : after - before,
      end - after,
    ]),
  );
}
