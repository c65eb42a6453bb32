import process from 'node:process';
import { run, runOk } from './process.ts';

const UPDATE_DEADLINE_MS = 120_000;
const INSTALL_DEADLINE_MS = 300_000;

/**
 * Installs packages of Debian (or a descendant of it).
 * @throws Error if there is no apt-get, no right to use it, or no such package
 */
export async function installDebian(packages: readonly string[]): Promise<void> {
  const names = packages.join(' ');
  const apt = await run('apt-get', ['--version']).catch(() => undefined);
  if (apt === undefined) throw new Error(`install ${names} (there is no apt-get to do it)`);
  if (process.getuid?.() !== 0) throw new Error(`apt-get install ${names} needs root`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  await runOk('apt-get', ['update', '-q'], { env, deadlineMs: UPDATE_DEADLINE_MS });
  await runOk('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...packages], {
    env,
    deadlineMs: INSTALL_DEADLINE_MS,
  });
}
