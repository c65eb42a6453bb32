/**
 * Compacts a large topic in a broker of its own, and measures what that costs: memory of the process, and the latency of a steady producer
 * meanwhile. What is left is compared with all that was written. Usage: npm run compaction:big -- [--gib 10] [--keys 1000000]
 * [--rate BYTES_PER_SECOND] [--keep]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os, { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { BatchBuilder } from '@polylog/record';
import { commandOptions, flag, integer } from '../../scripts/options.ts';
import { BrokerProcess } from './broker-process.ts';
import { KafkaClient } from './fuzz/client.ts';
import { createTopics } from './fuzz/setup.ts';
import { configure, metric, portOf, produce, readAll } from './keyed-topic.ts';
import { randomOf } from './random.ts';

const TOPIC = 'big';
const STEADY_TOPIC = 'steady';
const VALUE_BYTES = 1000;
const RECORDS_PER_BATCH = 800;
const REQUESTS_IN_FLIGHT = 4;
const STEADY_PAUSE_MS = 5;
const STEADY_VALUE_BYTES = 1000;
const MEMORY_EVERY_MS = 50;
const POLL_MS = 200;
const CLEANING_DEADLINE_MS = 3_600_000;
const MIB = 1024 * 1024;
/** The active segment is never cleaned: it must be a small part. */
const SEGMENTS_MIN = 10;

export interface CompactionBigOptions {
  readonly bytes: number;
  readonly keys: number;
  readonly baselineMs: number;
  readonly segmentBytes: number;
  readonly seed: number;
  /** `log.cleaner.io.max.bytes.per.second`; the broker's default if left out. */
  readonly bytesPerSecondMax?: number;
  readonly data: string;
  readonly report?: (line: string) => void;
}

export interface CompactionBigReport {
  readonly records: number;
  readonly recordsLeft: number;
  readonly cleaningMs: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly cleanings: number;
  /** The most while cleaning, less the most before. */
  readonly extraMemoryMib: number;
  readonly memoryBeforeMib: number;
  readonly p50BeforeMs: number;
  readonly p99BeforeMs: number;
  readonly p50DuringMs: number;
  readonly p99DuringMs: number;
  readonly producesDuring: number;
  readonly faults: readonly string[];
}

/** Where each key stands last: the model of the whole topic in a few MiB. */
class Model {
  readonly offsets: Float64Array;
  readonly numbers: Float64Array;

  constructor(keys: number) {
    this.offsets = new Float64Array(keys).fill(-1);
    this.numbers = new Float64Array(keys);
  }

  note(key: number, offset: number, number: number): void {
    if (offset <= this.offsets[key]!) return;
    this.offsets[key] = offset;
    this.numbers[key] = number;
  }
}

export async function runCompactionBig(options: CompactionBigOptions): Promise<CompactionBigReport> {
  const { report = () => undefined } = options;
  const broker = await BrokerProcess.create({
    data: options.data,
    settings: {
      'log-level': 'info',
      'log.cleaner.backoff.ms': '500',
      'log.flush.offset.checkpoint.interval.ms': '1000',
      ...(options.bytesPerSecondMax === undefined
        ? {}
        : { 'log.cleaner.io.max.bytes.per.second': String(options.bytesPerSecondMax) }),
    },
  });
  const model = new Model(options.keys);
  await broker.start();
  const filled = await fill(broker, options, model);
  report(`${filled.records} records written in ${(filled.ms / 1000).toFixed(0)} s`);
  // A fresh process, so that what filling took does not hide what cleaning takes.
  await broker.stop();
  await broker.start();
  const steady = await SteadyProducer.start(broker.kafkaAddress);
  const memory = new MemoryWatch(broker.pid);
  await sleep(options.baselineMs);
  const before = { ...steady.take(), memoryMib: memory.takeMax() };
  report(`before: ${describe(before)}`);
  const cleaningMs = await clean(broker, report);
  const during = { ...steady.take(), memoryMib: memory.takeMax() };
  report(`during: ${describe(during)}`);
  memory.stop();
  await steady.stop();
  const figures = await figuresOf(broker);
  const { faults, recordsLeft } = await compare(broker, options, model);
  await broker.stop();
  return {
    records: filled.records,
    recordsLeft,
    cleaningMs,
    ...figures,
    extraMemoryMib: during.memoryMib - before.memoryMib,
    memoryBeforeMib: before.memoryMib,
    p50BeforeMs: before.p50Ms,
    p99BeforeMs: before.p99Ms,
    p50DuringMs: during.p50Ms,
    p99DuringMs: during.p99Ms,
    producesDuring: during.count,
    faults,
  };
}

function describe(taken: { memoryMib: number; p50Ms: number; p99Ms: number; count: number }): string {
  const { memoryMib, p50Ms, p99Ms, count } = taken;
  return `${memoryMib.toFixed(0)} MiB, produce p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms over ${count}`;
}

async function fill(
  broker: BrokerProcess,
  options: CompactionBigOptions,
  model: Model,
): Promise<{ records: number; ms: number }> {
  const startedMs = performance.now();
  const client = await KafkaClient.open(portOf(broker.kafkaAddress));
  await createTopics(client, [
    {
      name: TOPIC,
      configs: {
        'cleanup.policy': 'compact',
        'segment.bytes': String(options.segmentBytes),
        // Never above it: the cleaning begins when the topic's config changes.
        'min.cleanable.dirty.ratio': '1',
        'file.delete.delay.ms': '1000',
        flush: 'os',
      },
    },
    { name: STEADY_TOPIC },
  ]);
  const random = randomOf(options.seed);
  const value = new Uint8Array(VALUE_BYTES);
  const inFlight = new Set<Promise<void>>();
  let bytes = 0;
  let number = 0;
  while (bytes < options.bytes) {
    const builder = new BatchBuilder();
    const keys: number[] = [];
    const first = number;
    for (let index = 0; index < RECORDS_PER_BATCH; index++) {
      const key = Math.floor(random() * options.keys);
      keys.push(key);
      writeValue(value, key, number++);
      builder.append({ key: Buffer.from(`key ${key}`), value, timestamp: Date.now() });
    }
    const batch = builder.build();
    bytes += batch.length;
    const sending = produce(client, TOPIC, 0, batch).then((base) => {
      for (const [index, key] of keys.entries()) model.note(key, base + index, first + index);
      inFlight.delete(sending);
    });
    inFlight.add(sending);
    if (inFlight.size >= REQUESTS_IN_FLIGHT) await Promise.race(inFlight);
  }
  await Promise.all(inFlight);
  client.close();
  return { records: number, ms: performance.now() - startedMs };
}

/** The number, then bytes that follow from key and number, so that any other value is told from it. */
function writeValue(value: Uint8Array, key: number, number: number): void {
  value.fill((key * 31 + number) & 0xff);
  new DataView(value.buffer, value.byteOffset).setFloat64(0, number);
}

/** Has the topic cleaned; how long that takes. */
async function clean(broker: BrokerProcess, report: (line: string) => void): Promise<number> {
  const client = await KafkaClient.open(portOf(broker.kafkaAddress));
  const startedMs = performance.now();
  await configure(client, TOPIC, { 'min.cleanable.dirty.ratio': '0.01' });
  client.close();
  let reportedMs = startedMs;
  for (;;) {
    await sleep(POLL_MS);
    const passes = await metric(broker.httpAddress, 'polylog_log_cleaner_passes_total');
    const ratio = await metric(broker.httpAddress, 'polylog_log_cleaner_max_dirty_ratio');
    if (passes > 0 && ratio <= 0.01) return performance.now() - startedMs;
    if ((await metric(broker.httpAddress, 'polylog_log_cleaner_failures_total')) > 0)
      throw new Error(broker.output);
    if (performance.now() - startedMs > CLEANING_DEADLINE_MS)
      throw new Error(`it does not end\n${broker.output}`);
    if (performance.now() - reportedMs < 10_000) continue;
    reportedMs = performance.now();
    const read = await metric(broker.httpAddress, 'polylog_log_cleaner_read_bytes_total');
    report(`cleaning: ${(read / MIB).toFixed(0)} MiB read, load ${os.loadavg()[0]!.toFixed(1)}`);
  }
}

async function figuresOf(
  broker: BrokerProcess,
): Promise<{ bytesRead: number; bytesWritten: number; cleanings: number }> {
  const { httpAddress } = broker;
  return {
    bytesRead: await metric(httpAddress, 'polylog_log_cleaner_read_bytes_total'),
    bytesWritten: await metric(httpAddress, 'polylog_log_cleaner_written_bytes_total'),
    cleanings: await metric(httpAddress, 'polylog_log_cleaner_passes_total'),
  };
}

/** Every key must end with the value, at the offset, that was written last; below the active segment each key stands once. */
async function compare(
  broker: BrokerProcess,
  options: CompactionBigOptions,
  model: Model,
): Promise<{ faults: string[]; recordsLeft: number }> {
  const cleanedTo = cleanedOffset(options.data);
  const client = await KafkaClient.open(portOf(broker.kafkaAddress));
  const last = new Float64Array(options.keys).fill(-1);
  const expected = new Uint8Array(VALUE_BYTES);
  const faults: string[] = [];
  let recordsLeft = 0;
  let twice = 0;
  await readAll(client, TOPIC, 0, ({ offset, key, value }) => {
    recordsLeft++;
    const index = Number(key.slice('key '.length));
    if (offset < cleanedTo && last[index]! >= 0) twice++;
    last[index] = offset;
    if (offset !== model.offsets[index] || value === null) return;
    writeValue(expected, index, model.numbers[index]!);
    if (Buffer.compare(expected, value) !== 0) faults.push(`${key} has another value at ${offset}`);
  });
  client.close();
  let missing = 0;
  for (let key = 0; key < options.keys; key++) if (last[key] !== model.offsets[key]) missing++;
  if (missing > 0) faults.push(`${missing} keys do not end at the offset at which they were written last`);
  if (twice > 0) faults.push(`${twice} records below ${cleanedTo} have a key that was there already`);
  if (cleanedTo <= 0) faults.push('nothing was cleaned');
  return { faults, recordsLeft };
}

function cleanedOffset(data: string): number {
  const text = readFileSync(path.join(data, 'cleaner-offset-checkpoint'), 'utf8');
  return Number(new RegExp(`^${TOPIC} 0 (\\d+)$`, 'm').exec(text)?.[1] ?? -1);
}

/** One request after the other, with a pause: what a client of a broker that is not busy sees. */
class SteadyProducer {
  readonly #client: KafkaClient;
  readonly #over: Promise<void>;
  #latencies: number[] = [];
  #stopping = false;

  private constructor(client: KafkaClient) {
    this.#client = client;
    this.#over = this.#run();
  }

  static async start(address: string): Promise<SteadyProducer> {
    return new SteadyProducer(await KafkaClient.open(portOf(address)));
  }

  take(): { p50Ms: number; p99Ms: number; count: number } {
    const sorted = this.#latencies.sort((a, b) => a - b);
    this.#latencies = [];
    const at = (part: number): number => sorted[Math.floor(sorted.length * part)] ?? 0;
    return { p50Ms: at(0.5), p99Ms: at(0.99), count: sorted.length };
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#over;
    this.#client.close();
  }

  async #run(): Promise<void> {
    const value = new Uint8Array(STEADY_VALUE_BYTES);
    while (!this.#stopping) {
      const builder = new BatchBuilder();
      builder.append({ key: null, value, timestamp: Date.now() });
      const batch = builder.build();
      const sentMs = performance.now();
      await produce(this.#client, STEADY_TOPIC, 0, batch);
      this.#latencies.push(performance.now() - sentMs);
      await sleep(STEADY_PAUSE_MS);
    }
  }
}

/** The most resident memory of a process since it was asked last. */
class MemoryWatch {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #maxMib = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), MEMORY_EVERY_MS);
    this.#look();
  }

  takeMax(): number {
    const max = this.#maxMib;
    this.#maxMib = 0;
    this.#look();
    return max;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))?.[1];
    this.#maxMib = Math.max(this.#maxMib, Number(kib) / 1024);
  }
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'compaction:big',
    summary: 'Compacts a large topic: memory, the latency of a producer meanwhile, and what is left.',
    options: {
      gib: integer('GiB that are written', { default: 10, min: 1 }),
      keys: integer('different keys', { default: 1_000_000, min: 1 }),
      seed: integer('of the chance in the program', { default: 1 }),
      rate: integer('bytes per second that the cleaner may read and write; without it: no limit', { min: 1 }),
      keep: flag('leaves the data'),
    },
  });
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-compaction-'));
  console.log(`data in ${data}; load ${os.loadavg()[0]!.toFixed(1)} on ${os.cpus().length} processors`);
  const bytes = values.gib * 1024 * MIB;
  const report = await runCompactionBig({
    bytes,
    keys: values.keys,
    baselineMs: 30_000,
    segmentBytes: Math.min(1024 * MIB, Math.ceil(bytes / SEGMENTS_MIN)),
    seed: values.seed,
    ...(values.rate === undefined ? {} : { bytesPerSecondMax: values.rate }),
    data,
    report: (line) => console.log(line),
  });
  console.log(JSON.stringify(report, undefined, 2));
  const isMemoryKept = report.extraMemoryMib <= 128;
  const isLatencyKept = report.p99DuringMs <= 2 * report.p99BeforeMs;
  console.log(
    `extra memory at most 128 MiB: ${isMemoryKept}; p99 at most doubled: ${isLatencyKept}; faults: ${report.faults.length}`,
  );
  const passed = report.faults.length === 0 && isMemoryKept && isLatencyKept;
  if (!values.keep) rmSync(data, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

if (import.meta.main) await main();
