import type { Flush } from './generator/admin.ts';
import type { FetchJob, LatencyJob, ProduceJob } from './generator/job.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

export type Metric = 'requestsPerSecond' | 'megabytesPerSecond' | 'p50Ms' | 'p99Ms';

/** What the design's throw-away prototype reached, and with it the least that is expected here. */
export interface PrototypeFigure {
  readonly metric: Metric;
  readonly value: number;
}

type Own<J> = Omit<J, 'target' | 'topic' | 'limits'>;

export interface Workload {
  readonly name: string;
  readonly flush: Flush;
  readonly partitions: number;
  readonly job: Own<ProduceJob> | Own<FetchJob> | Own<LatencyJob>;
  /** Flags for a broker that is started for this workload. */
  readonly brokerSettings?: readonly string[];
  /** Several where the design gives several; of a range, the end that is easier to reach. */
  readonly prototype: readonly PrototypeFigure[];
}

const SMALL = { batchBytes: 0, recordBytes: 100 };
/** Batches of larger sizes hold records of about 1 KiB. */
const batchOf = (batchBytes: number) => ({ batchBytes, recordBytes: Math.min(KIB, batchBytes - 64) - 12 });

/** One connection that keeps so many requests in flight. */
function pipelined(
  name: string,
  { batch, window, partitions = 1 }: { batch: typeof SMALL; window: number; partitions?: number },
  ...prototype: readonly PrototypeFigure[]
): Workload {
  const job = { kind: 'produce' as const, partitions, connections: 1, window, batch };
  return { name, flush: 'os', partitions, job, prototype };
}

/** Connections that each wait for one answer before they send the next message. */
function waiting(
  name: string,
  { connections, partitions, flush }: { connections: number; partitions: number; flush: Flush },
  ...prototype: readonly PrototypeFigure[]
): Workload {
  const job = { kind: 'produce' as const, partitions, connections, window: 1, batch: SMALL };
  return { name, flush, partitions, job, prototype };
}

/** In the page cache, and below the broker's `hot.bytes`: repeated reads of it are hot. */
const FETCHED_LOG_BYTES = 128 * MIB;
/** Nothing is hot: every read goes the way of old records, though the page cache has them. */
const NOTHING_HOT = ['--hot-bytes', '0'];

function fetching(
  name: string,
  { responseBytes, connections, hot }: { responseBytes: number; connections: number; hot: boolean },
  ...prototype: readonly PrototypeFigure[]
): Workload {
  const batch = batchOf(16 * KIB);
  const batchCount = FETCHED_LOG_BYTES / batch.batchBytes;
  const job = { kind: 'fetch' as const, connections, responseBytes, batch, batchCount };
  return {
    name,
    flush: 'os',
    partitions: 1,
    job,
    prototype,
    ...(hot ? {} : { brokerSettings: NOTHING_HOT }),
  };
}

function latency(name: string, flush: Flush, ...prototype: readonly PrototypeFigure[]): Workload {
  const job = { kind: 'latency' as const, messagesPerSecond: 1000, batch: SMALL };
  return { name, flush, partitions: 1, job, prototype };
}

/** The figures of DESIGN.md, "The hot path", beside the workloads that they were measured with. */
export const WORKLOADS: readonly Workload[] = [
  pipelined('produce-100b', { batch: SMALL, window: 500 }, { metric: 'requestsPerSecond', value: 200_000 }),
  pipelined('produce-100b-6p', { batch: SMALL, window: 500, partitions: 6 }),
  pipelined('produce-100b-100p', { batch: SMALL, window: 500, partitions: 100 }),
  pipelined('produce-1k', { batch: batchOf(KIB), window: 256 }),
  pipelined(
    'produce-16k',
    { batch: batchOf(16 * KIB), window: 64 },
    { metric: 'megabytesPerSecond', value: 800 },
  ),
  pipelined('produce-16k-6p', { batch: batchOf(16 * KIB), window: 66, partitions: 6 }),
  pipelined('produce-16k-100p', { batch: batchOf(16 * KIB), window: 100, partitions: 100 }),
  pipelined('produce-64k', { batch: batchOf(64 * KIB), window: 16 }),
  pipelined('produce-1m', { batch: batchOf(MIB), window: 4 }, { metric: 'megabytesPerSecond', value: 1700 }),
  waiting(
    'produce-waiting',
    { connections: 100, partitions: 1, flush: 'os' },
    { metric: 'requestsPerSecond', value: 100_000 },
  ),
  waiting('produce-waiting-6p', { connections: 100, partitions: 6, flush: 'os' }),
  waiting('produce-waiting-100p', { connections: 100, partitions: 100, flush: 'os' }),
  fetching(
    'fetch-1m',
    { responseBytes: MIB, connections: 4, hot: true },
    { metric: 'megabytesPerSecond', value: 2300 },
  ),
  fetching('fetch-1m-1c', { responseBytes: MIB, connections: 1, hot: true }),
  fetching(
    'fetch-16k',
    { responseBytes: 16 * KIB, connections: 4, hot: true },
    { metric: 'megabytesPerSecond', value: 1500 },
  ),
  fetching('fetch-1m-cold', { responseBytes: MIB, connections: 4, hot: false }),
  fetching('fetch-16k-cold', { responseBytes: 16 * KIB, connections: 4, hot: false }),
  latency('latency', 'os', { metric: 'p50Ms', value: 0.2 }, { metric: 'p99Ms', value: 1.6 }),
  latency('latency-fsync', 'fsync'),
  waiting('os-1p', { connections: 32, partitions: 1, flush: 'os' }),
  waiting('os-4p', { connections: 32, partitions: 4, flush: 'os' }),
  waiting('os-100p', { connections: 32, partitions: 100, flush: 'os' }),
  waiting(
    'fsync-1p',
    { connections: 32, partitions: 1, flush: 'fsync' },
    { metric: 'requestsPerSecond', value: 30_000 },
    { metric: 'p50Ms', value: 1.3 },
  ),
  waiting(
    'fsync-4p',
    { connections: 32, partitions: 4, flush: 'fsync' },
    { metric: 'requestsPerSecond', value: 17_000 },
  ),
  waiting('fsync-100p', { connections: 32, partitions: 100, flush: 'fsync' }),
];
