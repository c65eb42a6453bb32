import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';

import type { MeasuredBroker } from './broker-process.ts';
import { canPin } from './commands.ts';
import type { CompareOptions } from './compare.ts';
import type { RunLimits, Target } from './generator/job.ts';
import type { Peer } from './peers/peer.ts';
import { PEERS } from './peers/peers.ts';
import { WORKLOADS, type Workload } from './workloads.ts';

export const USAGE = `Usage: npm run bench -- [options]

  --workload NAME     only this workload, or one of its rows; may be repeated, and end with * for all that begin so
  --peer NAME         compare with this broker; may be repeated; polylog: with none (${PEERS.slice(1)
    .map(({ name }) => name)
    .join(', ')})
  --rounds N          rounds per workload and broker (5; quick: 3)
  --quick             short rounds, less data: all but the heavy workloads in five minutes
  --json FILE         keeps the figures
  --markdown FILE     writes what docs/performance.md needs: machine, runs, tables, targets
  --report FILE       runs nothing: takes the figures of that --json file; may be repeated, the last one counts per row
  --docs              writes the same into docs/performance.md, between its marks
  --profile           leaves a CPU profile of Polylog, NAME.cpuprofile, and prints where its time goes (costs some speed);
                      without peers
  --no-pin            leaves broker and generator to the scheduler instead of giving each a core
  --target HOST:PORT  a broker that runs already, of the kind that --peer says (polylog)
  --pid PID           the process of that broker, to tell what it costs
  --list              the workloads, their rows and what they are
`;

const MIB = 1024 ** 2;
const ROUNDS_MAX = 100;
const LIMITS = {
  full: { warmupMs: 400, measureMs: 1000, requestsMax: 10_000_000, bytesMax: 1024 * MIB },
  quick: { warmupMs: 150, measureMs: 300, requestsMax: 1_000_000, bytesMax: 192 * MIB },
} satisfies Record<string, RunLimits>;
/** Of data in a folder that is large. */
const BULK_BYTES = { full: 10 * 1024 * MIB, quick: 1024 * MIB };
const ROUNDS = { full: 5, quick: 3 };
const SLOW_ROUNDS_MAX = { full: ROUNDS_MAX, quick: 1 };
const UNCOUNTED_ROUNDS = { full: 1, quick: 0 };
const COUNT_PART = { full: 1, quick: 0.25 };
const IDLE_ROUNDS_MAX = { full: ROUNDS_MAX, quick: 1 };
const BREAK_IN_MS_MAX = { full: 45_000, quick: 7_000 };

export interface Settings extends CompareOptions {
  readonly workloads: readonly Workload[];
  readonly profile: boolean;
  readonly json: string | undefined;
  readonly markdown: string | undefined;
  readonly docs: boolean;
  /** Files of earlier runs, to be reported on instead of running. */
  readonly reports: readonly string[];
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError, or the TypeError of parseArgs */
export function settingsOf(argv: readonly string[]): Settings | 'help' | 'list' {
  const { values } = parseArgs({
    args: [...argv],
    allowNegative: true,
    options: {
      workload: { type: 'string', multiple: true },
      peer: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      markdown: { type: 'string' },
      report: { type: 'string', multiple: true },
      docs: { type: 'boolean', default: false },
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
  if (values.profile && (values.target !== undefined || values.peer !== undefined))
    throw new UsageError('--profile is for Polylog alone, which the bench starts itself');
  const mode = values.quick ? 'quick' : 'full';
  const rounds = integer('--rounds', values.rounds ?? String(ROUNDS[mode]), ROUNDS_MAX);
  const target =
    values.target === undefined ? undefined : runningBroker(values.target, values.pid, values.peer);
  return {
    workloads:
      values.workload?.flatMap(workloadsNamed) ?? WORKLOADS.filter((one) => !(values.quick && one.heavy)),
    peers: values.profile ? PEERS.slice(0, 1) : peersNamed(values.peer),
    rounds,
    limits: LIMITS[mode],
    breakInMsMax: BREAK_IN_MS_MAX[mode],
    bulkBytes: BULK_BYTES[mode],
    countPart: COUNT_PART[mode],
    idleRoundsMax: IDLE_ROUNDS_MAX[mode],
    slowRounds: Math.min(rounds, SLOW_ROUNDS_MAX[mode]),
    uncountedRounds: UNCOUNTED_ROUNDS[mode],
    patient: !values.quick,
    pin: values.pin && target === undefined && canPin(),
    profile: values.profile,
    json: values.json,
    markdown: values.markdown,
    docs: values.docs,
    reports: values.report ?? [],
    target,
  };
}

/** Workloads of that name, or what is left of those that have rows of that name. */
function workloadsNamed(pattern: string): readonly Workload[] {
  const prefix = pattern.endsWith('*') ? pattern.slice(0, -1) : undefined;
  const isNamed = ({ name }: { readonly name: string }): boolean =>
    prefix === undefined ? name === pattern : name.startsWith(prefix);
  const found = WORKLOADS.flatMap((workload) => {
    const rows = isNamed(workload) ? workload.rows : workload.rows.filter(isNamed);
    return rows.length === 0 ? [] : [{ ...workload, rows }];
  });
  if (found.length === 0) throw new UsageError(`no workload is called ${pattern}; see --list`);
  return found;
}

function peerNamed(name: string): Peer {
  const found = PEERS.find((peer) => peer.name === name);
  if (found === undefined)
    throw new UsageError(`--peer ${name} is none of ${PEERS.map((peer) => peer.name).join(', ')}`);
  return found;
}

/** The first one always, since it is what the others are compared with. */
function peersNamed(names: readonly string[] | undefined): readonly Peer[] {
  if (names === undefined) return PEERS;
  return [...new Set([PEERS[0]!, ...names.map(peerNamed)])];
}

function runningBroker(
  address: string,
  pid: string | undefined,
  names: readonly string[] = ['polylog'],
): MeasuredBroker {
  return { peer: peerNamed(names[0]!), target: targetOf(address, pid), folder: tmpdir() };
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
