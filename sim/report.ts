import type { SimWorld } from './platform/world.ts';

/** What one seed did. */
export interface SeedReport {
  readonly scenario: string;
  readonly seed: number;
  readonly traceHash: string;
  readonly virtualMs: number;
  /** How often each fault fired and each path was taken. */
  readonly counts: ReadonlyMap<string, number>;
  readonly operations: number;
  readonly crashes: number;
  /** Undefined when all held. */
  readonly violation: Error | undefined;
  readonly traceTail: readonly string[];
}

export interface Scenario {
  readonly name: string;
  readonly run: (world: SimWorld) => Promise<void>;
  /** Paths that some seed of a full run must take: a count of zero means that the workload no longer tests them. */
  readonly requiredPaths: readonly string[];
  readonly operationsMin: number;
  readonly crashesMin: number;
}

export function addCounts(total: Map<string, number>, counts: ReadonlyMap<string, number>): void {
  for (const [name, count] of counts) total.set(name, (total.get(name) ?? 0) + count);
}

/** Required paths that were never taken. */
export function missingPaths(scenario: Scenario, total: ReadonlyMap<string, number>): string[] {
  return scenario.requiredPaths.filter((path) => (total.get(path) ?? 0) === 0);
}
