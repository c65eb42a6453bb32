import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

const BLOCK_BYTES = 4096;
const PREALLOCATED_BYTES = 8 * 1024 * 1024;

/** How many rounds of write and fdatasync the disk does in a second, one after the other. */
export interface DiskRates {
  /** Over a file that is written already, as a journal's: no metadata changes. */
  readonly overwritePerSecond: number;
  /** At the end of a growing file: each sync carries its size, too. */
  readonly appendPerSecond: number;
}

/** Takes about twice `probeMs`, in a folder on the disk in question. */
export function probeDisk(folder: string, probeMs: number): DiskRates {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'disk-probe');
  const descriptor = openSync(file, 'w');
  try {
    const appendPerSecond = rate(descriptor, Infinity, probeMs);
    ftruncateSync(descriptor, 0);
    for (let at = 0; at < PREALLOCATED_BYTES; at += BLOCK_BYTES)
      writeSync(descriptor, BLOCK, 0, BLOCK_BYTES, at);
    fsyncSync(descriptor);
    return { overwritePerSecond: rate(descriptor, PREALLOCATED_BYTES, probeMs), appendPerSecond };
  } finally {
    closeSync(descriptor);
    rmSync(file);
  }
}

const BLOCK = Buffer.alloc(BLOCK_BYTES, 0x5a);

function rate(descriptor: number, wrapBytes: number, probeMs: number): number {
  const beganMs = performance.now();
  let rounds = 0;
  let elapsedMs = 0;
  for (; elapsedMs < probeMs; elapsedMs = performance.now() - beganMs) {
    writeSync(descriptor, BLOCK, 0, BLOCK_BYTES, (rounds * BLOCK_BYTES) % wrapBytes);
    fdatasyncSync(descriptor);
    rounds++;
  }
  return (rounds * 1000) / elapsedMs;
}
