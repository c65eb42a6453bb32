import type { RowTurns } from './compare.ts';
import type { Round } from './measure.ts';
import type { PeerName } from './peers/peer.ts';

/** A side that uses so much of one core is taken for the limit. */
const SATURATED_SHARE = 0.9;
const MIB = 1024 * 1024;

/** All that can be told of a round; each workload has some of them. */
export const METRICS = [
  'messagesPerSecond',
  'megabytesPerSecond',
  'p50Ms',
  'p99Ms',
  'p999Ms',
  'p99AloneMs',
  'p99Times',
  'besideMegabytesPerSecond',
  'fromDiskShare',
  'startMs',
  'restartMs',
  'restartKilledMs',
  'residentIdleMib',
  'cpuSecondsPerGigabyte',
  'cpuSecondsPerMillionMessages',
  'residentPeakMib',
  'brokerCpuShare',
  'brokerSystemShare',
  'generatorCpuShare',
  'otherCpuShare',
  'diskOverwritesPerSecond',
  'diskAppendsPerSecond',
] as const;

export type Metric = (typeof METRICS)[number];

/** The middle one of the rounds, with the extremes. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface PeerSummary {
  readonly peer: PeerName;
  readonly rounds: number;
  /** Of these, rounds in which nothing was answered while it was measured: their throughput is 0, and there is nothing else to say. */
  readonly silentRounds: number;
  /** Over the rounds that have a value. */
  readonly metrics: Readonly<Partial<Record<Metric, Spread>>>;
  /** Whose core was busy. */
  readonly saturated: 'broker' | 'client' | 'both' | 'neither' | 'unknown';
}

/** Quotients of medians. */
export type Ratios = Readonly<Partial<Record<Metric, number>>>;

/** What there is to say of a row. */
export interface Summary {
  readonly workload: string;
  readonly row: string;
  readonly says: string;
  readonly peers: readonly PeerSummary[];
  /** Of the first peer to each other. */
  readonly ratios: readonly { readonly to: PeerName; readonly metrics: Ratios }[];
  /** Of each peer's to the same peer's at another row of the workload, in the same run. */
  readonly against?: Against;
}

interface Against {
  readonly row: string;
  readonly peers: readonly { readonly peer: PeerName; readonly metrics: Ratios }[];
}

/** A summary per row. */
export function summarise(workload: string, results: readonly RowTurns[]): Summary[] {
  const peersByRow = new Map(
    results.map(({ row, turns }) => [
      row.name,
      turns.map(({ peer, rounds }) => summarisePeer(peer.name, rounds)),
    ]),
  );
  return results.map(({ row }) => {
    const peers = peersByRow.get(row.name)!;
    const [first, ...others] = peers;
    const ratios = others.map((other) => ({ to: other.peer, metrics: ratiosOf(first!, other) }));
    const summary = { workload, row: row.name, says: row.says, peers, ratios };
    const base = row.against === undefined ? undefined : peersByRow.get(row.against);
    if (row.against === undefined || base === undefined) return summary;
    return { ...summary, against: { row: row.against, peers: compared(peers, base) } };
  });
}

function compared(peers: readonly PeerSummary[], base: readonly PeerSummary[]): Against['peers'] {
  return peers.map((own, index) => ({ peer: own.peer, metrics: ratiosOf(own, base[index]!) }));
}

function summarisePeer(peer: PeerName, rounds: readonly Round[]): PeerSummary {
  const metrics: Partial<Record<Metric, Spread>> = {};
  for (const metric of METRICS) {
    const values = rounds.map((round) => VALUES[metric](round)).filter((value) => value !== undefined);
    if (values.length > 0) metrics[metric] = spreadOf(values);
  }
  const { brokerCpuShare, generatorCpuShare } = metrics;
  return {
    peer,
    rounds: rounds.length,
    silentRounds: rounds.filter(({ figures }) => figures?.requests === 0).length,
    metrics,
    saturated: saturatedSide(brokerCpuShare?.median, generatorCpuShare?.median),
  };
}

const VALUES: Readonly<Record<Metric, (round: Round) => number | undefined>> = {
  messagesPerSecond: ({ figures }) => figures && figures.messages / figures.seconds,
  megabytesPerSecond: ({ figures }) => figures && figures.bytes / figures.seconds / 1e6,
  p50Ms: ({ figures }) => figures?.p50Ms,
  p99Ms: ({ figures }) => figures?.p99Ms,
  p999Ms: ({ figures }) => figures?.p999Ms,
  p99AloneMs: ({ alone }) => alone?.p99Ms,
  p99Times: ({ figures, alone }) => per(figures?.p99Ms, alone?.p99Ms),
  besideMegabytesPerSecond: ({ beside }) => beside && beside.bytes / beside.seconds / 1e6,
  fromDiskShare: ({ fromDiskPart }) => fromDiskPart,
  startMs: ({ startMs }) => startMs,
  restartMs: ({ restartMs }) => restartMs,
  restartKilledMs: ({ restartKilledMs }) => restartKilledMs,
  residentIdleMib: ({ residentIdleBytes }) => residentIdleBytes && residentIdleBytes / MIB,
  cpuSecondsPerGigabyte: ({ figures }) => figures && per(figures.brokerCpuSeconds, figures.bytes / 1e9),
  cpuSecondsPerMillionMessages: ({ figures }) =>
    figures && per(figures.brokerCpuSeconds, figures.messages / 1e6),
  residentPeakMib: ({ residentPeakBytes }) => residentPeakBytes && residentPeakBytes / MIB,
  brokerCpuShare: ({ figures }) => figures && per(figures.brokerCpuSeconds, figures.seconds),
  brokerSystemShare: ({ figures }) => figures && per(figures.brokerSystemSeconds, figures.brokerCpuSeconds),
  generatorCpuShare: ({ figures }) => figures && figures.generatorCpuSeconds / figures.seconds,
  otherCpuShare: ({ figures }) => figures && per(figures.otherCpuSeconds, figures.seconds),
  diskOverwritesPerSecond: ({ disk }) => disk?.overwritePerSecond,
  diskAppendsPerSecond: ({ disk }) => disk?.appendPerSecond,
};

function per(value: number | undefined, unit: number | undefined): number | undefined {
  return value === undefined || unit === undefined || unit === 0 ? undefined : value / unit;
}

function ratiosOf(own: PeerSummary, other: PeerSummary): Ratios {
  const ratios: Partial<Record<Metric, number>> = {};
  for (const metric of METRICS) {
    const a = own.metrics[metric]?.median;
    const b = other.metrics[metric]?.median;
    if (a !== undefined && b !== undefined && b > 0) ratios[metric] = a / b;
  }
  return ratios;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(half)]! + sorted[Math.ceil(half)]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

function saturatedSide(broker: number | undefined, client: number | undefined): PeerSummary['saturated'] {
  if (broker === undefined || client === undefined) return 'unknown';
  const isBroker = broker >= SATURATED_SHARE;
  const isClient = client >= SATURATED_SHARE;
  if (isBroker && isClient) return 'both';
  return isBroker ? 'broker' : isClient ? 'client' : 'neither';
}
