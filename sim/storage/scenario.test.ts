import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runStorageScenario } from './scenario.ts';

const SEEDS = 25;
const OPERATIONS = 300;
/** What must have happened over all seeds, or the scenario shows less than it says. */
const PATHS = [
  'append',
  'append.failed',
  'truncate',
  'reset',
  'delete',
  'stop.clean',
  'crash.in-recovery',
  'recovered.clean',
  'recovered.power-loss',
  'recovered.process-crash',
  'recovery.journal-batches',
  'recovery.cut-bytes',
  'disk.entry-lost',
  'disk.page-torn',
  'disk.full',
  'compacted.append',
  'compacted.removed',
  'compacted.truncate',
  'compacted.reset',
  'cleaner.passes',
];

it(`storage alone keeps what it reported durable over ${SEEDS} seeds of crashes and faults`, async () => {
  const counts = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await runStorageScenario({ seed, operations: OPERATIONS });
    for (const [path, count] of result.counts) counts.set(path, (counts.get(path) ?? 0) + count);
  }
  for (const path of PATHS) assert.ok((counts.get(path) ?? 0) > 0, `nothing of ${path}`);
});

it('the same seed gives the same trace', async () => {
  const first = await runStorageScenario({ seed: 7, operations: 100 });
  const second = await runStorageScenario({ seed: 7, operations: 100 });
  assert.equal(first.digest, second.digest);
});
