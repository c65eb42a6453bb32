/** Runs one group of tests by the suite's test-runner, with a time limit, everything that it prints in a file. */
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { start } from '../../peers/process.ts';
import type { TestGroup } from './catalogue.ts';
import type { Mode } from './expectations.ts';
import { readOutcomes, type TestResult } from './outcomes.ts';

/** The version that the suite is told: it decides by it which tests apply. */
const KAFKA_VERSION = '4.2.0';

export interface RunOptions {
  /** The folder of test-runner. */
  readonly tests: string;
  readonly mode: Mode;
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
  readonly limitMs: number;
  /** None in the suite's quick mode. */
  readonly full: boolean;
}

/** One process of the runner for the group, or for each of its parts, which runs its tests one after the other. */
export async function runGroup(group: TestGroup, options: RunOptions): Promise<TestResult[]> {
  if (group.parts === undefined) return runOnce(group, options);
  let results: TestResult[] = [];
  for (const part of group.parts) {
    const environment = { ...options.environment, SUBTESTS: part };
    const logFile = options.logFile.replace(/\.log$/, `-${part}.log`);
    results = worst(results, await runOnce(group, { ...options, environment, logFile }));
  }
  return results;
}

/** Of two runs' results of the same tests, those that are not passed, and the time of both. */
function worst(before: readonly TestResult[], now: readonly TestResult[]): TestResult[] {
  return now.map((result, index) => {
    const other = before[index];
    if (other === undefined) return result;
    return { ...(other.outcome === 'passed' ? result : other), seconds: other.seconds + result.seconds };
  });
}

async function runOnce(group: TestGroup, options: RunOptions): Promise<TestResult[]> {
  const log = openSync(options.logFile, 'w');
  // -L leaves out those tests of the same number that need no broker, -k runs those that the suite itself knows to fail.
  const quick = options.full || !group.quick ? [] : ['-Q'];
  const args = ['-p1', ...quick, '-L', ...(group.knownIssue ? ['-k'] : []), '-s', group.scenario];
  const child = start('./test-runner', args, {
    cwd: options.tests,
    env: environmentFor(group, options),
    stdio: ['ignore', log, log],
    // A group of its own, so that the Java programs that tests start end with it.
    detached: true,
  });
  const startedMs = performance.now();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    killGroup(child.pid);
  }, options.limitMs);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    const seconds = (performance.now() - startedMs) / 1000;
    return readOutcomes(group, { output: readFileSync(options.logFile, 'utf8'), code, isLate, seconds });
  } finally {
    clearTimeout(timer);
    closeSync(log);
    killGroup(child.pid);
  }
}

function environmentFor(group: TestGroup, { tests, mode, environment }: RunOptions): NodeJS.ProcessEnv {
  const { CI: _, ...inherited } = process.env; // with CI some tests skip themselves
  return {
    ...inherited,
    LD_LIBRARY_PATH: [path.join(tests, '../src'), path.join(tests, '../src-cpp')].join(':'),
    TEST_KAFKA_VERSION: KAFKA_VERSION,
    TESTS: group.number,
    ...(mode === 'consumer' ? { TEST_CONSUMER_GROUP_PROTOCOL: 'consumer' } : {}),
    ...environment,
  };
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
