import process from 'node:process';

import type { Job } from './job.ts';
import { runJob } from './run-job.ts';

/** The generator's own process: takes one job from its parent, answers with the result or an error's text, and ends. */
process.once('message', (job: Job) => {
  runJob(job).then(
    (result) => reply({ result }),
    (error: unknown) => reply({ error: error instanceof Error ? error.message : String(error) }),
  );
});

function reply(answer: object): void {
  process.send?.(answer, undefined, undefined, () => process.disconnect?.());
}
