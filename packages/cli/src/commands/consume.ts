import { OFFSET_EARLIEST, OFFSET_LATEST } from '@polylog/kafka-protocol';
import type { Command } from 'commander';
import type { TopicInfo } from '../client/cluster.ts';
import { Fetcher, type Position } from '../client/fetcher.ts';
import { offsetsAt, partitionKey, type TopicPartition } from '../client/offsets.ts';
import { addCommand, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { Progress } from '../output/progress.ts';
import { recordToJson, type ConsumedRecord } from '../output/record-json.ts';
import { compileTemplate } from '../output/template.ts';
import { counted } from '../output/units.ts';
import { duration, integer, integers, pointInTime, unescape } from '../values.ts';

/** Written at once: whichever comes first. */
const WRITE_BYTES = 64 * 1024;
const WRITE_CHUNKS = 4096;

interface ConsumeOptions {
  readonly fromBeginning?: boolean;
  readonly fromEnd?: boolean;
  readonly offset?: number;
  readonly fromTime?: number;
  readonly since?: number;
  readonly tail?: number;
  readonly partition?: readonly number[];
  readonly group?: string;
  readonly follow?: boolean;
  readonly maxMessages?: number;
  readonly format: string;
  readonly keySeparator?: string;
  readonly delimiter: string;
  readonly nullMarker: string;
}

const STARTS = ['fromBeginning', 'fromEnd', 'offset', 'fromTime', 'since', 'tail'] as const;
const STARTS_TEXT = '--from-beginning, --from-end, --offset, --from-time, --since and --tail';

const NOTES = `
Formats: \`text\` is the value and a newline, \`raw\` the value alone, \`hex\` the
value in hexadecimal digits, \`json\` one object per line. Anything with braces is
a template of {topic} {partition} {offset} {timestamp} {time} {key} {value}
{headers} {header.NAME} {keysize} {valuesize}; {key:hex}, {value:base64} and
{value:json} change the form; \\n, \\t, \\0, \\\\ and \\xHH are escapes.

Without --follow it ends where the topic ended when it began. Messages are in
order within each partition. With --group partitions are shared between the
members, and what was printed is committed; Ctrl-C commits and leaves.`;

export function addConsumeCommand(program: Command, runner: Runner): void {
  addCommand<ConsumeOptions, [string[]]>(program, runner, {
    usage: 'consume <topic...>',
    summary: 'Print messages',
    options: [
      option('--from-beginning', 'start with the oldest message (the default)'),
      option('--from-end', 'start with the next message: only with --follow or --group'),
      option('-o, --offset <n>', 'start there, in each partition', integer(0)),
      option(
        '--from-time <time>',
        'start with the first message of that date or time, or later',
        pointInTime,
      ),
      option('--since <duration>', 'start with the first message that is younger', duration),
      option('--tail <n>', 'start with the last n messages of each partition', integer(0)),
      option('-p, --partition <n>', 'only that partition; may be repeated', integers(0)),
      option('-g, --group <id>', 'join a consumer group: go on where it has committed'),
      option('-f, --follow', 'wait for more at the end'),
      option('-n, --max-messages <n>', 'end after n messages', integer(1)),
      option('--format <format>', 'text, json, raw, hex, or a template').default('text'),
      option('-K, --key-separator <text>', 'print keys, and this before the value (text and hex)', unescape),
      option('-d, --delimiter <text>', 'what follows a message (text and hex)', unescape).default(
        '\n',
        'newline',
      ),
      option('--null-marker <text>', 'what is printed for null').default('', 'nothing'),
    ],
    examples: [
      ['consume greetings', 'all there is'],
      ['consume orders -f --tail 10 -K :', 'the last ten of each partition, then what comes, with keys'],
      ['consume orders --since 1h --format json | jq .value', 'the last hour, for programs'],
      ["consume orders -p 0 -o 42 -n 1 --format '{time} {key} {value:hex}\\n'", 'one message'],
      ['consume orders -g billing -f', 'as a member of a consumer group'],
    ],
    notes: NOTES,
    run: consume,
  });
}

async function consume(context: Context, given: ConsumeOptions, names: string[]): Promise<void> {
  // --json means the same here as --format json.
  const options = context.json && given.format === 'text' ? { ...given, format: 'json' } : given;
  check(options);
  const format = formatter(options);
  const topics = await context.cluster.topicsNamed(names);
  const progress = new Progress(context.stderr, context.stdout.isTTY);
  const printer = new Printer(context, format, options.maxMessages ?? Infinity, progress);
  try {
    if (options.group === undefined) await readPartitions(context, options, topics, printer);
    else await readAsMember(context, options, options.group, names, printer);
  } finally {
    progress.clear();
  }
}

function check(options: ConsumeOptions): void {
  const starts = STARTS.filter((name) => options[name] !== undefined);
  if (starts.length > 1) throw usageError(`${STARTS_TEXT} exclude each other`);
  if (options.group !== undefined) {
    if (starts.some((name) => name !== 'fromBeginning' && name !== 'fromEnd')) {
      throw usageError(
        'a group starts where it has committed: --from-beginning or --from-end say where it starts without that',
        '`polylog group reset` moves a group.',
      );
    }
    if (options.partition !== undefined) throw usageError('--group and --partition exclude each other');
  } else if (options.fromEnd === true && options.follow !== true) {
    throw usageError('--from-end without --follow prints nothing', 'Add --follow.');
  }
}

/** Adds what is printed for a record to a list of chunks. */
type Format = (record: ConsumedRecord, chunks: Uint8Array[]) => void;

function formatter(options: ConsumeOptions): Format {
  const { format, nullMarker } = options;
  const none = Buffer.from(nullMarker);
  if (format === 'json') return (record, chunks) => chunks.push(Buffer.from(`${recordToJson(record)}\n`));
  if (format === 'raw') return ({ value }, chunks) => chunks.push(value ?? none);
  if (format === 'text' || format === 'hex') return lineFormat(options, none);
  if (!format.includes('{')) {
    throw usageError(
      `"${format}" is not a format`,
      "Give text, json, raw, hex, or a template such as '{offset} {key} {value}\\n'.",
    );
  }
  const template = compileTemplate(format, nullMarker);
  return (record, chunks) => chunks.push(template(record));
}

function lineFormat({ format, keySeparator, delimiter }: ConsumeOptions, none: Uint8Array): Format {
  const ending = Buffer.from(delimiter);
  const separator = keySeparator === undefined ? undefined : Buffer.from(keySeparator);
  const form = (bytes: Uint8Array | null): Uint8Array => {
    if (bytes === null) return none;
    return format === 'hex' ? Buffer.from(Buffer.from(bytes).toString('hex')) : bytes;
  };
  return ({ key, value }, chunks) => {
    if (separator !== undefined) chunks.push(form(key), separator);
    chunks.push(form(value), ending);
  };
}

/** Prints records, counts them, and waits while the reader of the output is behind. */
class Printer {
  readonly #context: Context;
  readonly #format: Format;
  readonly #max: number;
  readonly #progress: Progress;
  #printed = 0;

  constructor(context: Context, format: Format, max: number, progress: Progress) {
    this.#context = context;
    this.#format = format;
    this.#max = max;
    this.#progress = progress;
  }

  get remaining(): number {
    return this.#max - this.#printed;
  }

  async print(records: readonly ConsumedRecord[]): Promise<void> {
    let chunks: Uint8Array[] = [];
    let bytes = 0;
    for (const record of records) {
      if (this.remaining <= 0) break;
      this.#format(record, chunks);
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      this.#printed++;
      if (bytes < WRITE_BYTES && chunks.length < WRITE_CHUNKS) continue;
      await this.#context.write(Buffer.concat(chunks));
      [chunks, bytes] = [[], 0];
    }
    if (chunks.length > 0) await this.#context.write(Buffer.concat(chunks));
    this.#progress.update(() => counted(this.#printed, 'message'));
  }
}

async function readPartitions(
  context: Context,
  options: ConsumeOptions,
  topics: readonly TopicInfo[],
  printer: Printer,
): Promise<void> {
  const partitions = topics.flatMap((topic) => selectedPartitions(topic, options.partition));
  const positions = await startPositions(context, options, partitions);
  const fetcher = new Fetcher(context.cluster, {
    positions,
    signal: context.signal,
    async onRecords(records) {
      await printer.print(records);
      return printer.remaining > 0;
    },
    onRemark: (text) => context.note(text),
  });
  await fetcher.run();
}

function selectedPartitions(topic: TopicInfo, wanted: readonly number[] | undefined): TopicPartition[] {
  const all = topic.partitions.map(({ partition }) => ({ topic: topic.name, partition }));
  if (wanted === undefined) return all;
  return [...new Set(wanted)].map((partition) => {
    const found = all.find((one) => one.partition === partition);
    if (found !== undefined) return found;
    const message = `topic ${topic.name} has no partition ${partition}: it has ${all.length}`;
    throw new CliError(message, { code: 'UNKNOWN_TOPIC_OR_PARTITION', exitCode: EXIT.notFound });
  });
}

async function startPositions(
  context: Context,
  options: ConsumeOptions,
  partitions: readonly TopicPartition[],
): Promise<Position[]> {
  const ask = (timestamp: number): Promise<Map<string, number>> =>
    offsetsAt(
      context.cluster,
      partitions.map((one) => ({ ...one, timestamp })),
    );
  const [starts, ends] = [await ask(OFFSET_EARLIEST), await ask(OFFSET_LATEST)];
  const timeMs = options.since === undefined ? options.fromTime : Date.now() - options.since;
  const byTime = timeMs === undefined ? undefined : await ask(timeMs);
  return partitions.map((one) => {
    const [start, end] = [starts.get(partitionKey(one))!, ends.get(partitionKey(one))!];
    const endOffset = options.follow === true ? Infinity : end;
    return {
      ...one,
      endOffset,
      offset: startOffset(options, one, { start, end, byTime: byTime?.get(partitionKey(one)) }),
    };
  });
}

function startOffset(
  options: ConsumeOptions,
  one: TopicPartition,
  {
    start,
    end,
    byTime,
  }: { readonly start: number; readonly end: number; readonly byTime: number | undefined },
): number {
  if (byTime !== undefined) return byTime < 0 ? end : byTime;
  if (options.fromEnd === true) return end;
  if (options.tail !== undefined) return Math.max(start, end - options.tail);
  const { offset = start } = options;
  if (offset < start || offset > end) {
    const has =
      start === end ? `it is empty, and its next offset is ${end}` : `it holds ${start} to ${end - 1}`;
    throw new CliError(`${partitionKey(one)} has no offset ${offset}: ${has}`, {
      code: 'OFFSET_OUT_OF_RANGE',
      hint: 'Choose a partition with --partition, or start with --from-time, --since or --tail.',
    });
  }
  return offset;
}

async function readAsMember(
  context: Context,
  options: ConsumeOptions,
  group: string,
  topics: readonly string[],
  printer: Printer,
): Promise<void> {
  // The client library for groups takes longer to load than everything else together: only who needs it waits.
  const { GroupReader } = await import('../client/group-reader.ts');
  const reader = new GroupReader(context.cluster, {
    bootstrap: context.bootstrap,
    security: context.security,
    group,
    topics,
    fromEnd: options.fromEnd === true,
    follow: options.follow === true,
    signal: context.signal,
    async onRecords(records) {
      await printer.print(records);
      return context.stdout.errored === null;
    },
    remaining: () => printer.remaining,
    onRemark: (text) => context.note(text),
  });
  await reader.run();
}
