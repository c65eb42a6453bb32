/**
 * `npm run bench`: Polylog beside other brokers. Starts them on free ports with fresh data, drives each in turn, and prints what
 * came out and the ratios.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';

import { REPOSITORY } from './commands.ts';
import { Comparison } from './compare.ts';
import { loadNow, machineNow } from './machine.ts';
import { settingsOf, USAGE, UsageError, type Settings } from './options.ts';
import { block, withBlock } from './page.ts';
import { profileWorkload } from './profile.ts';
import { EXPLANATION, table } from './report.ts';
import { mergeReports, readReport, type RunReport } from './run-report.ts';
import { summarise, type Summary } from './summary.ts';
import { GROUPS, isProcessWork, WORKLOADS, type Workload } from './workloads.ts';

const PAGE = path.join(REPOSITORY, 'docs/performance.md');

async function main(argv: readonly string[]): Promise<number> {
  const settings = settingsOf(argv);
  if (settings === 'help') return say(USAGE);
  if (settings === 'list') return say(listText());
  const { reports, docs, markdown } = settings;
  if (reports.length > 0) {
    const read = reports.map(readReport);
    writeOut(settings, read);
    return docs || markdown !== undefined ? 0 : say(`${block(mergeReports(read))}\n`);
  }
  const beganMs = performance.now();
  const machine = machineNow();
  const versions: string[] = [];
  for (const peer of settings.target === undefined ? settings.peers : []) versions.push(await peer.install());
  say(introduction(settings, versions));
  const { rounds, limits, pin, json } = settings;
  const secondsNow = (): number => (performance.now() - beganMs) / 1000;
  // After each workload: a run that is broken off has not been in vain.
  const failures = await runAll(settings, (results) => {
    const facts = { command: argv.join(' '), versions, pin, rounds, limits };
    const report = { ...machine, loadAfter: loadNow(), ...facts, seconds: secondsNow(), results };
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
    writeOut(settings, [report]);
  });
  say(
    `${settings.workloads.length - failures} workloads measured, ${failures} failed, in ${minutesText(secondsNow())}\n`,
  );
  return failures === 0 ? 0 : 1;
}

function writeOut({ markdown, docs }: Settings, reports: readonly RunReport[]): void {
  if (markdown === undefined && !docs) return;
  const text = block(mergeReports(reports));
  if (markdown !== undefined) writeFileSync(markdown, `${text}\n`);
  if (docs) writeFileSync(PAGE, withBlock(readFileSync(PAGE, 'utf8'), text));
}

function minutesText(seconds: number): string {
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function listText(): string {
  const groups = GROUPS.map(({ title, workloads }) => {
    const lines = workloads.flatMap(({ name, rows, heavy }) => {
      const heading = `  ${name}${heavy ? ' (heavy)' : ''}`;
      const [first] = rows;
      return rows.length === 1
        ? [`${heading}: ${first!.says}`]
        : [heading, ...rows.map((row) => `    ${row.name}: ${row.says}`)];
    });
    return `${title}\n${lines.join('\n')}\n`;
  });
  return `${groups.join('\n')}\n${WORKLOADS.length} workloads\n`;
}

function introduction({ rounds, limits, pin, target }: Settings, versions: readonly string[]): string {
  const { processor, cores, memoryGib, kernel, loadBefore, date } = machineNow();
  const { warmupMs, measureMs } = limits;
  return `${[
    `${date}: ${processor}, ${cores} cores, ${memoryGib} GiB, ${kernel}; load ${loadBefore.toFixed(1)}`,
    target === undefined ? versions.join('; ') : 'a broker that runs already',
    `${rounds} rounds of ${measureMs} ms after ${warmupMs} ms of warm-up; ${pin ? 'broker and client on a core each' : 'cores not pinned'}`,
    '',
    EXPLANATION,
  ].join('\n')}\n`;
}

/** Returns how many workloads have failed, which has been said then. */
async function runAll(settings: Settings, keep: (results: readonly Summary[]) => void): Promise<number> {
  const comparison = new Comparison(settings);
  const results: Summary[] = [];
  let failures = 0;
  try {
    for (const workload of settings.workloads) {
      const beganMs = performance.now();
      try {
        results.push(...(await runOne(workload, comparison, settings)));
        say(`(${workload.name}: ${minutesText((performance.now() - beganMs) / 1000)})\n\n`);
      } catch (error) {
        failures++;
        say(`${workload.name}: FAILED, ${error instanceof Error ? error.message : String(error)}\n\n`);
        continue;
      }
      keep(results);
    }
  } finally {
    await comparison.end();
  }
  return failures;
}

async function runOne(workload: Workload, comparison: Comparison, settings: Settings): Promise<Summary[]> {
  if (settings.profile) return profileRows(workload, settings);
  const summaries = summarise(workload.name, await comparison.run(workload));
  for (const summary of summaries) say(`${table(summary)}\n`);
  return summaries;
}

async function profileRows({ name, rows }: Workload, settings: Settings): Promise<Summary[]> {
  const summaries: Summary[] = [];
  for (const row of rows.filter(({ work }) => !isProcessWork(work))) {
    const { result, text } = await profileWorkload(row, settings);
    const [summary] = summarise(name, [result]);
    say(`${table(summary!)}\n${text}\n\n`);
    summaries.push(summary!);
  }
  return summaries;
}

function say(text: string): 0 {
  process.stdout.write(text);
  return 0;
}

// An interrupted run leaves no broker and no data behind: they go with the process's 'exit'. A terminal signals the whole group, and npm
// passes on what it gets: the second signal must not end what the first one has begun.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(signal, () => process.exit(code));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // parseArgs reports its own mistakes as TypeErrors with a code.
  const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  if (!isUsage) throw error;
  process.stderr.write(`bench: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
