import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

import type { Target } from './generator/job.ts';
import { peakResidentBytesOf } from './generator/process-stats.ts';

const START_MS_MAX = 20_000;
const STOP_MS_MAX = 30_000;
const OUTPUT_CHARS_MAX = 20_000;

export const REPOSITORY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const MAIN = path.join(REPOSITORY, 'packages/broker/src/main.ts');
export const SOURCE_CONDITION = '--conditions=@polylog/source';

/** One core for the broker, one for the generator, so that a figure says which of them was the limit. */
export const BROKER_CORE = 0;
export const GENERATOR_CORE = 1;
const TASKSET = '/usr/bin/taskset';

export function canPin(): boolean {
  return availableParallelism() > GENERATOR_CORE && existsSync(TASKSET);
}

/** The command that runs Node with these arguments, on one core if one is given. */
export function nodeCommand(
  args: readonly string[],
  core: number | undefined,
): { command: string; args: string[] } {
  if (core === undefined) return { command: process.execPath, args: [...args] };
  return { command: TASKSET, args: ['--cpu-list', String(core), process.execPath, ...args] };
}

export interface BrokerOptions {
  readonly settings: readonly string[];
  readonly pin: boolean;
  /** Where the V8 profile goes; undefined: none is taken. */
  readonly profileFolder: string | undefined;
}

/** A broker that is measured: one that this class started in a temporary folder, or one that runs already. */
export interface MeasuredBroker {
  readonly target: Target;
  /** On the disk that the broker writes to, as far as that is known. */
  readonly folder: string;
  peakResidentBytes(): number | undefined;
  stop(): Promise<void>;
}

export function runningBroker(target: Target): MeasuredBroker {
  return {
    target,
    folder: tmpdir(),
    peakResidentBytes: () => (target.pid === undefined ? undefined : peakResidentBytesOf(target.pid)),
    stop: () => Promise.resolve(),
  };
}

/** Starts Polylog from its sources, with its data in a temporary folder, on free ports of the loopback. */
export async function startBroker({ settings, pin, profileFolder }: BrokerOptions): Promise<MeasuredBroker> {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-bench-'));
  const profile =
    profileFolder === undefined
      ? []
      : ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${profileFolder}`];
  const flags = ['--data', path.join(folder, 'data'), '--kafka', '127.0.0.1:0', '--http', '127.0.0.1:0'];
  const { command, args } = nodeCommand(
    [...profile, SOURCE_CONDITION, MAIN, ...flags, '--log-level', 'warn', ...settings],
    pin ? BROKER_CORE : undefined,
  );
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const removeAll = (): void => {
    process.off('exit', abandon);
    rmSync(folder, { recursive: true, force: true });
  };
  const abandon = (): void => {
    child.kill('SIGKILL');
    removeAll();
  };
  process.once('exit', abandon);
  try {
    const target = { ...(await listening(child)), pid: child.pid };
    return {
      target,
      folder,
      peakResidentBytes: () => (child.pid === undefined ? undefined : peakResidentBytesOf(child.pid)),
      stop: () => stopped(child).finally(removeAll),
    };
  } catch (error) {
    abandon();
    throw error;
  }
}

function listening(child: ChildProcess): Promise<{ host: string; port: number }> {
  return new Promise((resolve, reject) => {
    let output = '';
    const timer = setTimeout(
      () => reject(new Error(`the broker did not listen within ${START_MS_MAX} ms\n${output}`)),
      START_MS_MAX,
    );
    const read = (text: string): void => {
      output = (output + text).slice(-OUTPUT_CHARS_MAX);
      const match = /listening for Kafka clients on (\S+):(\d+)/.exec(output);
      if (match === null) return;
      clearTimeout(timer);
      resolve({ host: match[1]!, port: Number(match[2]) });
    };
    child.stdout?.setEncoding('utf8').on('data', read);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      read(text);
      process.stderr.write(text);
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the broker ended with ${code}\n${output}`)));
  });
}

/** Clean, because only then the profile is written; a broker that does not stop is killed, and that is an error. */
async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) throw new Error(`the broker ended with ${child.exitCode} during the run`);
  const ended = Promise.withResolvers<number | null>();
  child.once('exit', ended.resolve);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
  child.kill('SIGTERM');
  const code = await ended.promise;
  clearTimeout(timer);
  if (code !== 0) throw new Error(`the broker's stop was not clean: it ended with ${code ?? 'a signal'}`);
}
