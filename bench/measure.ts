import process from 'node:process';

import { BrokerProcess, type MeasuredBroker } from './broker-process.ts';
import { probeDisk, settleDisk, touchPageCache, type DiskRates } from './disk-probe.ts';
import { runInGenerator } from './generator-process.ts';
import { countRecords, createTopic, deleteTopic } from './generator/admin.ts';
import type { Figures, JobResult, RunLimits } from './generator/job.ts';
import { forgetPeak, residentBytesOf } from './generator/process-stats.ts';
import { prepareBatch, type BatchShape } from './generator/requests.ts';
import { runJavaTool } from './java-tools.ts';
import type { RawWork, Workload } from './workloads.ts';

const DISK_PROBE_MS = 200;
/** The prefill is paced by a window as any other; the limits are those of the job that fills. */
const PREFILL_MS_MAX = 60_000;
const PREFILL_WINDOW = 16;
/** Of memory touched before a round: the bytes that it measures, and some for its warm-up. */
const TOUCHED_PER_MEASURED = 1.5;
/** To make topics of more partitions takes longer than a round: one serves all rounds. */
const PARTITIONS_PER_ROUND_MAX = 500;

/** Jobs travel as JSON, which has no infinity. */
const UNLIMITED = Number.MAX_SAFE_INTEGER;

export interface MeasureOptions {
  readonly limits: RunLimits;
  readonly pin: boolean;
}

/** One turn of a broker at a workload. */
export interface Round {
  /** Undefined for a workload that concerns the process alone. */
  readonly figures: Figures | undefined;
  /** Taken right before; for flush=fsync only. */
  readonly disk: DiskRates | undefined;
  readonly residentPeakBytes: number | undefined;
  readonly startMs: number | undefined;
  readonly residentIdleBytes: number | undefined;
}

const NOTHING: Round = {
  figures: undefined,
  disk: undefined,
  residentPeakBytes: undefined,
  startMs: undefined,
  residentIdleBytes: undefined,
};

interface Topic {
  readonly name: string;
  readonly partitions: number;
  /** Records that have been acknowledged. */
  appended: number;
}

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
    const { flush, work } = this.#workload;
    const { target, folder } = this.#broker;
    const limits = this.#limits();
    const topic = await this.#topic();
    await settleDisk();
    if (work.kind === 'produce') touchPageCache(folder, limits.bytesMax * TOUCHED_PER_MEASURED);
    const disk = flush === 'fsync' ? probeDisk(folder, DISK_PROBE_MS) : undefined;
    if (target.pid !== undefined) forgetPeak(target.pid);
    const figures = await this.#run(topic, limits);
    const residentPeakBytes = target.pid === undefined ? undefined : residentBytesOf(target.pid)?.peak;
    await this.#checkCount(topic);
    if (topic !== this.#kept) await deleteTopic(target, topic.name);
    return { ...NOTHING, figures, disk, residentPeakBytes };
  }

  async end(): Promise<void> {
    if (this.#kept !== undefined) await deleteTopic(this.#broker.target, this.#kept.name);
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
    if (work.kind === 'stock-consume' || work.kind === 'java-consume')
      await this.#fill(topic, work.batch, Math.floor(work.logBytes / work.batch.batchBytes));
    if (topic.appended > 0 || partitions > PARTITIONS_PER_ROUND_MAX) this.#kept = topic;
    return topic;
  }

  /** The log that a workload reads. */
  async #fill(topic: Topic, batch: BatchShape, batchCount: number): Promise<void> {
    const { requestsTotal, recordsPerRequest } = await runInGenerator(
      {
        kind: 'produce',
        target: this.#broker.target,
        topic: topic.name,
        partitions: topic.partitions,
        connections: 1,
        window: PREFILL_WINDOW,
        batch,
        limits: {
          warmupMs: 0,
          measureMs: PREFILL_MS_MAX,
          requestsMax: batchCount,
          bytesMax: UNLIMITED,
        },
      },
      this.#options.pin,
    );
    if (requestsTotal < batchCount) throw new Error(`only ${requestsTotal} batches prefilled`);
    topic.appended = requestsTotal * recordsPerRequest;
  }

  async #run(topic: Topic, limits: RunLimits): Promise<Figures> {
    const { work } = this.#workload;
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
      case 'start':
      case 'idle':
        throw new Error(`${work.kind} is not measured at a broker that runs`);
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
    if (kind === 'latency' || kind === 'java-latency' || kind === 'fan-out') return;
    const found = await countRecords(this.#broker.target, name, partitions);
    if (found !== appended)
      throw new Error(`${appended} records were acknowledged, but the log holds ${found}`);
  }
}

/** Time to the first message, of a process with an empty folder, which it then removes. */
export async function measureStart(broker: BrokerProcess): Promise<Round> {
  try {
    return { ...NOTHING, startMs: await broker.launchToFirstMessage('first') };
  } finally {
    await broker.remove();
  }
}

/** Memory of a process that has started some time ago, which it then ends. */
export async function measureIdle(broker: BrokerProcess): Promise<Round> {
  try {
    const { pid } = broker.target;
    return { ...NOTHING, residentIdleBytes: pid === undefined ? undefined : residentBytesOf(pid)?.now };
  } finally {
    await broker.remove();
  }
}

/** A load that is not measured: a broker that has just started meets each path once, and a JVM compiles it. */
export async function breakIn(
  broker: MeasuredBroker,
  { forMs, pin }: { forMs: number; pin: boolean },
): Promise<void> {
  const name = `bench-${process.pid}-${++topicsCreated}`;
  const { target } = broker;
  const batch = { batchBytes: 0, recordBytes: 1024 };
  await createTopic(target, { name, partitions: 1, config: {} });
  const common = { target, topic: name, batch, partitions: 1 };
  const limits = { warmupMs: 0, measureMs: forMs, requestsMax: UNLIMITED, bytesMax: UNLIMITED };
  const { requestsTotal } = await runInGenerator(
    { kind: 'produce', ...common, connections: 8, window: 1, limits },
    pin,
  );
  const reading = {
    batchCount: requestsTotal,
    connections: 8,
    responseBytes: prepareBatch(batch, 0).bytes.length,
  };
  await runInGenerator({ kind: 'fetch', ...common, ...reading, limits }, pin);
  await deleteTopic(target, name);
}
