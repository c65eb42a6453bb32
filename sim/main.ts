/**
 * npm run sim                         1,000 seeds of each scenario; every required path must be taken
 * npm run sim -- --seed 17            one seed, twice: prints the trace's hash, which must be the same
 * npm run sim -- --seeds 50 --scenario cluster
 * npm run sim -- --seed 17 --scenario single --trace
 */
import { commandOptions, flag, integer, oneOf } from '../scripts/options.ts';
import { addCounts, missingPaths, type Scenario, type SeedReport } from './report.ts';
import { runSeed, SCENARIOS } from './run.ts';

const SEEDS_DEFAULT = 1000;

async function main(): Promise<void> {
  const values = commandOptions({
    command: 'sim',
    summary: 'Runs the broker in a simulated world: many seeds of each scenario, or one seed twice.',
    options: {
      seed: integer('replays this seed, twice: both have to do the same'),
      seeds: integer('seeds of each scenario, from 1 on', { default: SEEDS_DEFAULT, min: 1 }),
      scenario: oneOf('only this one', { values: SCENARIOS.map(({ name }) => name) }),
      trace: flag('with --seed: prints the end of what happened'),
    },
    examples: ['--seeds 50 --scenario cluster', '--seed 17 --scenario single --trace'],
  });
  const scenarios = SCENARIOS.filter(
    (scenario) => values.scenario === undefined || scenario.name === values.scenario,
  );
  const failed =
    values.seed === undefined
      ? await runMany(scenarios, values.seeds)
      : await replay(scenarios, values.seed, values.trace);
  process.exitCode = failed ? 1 : 0;
}

async function replay(scenarios: readonly Scenario[], seed: number, trace: boolean): Promise<boolean> {
  let failed = false;
  for (const scenario of scenarios) {
    const first = await runSeed(scenario, seed);
    const second = await runSeed(scenario, seed);
    if (trace) for (const line of first.traceTail) console.log(line);
    printCounts(scenario.name, first.counts);
    console.log(
      `${scenario.name} seed ${seed}: trace ${first.traceHash}, ${first.operations} operations, ${first.crashes} crashes, ${(first.virtualMs / 1000).toFixed(1)} s of virtual time`,
    );
    if (first.traceHash !== second.traceHash) {
      console.log(`${scenario.name} seed ${seed}: a second run gave trace ${second.traceHash}`);
      failed = true;
    }
    failed = printViolation(first) || failed;
  }
  return failed;
}

async function runMany(scenarios: readonly Scenario[], seeds: number): Promise<boolean> {
  let failed = false;
  for (const scenario of scenarios) {
    const total = new Map<string, number>();
    const startMs = performance.now();
    for (let seed = 1; seed <= seeds; seed++) {
      const report = await runSeed(scenario, seed);
      addCounts(total, report.counts);
      failed = printViolation(report) || failed;
    }
    printCounts(scenario.name, total);
    const missing = missingPaths(scenario, total);
    for (const path of missing) console.log(`${scenario.name}: no seed took the path ${path}`);
    failed ||= missing.length > 0;
    const seconds = (performance.now() - startMs) / 1000;
    console.log(`${scenario.name}: ${seeds} seeds in ${seconds.toFixed(1)} s`);
  }
  return failed;
}

function printViolation(report: SeedReport): boolean {
  if (report.violation === undefined) return false;
  console.log(
    `${report.scenario} seed ${report.seed} FAILED: ${report.violation.stack ?? report.violation.message}`,
  );
  return true;
}

function printCounts(name: string, counts: ReadonlyMap<string, number>): void {
  for (const [path, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    console.log(`${name}  ${path.padEnd(40)} ${count}`);
  }
}

await main();
