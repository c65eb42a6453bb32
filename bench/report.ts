import { GROUPS } from './workloads.ts';
import type { Metric, PeerSummary, Ratios, Spread, Summary } from './summary.ts';

interface Column {
  readonly metric: Metric;
  readonly title: string;
  readonly width: number;
  readonly text: (value: number) => string;
  /** Whether the extremes are shown, and the ratio. */
  readonly spread?: true;
  readonly ratio?: true;
}

/** A machine's cell and a reader's: shares and the disk's rates are facts about the run, not results. */
const COLUMNS: readonly Column[] = [
  { metric: 'messagesPerSecond', title: 'messages/s', width: 10, text: whole, spread: true, ratio: true },
  { metric: 'megabytesPerSecond', title: 'MB/s', width: 7, text: significant, ratio: true },
  { metric: 'p50Ms', title: 'p50 ms', width: 7, text: significant, ratio: true },
  { metric: 'p99Ms', title: 'p99 ms', width: 7, text: significant, spread: true, ratio: true },
  { metric: 'p999Ms', title: 'p99.9', width: 7, text: significant, ratio: true },
  { metric: 'p99AloneMs', title: 'p99 alone', width: 9, text: significant, spread: true },
  { metric: 'p99Times', title: 'times', width: 7, text: significant },
  { metric: 'besideMegabytesPerSecond', title: 'read MB/s', width: 9, text: significant, ratio: true },
  { metric: 'fromDiskShare', title: 'of disk', width: 7, text: percent },
  { metric: 'restartMs', title: 'restart ms', width: 10, text: whole, spread: true, ratio: true },
  { metric: 'restartKilledMs', title: 'killed ms', width: 9, text: whole, spread: true, ratio: true },
  { metric: 'startMs', title: 'start ms', width: 8, text: whole, spread: true, ratio: true },
  { metric: 'residentIdleMib', title: 'idle MiB', width: 8, text: whole, spread: true, ratio: true },
  { metric: 'cpuSecondsPerGigabyte', title: 'CPU s/GB', width: 8, text: significant, ratio: true },
  { metric: 'cpuSecondsPerMillionMessages', title: 's/Mmsg', width: 7, text: significant, ratio: true },
  { metric: 'residentPeakMib', title: 'RSS MiB', width: 7, text: whole, ratio: true },
  { metric: 'brokerCpuShare', title: 'broker', width: 6, text: percent },
  { metric: 'brokerSystemShare', title: 'kernel', width: 6, text: percent },
  { metric: 'generatorCpuShare', title: 'client', width: 6, text: percent },
  { metric: 'otherCpuShare', title: 'other', width: 5, text: percent },
  { metric: 'diskOverwritesPerSecond', title: 'sync/s', width: 7, text: whole },
  { metric: 'diskAppendsPerSecond', title: 'append', width: 7, text: whole },
];

const NAME_WIDTH = 10;
const SPREAD_WIDTH = 18;
const LIMIT_WIDTH = 8;
const SILENT_WIDTH = 8;

/** Explains the columns, which have no room for it. */
export const EXPLANATION = `\
Medians of the rounds, in brackets their extremes; ratio: the first broker's median to the other's. CPU s: of the broker, user and
kernel, per GB of what was carried and per million messages; RSS: its peak in a round. broker (kernel: its part spent there),
client, other: CPU time per second of the broker, the load generator or client, and all else. limit: whose core was busy for more
than 90 %. silent: rounds in which nothing was answered; medians but those of rates are over the others. sync/s, append: rounds of write and fdatasync that the disk does right before, over written blocks and at a growing end.
`;

/** One workload's table, a line per broker and one per ratio. */
export function table(summary: Summary): string {
  const columns = shown(summary);
  const hasSilent = summary.peers.some(({ silentRounds }) => silentRounds > 0);
  const heading = columns.map(
    ({ title, width, spread }) => title.padStart(width) + ' '.repeat(spread ? SPREAD_WIDTH : 0),
  );
  const ofPeer = (peer: PeerSummary): string =>
    [
      peer.peer.padEnd(NAME_WIDTH),
      ...columns.map(({ metric, width, text, spread }) => {
        const value = peer.metrics[metric];
        const cell = value === undefined ? '-' : text(value.median);
        return cell.padStart(width) + (spread ? range(value, text).padEnd(SPREAD_WIDTH) : '');
      }),
      peer.saturated.padStart(LIMIT_WIDTH),
      ...(hasSilent ? [silentText(peer).padStart(SILENT_WIDTH)] : []),
    ]
      .join(' ')
      .trimEnd();
  const line = (name: string, metrics: Ratios): string =>
    [
      name.padEnd(NAME_WIDTH),
      ...columns.map(({ metric, width, spread, ratio }) => {
        const value = ratio ? metrics[metric] : undefined;
        return (value?.toFixed(2) ?? '').padStart(width) + ' '.repeat(spread ? SPREAD_WIDTH : 0);
      }),
    ]
      .join(' ')
      .trimEnd();
  const ratios = summary.ratios.map(({ to, metrics }) =>
    line(summary.ratios.length > 1 ? `x ${to}` : 'ratio', metrics),
  );
  const { against } = summary;
  const toOther = against?.peers.map(({ peer, metrics }) => line(peer, metrics)) ?? [];
  const titles = [' '.repeat(NAME_WIDTH), ...heading, 'limit'.padStart(LIMIT_WIDTH)];
  return [
    `${summary.row}: ${summary.says}`,
    [...titles, ...(hasSilent ? ['silent'.padStart(SILENT_WIDTH)] : [])].join(' '),
    ...summary.peers.map(ofPeer),
    ...ratios,
    ...(against === undefined ? [] : [`times what it is at ${against.row}:`, ...toOther]),
  ].join('\n');
}

/** The same for a page: tables under the titles of their groups, one per set of columns, with a line per row and broker, and ratios. */
export function markdownTables(summaries: readonly Summary[]): string {
  const parts: string[] = [];
  for (const { title, workloads } of GROUPS) {
    const names = new Set(workloads.map(({ name }) => name));
    const own = summaries.filter(({ workload }) => names.has(workload));
    if (own.length > 0) parts.push(`### ${title}`, ...tablesOf(own));
  }
  return parts.join('\n\n');
}

function tablesOf(summaries: readonly Summary[]): string[] {
  const bySet = Map.groupBy(summaries, (summary) =>
    shown(summary)
      .map(({ title }) => title)
      .join(),
  );
  return [...bySet.values()].map(markdownTable);
}

/** A table for a page from its cells. */
export function rowsToMarkdown(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const marks = heading.map((title) => (TEXT_COLUMNS.has(title) ? '---' : '--:'));
  return [line(heading), line(marks), ...rows.map(line)].join('\n');
}

const TEXT_COLUMNS: ReadonlySet<string> = new Set([
  'row',
  'broker',
  'limit',
  'what it is',
  'run',
  'rows',
  'work',
  'target',
  'measured',
  '',
]);

function markdownTable(summaries: readonly Summary[]): string {
  const columns = shown(summaries[0]!);
  const hasSilent = summaries.some(({ peers }) => peers.some(({ silentRounds }) => silentRounds > 0));
  const last = (limit: string, silent: string): string[] => (hasSilent ? [limit, silent] : [limit]);
  const heading = ['row', 'broker', ...columns.map(({ title }) => title), ...last('limit', 'silent')];
  const ratioCells = (metrics: Ratios): string[] =>
    columns.map(({ metric, ratio }) => {
      const value = ratio ? metrics[metric] : undefined;
      return value === undefined ? '' : `**${value.toFixed(2)}**`;
    });
  const rows: string[][] = [];
  for (const { row, peers, ratios, against } of summaries) {
    for (const [index, peer] of peers.entries()) {
      const cells = columns.map(({ metric, text, spread }) => {
        const value = peer.metrics[metric];
        return value === undefined ? '' : text(value.median) + (spread ? range(value, text) : '');
      });
      rows.push([index === 0 ? row : '', peer.peer, ...cells, ...last(peer.saturated, silentText(peer))]);
    }
    for (const { to, metrics } of ratios)
      rows.push(['', `ratio to ${to}`, ...ratioCells(metrics), ...last('', '')]);
    for (const { peer, metrics } of against?.peers ?? [])
      rows.push(['', `${peer}, times ${against!.row}`, ...ratioCells(metrics), ...last('', '')]);
  }
  return rowsToMarkdown(heading, rows);
}

function silentText({ silentRounds, rounds }: PeerSummary): string {
  return silentRounds === 0 ? '' : `${silentRounds} of ${rounds}`;
}

function shown({ peers }: Summary): Column[] {
  return COLUMNS.filter(({ metric }) => peers.some(({ metrics }) => metrics[metric] !== undefined));
}

function range(value: Spread | undefined, text: (value: number) => string): string {
  return value === undefined ? '' : ` (${text(value.min)}..${text(value.max)})`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Three digits, so far as they say something. */
function significant(value: number): string {
  if (value >= 100) return whole(value);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}
