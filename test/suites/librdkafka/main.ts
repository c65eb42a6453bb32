/**
 * Runs librdkafka's own test suite against Polylog: every test that needs a broker, with classic groups and with KIP-848 groups, and
 * compares with expectations.json. Usage: npm run suite:librdkafka -- [--tests 0012,0026] [--mode classic|consumer] [--resume] [--tries 2]
 * [--limit-s 900] [--out FOLDER] [--full] [--debug CONTEXTS] [--target apache-kafka] [--list]. Exit code 1 if a test that is listed as passing does not pass, or one of
 * the others does.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import {
  commandOptions,
  endOnMistake,
  flag,
  integer,
  oneOf,
  OptionError,
  text,
} from '../../../scripts/options.ts';
import { requirePeer } from '../../peers/peers.ts';
import { buildJavaClients, buildSuite, suiteCache, type BuiltSuite } from './build.ts';
import { groupTests, testsThatNeedABroker, type SuiteTest, type TestGroup } from './catalogue.ts';
import { kindOf, SuiteCluster, type ClusterKind } from './cluster.ts';
import {
  contradictions,
  isExpectedToPass,
  MODES,
  readExpectations,
  surprises,
  type Mode,
} from './expectations.ts';
import { writeKafkaHome } from './kafka-home.ts';
import type { TestResult } from './outcomes.ts';
import { Report, table } from './report.ts';
import { runGroup } from './runner.ts';

const options = commandOptions({
  command: 'suite:librdkafka',
  summary: "Runs librdkafka's own test suite, and compares with what is expected of each test.",
  options: {
    tests: text('only those that begin so, with commas between', { hint: '0012,0026' }),
    mode: oneOf('only with groups of this protocol', { values: MODES }),
    resume: flag('goes on where the last run was interrupted'),
    tries: integer('runs of a test that should pass and does not', { default: 2, min: 1 }),
    'limit-s': integer('seconds after which a test has failed', { default: 900, min: 1 }),
    out: text('where report and logs are left', {
      hint: 'FOLDER',
      default: path.join(suiteCache(), 'librdkafka-suite'),
    }),
    full: flag("does not use the suite's quick mode"),
    debug: text("librdkafka's debug contexts", { hint: 'CONTEXTS' }),
    target: oneOf('the broker', { values: ['polylog', 'apache-kafka'], default: 'polylog' }),
    list: flag('lists the tests, and runs none'),
  },
});

/** Lines of brokers' logs at the level of errors or above: a bug, however the tests end. */
const BROKER_ERROR = /^\{"level":[56]0,.*$/gm;
const brokerErrors = new Set<string>();

const say = (line: string): void => console.log(line);
const suite = await buildSuite(say);
const catalogue = testsThatNeedABroker(readFileSync(path.join(suite.tests, 'test.c'), 'utf8'));
const expectations = readExpectations();
const mistakes = contradictions(
  expectations,
  catalogue.map(({ name }) => name),
);
if (options.list) {
  for (const { name, scenario } of catalogue) say(`${name} (${scenario})`);
  say(`${catalogue.length} tests need a broker`);
} else {
  process.exitCode = await runSuite(suite, selectTests(catalogue));
}

async function runSuite(built: BuiltSuite, tests: readonly SuiteTest[]): Promise<number> {
  const peers = await requirePeer('java', 'kafka-jars');
  if (peers.skip !== false) throw new Error(peers.skip);
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-librdkafka-'));
  try {
    const kafkaHome = path.join(folder, 'kafka');
    writeKafkaHome(kafkaHome);
    await buildJavaClients(built.tests, kafkaHome);
    mkdirSync(options.out, { recursive: true });
    const report = Report.open(path.join(options.out, 'report.json'), {
      librdkafka: built.version,
      resume: options.resume,
    });
    for (const mode of selectModes()) await runMode({ built, mode, tests, report, folder, kafkaHome });
    say(table(report.results));
    say(`report and logs: ${options.out}`);
    const logged = [...brokerErrors].map((line) => `a broker logged ${line}`);
    const findings = [...mistakes, ...surprises(expectations, report.results), ...logged];
    for (const finding of findings) say(`NOT AS EXPECTED: ${finding}`);
    return findings.length === 0 ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface ModeRun {
  readonly built: BuiltSuite;
  readonly mode: Mode;
  readonly tests: readonly SuiteTest[];
  readonly report: Report;
  readonly folder: string;
  readonly kafkaHome: string;
}

/** All groups in one mode, on brokers of their own, so that no topic or group of the other mode is there already. */
async function runMode(run: ModeRun): Promise<void> {
  const { mode, tests, report } = run;
  const clusters = new Map<ClusterKind, SuiteCluster>();
  let done = 0;
  try {
    for (const group of groupTests(tests.filter(({ name }) => !report.has(mode, name)))) {
      const results = await runWithTries(group, run, clusters);
      for (const result of results) {
        report.add(result);
        const place = `[${++done}/${tests.length}]`.padEnd(9);
        say(
          `${place} ${mode} ${result.name} ${result.outcome} ${result.seconds.toFixed(1)} s ${result.reason}`.trimEnd(),
        );
      }
    }
  } finally {
    for (const cluster of clusters.values()) await cluster.stop();
  }
}

/** Those that do not pass but should are run again: tests measure time, and a machine may be busy for a moment. */
async function runWithTries(
  group: TestGroup,
  run: ModeRun,
  clusters: Map<ClusterKind, SuiteCluster>,
): Promise<(TestResult & { mode: Mode; tries: number })[]> {
  const { built, mode } = run;
  for (let tries = 1; ; tries++) {
    const cluster = await clusterOf(group, run, clusters).catch((error: unknown) => String(error));
    if (typeof cluster === 'string') {
      const reason = `its broker does not start: ${cluster.split('\n').slice(0, 2).join(' ')}`;
      return group.tests.map(({ name }) => ({
        name,
        mode,
        tries,
        outcome: 'unfinished',
        seconds: 0,
        reason,
      }));
    }
    const name = `${mode}-${group.number}-${group.scenario}`;
    const results = await runGroup(group, {
      tests: built.tests,
      mode,
      environment: {
        ...cluster.environment,
        ...(options.debug === undefined ? {} : { TEST_DEBUG: options.debug }),
      },
      logFile: path.join(options.out, `${name}.log`),
      full: options.full,
      limitMs: options['limit-s'] * 1000,
    });
    for (const [line] of cluster.broker.output.matchAll(BROKER_ERROR)) brokerErrors.add(line);
    const isBad = results.some(
      (result) => result.outcome !== 'passed' && isExpectedToPass(expectations, result.name, mode),
    );
    if (isBad) writeFileSync(path.join(options.out, `${name}-broker.log`), cluster.broker.output);
    if (!isBad || tries >= options.tries) return results.map((result) => ({ ...result, mode, tries }));
    say(`${mode} ${group.number}: trying again`);
  }
}

/** Started when it is first needed, and anew if it has ended. */
async function clusterOf(
  group: TestGroup,
  { mode, folder, kafkaHome }: ModeRun,
  clusters: Map<ClusterKind, SuiteCluster>,
): Promise<SuiteCluster> {
  const kind = kindOf(group);
  const present = clusters.get(kind);
  if (present?.broker.isRunning === true) return present;
  await present?.stop();
  const start = options.target === 'apache-kafka' ? SuiteCluster.startApacheKafka : SuiteCluster.start;
  const cluster = await start(kind, {
    folder: mkdtempSync(path.join(folder, `${mode}-${kind}-`)),
    kafkaHome,
  });
  clusters.set(kind, cluster);
  return cluster;
}

function selectTests(all: readonly SuiteTest[]): readonly SuiteTest[] {
  const wanted = options.tests?.split(',');
  if (wanted === undefined) return all;
  const unknown = wanted.filter((word) => !all.some(({ name }) => name.startsWith(word)));
  if (unknown.length > 0)
    endOnMistake(
      'suite:librdkafka',
      new OptionError(`no test that needs a broker is called ${unknown.join(', ')}; see --list`),
    );
  return all.filter(({ name }) => wanted.some((word) => name.startsWith(word)));
}

function selectModes(): readonly Mode[] {
  return options.mode === undefined ? MODES : [options.mode];
}
