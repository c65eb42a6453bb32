import type {
  FanOutJob,
  FetchJob,
  LatencyJob,
  PacedProduceJob,
  ProduceJob,
  StockConsumeJob,
  StockProduceJob,
} from './generator/job.ts';
import type { BatchShape } from './generator/requests.ts';
import type { JavaWork } from './java-tools.ts';
import type { Flush, PeerName } from './peers/peer.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

type Own<J, Left extends string = never> = Omit<J, 'target' | 'topic' | 'limits' | 'partitions' | Left>;

/** One of the generator's jobs, without what the harness knows better. */
export type RawWork =
  | Own<ProduceJob>
  | Own<FetchJob>
  | Own<LatencyJob>
  | Own<FanOutJob>
  | Own<StockProduceJob>
  | (Own<StockConsumeJob, 'recordCount'> & { readonly logBytes: number });

/**
 * A steady producer, first alone, then beside a reader that catches up on a log of which the page cache holds nothing. The
 * figures are those of the producer beside the reader.
 */
export interface CatchUpWork {
  readonly kind: 'catch-up';
  readonly hot: Own<PacedProduceJob>;
  readonly cold: Own<FetchJob, 'batchCount'>;
}

/** What concerns the process alone. */
export type ProcessWork =
  /** From the launch on a folder full of data to the first acknowledged message: after a clean stop, and after kill -9. */
  | { readonly kind: 'restart'; readonly batch: BatchShape }
  /**
   * From the launch on an empty folder to the first acknowledged message; and the memory of a broker to which nothing has been said so
   * long after another such launch.
   */
  | { readonly kind: 'start'; readonly idleMs: number };

/** What is measured in turns, and has a line per broker in the tables. */
export interface Row {
  readonly name: string;
  /** What is done, for the reader of a table. */
  readonly says: string;
  readonly flush: Flush;
  readonly partitions: number;
  readonly work: RawWork | JavaWork | CatchUpWork | ProcessWork;
  /** Flags for brokers that are started for this workload. */
  readonly settings?: Readonly<Partial<Record<PeerName, Readonly<Record<string, string>>>>>;
  /** Measures so many times as long as others: rare events need time to be seen. */
  readonly times?: number;
  /** A turn takes seconds however little it measures: a quick run has one round of it. */
  readonly slow?: true;
  /** The row of the same workload whose figures this one's are compared with, broker by broker. */
  readonly against?: string;
}

/** What a run can be asked for by name. */
export interface Workload {
  /** That of its row, if it has but one. */
  readonly name: string;
  readonly rows: readonly Row[];
  /** Takes minutes: a quick run of everything leaves it out. */
  readonly heavy?: boolean;
  /** On brokers that are started for it alone, and thrown away with their data. */
  readonly freshBrokers?: true;
}

/** Workloads that belong together, for the reader of the tables. */
export interface Group {
  readonly title: string;
  readonly workloads: readonly Workload[];
}

/** What concerns the process alone is not measured at a broker that runs. */
export function isProcessWork(work: Row['work']): work is ProcessWork {
  return work.kind === 'start' || work.kind === 'restart';
}

interface ProduceShape {
  readonly recordBytes: number;
  readonly batchBytes: number;
  readonly partitions: number;
  readonly connections: number;
  readonly window: number;
  readonly flush: Flush;
  readonly acks: -1 | 1;
  readonly codec: 'none' | 'lz4';
}

/** The baseline: all other workloads that produce move one of its axes, or two that belong together. */
const BASELINE: ProduceShape = {
  recordBytes: KIB,
  /** As the Java producer's `batch.size`; */
  batchBytes: 16 * KIB,
  partitions: 6,
  connections: 8,
  /** and its `max.in.flight.requests.per.connection`. */
  window: 5,
  flush: 'os',
  acks: -1,
  codec: 'none',
};

function produce(name: string, says: string, moved: Partial<ProduceShape> = {}): Row {
  const shape = { ...BASELINE, ...moved };
  const { connections, window, acks, recordBytes, batchBytes, codec } = shape;
  const batch = { batchBytes, recordBytes, codec };
  const work = { kind: 'produce' as const, connections, window, acks, batch };
  return { name, says, flush: shape.flush, partitions: shape.partitions, work };
}

/** Each connection sends one message and waits for its answer. */
const UNBATCHED = { batchBytes: 0, window: 1 };

function fetching(
  name: string,
  says: string,
  shape: { batch: number; response: number; logBytes: number },
): Row {
  const batch = { batchBytes: shape.batch, recordBytes: shape.batch === 0 ? KIB : KIB - 12 };
  const batchCount = Math.floor(shape.logBytes / Math.max(shape.batch, KIB));
  const work = { kind: 'fetch' as const, connections: 8, responseBytes: shape.response, batch, batchCount };
  return { name, says, flush: 'os', partitions: 1, work };
}

function latency(messagesPerSecond: number, name: string): Row {
  const work = { kind: 'latency' as const, messagesPerSecond, batch: { batchBytes: 0, recordBytes: KIB } };
  const says = `end to end, ${messagesPerSecond.toLocaleString('en')} messages of 1 KiB a second, unbatched`;
  return { name, says, flush: 'os', partitions: 1, work, times: 3 };
}

const COLD_BATCH = { batchBytes: 256 * KIB, recordBytes: KIB };

const STOCK_BATCH = { batchBytes: 16 * KIB, recordBytes: KIB };
const STOCK_LOG_BYTES = 384 * MIB;

function stockProduce(client: StockProduceJob['client'], says: string): Row {
  const work = {
    kind: 'stock-produce' as const,
    client,
    batch: STOCK_BATCH,
    messagesPerCall: 100,
    callsInFlight: 5,
  };
  return { name: `${client}-produce`, says, flush: 'os', partitions: 6, work };
}

function stockConsume(client: StockConsumeJob['client'], says: string): Row {
  const work = { kind: 'stock-consume' as const, client, batch: STOCK_BATCH, logBytes: STOCK_LOG_BYTES };
  // They hand on what they read in bursts of some hundred milliseconds.
  return { name: `${client}-consume`, says, flush: 'os', partitions: 6, work, times: 2 };
}

function java(name: string, says: string, work: JavaWork, partitions = 6): Row {
  return { name, says, flush: 'os', partitions, work, slow: true };
}

function alone(row: Row, { heavy = false } = {}): Workload {
  return { name: row.name, rows: [row], heavy };
}

const PROCESS: readonly Workload[] = [
  alone({
    name: 'start',
    says: 'launch on an empty folder to the first acknowledged message; memory 3 s after another such launch, when nobody has said a word',
    flush: 'default',
    partitions: 1,
    work: { kind: 'start', idleMs: 3000 },
  }),
  {
    ...alone({
      name: 'restart',
      says: 'launch on 10 GiB in 10 partitions (quick: 1 GiB) to the first acknowledged message: after a clean stop, and after kill -9 when a fortieth more had been written',
      flush: 'os',
      partitions: 10,
      work: { kind: 'restart', batch: COLD_BATCH },
    }),
    heavy: true,
  },
];

/** A short round of batches so large that a pause of the disk may take up most of it, measures longer. */
const LARGE = { times: 2 };

const PRODUCE: readonly Workload[] = [
  produce('produce-1k', 'the baseline: 1 KiB records in batches of 16 KiB, 6 partitions, acks=all'),
  produce('produce-100b', 'records of 100 B, in batches of 16 KiB', { recordBytes: 100 }),
  produce('produce-10k', 'records of 10 KiB, one per batch', { recordBytes: 10 * KIB }),
  { ...produce('produce-64k', 'batches of 64 KiB', { batchBytes: 64 * KIB }), ...LARGE },
  {
    ...produce('produce-1m', 'batches of 1 MiB less 64 bytes', { batchBytes: MIB - 64, window: 2 }),
    ...LARGE,
  },
  produce('produce-1p', '1 partition', { partitions: 1 }),
  produce('produce-100p', '100 partitions', { partitions: 100 }),
  produce('produce-1000p', '1,000 partitions', { partitions: 1000 }),
  produce('produce-acks1', 'acks=1', { acks: 1 }),
  produce('produce-lz4', 'batches compressed with lz4', { codec: 'lz4' }),
  produce('unbatched-100c', 'one message of 1 KiB per request, 100 connections', {
    ...UNBATCHED,
    connections: 100,
  }),
  produce('unbatched-1000c', 'one message of 1 KiB per request, 1,000 connections', {
    ...UNBATCHED,
    connections: 1000,
  }),
].map((row) => alone(row, { heavy: row.partitions >= 1000 }));

const FETCH: readonly Workload[] = [
  fetching('fetch-1k', 'single messages of 1 KiB', { batch: 0, response: KIB, logBytes: 16 * MIB }),
  fetching('fetch-64k', 'one batch of 64 KiB', { batch: 64 * KIB, response: 64 * KIB, logBytes: 128 * MIB }),
  fetching('fetch-1m', 'catch-up from the start: 1 MiB of batches of 16 KiB', {
    batch: 16 * KIB,
    response: MIB,
    logBytes: 128 * MIB,
  }),
  {
    name: 'fan-out-5',
    says: 'five groups of one member each follow the producer of a partition and commit four times a second; what they receive together',
    flush: 'os' as const,
    partitions: 1,
    work: { kind: 'fan-out' as const, consumers: 5, batch: { batchBytes: 16 * KIB, recordBytes: KIB } },
  },
  latency(1000, 'latency-1k'),
  latency(10_000, 'latency-10k'),
].map((row) => alone(row));

const FSYNC: readonly Workload[] = [
  {
    name: 'fsync',
    rows: [
      produce(
        'fsync-1p',
        'fdatasync before each answer, one message per request, 32 connections, 1 partition',
        {
          ...UNBATCHED,
          connections: 32,
          partitions: 1,
          flush: 'fsync',
        },
      ),
      {
        ...produce('fsync-100p', 'the same over 100 partitions', {
          ...UNBATCHED,
          connections: 32,
          partitions: 100,
          flush: 'fsync',
        }),
        against: 'fsync-1p',
      },
    ],
  },
  alone(
    produce('defaults', 'each with its own default: Polylog syncs before it acknowledges, Kafka does not', {
      flush: 'default',
    }),
  ),
];

/** The baseline with other generators: what users run. */
const STOCK: readonly Workload[] = [
  {
    name: 'java',
    rows: [
      java('java-produce', "Kafka's ProducerPerformance, 1 KiB records, as it comes", {
        kind: 'java-produce',
        recordBytes: KIB,
        records: 400_000,
        warmupRecords: 150_000,
      }),
      java('java-consume', "Kafka's ConsumerPerformance, as it comes", {
        kind: 'java-consume',
        batch: STOCK_BATCH,
        logBytes: 512 * MIB,
      }),
      java(
        'java-latency',
        "Kafka's EndToEndLatency: one message at a time",
        { kind: 'java-latency', recordBytes: KIB, records: 3000 },
        1,
      ),
    ],
  },
  {
    name: 'platformatic',
    rows: [
      stockProduce('platformatic', '@platformatic/kafka: 5 sends of 100 records of 1 KiB in flight'),
      stockConsume('platformatic', '@platformatic/kafka: a stream of the whole topic'),
    ],
  },
  {
    name: 'kafkajs',
    rows: [
      stockProduce('kafkajs', 'KafkaJS: 5 sends of 100 records of 1 KiB in flight'),
      stockConsume('kafkajs', 'KafkaJS: eachBatch over the whole topic'),
    ],
  },
];

const SPREAD = { batchBytes: 0, window: 50 };

const SCALE: readonly Workload[] = [
  {
    name: 'spread',
    rows: [
      produce(
        'spread-10p',
        'one message of 1 KiB per request, 8 connections with 50 in flight, 10 partitions',
        {
          ...SPREAD,
          partitions: 10,
        },
      ),
      {
        ...produce('spread-10000p', 'the same over 10,000 partitions', { ...SPREAD, partitions: 10_000 }),
        against: 'spread-10p',
      },
    ],
    heavy: true,
    freshBrokers: true,
  },
  {
    ...alone({
      name: 'catch-up-cold',
      says: 'the acknowledgements of 2,000 messages of 1 KiB a second beside a reader of 10 GiB (quick: 1) that are not in the page cache',
      flush: 'os',
      partitions: 1,
      work: {
        kind: 'catch-up',
        hot: { kind: 'paced-produce', messagesPerSecond: 2000, batch: { batchBytes: 0, recordBytes: KIB } },
        cold: { kind: 'fetch', connections: 1, responseBytes: MIB, batch: COLD_BATCH },
      },
    }),
    heavy: true,
  },
];

export const GROUPS: readonly Group[] = [
  { title: 'The process', workloads: PROCESS },
  { title: 'Produce: the baseline, and one axis moved at a time', workloads: PRODUCE },
  { title: 'Fetch, and from end to end', workloads: FETCH },
  { title: 'With a sync before each answer', workloads: FSYNC },
  { title: 'Stock clients: the baseline as users run it', workloads: STOCK },
  { title: 'Many partitions, and more data than memory', workloads: SCALE },
];

export const WORKLOADS: readonly Workload[] = GROUPS.flatMap(({ workloads }) => workloads);
