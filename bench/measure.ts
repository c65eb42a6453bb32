import process from 'node:process';

import type { MeasuredBroker } from './broker-process.ts';
import { forgetLog, probeDisk, settleDisk, touchPageCache, type DiskRates } from './disk-probe.ts';
import { runInGenerator } from './generator-process.ts';
import { countRecords, createTopic, deleteTopic } from './generator/admin.ts';
import type { Figures, JobResult, RunLimits, Target } from './generator/job.ts';
import { diskReadBytesOf, forgetPeak, residentBytesOf } from './generator/process-stats.ts';
import type { BatchShape } from './generator/requests.ts';
import { runJavaTool, type JavaWork } from './java-tools.ts';
import type { Peer } from './peers/peer.ts';
import { isProcessWork, type CatchUpWork, type RawWork, type Row } from './workloads.ts';

const DISK_PROBE_MS = 200;
const FILL_MS_MAX = 900_000;
const FILL_CONNECTIONS = 4;
const FILL_WINDOW = 4;
/** Of memory touched before a round: the bytes that it measures, and some for its warm-up. */
const TOUCHED_PER_MEASURED = 1.5;
/**
 * To make topics of more partitions takes as long as a round, and so do the files that brokers make for a partition's first message: one
 * topic serves all rounds, and each of its partitions has batches before the first one. Kafka touches the indexes of a partition, which it
 * has mapped into memory, with the second of these: that can take it more than 10 ms.
 */
export const PARTITIONS_PER_ROUND_MAX = 50;
const FIRST_BATCH: BatchShape = { batchBytes: 16 * 1024, recordBytes: 1024 };
const FIRST_BATCHES = 2;

/** Jobs travel as JSON, which has no infinity. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** To remove more takes longer than to start another broker. */
const PARTITIONS_DELETED_MAX = 5000;
/** A catch-up that comes from memory for so large a part is none: the page cache was not dropped, or there is no disk. */
const FROM_DISK_PART_MIN = 0.5;
/** A fast disk: a catch-up is measured for as long as this one would be read, so that a slower one is read all the time. */
const COLD_BYTES_PER_SECOND = 1.6e9;

export interface MeasureOptions {
  readonly limits: RunLimits;
  readonly pin: boolean;
  /** Of data where a workload wants much of it. */
  readonly bulkBytes: number;
  /** Of the records that Kafka's own tools send or read, which end by a count and not by a time; 1 in a full run. */
  readonly countPart: number;
  /** The memory of a broker at rest is looked at in so many rounds: it hardly differs, and takes its time. */
  readonly idleRoundsMax: number;
}

/** One turn of a broker at a workload: what there is to say of it. */
export interface Round {
  readonly figures?: Figures | undefined;
  /** Taken right before, where a broker is to sync. */
  readonly disk?: DiskRates | undefined;
  readonly residentPeakBytes?: number | undefined;
  /** What `figures` are without, and of the reader beside them. */
  readonly alone?: Figures;
  readonly beside?: Figures;
  /** Of what that reader received, the part that the broker has had read from the disk; a little above 1 with what was read ahead. */
  readonly fromDiskPart?: number | undefined;
  readonly startMs?: number;
  readonly restartMs?: number;
  readonly restartKilledMs?: number;
  readonly residentIdleBytes?: number | undefined;
}

/** A broker at a row: measured in turns with others. */
export interface Side {
  readonly peer: Peer;
  /** Rejects if a single request went wrong. */
  turn(): Promise<Round>;
  end(): Promise<void>;
}

interface Topic {
  readonly name: string;
  readonly partitions: number;
  /** Records that have been acknowledged. */
  appended: number;
}

/** Works whose records are not counted by the generator. */
const UNCOUNTED: ReadonlySet<string> = new Set(['latency', 'java-latency', 'fan-out']);

let topicsCreated = 0;

/** One that no topic of a run has. */
export function newTopicName(): string {
  return `bench-${process.pid}-${++topicsCreated}`;
}

/** A row at a running broker: its topic, if one serves all rounds, and a turn as often as wanted. */
export class Bench implements Side {
  readonly #row: Row;
  readonly #broker: MeasuredBroker;
  readonly #options: MeasureOptions;
  #kept: Topic | undefined;

  constructor(row: Row, broker: MeasuredBroker, options: MeasureOptions) {
    this.#row = row;
    this.#broker = broker;
    this.#options = options;
  }

  get peer(): Peer {
    return this.#broker.peer;
  }

  async turn(): Promise<Round> {
    const { flush, work } = this.#row;
    if (isProcessWork(work)) throw new Error(`${work.kind} is not measured at a broker that runs`);
    const { target, folder } = this.#broker;
    const limits = this.#limits();
    const topic = await this.#topic();
    if (work.kind === 'produce') touchPageCache(folder, limits.bytesMax * TOUCHED_PER_MEASURED);
    await settleDisk();
    const disk = flush !== 'os' ? probeDisk(folder, DISK_PROBE_MS) : undefined;
    if (target.pid !== undefined) forgetPeak(target.pid);
    const figures =
      work.kind === 'catch-up'
        ? await this.#catchUp(work, topic, limits)
        : { figures: await this.#run(work, topic, limits) };
    const residentPeakBytes = target.pid === undefined ? undefined : residentBytesOf(target.pid)?.peak;
    await this.#checkCount(topic);
    if (topic !== this.#kept) await deleteTopic(target, topic.name);
    return { ...figures, disk, residentPeakBytes };
  }

  /** Removes the topic that served all rounds; of very many partitions it stays, and the broker is of no more use. */
  async end(): Promise<void> {
    const { partitions = 0 } = this.#kept ?? {};
    if (this.#kept !== undefined && partitions <= PARTITIONS_DELETED_MAX)
      await deleteTopic(this.#broker.target, this.#kept.name);
  }

  #limits(): RunLimits {
    const { times = 1, work } = this.#row;
    const { limits, bulkBytes } = this.#options;
    if (work.kind !== 'catch-up') return { ...limits, measureMs: limits.measureMs * times };
    const readMs = (bulkBytes / COLD_BYTES_PER_SECOND) * 1000;
    return { ...limits, measureMs: Math.max(readMs - limits.warmupMs, limits.warmupMs) };
  }

  async #topic(): Promise<Topic> {
    if (this.#kept !== undefined) return this.#kept;
    const { partitions, work, flush } = this.#row;
    const name = newTopicName();
    const config = this.#broker.peer.topicConfig(flush);
    await createTopic(this.#broker.target, { name, partitions, config });
    const topic: Topic = { name, partitions, appended: 0 };
    if (work.kind === 'fetch') await this.#fill(topic, work.batch, work.batchCount);
    if (work.kind === 'catch-up')
      await this.#fill(
        topic,
        work.cold.batch,
        Math.floor(this.#options.bulkBytes / work.cold.batch.batchBytes),
      );
    if (work.kind === 'stock-consume' || work.kind === 'java-consume') {
      const logBytes = work.kind === 'java-consume' ? work.logBytes * this.#options.countPart : work.logBytes;
      await this.#fill(topic, work.batch, Math.floor(logBytes / work.batch.batchBytes));
    }
    if (partitions > PARTITIONS_PER_ROUND_MAX && work.kind === 'produce')
      topic.appended = await fill(this.#broker.target, {
        topic,
        batch: FIRST_BATCH,
        batchCount: partitions * FIRST_BATCHES,
        pin: this.#options.pin,
        connections: 1, // which takes all partitions in turn
      });
    if (topic.appended > 0) this.#kept = topic;
    return topic;
  }

  /** The log that a workload reads. */
  async #fill(topic: Topic, batch: BatchShape, batchCount: number): Promise<void> {
    topic.appended = await fill(this.#broker.target, { topic, batch, batchCount, pin: this.#options.pin });
  }

  /** The producer writes to a topic of its own; the workload's topic is the one that is read. */
  async #catchUp(work: CatchUpWork, cold: Topic, limits: RunLimits): Promise<Round> {
    const { target, peer, folder } = this.#broker;
    const { pin } = this.#options;
    const name = `${cold.name}-hot`;
    await createTopic(target, { name, partitions: 1, config: peer.topicConfig(this.#row.flush) });
    const hot = { ...work.hot, target, topic: name, limits };
    const { figures: alone } = await runInGenerator(hot, pin);
    await forgetLog(folder, cold.name);
    const batchCount = Math.floor(this.#options.bulkBytes / work.cold.batch.batchBytes);
    const reading = { ...work.cold, target, topic: cold.name, batchCount, once: true };
    const readBefore = diskBytesReadBy(target);
    const [{ figures }, { figures: beside, bytesTotal }] = await Promise.all([
      runInGenerator(hot, pin),
      runInGenerator({ ...reading, limits: { ...limits, bytesMax: UNLIMITED } }, pin),
    ]);
    const fromDiskPart = (diskBytesReadBy(target) - readBefore) / bytesTotal;
    await deleteTopic(target, name);
    if (fromDiskPart < FROM_DISK_PART_MIN)
      throw new Error(
        `only ${Math.round(fromDiskPart * 100)} % of what was to be read from the disk came from there: ` +
          `is ${folder} on a disk, and is there more data than is read in a round?`,
      );
    return { figures: withoutReader(figures, beside), alone, beside, fromDiskPart };
  }

  async #run(work: RawWork | JavaWork, topic: Topic, limits: RunLimits): Promise<Figures> {
    const { target } = this.#broker;
    const { pin } = this.#options;
    switch (work.kind) {
      case 'java-produce':
      case 'java-consume':
      case 'java-latency': {
        const scaled = scaledTo(this.#options.countPart, work);
        const { name, appended: recordCount } = topic;
        const figures = await runJavaTool(scaled, { target, topic: name, pin, recordCount });
        if (scaled.kind === 'java-produce') topic.appended += scaled.records + scaled.warmupRecords;
        return figures;
      }
      default: {
        const result = await this.#generate(work, topic, limits);
        if (work.kind === 'produce' || work.kind === 'stock-produce')
          topic.appended += result.requestsTotal * result.recordsPerRequest;
        return result.figures;
      }
    }
  }

  async #generate(work: RawWork, { name, appended }: Topic, limits: RunLimits): Promise<JobResult> {
    const { partitions } = this.#row;
    const common = { target: this.#broker.target, topic: name, limits, partitions };
    const job =
      work.kind === 'stock-consume' ? { ...common, ...work, recordCount: appended } : { ...common, ...work };
    return runInGenerator(job, this.#options.pin);
  }

  /** Figures count only if the log holds exactly what was acknowledged. */
  async #checkCount({ name, partitions, appended }: Topic): Promise<void> {
    const { kind } = this.#row.work;
    if (UNCOUNTED.has(kind)) return;
    const found = await countRecords(this.#broker.target, name, partitions);
    if (found !== appended)
      throw new Error(`${appended} records were acknowledged, but the log holds ${found}`);
  }
}

function scaledTo(part: number, work: JavaWork): JavaWork {
  if (work.kind === 'java-consume') return work; // it reads what there is
  const records = Math.ceil(work.records * part);
  if (work.kind === 'java-latency') return { ...work, records };
  return { ...work, records, warmupRecords: Math.ceil(work.warmupRecords * part) };
}

/** The reader is no other process: it belongs to what is measured. */
function withoutReader(figures: Figures, { generatorCpuSeconds, seconds }: Figures): Figures {
  if (figures.otherCpuSeconds === undefined) return figures;
  const ofReader = (generatorCpuSeconds * figures.seconds) / seconds;
  return { ...figures, otherCpuSeconds: Math.max(0, figures.otherCpuSeconds - ofReader) };
}

/** @throws Error where nobody tells */
function diskBytesReadBy({ pid }: Target): number {
  const bytes = pid === undefined ? undefined : diskReadBytesOf(pid);
  if (bytes === undefined)
    throw new Error('needs /proc/PID/io of the broker, to tell what came from the disk');
  return bytes;
}

/** Fills partitions with batches that are all alike, so many or a few more, and returns the number of their records. */
export async function fill(
  target: Target,
  options: {
    readonly topic: { readonly name: string; readonly partitions: number };
    readonly batch: BatchShape;
    readonly batchCount: number;
    readonly pin: boolean;
    readonly connections?: number;
  },
): Promise<number> {
  const { topic, batch, batchCount, pin, connections = FILL_CONNECTIONS } = options;
  const limits = { warmupMs: 0, measureMs: FILL_MS_MAX, requestsMax: batchCount, bytesMax: UNLIMITED };
  const { requestsTotal, recordsPerRequest } = await runInGenerator(
    {
      kind: 'produce',
      target,
      topic: topic.name,
      partitions: topic.partitions,
      connections,
      window: FILL_WINDOW,
      batch,
      limits,
    },
    pin,
  );
  if (requestsTotal < batchCount)
    throw new Error(`only ${requestsTotal} of ${batchCount} batches were written`);
  return requestsTotal * recordsPerRequest;
}
