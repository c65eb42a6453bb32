import { parentPort } from 'node:worker_threads';
import { plainError, runJob, type JobAnswer, type JobRequest } from './compute-messages.ts';

/** The thread of NodeCompute: one job after the other. */
function answer({ id, job }: JobRequest): void {
  let result;
  try {
    result = runJob(job);
  } catch (error) {
    post({ id, outcome: { error: plainError(error) } });
    return;
  }
  if (!(result instanceof Uint8Array)) {
    post({ id, outcome: { result } });
    return;
  }
  // A copy of its own memory, because a result may be a part of a larger buffer, or of memory that cannot be moved.
  const batch = new Uint8Array(result);
  post({ id, outcome: { result: batch } }, [batch.buffer]);
}

function post(message: JobAnswer, moved: ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, moved);
}

parentPort?.on('message', answer);
