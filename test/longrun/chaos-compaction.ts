/**
 * Kills a broker with SIGKILL while it cleans compacted topics, again and again, and compares what is left with all that was written.
 * Usage: npm run chaos:compaction -- [--rounds 30] [--seed N] [--keep]
 */
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setImmediate as immediate, setTimeout as sleep } from 'node:timers/promises';
import { buildBatch } from '@polylog/record';
import { commandOptions, flag, integer, seedOption } from '../../scripts/options.ts';
import { requirePeer } from '../peers/peers.ts';
import { BrokerProcess } from './broker-process.ts';
import { dumpLogSegments, type DumpReport } from './dump-log-segments.ts';
import { KafkaClient } from './fuzz/client.ts';
import { createTopics } from './fuzz/setup.ts';
import { portOf, produce, readAll, type KeyedRecord } from './keyed-topic.ts';
import { randomOf } from './random.ts';

const TOPIC = 'compacted';
const PARTITIONS = 4;
const KEYS = 500;
const RECORDS_PER_BATCH = 40;
const VALUE_BYTES_MAX = 2000;
const TOMBSTONES = 0.2;
const CODECS = ['none', 'none', 'gzip', 'lz4', 'zstd', 'snappy'] as const;
/** A cleaning is struck up to so long after its first file was seen. */
const KILL_AFTER_MS_MAX = 25;
const CLEANING_DEADLINE_MS = 60_000;
const QUIET_DEADLINE_MS = 120_000;
const DELETE_RETENTION_MS = 500;

const SETTINGS = {
  'log-level': 'info',
  'log.cleaner.backoff.ms': '50',
  'log.flush.offset.checkpoint.interval.ms': '200',
} as const;

const CONFIGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': String(1024 * 1024),
  'min.cleanable.dirty.ratio': '0.05',
  'delete.retention.ms': String(DELETE_RETENTION_MS),
  'file.delete.delay.ms': '200',
} as const;

interface Written {
  readonly number: number;
  readonly key: string;
  readonly isTombstone: boolean;
}

/** What is known of one partition: acknowledged records by offset, and those whose fate is not known. */
class PartitionModel {
  readonly acknowledged = new Map<number, Written>();
  readonly uncertain = new Map<number, Written>();
  /** Per key, the last acknowledged one. */
  readonly last = new Map<string, { readonly offset: number; readonly record: Written }>();

  take(baseOffset: number, records: readonly Written[]): void {
    for (const [index, record] of records.entries()) {
      this.acknowledged.set(baseOffset + index, record);
      this.last.set(record.key, { offset: baseOffset + index, record });
    }
  }

  /** What is wrong with what was read, in words. */
  check(found: readonly KeyedRecord[], endOffset: number): string[] {
    const faults: string[] = [];
    const lastFound = new Map<string, KeyedRecord>();
    for (const record of found) {
      lastFound.set(record.key, record);
      const number =
        record.value === null
          ? undefined
          : Number(Buffer.from(record.value).toString('latin1').split(':')[0]);
      const known = this.acknowledged.get(record.offset) ?? this.#uncertainOf(number, record);
      if (known === undefined || known.key !== record.key || known.isTombstone !== (record.value === null))
        faults.push(`offset ${record.offset} has ${record.key}, which was not written there`);
      else if (number !== undefined && number !== known.number)
        faults.push(`offset ${record.offset} has value ${number}, not ${known.number}`);
    }
    for (const [key, { offset, record }] of this.last) {
      if (offset >= endOffset) faults.push(`the log ends at ${endOffset}, ${offset} was acknowledged`);
      const read = lastFound.get(key);
      // A tombstone may be gone: then nothing else may be there.
      if (read === undefined ? record.isTombstone : read.offset >= offset) continue;
      faults.push(
        `${key} ends with ${read?.offset ?? 'nothing'}, ${offset} was acknowledged${record.isTombstone ? ' (a tombstone)' : ''}`,
      );
    }
    return faults;
  }

  #uncertainOf(number: number | undefined, record: KeyedRecord): Written | undefined {
    if (number !== undefined) return this.uncertain.get(number);
    return [...this.uncertain.values()].find((one) => one.isTombstone && one.key === record.key);
  }

  /** So that a record of unknown fate that is there counts from now on. */
  adopt(found: readonly KeyedRecord[]): void {
    for (const { offset, key, value } of found) {
      if (this.acknowledged.has(offset)) continue;
      const number = value === null ? undefined : Number(Buffer.from(value).toString('latin1').split(':')[0]);
      const record = this.#uncertainOf(number, { offset, key, value });
      if (record === undefined) continue;
      this.acknowledged.set(offset, record);
      if ((this.last.get(key)?.offset ?? -1) < offset) this.last.set(key, { offset, record });
    }
  }
}

export interface ChaosCompactionReport {
  readonly kills: number;
  /** Of them those that came while files of a cleaning were there. */
  readonly killsInCleaning: number;
  readonly swapsFinished: number;
  readonly acknowledged: number;
  readonly recordsLeft: number;
  readonly cleanings: number;
  readonly faults: readonly string[];
  readonly stopCode: number | null;
  readonly dump: DumpReport;
}

/** One run. Needs the peers `java` and `kafka-jars`. */
export async function runChaosCompaction(options: {
  readonly rounds: number;
  readonly seed: number;
  readonly data: string;
  readonly report?: (line: string) => void;
}): Promise<ChaosCompactionReport> {
  const run = new ChaosRun(options.data, randomOf(options.seed), options.report ?? (() => undefined));
  return run.run(options.rounds);
}

class ChaosRun {
  readonly #data: string;
  readonly #random: () => number;
  readonly #report: (line: string) => void;
  readonly #models = Array.from({ length: PARTITIONS }, () => new PartitionModel());
  readonly #faults: string[] = [];
  #numbers = 0;
  #killsInCleaning = 0;
  #swapsFinished = 0;
  #cleanings = 0;
  #recordsLeft = 0;
  #stopping = false;

  constructor(data: string, random: () => number, report: (line: string) => void) {
    this.#data = data;
    this.#random = random;
    this.#report = report;
  }

  async run(rounds: number): Promise<ChaosCompactionReport> {
    const broker = await BrokerProcess.create({ data: this.#data, settings: SETTINGS });
    await broker.start();
    const admin = await KafkaClient.open(portOf(broker.kafkaAddress));
    await createTopics(admin, [{ name: TOPIC, partitions: PARTITIONS, configs: CONFIGS }]);
    admin.close();
    for (let round = 1; round <= rounds && this.#faults.length === 0; round++) {
      await this.#oneRound(broker);
      await broker.start();
      if (broker.output.includes('A cleaned segment takes its place')) this.#swapsFinished++;
      await this.#check(broker, `round ${round}`);
      this.#report(
        `round ${round}/${rounds}: ${this.#numbers} records sent, ${this.#recordsLeft} left, ${this.#cleanings} cleanings, ` +
          `${this.#killsInCleaning} kills in a cleaning, ${this.#swapsFinished} swaps finished by a start`,
      );
    }
    await this.#untilClean();
    await this.#check(broker, 'the end');
    const stopCode = await broker.stop();
    return {
      kills: rounds,
      killsInCleaning: this.#killsInCleaning,
      swapsFinished: this.#swapsFinished,
      acknowledged: this.#models.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0),
      recordsLeft: this.#recordsLeft,
      cleanings: this.#cleanings,
      faults: this.#faults,
      stopCode,
      dump: await dumpLogSegments(this.#data, { compacted: true }),
    };
  }

  /** Writes until a cleaning is seen, and a random moment longer. */
  async #oneRound(broker: BrokerProcess): Promise<void> {
    this.#stopping = false;
    const writers = this.#models.map((_, partition) => this.#write(broker, partition));
    // Some rounds strike an early cleaning, some one among many.
    await sleep(this.#random() * 1500);
    const startedMs = performance.now();
    // Half of the rounds strike anywhere in a cleaning; the others when its last file is made, just before the swap or in it.
    const isLate = this.#random() < 0.5;
    while (!this.#isCleaning(isLate ? '*.timeindex.{cleaned,swap}' : '*.cleaned')) {
      if (performance.now() - startedMs > CLEANING_DEADLINE_MS)
        throw new Error(`nothing is cleaned\n${broker.output}`);
      await immediate();
    }
    const delayMs = isLate ? this.#random() * 2 : this.#random() * KILL_AFTER_MS_MAX;
    if (delayMs > 1) await sleep(delayMs);
    const isInCleaning = this.#isCleaning();
    await broker.kill();
    if (isInCleaning) this.#killsInCleaning++;
    this.#cleanings += broker.output.split('"Cleaned a log"').length - 1;
    this.#stopping = true;
    await Promise.all(writers);
  }

  #isCleaning(files = '*.{cleaned,swap}'): boolean {
    return globSync(`${TOPIC}-*/${files}`, { cwd: this.#data }).length > 0;
  }

  async #write(broker: BrokerProcess, partition: number): Promise<void> {
    const client = await KafkaClient.open(portOf(broker.kafkaAddress));
    const model = this.#models[partition]!;
    try {
      while (!this.#stopping) {
        const records = Array.from({ length: RECORDS_PER_BATCH }, () => this.#makeRecord());
        for (const record of records) model.uncertain.set(record.number, record);
        const baseOffset = await produce(client, TOPIC, partition, this.#encode(records));
        model.take(baseOffset, records);
        for (const { number } of records) model.uncertain.delete(number);
      }
    } catch (error) {
      if (broker.isRunning && !this.#stopping && !isConnectionEnd(error)) throw error;
    } finally {
      client.close();
    }
  }

  #makeRecord(): Written {
    const key = `key ${Math.floor(this.#random() * KEYS)}`;
    return { number: this.#numbers++, key, isTombstone: this.#random() < TOMBSTONES };
  }

  #encode(records: readonly Written[]): Uint8Array {
    const timestamp = Date.now();
    return buildBatch({
      codec: CODECS[Math.floor(this.#random() * CODECS.length)]!,
      records: records.map(({ number, key, isTombstone }) => ({
        timestamp,
        key: Buffer.from(key),
        value: isTombstone
          ? null
          : Buffer.from(`${number}:`.padEnd(Math.floor(this.#random() * VALUE_BYTES_MAX), 'x')),
      })),
    });
  }

  async #check(broker: BrokerProcess, when: string): Promise<void> {
    const client = await KafkaClient.open(portOf(broker.kafkaAddress));
    this.#recordsLeft = 0;
    for (const [partition, model] of this.#models.entries()) {
      const found: KeyedRecord[] = [];
      const end = await readAll(client, TOPIC, partition, (record) => found.push(record));
      this.#recordsLeft += found.length;
      this.#faults.push(
        ...model.check(found, end).map((fault) => `${when}, partition ${partition}: ${fault}`),
      );
      model.adopt(found);
      // What a kill has taken is not coming any more.
      model.uncertain.clear();
    }
    client.close();
    if (/could not be cleaned/.test(broker.output))
      this.#faults.push(`${when}: ${broker.output.slice(-2000)}`);
  }

  async #untilClean(): Promise<void> {
    const startedMs = performance.now();
    let quietChecks = 0;
    while (quietChecks < 20 && performance.now() - startedMs < QUIET_DEADLINE_MS) {
      await sleep(100);
      quietChecks = this.#isCleaning() ? 0 : quietChecks + 1;
    }
  }
}

function isConnectionEnd(error: unknown): boolean {
  return error instanceof Error && /closed the connection|ECONNRESET|ECONNREFUSED|EPIPE/.test(error.message);
}

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'chaos:compaction',
    summary:
      'Kills a broker while it cleans compacted topics, and compares what is left with what was written.',
    options: {
      rounds: integer('times that it is killed', { default: 30, min: 1 }),
      seed: seedOption('of the chance in the program'),
      keep: flag('leaves the data of a run that passed, too'),
    },
  });
  const { skip } = await requirePeer('java', 'kafka-jars');
  if (skip !== false) throw new Error(skip);
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-chaos-compaction-'));
  console.log(`seed ${values.seed}, data in ${data}`);
  const report = await runChaosCompaction({
    rounds: values.rounds,
    seed: values.seed,
    data,
    report: (line) => console.log(line),
  });
  const { faults, dump, ...figures } = report;
  const { complaints, ...files } = dump;
  console.log(JSON.stringify(figures, undefined, 2));
  console.log(`DumpLogSegments read ${JSON.stringify(files)}; complaints: ${complaints.length}`);
  for (const complaint of complaints.slice(0, 20)) console.log(`  ${complaint}`);
  console.log(`faults: ${faults.length}`);
  for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`);
  const passed = faults.length === 0 && complaints.length === 0 && report.stopCode === 0;
  if (passed && !values.keep) rmSync(data, { recursive: true, force: true });
  process.exit(passed ? 0 : 1);
}

if (import.meta.main) await main();
