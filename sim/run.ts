import { brokerScenario } from './broker/scenario.ts';
import { clusterScenario } from './cluster/scenario.ts';
import { consumerGroupsScenario } from './consumer-groups/scenario.ts';
import { groupsScenario } from './groups/scenario.ts';
import { isProcessDead, SimWorld } from './platform/world.ts';
import type { Scenario, SeedReport } from './report.ts';
import { singleScenario } from './single/scenario.ts';
import { transactionsScenario } from './transactions/scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  singleScenario,
  clusterScenario,
  brokerScenario,
  groupsScenario,
  consumerGroupsScenario,
  transactionsScenario,
];

const TRACE_TAIL_LINES = 200;

/** A promise that nobody waits for has failed: an error of the seed that runs, unless it is the end of a dead process. */
let unhandled: Error | undefined;
process.on('unhandledRejection', (error) => {
  if (!isProcessDead(error)) unhandled ??= error instanceof Error ? error : new Error(String(error));
});

/** Runs one seed of one scenario. A violation is part of the report, not thrown. */
export async function runSeed(scenario: Scenario, seed: number): Promise<SeedReport> {
  const world = new SimWorld({ seed });
  let violation: Error | undefined;
  try {
    await scenario.run(world);
  } catch (error) {
    violation = error instanceof Error ? error : new Error(String(error));
  }
  // What failed unheard comes first: the scenario may only have waited in vain for it.
  violation = unhandled ?? violation;
  unhandled = undefined;
  const operations = world.faults.get('operations') ?? 0;
  const crashes = world.faults.get('crashes') ?? 0;
  if (violation === undefined && (operations < scenario.operationsMin || crashes < scenario.crashesMin)) {
    violation = new Error(`only ${operations} operations and ${crashes} crashes`);
  }
  return {
    scenario: scenario.name,
    seed,
    traceHash: world.trace.hash,
    virtualMs: world.nowMs,
    counts: world.faults,
    operations,
    crashes,
    violation,
    traceTail: world.trace.tail(TRACE_TAIL_LINES),
  };
}
