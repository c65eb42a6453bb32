import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  statSync,
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

/** Of what may stand unwritten in memory before a round; far below what makes writers wait. */
const DIRTY_BYTES_MAX = 16 * MIB;
const SETTLE_MS_MAX = 30_000;

/**
 * Has the system write what earlier rounds left in the page cache, and waits until it has: no round is to pay for another one's data,
 * and while the file system writes its own records, whoever appends to a file may wait for as long as a short round takes.
 */
export async function settleDisk(): Promise<void> {
  if ((dirtyBytes() ?? 0) <= DIRTY_BYTES_MAX) return;
  await Promise.race([runToEnd('sync', []), sleep(SETTLE_MS_MAX, undefined, { ref: false })]);
}

/** Smaller files are no log: what is left of them in memory makes no difference. */
const LOG_BYTES_MIN = MIB;

/**
 * Has the system write everything, and drop from the page cache what it has of a topic's log, so that what is read next comes from
 * the disk. Nothing else is dropped: programs that had to be read anew would be measured, too.
 * @param folder the broker's, in which some part of a file's path begins with the topic's name
 * @throws Error if there are no such files, and without GNU's dd
 */
export async function forgetLog(folder: string, topic: string): Promise<void> {
  await runToEnd('sync', []);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.split(path.sep).some((part) => part.startsWith(`${topic}-`)))
    .map((file) => path.join(folder, file))
    .filter((file) => statSync(file).size >= LOG_BYTES_MIN);
  if (files.length === 0)
    throw new Error(`no files of ${topic} in ${folder}, to be dropped from the page cache`);
  // dd(1): "Advise to drop cache for whole file".
  for (const file of files) await runToEnd('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
}

/** @throws Error if the program is not there, or fails */
async function runToEnd(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code ?? 'a signal'}`);
}

const GIB = 1024 ** 3;

/** Free bytes on the disk of a folder, for those who are not root. */
export function freeBytesOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** @throws Error that says how much is needed, and where */
export function requireFreeBytes(folder: string, bytes: number, what: string): void {
  const free = freeBytesOf(folder);
  if (free >= bytes) return;
  throw new Error(
    `${what} needs ${(bytes / GIB).toFixed(1)} GiB free in ${folder}, where ${(free / GIB).toFixed(1)} GiB are: ` +
      'make room, set TMPDIR to a folder on a larger disk, or take --quick, which writes a tenth of it',
  );
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
