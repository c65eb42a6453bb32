import { spawn } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';

import { GENERATOR_CORE, pinned, REPOSITORY, SOURCE_CONDITION } from './commands.ts';
import type { Job, JobResult } from './generator/job.ts';

const PROGRAM = path.join(REPOSITORY, 'bench/generator/process.ts');

/** KafkaJS sets timers in the past. */
const NO_WARNING = '--disable-warning=TimeoutNegativeWarning';

type Answer = { readonly result: JobResult } | { readonly error: string };

/** Runs one job in a process of its own, so that neither its cost nor its garbage is another job's. */
export async function runInGenerator(job: Job, pin: boolean): Promise<JobResult> {
  const { command, args } = pinned(
    { command: process.execPath, args: [SOURCE_CONDITION, NO_WARNING, PROGRAM] },
    pin ? GENERATOR_CORE : undefined,
  );
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const answered = Promise.withResolvers<Answer>();
  child.once('message', (answer) => answered.resolve(answer as Answer));
  child.once('error', answered.reject);
  child.once('exit', (code, signal) =>
    answered.reject(new Error(`the generator ended with ${code ?? signal} instead of a result`)),
  );
  child.send(job);
  const answer = await answered.promise;
  if ('error' in answer) throw new Error(answer.error);
  return answer.result;
}
