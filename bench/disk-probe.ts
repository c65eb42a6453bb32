import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { dirtyBytes } from './generator/process-stats.ts';

const MIB = 1024 * 1024;
const BLOCK_BYTES = 4096;
const PREALLOCATED_BYTES = 8 * MIB;
const CACHE_WRITE_BYTES = 128 * 1024;

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

/**
 * Fills so much of the page cache with a file, and removes it: a virtual machine pays several times as much for memory that it
 * touches for the first time (or again, after its host took it back), which would be measured as the broker's cost. Returns what an
 * append cost the process meanwhile, in seconds of CPU time per GB.
 */
export function touchPageCache(folder: string, bytes: number): number {
  const file = path.join(folder, 'page-cache-probe');
  const descriptor = openSync(file, 'w');
  try {
    const before = process.cpuUsage();
    for (let at = 0; at < bytes; at += CACHE_WRITE_BYTES)
      writeSync(descriptor, CACHE_BLOCK, 0, CACHE_WRITE_BYTES, at);
    const { user, system } = process.cpuUsage(before);
    return ((user + system) / 1e6) * (1e9 / bytes);
  } finally {
    closeSync(descriptor);
    rmSync(file);
  }
}

/**
 * Has the system write everything and drop the page cache, so that what is read next comes from the disk.
 * @throws Error without the right to do so, which is root's
 */
export async function forgetPageCache(): Promise<void> {
  await once(spawn('sync', { stdio: 'ignore' }), 'exit');
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '1');
  } catch (error) {
    throw new Error('only root can drop the page cache, for reads that come from the disk', { cause: error });
  }
}

/** What may stay in memory unwritten before a round; far below what makes writers wait. */
const DIRTY_BYTES_MAX = 128 * MIB;
const SETTLE_MS_MAX = 10_000;
const SETTLE_POLL_MS = 20;

/** Has the system write what earlier rounds left in the page cache, so that no round pays for another one's data. */
export async function settleDisk(): Promise<void> {
  if ((dirtyBytes() ?? 0) <= DIRTY_BYTES_MAX) return;
  const sync = spawn('sync', { stdio: 'ignore' });
  sync.once('error', () => undefined);
  const deadlineMs = performance.now() + SETTLE_MS_MAX;
  while ((dirtyBytes() ?? 0) > DIRTY_BYTES_MAX && performance.now() < deadlineMs) await sleep(SETTLE_POLL_MS);
}

const CACHE_BLOCK = Buffer.alloc(CACHE_WRITE_BYTES, 0x5a);
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
