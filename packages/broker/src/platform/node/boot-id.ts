import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';

const SYSCTL_TIMEOUT_MS = 1000;

let known: string | undefined;

/**
 * The id of this boot. Linux draws one at each boot (the same in all containers of a host); macOS has `kern.bootsessionuuid`.
 * Where neither can be read, each process gets an id of its own: recovery then takes every restart for a loss of power, which
 * is slower and never wrong.
 */
export function bootId(): string {
  known ??= (process.platform === 'darwin' ? bootIdOfMacOs() : bootIdOfLinux()) ?? randomUUID();
  return known;
}

function bootIdOfLinux(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim() || undefined;
  } catch {
    return undefined; // No /proc: the caller's fallback holds.
  }
}

function bootIdOfMacOs(): string | undefined {
  try {
    const output = execFileSync('/usr/sbin/sysctl', ['-n', 'kern.bootsessionuuid'], {
      encoding: 'latin1',
      timeout: SYSCTL_TIMEOUT_MS,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return output.trim() || undefined;
  } catch {
    return undefined; // No sysctl, or a sandbox without it: the caller's fallback holds.
  }
}
