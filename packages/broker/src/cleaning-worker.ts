/** The thread of CleaningThread: one cleaning after the other, with a disk of its own. */
import { randomFillSync } from 'node:crypto';
import { setPriority } from 'node:os';
import process from 'node:process';
import { parentPort } from 'node:worker_threads';
import { type CleaningAnswer, type CleaningOrder, plainCleaningError } from './cleaning-messages.ts';
import { NodeDisk } from './platform/node/disk.ts';
import { cleanSegments } from './storage/cleaner/cleaning-job.ts';
import { SECRET_WORDS } from './storage/cleaner/key-hash.ts';
import { Pace } from './storage/cleaner/pace.ts';
import { CleaningError, type CleaningResult } from './storage/cleaner/types.ts';

/** Clients come first where there are too few processors for both. */
const NICENESS = 10;

const disk = new NodeDisk();

// Linux counts niceness by thread; elsewhere this would slow the whole broker down.
if (process.platform === 'linux') setPriority(0, NICENESS);

function clean({ request, bytesPerSecondMax, abort }: CleaningOrder): CleaningResult {
  const job = cleanSegments(disk, request, randomFillSync(new Uint32Array(SECRET_WORDS)));
  const pace = new Pace(bytesPerSecondMax);
  for (;;) {
    const { done, value } = job.next();
    if (done === true) return value;
    post({ kind: 'step', step: value });
    // Sleeps until the time is up or the cleaning is given up; not at all where there is no limit.
    const pauseMs = pace.pauseMs(value);
    if (pauseMs > 0) Atomics.wait(abort, 0, 0, pauseMs);
    if (Atomics.load(abort, 0) === 0) continue;
    job.return(undefined as never);
    throw new CleaningError('aborted', 'the cleaning was given up');
  }
}

function answer(order: CleaningOrder): void {
  try {
    post({ kind: 'result', result: clean(order) });
  } catch (error) {
    post({ kind: 'error', error: plainCleaningError(error) });
  }
}

function post(message: CleaningAnswer): void {
  parentPort?.postMessage(message);
}

parentPort?.on('message', answer);
