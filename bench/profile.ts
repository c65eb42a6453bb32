import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { BrokerProcess } from './broker-process.ts';
import { REPOSITORY } from './commands.ts';
import type { RowTurns } from './compare.ts';
import type { Figures } from './generator/job.ts';
import { Bench, type MeasureOptions, type Round } from './measure.ts';
import { polylog } from './peers/polylog.ts';
import type { Row } from './workloads.ts';

const LINES_MAX = 30;
/** V8's names for time that is no function's; idle time is left out of all shares. */
const IDLE = '(idle)';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  readonly children?: readonly number[];
}

interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  /** Microseconds of the monotonic clock; each sample is so much later than the one before. */
  readonly startTime: number;
  readonly timeDeltas: readonly number[];
}

/** Runs a row against a Polylog of its own, says where that spent its time, and leaves the profile as `ROW.cpuprofile` in the present folder. */
export async function profileWorkload(
  row: Row,
  options: MeasureOptions & { readonly rounds: number },
): Promise<{ readonly result: RowTurns; readonly text: string }> {
  const profileFolder = mkdtempSync(path.join(tmpdir(), 'polylog-profile-'));
  try {
    const settings = row.settings?.polylog ?? {};
    const broker = await BrokerProcess.start(polylog, { settings, pin: options.pin, profileFolder });
    const rounds: Round[] = [];
    try {
      const bench = new Bench(row, broker, options);
      await bench.turn(); // not counted
      for (let round = 0; round < options.rounds; round++) rounds.push(await bench.turn());
      await bench.end();
    } finally {
      await broker.remove();
    }
    const figures = rounds.flatMap((round) => (round.figures === undefined ? [] : [round.figures]));
    return {
      result: { row, turns: [{ peer: polylog, rounds }] },
      text: describeProfile(profileFolder, figures, `${row.name}.cpuprofile`),
    };
  } finally {
    rmSync(profileFolder, { recursive: true, force: true });
  }
}

/**
 * The profile that a broker has left in an otherwise empty folder, as text: its main thread while the rounds were measured. The whole of
 * it, warm-up and all, is copied to `keepAs`.
 */
function describeProfile(folder: string, rounds: readonly Figures[], keepAs: string): string {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  const profiles = files.map((name) => {
    const file = path.join(folder, name);
    return { file, analysis: analyse(JSON.parse(readFileSync(file, 'utf8')) as Profile, rounds) };
  });
  // Workers write profiles, too; the main thread's is the busiest.
  const first = profiles.sort((a, b) => b.analysis.busyUs - a.analysis.busyUs)[0];
  if (first === undefined) return 'The broker has left no profile.';
  copyFileSync(first.file, keepAs);
  const busiest = first.analysis;
  const { busyUs } = busiest;
  return [
    `CPU profile: ${path.resolve(keepAs)} (opens in VS Code, or in Chrome's developer tools under Performance)`,
    `${(busyUs / 1e6).toFixed(1)} s in JavaScript and what it called on the main thread, of ${cpuText(rounds)}; the rest is`,
    "Node's event loop (reads of sockets are there), other threads and garbage collection.",
    'Self time by function:',
    ...top(busiest.self, busyUs),
    'Self time by file:',
    ...top(busiest.files, busyUs),
    "Self time with what Node's own code and the system did for it:",
    ...top(busiest.nearest, busyUs),
    'Time with all that it called:',
    ...top(busiest.total, busyUs),
  ].join('\n');
}

function cpuText(rounds: readonly Figures[]): string {
  const seconds = rounds.reduce((sum, { brokerCpuSeconds = 0 }) => sum + brokerCpuSeconds, 0);
  return `${seconds.toFixed(1)} s of CPU time in all`;
}

class Analysis {
  busyUs = 0;
  readonly self = new Map<string, number>();
  readonly files = new Map<string, number>();
  readonly nearest = new Map<string, number>();
  readonly total = new Map<string, number>();
}

function analyse(profile: Profile, rounds: readonly Figures[]): Analysis {
  const selfUs = selfTimes(profile, rounds);
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const analysis = new Analysis();
  const visit = (node: ProfileNode, callers: readonly string[]): void => {
    const file = fileOf(node);
    const name = nameOf(node, file);
    const stack = file.startsWith('packages/') ? [...callers, name] : callers;
    const us = selfUs.get(node.id) ?? 0;
    if (us > 0 && node.callFrame.functionName !== IDLE) {
      analysis.busyUs += us;
      add(analysis.self, name, us);
      add(analysis.files, file, us);
      add(analysis.nearest, stack.at(-1) ?? name, us);
      for (const caller of new Set(stack)) add(analysis.total, caller, us);
    }
    for (const child of node.children ?? []) visit(byId.get(child)!, stack);
  };
  visit(profile.nodes[0]!, []);
  return analysis;
}

/** Time per node, of the samples that fall into a round. */
function selfTimes(
  { samples, timeDeltas, startTime }: Profile,
  rounds: readonly Figures[],
): Map<number, number> {
  const selfUs = new Map<number, number>();
  let atUs = startTime;
  for (const [index, id] of samples.entries()) {
    const us = timeDeltas[index] ?? 0;
    atUs += us;
    if (rounds.some(({ beganAtUs, seconds }) => atUs >= beganAtUs && atUs <= beganAtUs + seconds * 1e6))
      selfUs.set(id, (selfUs.get(id) ?? 0) + us);
  }
  return selfUs;
}

function nameOf(node: ProfileNode, file: string): string {
  const { functionName, lineNumber } = node.callFrame;
  return file === '' || file === NATIVE
    ? functionName
    : `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`;
}

const NATIVE = '(native)';

function fileOf({ callFrame }: ProfileNode): string {
  if (callFrame.url === '') return callFrame.functionName.startsWith('(') ? callFrame.functionName : NATIVE;
  return callFrame.url.replace('file://', '').replace(`${REPOSITORY}/`, '');
}

function add(into: Map<string, number>, key: string, us: number): void {
  into.set(key, (into.get(key) ?? 0) + us);
}

function top(values: ReadonlyMap<string, number>, totalUs: number): string[] {
  return [...values]
    .sort(([, a], [, b]) => b - a)
    .slice(0, LINES_MAX)
    .map(([name, us]) => `  ${((us * 100) / totalUs).toFixed(1).padStart(5)}%  ${name}`);
}
