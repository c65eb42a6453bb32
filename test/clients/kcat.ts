import assert from 'node:assert/strict';
import { runOk } from '../peers/process.ts';

/** A record as a reader sees it. Headers in order; a repeated name keeps each of its values. */
export interface ReadRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly timestampMs: number;
}

export interface KcatProduceOptions {
  readonly partition?: number;
  /** Between key and value of a line; without it lines are values. */
  readonly keySeparator?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** none, gzip, snappy, lz4 or zstd. */
  readonly codec?: string;
  /** librdkafka's settings. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Produces each line as a record; resolves when all are acknowledged as the settings say. */
export async function kcatProduce(
  address: string,
  topic: string,
  lines: readonly string[],
  { partition, keySeparator, headers = {}, codec, settings = {} }: KcatProduceOptions = {},
): Promise<void> {
  const args = ['-P', '-b', address, '-t', topic];
  if (partition !== undefined) args.push('-p', String(partition));
  if (keySeparator !== undefined) args.push('-K', keySeparator);
  if (codec !== undefined) args.push('-z', codec);
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}=${value}`);
  for (const [name, value] of Object.entries(settings)) args.push('-X', `${name}=${value}`);
  await runOk('kcat', args, { input: lines.map((line) => `${line}\n`).join('') });
}

export interface KcatReadOptions {
  readonly partition?: number;
  readonly from?: string;
  /** librdkafka's settings. */
  readonly settings?: Readonly<Record<string, string>>;
}

const FIELD = '\u001f';
const RECORD = '\u001e';

/** Reads one partition from an offset (or kcat's words for one: `beginning`, `-3`, `s@TIMESTAMP`) to its end. */
export async function kcatRead(
  address: string,
  topic: string,
  { partition = 0, from = 'beginning', settings = {} }: KcatReadOptions = {},
): Promise<ReadRecord[]> {
  // %K and %S are the lengths of key and value, -1 for null; %h joins name=value by commas.
  const format = ['%o', '%K', '%k', '%S', '%s', '%T', '%h'].join(FIELD) + RECORD;
  const args = [
    '-C',
    '-q',
    '-e',
    '-b',
    address,
    '-t',
    topic,
    '-p',
    String(partition),
    '-o',
    from,
    '-f',
    format,
  ];
  for (const [name, value] of Object.entries(settings)) args.push('-X', `${name}=${value}`);
  const { stdout } = await runOk('kcat', args);
  return stdout.split(RECORD).slice(0, -1).map(parseRecord);
}

function parseRecord(line: string): ReadRecord {
  const [offset, keyLength, key, valueLength, value, timestamp, headers] = line.split(FIELD);
  assert.ok(
    headers !== undefined && key !== undefined && value !== undefined,
    `unexpected output of kcat: ${line}`,
  );
  return {
    offset: Number(offset),
    key: keyLength === '-1' ? null : key,
    value: valueLength === '-1' ? null : value,
    timestampMs: Number(timestamp),
    headers: headers === '' ? [] : headers.split(',').map(splitHeader),
  };
}

function splitHeader(header: string): [string, string] {
  const at = header.indexOf('=');
  return [header.slice(0, at), header.slice(at + 1)];
}

export interface KcatMetadata {
  readonly brokers: readonly { readonly id: number; readonly name: string }[];
  readonly topics: readonly {
    readonly topic: string;
    readonly error?: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly leader: number;
      readonly replicas: readonly { readonly id: number }[];
      readonly isrs: readonly { readonly id: number }[];
    }[];
  }[];
}

/** Metadata of all topics, or of one. */
export async function kcatMetadata(address: string, topic?: string): Promise<KcatMetadata> {
  const { stdout } = await runOk('kcat', [
    '-L',
    '-J',
    '-b',
    address,
    ...(topic === undefined ? [] : ['-t', topic]),
  ]);
  return JSON.parse(stdout) as KcatMetadata;
}

/** The offset of the first record at or after a timestamp (-1: the end, -2: the beginning). */
export async function kcatOffset(
  address: string,
  topic: string,
  timestamp: number,
  partition = 0,
): Promise<number> {
  const { stdout } = await runOk('kcat', ['-Q', '-b', address, '-t', `${topic}:${partition}:${timestamp}`]);
  return Number(/offset (-?\d+)/.exec(stdout)?.[1]);
}
