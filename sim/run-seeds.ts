import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addCounts, missingPaths, type Scenario } from './report.ts';
import { runSeed } from './run.ts';

/** The tests of a scenario: its seeds hold, take every path, and replay. */
export function testSeeds(scenario: Scenario, seeds: number): void {
  test(`${scenario.name}: ${seeds} seeds hold all invariants and take every path`, async (context) => {
    const total = new Map<string, number>();
    for (let seed = 1; seed <= seeds; seed++) {
      const report = await runSeed(scenario, seed);
      if (report.violation !== undefined) {
        const replay = `npm run sim -- --scenario ${scenario.name} --seed ${seed} --trace`;
        assert.fail(`seed ${seed}: ${report.violation.message}\nreplay with: ${replay}`);
      }
      addCounts(total, report.counts);
    }
    for (const [path, count] of [...total].sort(([a], [b]) => (a < b ? -1 : 1)))
      context.diagnostic(`${path} ${count}`);
    assert.deepEqual(missingPaths(scenario, total), []);
  });

  test(`${scenario.name}: a seed that runs twice leaves the same trace`, async () => {
    const first = await runSeed(scenario, 4711);
    const second = await runSeed(scenario, 4711);
    const other = await runSeed(scenario, 4712);
    assert.equal(second.traceHash, first.traceHash);
    assert.notEqual(other.traceHash, first.traceHash);
  });
}
