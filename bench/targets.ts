import { rowsToMarkdown } from './report.ts';
import type { Metric, Summary } from './summary.ts';

/** The broker that targets are about, and the one that they compare it with. */
const OWN = 'polylog';
const OTHER = 'kafka';

type Bound = { readonly least: number } | { readonly most: number };

/** One figure of a row: a ratio of medians to the other broker's, a median of its own, or the ratio to another row of the same run. */
interface Figure {
  readonly row: string;
  readonly of: 'ratio' | 'own' | 'against';
  readonly metric: Metric;
}

interface Target {
  readonly work: string;
  readonly bound: Bound;
  readonly unit?: string;
  readonly digits?: number;
  /** What counts of these results. */
  readonly figures: (results: readonly Summary[]) => readonly Figure[];
}

const PRODUCE_SMALL = [
  'produce-1k',
  'produce-100b',
  'produce-10k',
  'produce-1p',
  'produce-100p',
  'produce-1000p',
];
const PRODUCE_LARGE = ['produce-64k', 'produce-1m'];
const FETCH_LARGE = ['fetch-64k', 'fetch-1m'];
const STOCK = ['java', 'platformatic', 'kafkajs'].flatMap((client) => [
  `${client}-produce`,
  `${client}-consume`,
]);

function ratios(metric: Metric, rows: readonly string[]): Target['figures'] {
  const figures = rows.map((row) => ({ row, of: 'ratio' as const, metric }));
  return () => figures;
}

/** Of every row that has one. */
function peaksUnderLoad(results: readonly Summary[]): Figure[] {
  return results
    .filter(({ ratios: found }) => found.some(({ metrics }) => metrics.residentPeakMib !== undefined))
    .map(({ row }) => ({ row, of: 'ratio', metric: 'residentPeakMib' }));
}

/** In the order of the page. */
const TARGETS: readonly Target[] = [
  {
    work: 'produce, raw: throughput',
    bound: { least: 1.5 },
    figures: ratios('messagesPerSecond', PRODUCE_SMALL),
  },
  {
    work: 'produce, raw: CPU per GB',
    bound: { most: 0.5 },
    figures: ratios('cpuSecondsPerGigabyte', PRODUCE_SMALL),
  },
  {
    work: 'the same, batches of 64 KiB and more: throughput',
    bound: { least: 1 },
    figures: ratios('messagesPerSecond', PRODUCE_LARGE),
  },
  { work: 'CPU per GB', bound: { most: 0.7 }, figures: ratios('cpuSecondsPerGigabyte', PRODUCE_LARGE) },
  {
    work: 'fetch, raw, small: throughput',
    bound: { least: 1.5 },
    figures: ratios('messagesPerSecond', ['fetch-1k']),
  },
  {
    work: 'fetch, 64 KiB and more: throughput',
    bound: { least: 1 },
    figures: ratios('messagesPerSecond', FETCH_LARGE),
  },
  { work: 'CPU per GB', bound: { most: 0.7 }, figures: ratios('cpuSecondsPerGigabyte', FETCH_LARGE) },
  { work: 'stock clients: throughput', bound: { least: 1 }, figures: ratios('messagesPerSecond', STOCK) },
  {
    work: 'unbatched, 100 connections: throughput',
    bound: { least: 2 },
    figures: ratios('messagesPerSecond', ['unbatched-100c']),
  },
  {
    work: 'end to end: p99',
    bound: { most: 0.5 },
    figures: ratios('p99Ms', ['latency-1k', 'latency-10k']),
  },
  {
    work: 'fsync, against flush.messages=1: throughput',
    bound: { least: 5 },
    figures: ratios('messagesPerSecond', ['fsync-1p', 'fsync-100p']),
  },
  {
    work: 'fsync, 100 partitions to 1: throughput',
    bound: { least: 0.5 },
    figures: () => [{ row: 'fsync-100p', of: 'against', metric: 'messagesPerSecond' }],
  },
  {
    work: "cold catch-up: the producer's p99 to that without",
    bound: { most: 2 },
    figures: () => [{ row: 'catch-up-cold', of: 'own', metric: 'p99Times' }],
  },
  {
    work: 'start to the first message',
    bound: { most: 500 },
    unit: 'ms',
    digits: 0,
    figures: () => [{ row: 'start', of: 'own', metric: 'startMs' }],
  },
  { work: 'start, ratio', bound: { most: 0.15 }, figures: ratios('startMs', ['start']) },
  { work: 'memory, idle', bound: { most: 0.2 }, figures: ratios('residentIdleMib', ['start']) },
  {
    work: 'memory under load',
    bound: { most: 0.3 },
    figures: peaksUnderLoad,
  },
  {
    work: 'CPU per message, 10,000 partitions to 10',
    bound: { most: 1.5 },
    figures: () => [{ row: 'spread-10000p', of: 'against', metric: 'cpuSecondsPerMillionMessages' }],
  },
];

/** A line per target: what was measured, and whether it is met; open while a figure is missing and none misses. */
export function targetsTable(results: readonly Summary[]): string {
  const byRow = new Map(results.map((summary) => [summary.row, summary]));
  const lines = TARGETS.map((target) => {
    const found = target.figures(results).map((figure) => ({
      row: figure.row,
      value: valueOf(figure, byRow.get(figure.row)),
    }));
    const measured = found.map(
      ({ row, value }) => `${row} ${value === undefined ? 'not measured' : textOf(value, target)}`,
    );
    return [target.work, boundText(target), measured.join('; ') || 'not measured', verdict(target, found)];
  });
  return rowsToMarkdown(['work', 'target', 'measured', ''], lines);
}

function valueOf({ of, metric }: Figure, summary: Summary | undefined): number | undefined {
  switch (of) {
    case 'ratio':
      return summary?.ratios.find(({ to }) => to === OTHER)?.metrics[metric];
    case 'own':
      return summary?.peers.find(({ peer }) => peer === OWN)?.metrics[metric]?.median;
    case 'against':
      return summary?.against?.peers.find(({ peer }) => peer === OWN)?.metrics[metric];
  }
}

function verdict(
  target: Target,
  found: readonly { readonly row: string; readonly value: number | undefined }[],
): string {
  const missed = found.filter(({ value }) => value !== undefined && !meets(target.bound, value));
  if (missed.length > 0) {
    const which = missed.map(({ row, value }) => `${row} ${textOf(value!, target)}`);
    return `**missed** by ${which.join(', ')}`;
  }
  return found.length === 0 || found.some(({ value }) => value === undefined) ? 'open' : 'met';
}

function meets(bound: Bound, value: number): boolean {
  return 'least' in bound ? value >= bound.least : value <= bound.most;
}

function boundText({ bound, unit }: Target): string {
  const text = 'least' in bound ? `>= ${bound.least}` : `<= ${bound.most}`;
  return unit === undefined ? text : `${text} ${unit}`;
}

function textOf(value: number, { unit, digits = 2 }: Target): string {
  const text = value.toFixed(digits);
  return unit === undefined ? text : `${text} ${unit}`;
}
