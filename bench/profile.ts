import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

import { REPOSITORY } from './broker-process.ts';

const LINES_MAX = 25;
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
  readonly timeDeltas: readonly number[];
}

/** The profile that a broker has left in an otherwise empty folder, as text; the worker threads' are left out. */
export function describeProfile(folder: string): string {
  const files = readdirSync(folder).filter((name) => name.endsWith('.cpuprofile'));
  const profiles = files.map((name) => JSON.parse(readFileSync(path.join(folder, name), 'utf8')) as Profile);
  // The main thread's is the one with the most time that is not idle.
  const analysed = profiles.map(analyse).sort((a, b) => b.busyUs - a.busyUs)[0];
  if (analysed === undefined) return 'The broker has left no profile.';
  const { busyUs, functions, files: perFile, callers } = analysed;
  return [
    `${(busyUs / 1e6).toFixed(1)} s of busy time on the main thread.`,
    'Self time by function:',
    ...top(functions, busyUs),
    'Self time by file:',
    ...top(perFile, busyUs),
    "Time by the nearest function of Polylog, Node's own code and system calls included:",
    ...top(callers, busyUs),
  ].join('\n');
}

interface Analysis {
  readonly busyUs: number;
  readonly functions: ReadonlyMap<string, number>;
  readonly files: ReadonlyMap<string, number>;
  readonly callers: ReadonlyMap<string, number>;
}

function analyse({ nodes, samples, timeDeltas }: Profile): Analysis {
  const selfUs = new Map<number, number>();
  for (const [index, id] of samples.entries())
    selfUs.set(id, (selfUs.get(id) ?? 0) + (timeDeltas[index] ?? 0));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const functions = new Map<string, number>();
  const files = new Map<string, number>();
  const callers = new Map<string, number>();
  let busyUs = 0;
  const visit = (node: ProfileNode, caller: string): void => {
    const name = nameOf(node);
    const file = fileOf(node);
    const here = file.startsWith('packages/') ? name : caller;
    const us = selfUs.get(node.id) ?? 0;
    if (us > 0 && node.callFrame.functionName !== IDLE) {
      busyUs += us;
      add(functions, name, us);
      add(files, file, us);
      add(callers, here === '' ? name : here, us);
    }
    for (const child of node.children ?? []) visit(byId.get(child)!, here);
  };
  visit(nodes[0]!, '');
  return { busyUs, functions, files, callers };
}

function nameOf(node: ProfileNode): string {
  const { functionName, lineNumber } = node.callFrame;
  const file = fileOf(node);
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
