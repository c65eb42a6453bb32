import process from 'node:process';

import type { MeasuredBroker } from './broker-process.ts';
import { forgetPageCache, probeDisk, settleDisk, touchPageCache, type DiskRates } from './disk-probe.ts';
import { runInGenerator } from './generator-process.ts';
import { countRecords, createTopic, deleteTopic } from './generator/admin.ts';
import type { Figures, JobResult, RunLimits, Target } from './generator/job.ts';
import { forgetPeak, residentBytesOf } from './generator/process-stats.ts';
import { prepareBatch, type BatchShape } from './generator/requests.ts';
import { runJavaTool, type JavaWork } from './java-tools.ts';
import type { CatchUpWork, RawWork, Workload } from './workloads.ts';

const DISK_PROBE_MS = 200;
const FILL_MS_MAX = 300_000;
const FILL_CONNECTIONS = 4;
const FILL_WINDOW = 4;
/** Of memory touched before a round: the bytes that it measures, and some for its warm-up. */
const TOUCHED_PER_MEASURED = 1.5;
/** To make topics of more partitions takes longer than a round: one serves all rounds. */
const PARTITIONS_PER_ROUND_MAX = 500;

/** Jobs travel as JSON, which has no infinity. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

/** To remove more takes longer than to start another broker. */
export const PARTITIONS_DELETED_MAX = 5000;

export interface MeasureOptions {
  readonly limits: RunLimits;
  readonly pin: boolean;
  /** Of data where a workload wants much of it. */
  readonly bulkBytes: number;
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
  readonly startMs?: number;
  readonly restartMs?: number;
  readonly restartKilledMs?: number;
  readonly residentIdleBytes?: number | undefined;
}

type Measured = RawWork | JavaWork | CatchUpWork;

function measured({ work }: Workload): Measured {
  if (work.kind === 'start' || work.kind === 'idle' || work.kind === 'restart')
    throw new Error(`${work.kind} is not measured at a broker that runs`);
  return work;
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

/** A workload at a running broker: its topic, if one serves all rounds, and a turn as often as wanted. */
export class Bench {
  readonly #workload: Workload;
  readonly #broker: MeasuredBroker;
  readonly #options: MeasureOptions;
  #kept: Topic | undefined;

  constructor(workload: Workload, broker: MeasuredBroker, options: MeasureOptions) {
    this.#workload = workload;
    this.#broker = broker;
    this.#options = options;
  }

  /** One turn. Rejects if a single request went wrong. */
  async turn(): Promise<Round> {
    const { flush } = this.#workload;
    const work = measured(this.#workload);
    const { target, folder } = this.#broker;
    const limits = this.#limits();
    const topic = await this.#topic();
    await settleDisk();
    if (work.kind === 'produce') touchPageCache(folder, limits.bytesMax * TOUCHED_PER_MEASURED);
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
    const { times = 1 } = this.#workload;
    const { limits } = this.#options;
    return { ...limits, measureMs: limits.measureMs * times };
  }

  async #topic(): Promise<Topic> {
    if (this.#kept !== undefined) return this.#kept;
    const { partitions, work, flush } = this.#workload;
    const name = `bench-${process.pid}-${++topicsCreated}`;
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
    if (work.kind === 'stock-consume' || work.kind === 'java-consume')
      await this.#fill(topic, work.batch, Math.floor(work.logBytes / work.batch.batchBytes));
    if (topic.appended > 0 || partitions > PARTITIONS_PER_ROUND_MAX) this.#kept = topic;
    return topic;
  }

  /** The log that a workload reads. */
  async #fill(topic: Topic, batch: BatchShape, batchCount: number): Promise<void> {
    topic.appended = await fill(this.#broker.target, { topic, batch, batchCount, pin: this.#options.pin });
  }

  /** The producer writes to a topic of its own; the workload's topic is the one that is read. */
  async #catchUp(work: CatchUpWork, cold: Topic, limits: RunLimits): Promise<Round> {
    const { target, peer } = this.#broker;
    const { pin } = this.#options;
    const name = `${cold.name}-hot`;
    await createTopic(target, { name, partitions: 1, config: peer.topicConfig(this.#workload.flush) });
    const hot = { ...work.hot, target, topic: name, limits };
    const { figures: alone } = await runInGenerator(hot, pin);
    await forgetPageCache();
    const batchCount = Math.floor(this.#options.bulkBytes / work.cold.batch.batchBytes);
    const reading = { ...work.cold, target, topic: cold.name, batchCount };
    const [{ figures }, { figures: beside }] = await Promise.all([
      runInGenerator(hot, pin),
      runInGenerator({ ...reading, limits: { ...limits, bytesMax: UNLIMITED } }, pin),
    ]);
    await deleteTopic(target, name);
    return { figures, alone, beside };
  }

  async #run(work: RawWork | JavaWork, topic: Topic, limits: RunLimits): Promise<Figures> {
    const { target } = this.#broker;
    const { pin } = this.#options;
    switch (work.kind) {
      case 'java-produce':
      case 'java-consume':
      case 'java-latency': {
        const figures = await runJavaTool(work, {
          target,
          topic: topic.name,
          pin,
          recordCount: topic.appended,
        });
        if (work.kind === 'java-produce') topic.appended += work.records + work.warmupRecords;
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
    const { partitions } = this.#workload;
    const common = { target: this.#broker.target, topic: name, limits, partitions };
    const job =
      work.kind === 'stock-consume' ? { ...common, ...work, recordCount: appended } : { ...common, ...work };
    return runInGenerator(job, this.#options.pin);
  }

  /** Figures count only if the log holds exactly what was acknowledged. */
  async #checkCount({ name, partitions, appended }: Topic): Promise<void> {
    const { kind } = this.#workload.work;
    if (UNCOUNTED.has(kind)) return;
    const found = await countRecords(this.#broker.target, name, partitions);
    if (found !== appended)
      throw new Error(`${appended} records were acknowledged, but the log holds ${found}`);
  }
}

/** Fills partitions with batches that are all alike, so many or a few more, and returns the number of their records. */
export async function fill(
  target: Target,
  options: {
    readonly topic: { readonly name: string; readonly partitions: number };
    readonly batch: BatchShape;
    readonly batchCount: number;
    readonly pin: boolean;
  },
): Promise<number> {
  const { topic, batch, batchCount, pin } = options;
  const limits = { warmupMs: 0, measureMs: FILL_MS_MAX, requestsMax: batchCount, bytesMax: UNLIMITED };
  const { requestsTotal, recordsPerRequest } = await runInGenerator(
    {
      kind: 'produce',
      target,
      topic: topic.name,
      partitions: topic.partitions,
      connections: FILL_CONNECTIONS,
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

/** How much faster than ever before a broker must still become for its breaking-in to go on, */
const FASTER = 1.03;
/** and in how many steps one after the other it may fail to. */
const STEPS_WITHOUT_GAIN_MAX = 2;
const BREAK_IN_JOB_MS = 700;

/**
 * A load that is not measured: a broker that has just started meets each path once, and a JVM compiles for tens of seconds on one
 * core. Goes on until it becomes no faster, at most so long (and one step more).
 */
export async function breakIn(
  broker: MeasuredBroker,
  { forMsMax, pin }: { forMsMax: number; pin: boolean },
): Promise<void> {
  const deadlineMs = performance.now() + forMsMax;
  let best = 0;
  for (let without = 0; without < STEPS_WITHOUT_GAIN_MAX && performance.now() < deadlineMs;) {
    const speed = await breakInStep(broker.target, pin);
    without = speed > best * FASTER ? 0 : without + 1;
    best = Math.max(best, speed);
  }
}

/** Single messages, batches and fetches; the geometric mean of their rates. */
async function breakInStep(target: Target, pin: boolean): Promise<number> {
  const name = `bench-${process.pid}-${++topicsCreated}`;
  await createTopic(target, { name, partitions: 1, config: {} });
  const common = { target, topic: name, partitions: 1, connections: 8, window: 5 };
  const limits = { warmupMs: 0, measureMs: BREAK_IN_JOB_MS, requestsMax: UNLIMITED, bytesMax: UNLIMITED };
  const batch = { batchBytes: 0, recordBytes: 1024 };
  const single = await runInGenerator({ kind: 'produce', ...common, batch, limits }, pin);
  const reading = { batchCount: single.requestsTotal, responseBytes: prepareBatch(batch, 0).bytes.length };
  const fetched = await runInGenerator({ kind: 'fetch', ...common, batch, ...reading, limits }, pin);
  const batches = { batchBytes: 16 * 1024, recordBytes: 1024 };
  const batched = await runInGenerator({ kind: 'produce', ...common, batch: batches, limits }, pin);
  await deleteTopic(target, name);
  const rates = [single, fetched, batched].map(({ figures }) => figures.requests / figures.seconds);
  return Math.cbrt(rates.reduce((product, rate) => product * rate, 1));
}
