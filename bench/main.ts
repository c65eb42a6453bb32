/**
 * `npm run bench`: Polylog beside other brokers. Starts them on free ports with fresh data, drives each in turn, and prints what
 * came out and the ratios.
 */
import { writeFileSync } from 'node:fs';
import process from 'node:process';

import { Comparison } from './compare.ts';
import { loadNow, machineNow } from './machine.ts';
import { settingsOf, USAGE, UsageError, type Settings } from './options.ts';
import { profileWorkload } from './profile.ts';
import { EXPLANATION, markdown, table } from './report.ts';
import { summarise, type Summary } from './summary.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

async function main(argv: readonly string[]): Promise<number> {
  const settings = settingsOf(argv);
  if (settings === 'help') return say(USAGE);
  if (settings === 'list') return say(`${WORKLOADS.map(({ name }) => name).join('\n')}\n`);
  const machine = machineNow();
  const versions: string[] = [];
  for (const peer of settings.target === undefined ? settings.peers : []) versions.push(await peer.install());
  say(introduction(settings, versions));
  const { rounds, limits, pin, json } = settings;
  // After each workload: a run that is broken off has not been in vain.
  const failures = await runAll(settings, (results) => {
    const facts = { ...machine, loadAfter: loadNow(), versions, pin, rounds, limits };
    if (json !== undefined) writeFileSync(json, `${JSON.stringify({ ...facts, results }, null, 2)}\n`);
    if (settings.markdown !== undefined) writeFileSync(settings.markdown, markdown(results));
  });
  return failures === 0 ? 0 : 1;
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
      try {
        results.push(await runOne(workload, comparison, settings));
        keep(results);
      } catch (error) {
        failures++;
        say(`${workload.name}: FAILED, ${error instanceof Error ? error.message : String(error)}\n\n`);
      }
    }
  } finally {
    await comparison.end();
  }
  return failures;
}

async function runOne(workload: Workload, comparison: Comparison, settings: Settings): Promise<Summary> {
  if (settings.profile) {
    const { turns, text } = await profileWorkload(workload, settings);
    const summary = summarise(workload, [turns]);
    say(`${table(summary)}\n${text}\n\n`);
    return summary;
  }
  const summary = summarise(workload, await comparison.run(workload));
  say(`${table(summary)}\n\n`);
  return summary;
}

function say(text: string): 0 {
  process.stdout.write(text);
  return 0;
}

// An interrupted run leaves no broker and no data behind: they go with the process's 'exit'.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code));

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  // parseArgs reports its own mistakes as TypeErrors with a code.
  const isUsage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
  if (!isUsage) throw error;
  process.stderr.write(`bench: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
