import { setTimeout as sleep } from 'node:timers/promises';
import { CODECS, type Codec } from '@polylog/bytes';
import type { NewRecord } from '@polylog/record';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { TopicProducer } from '../client/producer.ts';
import { addCommand, option, type Runner } from '../command.ts';
import type { Context } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { openInput, splitStream } from '../input.ts';
import { Progress } from '../output/progress.ts';
import { recordFromJson } from '../output/record-json.ts';
import { counted, formatBytes } from '../output/units.ts';
import { integer, nameValue, rate, unescape, type NameValue } from '../values.ts';

/** Pauses shorter than this are left to add up. */
const PAUSE_MS_MIN = 2;

interface ProduceOptions {
  readonly keySeparator?: string;
  readonly key?: string;
  readonly value?: string;
  readonly file?: string;
  readonly delimiter: string;
  readonly input: 'lines' | 'json';
  readonly header?: readonly NameValue[];
  readonly nullMarker?: string;
  readonly partition?: number;
  readonly compression: Codec;
  readonly acks: 0 | 1 | -1;
  readonly idempotence: boolean;
  readonly count?: number;
  readonly rate?: number;
}

const ACKS: Readonly<Record<string, 0 | 1 | -1>> = { 0: 0, 1: 1, all: -1, '-1': -1 };

function acks(text: string): 0 | 1 | -1 {
  const value = ACKS[text];
  if (value === undefined) throw new InvalidArgumentError('Give 0, 1 or all.');
  return value;
}

export function addProduceCommand(program: Command, runner: Runner): void {
  addCommand<ProduceOptions, [string]>(program, runner, {
    usage: 'produce <topic>',
    summary: 'Send messages: lines of the input, or one from the command line',
    options: [
      option('-K, --key-separator <text>', 'what stands between key and value of a line', unescape),
      option('-k, --key <text>', 'key of all messages'),
      option('-v, --value <text>', 'send this instead of the input; {i} is replaced by 0, 1, ...'),
      option('-f, --file <path>', 'read this instead of stdin'),
      option('-d, --delimiter <text>', 'what ends a message', unescape).default('\n', 'newline'),
      new Option('--input <form>', 'lines, or JSON lines as `consume --format json` prints them')
        .choices(['lines', 'json'])
        .default('lines'),
      option('-H, --header <name=value>', 'header of all messages; may be repeated', nameValue),
      option('--null-marker <text>', 'a value of exactly this text is null: a tombstone'),
      option('-p, --partition <n>', 'send there (default: by key, else in turn)', integer(0)),
      new Option('-z, --compression <codec>', 'how to compress batches').choices([...CODECS]).default('none'),
      option(
        '-a, --acks <acks>',
        'who acknowledges: 0 (nobody), 1 (the leader) or all (replicas in sync)',
        acks,
      ).default(-1, 'all'),
      option('--no-idempotence', 'let retries make duplicates (always so unless acks is all)'),
      option('-n, --count <n>', 'stop after n messages; with --value: send it n times', integer(1)),
      option('--rate <n>', 'messages per second at most, such as 100 or 6000/m', rate),
    ],
    examples: [
      ['produce greetings', 'type lines, end with Ctrl-D'],
      ['produce orders -K : -H source=shop < orders.txt', 'keys before the first colon, a header for all'],
      ["produce load -v 'message {i}' -n 10000 --rate 500", 'ten thousand messages in twenty seconds'],
      ["produce orders -k order-7 -v '' --null-marker ''", 'a tombstone'],
      ['consume a --format json | polylog produce b --input json', 'copy a topic, keys and headers included'],
    ],
    notes: `
In texts, \\n, \\t, \\0, \\\\ and \\xHH stand for characters that are hard to type.`,
    run: produce,
  });
}

async function produce(context: Context, options: ProduceOptions, topic: string): Promise<void> {
  check(options);
  const producer = await TopicProducer.open(context.cluster, topic, {
    acks: options.acks,
    codec: options.compression,
    idempotent: options.idempotence && options.acks === -1,
    partition: options.partition,
  });
  const progress = new Progress(context.stderr, context.stdin.isTTY && options.value === undefined);
  const pacer = new Pacer(options.rate);
  let records = 0;
  let bytes = 0;
  try {
    for await (const record of recordsOf(context, options)) {
      const wait = producer.append(record) ?? pacer.pause(records, context.signal);
      if (wait !== undefined) await wait;
      records++;
      bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0);
      progress.update(() => `${counted(records, 'message')}, ${formatBytes(bytes)} sent`);
      if (context.signal.aborted) break;
    }
    await producer.flush();
  } finally {
    progress.clear();
  }
  if (context.json) await context.print({ topic, records, bytes, partitions: producer.report() }, () => '');
  context.note(`Sent ${counted(records, 'message')} to ${topic}.`);
}

function check(options: ProduceOptions): void {
  if (options.value !== undefined && options.file !== undefined) {
    throw usageError('--value and --file exclude each other');
  }
  if (options.key !== undefined && options.keySeparator !== undefined) {
    throw usageError('--key and --key-separator exclude each other');
  }
  if (options.input === 'json' && (options.keySeparator ?? options.value) !== undefined) {
    throw usageError('--input json brings keys and values: leave out --key-separator and --value');
  }
  if (options.keySeparator === '' || options.delimiter === '')
    throw usageError('a separator must not be empty');
}

/** All records, made one by one as they are taken. */
async function* recordsOf(context: Context, options: ProduceOptions): AsyncGenerator<NewRecord> {
  const headers = (options.header ?? []).map(({ name, value }) => ({ key: name, value: Buffer.from(value) }));
  const parse = parserOf(options, headers);
  if (options.value !== undefined) {
    for (let index = 0; index < (options.count ?? 1); index++) {
      yield parse(Buffer.from(options.value.replaceAll('{i}', String(index))), index + 1);
    }
    return;
  }
  if (options.file === undefined && context.stdin.isTTY)
    context.note('Type messages, one per line; Ctrl-D ends.');
  const input = options.file === undefined ? context.stdin : openInput(options.file);
  let line = 0;
  for await (const parts of splitStream(input, Buffer.from(options.delimiter), context.signal)) {
    for (const part of parts) {
      yield parse(part, ++line);
      if (line === options.count) return;
    }
  }
}

type Parser = (part: Buffer, line: number) => NewRecord;

function parserOf(options: ProduceOptions, headers: NewRecord['headers']): Parser {
  const { nullMarker } = options;
  const separator = options.keySeparator === undefined ? undefined : Buffer.from(options.keySeparator);
  const marker = nullMarker === undefined ? undefined : Buffer.from(nullMarker);
  const fixedKey = options.key === undefined ? null : Buffer.from(options.key);
  const withHeaders = headers === undefined || headers.length === 0 ? {} : { headers };
  if (options.input === 'json') {
    return (part, line) => {
      const record = recordFromJson(part.toString('utf8'), `line ${line}`);
      return { ...record, headers: [...(record.headers ?? []), ...(headers ?? [])] };
    };
  }
  return (part, line) => {
    let [key, value]: [Buffer | null, Buffer] = [fixedKey, part];
    if (separator !== undefined) {
      const at = part.indexOf(separator);
      if (at < 0) {
        const shown = JSON.stringify(options.keySeparator);
        throw new CliError(`line ${line} has no key separator ${shown}`, { code: 'NO_KEY_SEPARATOR' });
      }
      [key, value] = [part.subarray(0, at), part.subarray(at + separator.length)];
    }
    const isNull = marker !== undefined && value.equals(marker);
    return { key, value: isNull ? null : value, timestamp: Date.now(), ...withHeaders };
  };
}

/** Holds a rate, measured from the first record. */
class Pacer {
  readonly #perSecond: number | undefined;
  readonly #startedMs = performance.now();

  constructor(perSecond: number | undefined) {
    this.#perSecond = perSecond;
  }

  pause(recordsBefore: number, signal: AbortSignal): Promise<void> | undefined {
    if (this.#perSecond === undefined) return undefined;
    const dueMs = this.#startedMs + ((recordsBefore + 1) / this.#perSecond) * 1000;
    const pauseMs = dueMs - performance.now();
    if (pauseMs < PAUSE_MS_MIN) return undefined;
    return sleep(pauseMs, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
