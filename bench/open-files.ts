import { readFileSync } from 'node:fs';

/** A log and what is beside it: some brokers keep one file per partition open, some fewer. */
const FILES_PER_PARTITION = 1.2;
const FILES_BESIDE = 2500;

/**
 * Programs that are started here inherit the hard limit, up to which Node and Java raise their own.
 * @throws Error that says how many are needed
 */
export function requireOpenFiles(partitions: number, what: string): void {
  const needed = Math.ceil(partitions * FILES_PER_PARTITION) + FILES_BESIDE;
  const limit = openFilesMax();
  if (limit < needed)
    throw new Error(
      `${what} needs brokers that may open ${needed} files, ${limit} are allowed: try ulimit -n ${needed}`,
    );
}

/** The hard limit of this process, infinite where nobody tells. */
function openFilesMax(): number {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // Not Linux: the broker itself will say.
    return Infinity;
  }
  const match = /^Max open files\s+\S+\s+(\d+)/m.exec(limits);
  return match === null ? Infinity : Number(match[1]);
}
