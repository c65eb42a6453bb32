import type { Figures } from './generator/job.ts';
import type { Row } from './measure.ts';
import type { Metric } from './workloads.ts';

/** A side that uses so much of one core is taken for the limit. */
const SATURATED_SHARE = 0.9;
/** What is further behind the prototype is to be explained by a profile. */
const BEHIND_SHARE = 0.3;
const MIB = 1024 * 1024;

/** The middle one of the rounds, with the extremes. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Comparison {
  readonly metric: Metric;
  readonly prototype: number;
  /** Above 1: better than the prototype, whichever direction is better. */
  readonly ratio: number;
  /** What one core of CPU time alone would reach; undefined for latencies. A busy machine distorts it less than `ratio`. */
  readonly perCpuSecondRatio: number | undefined;
  readonly behind: boolean;
}

export interface Summary {
  readonly workload: string;
  readonly requestsPerSecond: Spread;
  readonly megabytesPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly p999Ms: Spread;
  readonly brokerCpuShare: Spread | undefined;
  /** The part of the broker's CPU time that was spent in the kernel. */
  readonly brokerSystemShare: Spread | undefined;
  readonly brokerCpuSecondsPerGigabyte: Spread | undefined;
  readonly brokerCpuSecondsPerMillionRequests: Spread | undefined;
  readonly generatorCpuShare: Spread;
  readonly otherCpuShare: Spread | undefined;
  readonly peakResidentMib: number | undefined;
  readonly saturated: 'broker' | 'generator' | 'both' | 'neither' | 'unknown';
  readonly diskOverwritesPerSecond: Spread | undefined;
  readonly diskAppendsPerSecond: Spread | undefined;
  readonly comparisons: readonly Comparison[];
}

export function summarise({ workload, rounds, peakResidentBytes, disk }: Row): Summary {
  const of = (value: (figures: Figures) => number): Spread => spreadOf(rounds.map(value));
  const cpu = (value: (figures: Figures, seconds: number) => number): Spread | undefined => {
    const values = rounds.flatMap((figures) =>
      figures.brokerCpuSeconds === undefined ? [] : [value(figures, figures.brokerCpuSeconds)],
    );
    return values.length === 0 ? undefined : spreadOf(values);
  };
  const metrics: Record<Metric, Spread> = {
    requestsPerSecond: of(({ requests, seconds }) => requests / seconds),
    megabytesPerSecond: of(({ bytes, seconds }) => bytes / seconds / 1e6),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
  };
  const brokerCpuShare = cpu(({ seconds }, cpuSeconds) => cpuSeconds / seconds);
  const generatorCpuShare = of(({ generatorCpuSeconds, seconds }) => generatorCpuSeconds / seconds);
  return {
    workload: workload.name,
    ...metrics,
    p999Ms: of(({ p999Ms }) => p999Ms),
    brokerCpuShare,
    brokerSystemShare: cpu(({ brokerSystemSeconds = 0 }, cpuSeconds) => brokerSystemSeconds / cpuSeconds),
    brokerCpuSecondsPerGigabyte: cpu(({ bytes }, cpuSeconds) => (cpuSeconds * 1e9) / bytes),
    brokerCpuSecondsPerMillionRequests: cpu(({ requests }, cpuSeconds) => (cpuSeconds * 1e6) / requests),
    generatorCpuShare,
    otherCpuShare: cpu(({ otherCpuSeconds = 0, seconds }) => otherCpuSeconds / seconds),
    peakResidentMib: peakResidentBytes === undefined ? undefined : peakResidentBytes / MIB,
    saturated: saturatedSide(brokerCpuShare?.median, generatorCpuShare.median),
    diskOverwritesPerSecond:
      disk.length === 0 ? undefined : spreadOf(disk.map(({ overwritePerSecond }) => overwritePerSecond)),
    diskAppendsPerSecond:
      disk.length === 0 ? undefined : spreadOf(disk.map(({ appendPerSecond }) => appendPerSecond)),
    comparisons: workload.prototype.map(({ metric, value }) =>
      compare({
        metric,
        prototype: value,
        measured: metrics[metric].median,
        cpuShare: brokerCpuShare?.median,
      }),
    ),
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(half)]! + sorted[Math.ceil(half)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

function compare(facts: {
  readonly metric: Metric;
  readonly prototype: number;
  readonly measured: number;
  readonly cpuShare: number | undefined;
}): Comparison {
  const { metric, prototype, measured, cpuShare } = facts;
  const lowerIsBetter = metric === 'p50Ms' || metric === 'p99Ms';
  const ratio = lowerIsBetter ? prototype / measured : measured / prototype;
  return {
    metric,
    prototype,
    ratio,
    perCpuSecondRatio: lowerIsBetter || cpuShare === undefined ? undefined : ratio / cpuShare,
    behind: ratio < 1 - BEHIND_SHARE,
  };
}

function saturatedSide(broker: number | undefined, generator: number): Summary['saturated'] {
  if (broker === undefined) return generator >= SATURATED_SHARE ? 'generator' : 'unknown';
  const isBroker = broker >= SATURATED_SHARE;
  const isGenerator = generator >= SATURATED_SHARE;
  if (isBroker && isGenerator) return 'both';
  return isBroker ? 'broker' : isGenerator ? 'generator' : 'neither';
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly cell: (summary: Summary) => string;
}

const COLUMNS: readonly Column[] = [
  { title: 'requests/s', width: 10, cell: (row) => whole(row.requestsPerSecond.median) },
  { title: 'min..max', width: 16, cell: (row) => range(row.requestsPerSecond) },
  { title: 'MB/s', width: 7, cell: (row) => whole(row.megabytesPerSecond.median) },
  { title: 'p50 ms', width: 7, cell: (row) => milliseconds(row.p50Ms.median) },
  { title: 'p99 ms', width: 7, cell: (row) => milliseconds(row.p99Ms.median) },
  { title: 'p99.9', width: 7, cell: (row) => milliseconds(row.p999Ms.median) },
  { title: 'CPU s/GB', width: 8, cell: (row) => decimals(row.brokerCpuSecondsPerGigabyte?.median) },
  { title: 's/Mreq', width: 7, cell: (row) => decimals(row.brokerCpuSecondsPerMillionRequests?.median) },
  { title: 'broker', width: 6, cell: (row) => percent(row.brokerCpuShare?.median) },
  { title: 'kernel', width: 6, cell: (row) => percent(row.brokerSystemShare?.median) },
  { title: 'gen.', width: 5, cell: (row) => percent(row.generatorCpuShare.median) },
  { title: 'other', width: 5, cell: (row) => percent(row.otherCpuShare?.median) },
  { title: 'RSS MiB', width: 7, cell: (row) => whole(row.peakResidentMib) },
  { title: 'limit', width: 9, cell: (row) => row.saturated },
];

const NAME_WIDTH = 21;

/** Explains the columns, which have no room for it. */
export function heading(): string {
  return [
    'Medians of the rounds; rounds that other processes disturbed are repeated, and the quietest are kept. CPU s: of the broker,',
    'per GB of record batches and per million requests. broker (kernel: its part spent there), gen., other: CPU time per second of',
    "the broker, the generator and all else. limit: whose core was busy. Last: the prototype's figure, how many times as good this",
    'is (below 0.70 it is marked BEHIND), and in brackets what it would be with a core of its own.',
    '',
    'workload'.padEnd(NAME_WIDTH) +
      COLUMNS.map(({ title, width }) => title.padStart(width)).join(' ') +
      '  prototype',
  ].join('\n');
}

export function line(summary: Summary): string {
  const cells = COLUMNS.map(({ width, cell }) => cell(summary).padStart(width)).join(' ');
  const comparisons = summary.comparisons.map(comparisonText);
  const { diskOverwritesPerSecond: overwrites, diskAppendsPerSecond: appends } = summary;
  const disk =
    overwrites === undefined || appends === undefined
      ? []
      : [`disk: fdatasync ${whole(overwrites.median)}/s overwriting, ${whole(appends.median)}/s appending`];
  return `${summary.workload.padEnd(NAME_WIDTH)}${cells}  ${[...comparisons, ...disk].join('; ')}`;
}

function comparisonText({ metric, prototype, ratio, perCpuSecondRatio, behind }: Comparison): string {
  const ofOwnCore = perCpuSecondRatio === undefined ? '' : ` (x${perCpuSecondRatio.toFixed(2)})`;
  const mark = behind ? ' BEHIND' : '';
  return `${prototype.toLocaleString('en')} ${UNITS[metric]} x${ratio.toFixed(2)}${ofOwnCore}${mark}`;
}

const UNITS: Readonly<Record<Metric, string>> = {
  requestsPerSecond: '/s',
  megabytesPerSecond: 'MB/s',
  p50Ms: 'ms p50',
  p99Ms: 'ms p99',
};

function whole(value: number | undefined): string {
  return value === undefined ? '-' : Math.round(value).toLocaleString('en');
}

function range({ min, max }: Spread): string {
  return min === max ? '' : `${whole(min)}..${whole(max)}`;
}

function milliseconds(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}

function decimals(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(2);
}

function percent(share: number | undefined): string {
  return share === undefined ? '-' : `${Math.round(share * 100)}%`;
}
