import { runningBroker, startBroker, type MeasuredBroker } from './broker-process.ts';
import { probeDisk, type DiskRates } from './disk-probe.ts';
import { runInGenerator } from './generator-process.ts';
import { countRecords, createTopic, deleteTopic } from './generator/admin.ts';
import type { Figures, JobResult, RunLimits, Target } from './generator/job.ts';
import type { Workload } from './workloads.ts';

const DISK_PROBE_MS = 300;
/** The prefill is paced by a window as any other; the limits are those of the job that fills. */
const PREFILL_MS_MAX = 30_000;
const PREFILL_WINDOW = 64;

export interface MeasureOptions {
  readonly rounds: number;
  readonly limits: RunLimits;
  readonly pin: boolean;
  readonly profileFolder: string | undefined;
  /** A broker that runs already, instead of one started for each workload. */
  readonly target: Target | undefined;
}

/** One workload's result. */
export interface Row {
  readonly workload: Workload;
  readonly rounds: readonly Figures[];
  readonly peakResidentBytes: number | undefined;
  /** Of each round, taken right before it; for flush=fsync only. */
  readonly disk: readonly DiskRates[];
}

/** Runs all rounds of a workload against one broker. Rejects if a single request went wrong. */
export async function measure(workload: Workload, options: MeasureOptions): Promise<Row> {
  const { target, pin, profileFolder } = options;
  const broker =
    target === undefined
      ? await startBroker({ settings: workload.brokerSettings ?? [], pin, profileFolder })
      : runningBroker(target);
  const rounds: Figures[] = [];
  const disk: DiskRates[] = [];
  let peakResidentBytes: number | undefined;
  try {
    for (let round = 0; round < options.rounds; round++) {
      if (workload.flush === 'fsync') disk.push(probeDisk(broker.folder, DISK_PROBE_MS));
      rounds.push(await runRound(workload, broker, options));
    }
    peakResidentBytes = broker.peakResidentBytes();
  } finally {
    await broker.stop();
  }
  return { workload, rounds, peakResidentBytes, disk };
}

let topicsCreated = 0;

async function runRound(
  workload: Workload,
  { target }: MeasuredBroker,
  { limits, pin }: MeasureOptions,
): Promise<Figures> {
  const { partitions, flush, job } = workload;
  const topic = `bench-${process.pid}-${++topicsCreated}`;
  await createTopic(target, { name: topic, partitions, flush });
  let appended = 0;
  if (job.kind === 'fetch') {
    const filled = await prefill({ target, topic, job }, pin);
    appended = filled.requestsTotal * filled.recordsPerRequest;
    if (filled.requestsTotal < job.batchCount)
      throw new Error(`only ${filled.requestsTotal} batches prefilled`);
  }
  const result = await runInGenerator({ ...job, target, topic, limits }, pin);
  if (job.kind === 'produce') appended = result.requestsTotal * result.recordsPerRequest;
  if (job.kind !== 'latency') await checkCount(target, { topic, partitions, appended });
  await deleteTopic(target, topic);
  return result.figures;
}

/** The log that a fetch workload reads. */
async function prefill(
  { target, topic, job }: { target: Target; topic: string; job: Extract<Workload['job'], { kind: 'fetch' }> },
  pin: boolean,
): Promise<JobResult> {
  return runInGenerator(
    {
      kind: 'produce',
      target,
      topic,
      partitions: 1,
      connections: 1,
      window: PREFILL_WINDOW,
      batch: job.batch,
      limits: {
        warmupMs: 0,
        measureMs: PREFILL_MS_MAX,
        requestsMax: job.batchCount,
        bytesMax: Number.MAX_SAFE_INTEGER,
      },
    },
    pin,
  );
}

/** Figures count only if the log holds exactly what was acknowledged. */
async function checkCount(
  target: Target,
  { topic, partitions, appended }: { topic: string; partitions: number; appended: number },
): Promise<void> {
  const found = await countRecords(target, topic, partitions);
  if (found !== appended)
    throw new Error(`${appended} records were acknowledged, but the log holds ${found}`);
}
