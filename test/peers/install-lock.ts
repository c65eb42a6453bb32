import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** Where peers are kept between runs; git ignores it. */
export const PEER_CACHE = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../.cache/peers');

const POLL_MS = 200;
/** After a failure the others do not try again at once: an unreachable archive takes a minute to fail. */
const RETRY_AFTER_MS = 600_000;

/**
 * Runs `install` while no other test process installs anything, because test files run side by side and so would apt-get.
 * @throws Error the one that `install` threw, also if it did so in another process within the last ten minutes
 */
export async function withInstallLock<T>(name: string, install: () => Promise<T>): Promise<T> {
  mkdirSync(PEER_CACHE, { recursive: true });
  const lock = path.join(PEER_CACHE, 'installing');
  const failure = path.join(PEER_CACHE, `${name}.failed`);
  while (!tryLock(lock)) await sleep(POLL_MS);
  try {
    const failed = readIfThere(failure);
    if (failed !== undefined) {
      const { atMs, message } = JSON.parse(failed) as { atMs: number; message: string };
      if (Date.now() - atMs < RETRY_AFTER_MS) throw new Error(message);
    }
    try {
      const result = await install();
      rmSync(failure, { force: true });
      return result;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      writeFileSync(failure, JSON.stringify({ atMs: Date.now(), message }));
      throw error;
    }
  } finally {
    rmSync(lock, { force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const owner = Number(readIfThere(lock) ?? '0');
  if (owner > 0 && !isAlive(owner)) rmSync(lock, { force: true });
  return false;
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
