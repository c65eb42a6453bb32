import { readFileSync } from 'node:fs';

import type { RunLimits } from './generator/job.ts';
import type { Machine } from './machine.ts';
import type { Summary } from './summary.ts';
import { WORKLOADS } from './workloads.ts';

/** A run as `--json` keeps it. */
export interface RunReport extends Machine {
  readonly loadAfter: number;
  /** What was typed after `npm run bench --`. */
  readonly command: string;
  readonly versions: readonly string[];
  readonly pin: boolean;
  readonly rounds: number;
  readonly limits: RunLimits;
  /** Of the whole run, so far. */
  readonly seconds: number;
  readonly results: readonly Summary[];
}

/** @throws Error that names the file if it holds something else */
export function readReport(file: string): RunReport {
  const text = readFileSync(file, 'utf8');
  let report: Partial<RunReport> | null;
  try {
    report = JSON.parse(text) as Partial<RunReport> | null;
  } catch (error) {
    throw new Error(`${file} is not JSON`, { cause: error });
  }
  const isReport =
    Array.isArray(report?.results) &&
    typeof report.command === 'string' &&
    report.results.every(
      ({ row, peers }: Partial<Summary>) => typeof row === 'string' && Array.isArray(peers),
    );
  if (!isReport) throw new Error(`${file} is no file that --json of this version wrote`);
  return report as RunReport;
}

/** Partial runs as one: of each row the last run's figures, and what each run has left in it. */
export interface MergedReport {
  /** Those with something left, in the order given. */
  readonly runs: readonly { readonly report: RunReport; readonly rows: readonly string[] }[];
  /** In the order of the workloads. */
  readonly results: readonly Summary[];
}

export function mergeReports(reports: readonly RunReport[]): MergedReport {
  const last = new Map<string, { readonly report: RunReport; readonly summary: Summary }>();
  for (const report of reports)
    for (const summary of report.results) last.set(summary.row, { report, summary });
  const order = WORKLOADS.flatMap(({ rows }) => rows.map(({ name }) => name));
  const unknown = [...last.keys()].filter((row) => !order.includes(row));
  if (unknown.length > 0)
    throw new Error(`no workload has the row ${unknown.join(', ')}: the report is of another version`);
  const kept = order.flatMap((row) => last.get(row) ?? []);
  const runs = reports.map((report) => ({
    report,
    rows: kept.filter((entry) => entry.report === report).map(({ summary }) => summary.row),
  }));
  return { runs: runs.filter(({ rows }) => rows.length > 0), results: kept.map(({ summary }) => summary) };
}
