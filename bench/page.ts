import { markdownTables, rowsToMarkdown } from './report.ts';
import type { MergedReport, RunReport } from './run-report.ts';
import type { PeerSummary } from './summary.ts';
import { targetsTable } from './targets.ts';

/** Where docs/performance.md has what runs give; everything else there is prose. */
export const BEGIN_MARK = '<!-- what follows is written by npm run bench -- --docs -->';
export const END_MARK = '<!-- end of what is written by npm run bench -- --docs -->';

/** All that a page says of runs, from what was run to how it compares with the targets. */
export function block({ runs, results }: MergedReport): string {
  const machines = new Set(runs.map(({ report }) => machineText(report)));
  return [
    '## What was run',
    [...machines].join('\n\n'),
    runsTable(runs),
    '## Results',
    markdownTables(results),
    '### What the rows are',
    rowsToMarkdown(
      ['row', 'what it is'],
      results.map(({ row, says }) => [row, says]),
    ),
    '## Against the targets',
    targetsTable(results),
  ].join('\n\n');
}

/**
 * The page with another block between its marks.
 * @throws Error if it has not one of each, in this order
 */
export function withBlock(page: string, text: string): string {
  const [before, rest, ...more] = page.split(BEGIN_MARK);
  const [, after, ...evenMore] = rest?.split(END_MARK) ?? [];
  if (before === undefined || after === undefined || more.length + evenMore.length > 0)
    throw new Error(`the page has not one line "${BEGIN_MARK}" and then one "${END_MARK}"`);
  return `${before}${BEGIN_MARK}\n\n${text}\n\n${END_MARK}${after}`;
}

function machineText({ processor, cores, memoryGib, kernel, versions, pin }: RunReport): string {
  const where = pin ? 'Broker and client on a core each.' : 'Broker and client on all cores.';
  return `${processor}, ${cores} cores, ${memoryGib} GiB, ${kernel}. ${versions.join('; ')}. ${where}`;
}

function runsTable(runs: MergedReport['runs']): string {
  const lines = runs.map(({ report, rows }) => [
    `\`${['npm run bench', ...optionsOf(report)].join(' -- ')}\``,
    rows.join(', '),
    `${report.date.slice(0, 16).replace('T', ' ')} UTC`,
    `${Math.ceil(report.seconds / 60)}`,
    `${report.loadBefore.toFixed(1)}, ${report.loadAfter.toFixed(1)}`,
    otherText(report, rows),
    `${report.rounds} of ${report.limits.measureMs} ms`,
  ]);
  return rowsToMarkdown(['run', 'rows', 'from', 'minutes', 'load before, after', 'other', 'rounds'], lines);
}

/** What was typed, without where figures were to go. */
function optionsOf({ command }: RunReport): string[] {
  const options = command
    .replaceAll(/--(?:json|markdown)[ =]\S+|--docs/g, '')
    .replaceAll(/ +/g, ' ')
    .trim();
  return options === '' ? [] : [options];
}

/** What other processes took of a core while rows were measured, from the least row to the most. */
function otherText({ results }: RunReport, rows: readonly string[]): string {
  const shares = results
    .filter(({ row }) => rows.includes(row))
    .flatMap(({ peers }) => peers.map(({ metrics }: PeerSummary) => metrics.otherCpuShare?.median))
    .filter((share) => share !== undefined)
    .map((share) => Math.round(share * 100));
  return shares.length === 0 ? '' : `${Math.min(...shares)} to ${Math.max(...shares)} %`;
}
