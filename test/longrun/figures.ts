// npm run figures
// Prints how long a start and a restart take and what an idle broker occupies, each with the machine, Node's version and
// the date.
import os from 'node:os';
import process from 'node:process';

/** What the figures were taken on: they mean nothing without it. */
function describeMachine(): string {
  const cpus = os.cpus();
  const memoryGib = os.totalmem() / 2 ** 30;
  return [
    `${new Date().toISOString().slice(0, 10)}, node ${process.version}, ${os.type()} ${os.release()} ${os.arch()}`,
    `${cpus.length} x ${cpus[0]?.model ?? 'unknown processor'}, ${memoryGib.toFixed(1)} GiB`,
  ].join('; ');
}

console.log(describeMachine());
