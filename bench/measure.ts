import { runningBroker, startBroker, type MeasuredBroker } from './broker-process.ts';
import { probeDisk, touchPageCache, type DiskRates } from './disk-probe.ts';
import { runInGenerator } from './generator-process.ts';
import { countRecords, createTopic, deleteTopic } from './generator/admin.ts';
import type { Figures, JobResult, RunLimits, Target } from './generator/job.ts';
import type { Workload } from './workloads.ts';

const DISK_PROBE_MS = 300;
/** The prefill is paced by a window as any other; the limits are those of the job that fills. */
const PREFILL_MS_MAX = 30_000;
const PREFILL_WINDOW = 64;
/** Other processes' CPU time per second above which a round counts as disturbed, */
const DISTURBED_SHARE = 0.2;
/** and is repeated while so many times the wanted rounds have not been tried. */
const ATTEMPTS_PER_ROUND = 2;
/** Of memory touched before a round: the bytes that it measures, and some for its warm-up. */
const TOUCHED_PER_MEASURED = 1.5;

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
  const attempts: Attempt[] = [];
  let peakResidentBytes: number | undefined;
  try {
    while (wantsAnother(attempts, options.rounds)) {
      if (workload.job.kind === 'produce')
        touchPageCache(broker.folder, options.limits.bytesMax * TOUCHED_PER_MEASURED);
      const disk = workload.flush === 'fsync' ? probeDisk(broker.folder, DISK_PROBE_MS) : undefined;
      attempts.push({ figures: await runRound(workload, broker, options), disk });
    }
    peakResidentBytes = broker.peakResidentBytes();
  } finally {
    await broker.stop();
  }
  const kept = attempts.sort((a, b) => disturbance(a) - disturbance(b)).slice(0, options.rounds);
  return {
    workload,
    rounds: kept.map(({ figures }) => figures),
    peakResidentBytes,
    disk: kept.flatMap(({ disk }) => (disk === undefined ? [] : [disk])),
  };
}

interface Attempt {
  readonly figures: Figures;
  readonly disk: DiskRates | undefined;
}

/** The quietest rounds are kept: what other processes take on two cores makes the broker slower, and its CPU time longer. */
function wantsAnother(attempts: readonly Attempt[], rounds: number): boolean {
  const quiet = attempts.filter((attempt) => disturbance(attempt) <= DISTURBED_SHARE).length;
  return quiet < rounds && attempts.length < rounds * ATTEMPTS_PER_ROUND;
}

function disturbance({ figures: { otherCpuSeconds = 0, seconds } }: Attempt): number {
  return otherCpuSeconds / seconds;
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
