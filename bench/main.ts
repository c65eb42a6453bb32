/**
 * `npm run bench`: a first honest speed. Starts the broker, drives it with requests that were encoded beforehand, and prints
 * what came out beside the figures of the design's prototype.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';

import { canPin } from './broker-process.ts';
import type { RunLimits, Target } from './generator/job.ts';
import { measure, type MeasureOptions } from './measure.ts';
import { describeProfile } from './profile.ts';
import { heading, line, summarise, type Summary } from './report.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

const USAGE = `Usage: npm run bench -- [options]

  --workload NAME     only this workload; may be repeated, and end with * for all that begin so
  --rounds N          rounds per workload (3; quick: 1)
  --quick             short rounds, for a first look
  --json FILE         the results, too
  --profile           takes a CPU profile of the broker and prints where its time goes (costs some speed)
  --no-pin            leaves broker and generator to the scheduler instead of giving each a core
  --target HOST:PORT  a broker that runs already, of any kind that speaks Kafka's protocol
  --pid PID           the process of that broker, to tell what it costs
  --list              the names of the workloads
`;

const GIB = 1024 ** 3;
const ROUNDS_MAX = 100;
const FULL: RunLimits = { warmupMs: 1000, measureMs: 2000, requestsMax: 10_000_000, bytesMax: GIB };
const QUICK: RunLimits = { warmupMs: 500, measureMs: 700, requestsMax: 1_000_000, bytesMax: GIB / 2 };

interface Settings extends Omit<MeasureOptions, 'profileFolder'> {
  readonly workloads: readonly Workload[];
  readonly profile: boolean;
  readonly json: string | undefined;
}

class UsageError extends Error {
  override readonly name = 'UsageError';
}

function settingsOf(argv: readonly string[]): Settings | 'help' | 'list' {
  const { values } = parseArgs({
    args: [...argv],
    allowNegative: true,
    options: {
      workload: { type: 'string', multiple: true, default: ['*'] },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      profile: { type: 'boolean', default: false },
      pin: { type: 'boolean', default: true },
      target: { type: 'string' },
      pid: { type: 'string' },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  if (values.list) return 'list';
  if (values.profile && values.target !== undefined)
    throw new UsageError('--profile is for a broker that the bench starts itself');
  return {
    workloads: values.workload.flatMap(workloadsNamed),
    rounds: integer('--rounds', values.rounds ?? (values.quick ? '1' : '3'), ROUNDS_MAX),
    limits: values.quick ? QUICK : FULL,
    pin: values.pin && values.target === undefined && canPin(),
    profile: values.profile,
    json: values.json,
    target: values.target === undefined ? undefined : targetOf(values.target, values.pid),
  };
}

function workloadsNamed(pattern: string): readonly Workload[] {
  const prefix = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined;
  const found = WORKLOADS.filter(({ name }) =>
    prefix === undefined ? name === pattern : name.startsWith(prefix),
  );
  if (found.length === 0) throw new UsageError(`no workload is called ${pattern}; see --list`);
  return found;
}

function targetOf(address: string, pid: string | undefined): Target {
  const match = /^\[?([^\]]+)\]?:(\d+)$/.exec(address);
  if (match === null) throw new UsageError(`--target ${address} is not HOST:PORT`);
  return {
    host: match[1]!,
    port: Number(match[2]),
    pid: pid === undefined ? undefined : integer('--pid', pid, 2 ** 31 - 1),
  };
}

function integer(name: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new UsageError(`${name} ${text} is not a number from 1 to ${max}`);
  return value;
}

async function main(argv: readonly string[]): Promise<number> {
  const settings = settingsOf(argv);
  if (settings === 'help') return say(USAGE);
  if (settings === 'list') return say(`${WORKLOADS.map(({ name }) => name).join('\n')}\n`);
  const { rounds, limits, pin } = settings;
  say(
    `${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}; ${rounds} rounds of ` +
      `${limits.measureMs} ms after ${limits.warmupMs} ms of warm-up; ${pin ? 'a core each' : 'cores not pinned'}\n`,
  );
  say(`${heading()}\n`);
  const results: Summary[] = [];
  let failures = 0;
  for (const workload of settings.workloads) {
    const outcome = await measureOne(workload, settings);
    if (outcome === undefined) failures++;
    else results.push(outcome);
  }
  if (settings.json !== undefined) {
    const facts = {
      node: process.version,
      processor: cpus()[0]?.model,
      cores: cpus().length,
      pin,
      rounds,
      limits,
    };
    writeFileSync(settings.json, `${JSON.stringify({ ...facts, results }, null, 2)}\n`);
  }
  return failures === 0 ? 0 : 1;
}

/** Undefined if it failed, which has been said then. */
async function measureOne(workload: Workload, settings: Settings): Promise<Summary | undefined> {
  const profileFolder = settings.profile ? mkdtempSync(path.join(tmpdir(), 'polylog-profile-')) : undefined;
  try {
    const row = await measure(workload, { ...settings, profileFolder });
    const summary = summarise(row);
    say(`${line(summary)}\n`);
    if (profileFolder !== undefined) say(`${describeProfile(profileFolder, row.rounds)}\n\n`);
    return summary;
  } catch (error) {
    say(`${workload.name}: FAILED, ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  } finally {
    if (profileFolder !== undefined) rmSync(profileFolder, { recursive: true, force: true });
  }
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
