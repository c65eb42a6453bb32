import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const SOURCE_CONDITION = '--conditions=@polylog/source';

/** One core for the broker, one for the generator, so that a figure says which of them was the limit. */
export const BROKER_CORE = 0;
export const GENERATOR_CORE = 1;
const TASKSET = '/usr/bin/taskset';

export function canPin(): boolean {
  return availableParallelism() > GENERATOR_CORE && existsSync(TASKSET);
}

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

/** The same command on one core, if one is given. It keeps its process id: taskset becomes the program. */
export function pinned({ command, args }: Command, core: number | undefined): Command {
  if (core === undefined) return { command, args };
  return { command: TASKSET, args: ['--cpu-list', String(core), command, ...args] };
}
