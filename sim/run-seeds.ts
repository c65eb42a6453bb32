import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

const COUNT = /^\S+ {2}\S+ +[1-9]\d*$/;

/** The tests of a scenario: its seeds hold and take every path, and one replays. Each in a process of its own, as `npm run sim` runs them. */
export function testSeeds(scenario: string, seeds: number): void {
  test(`${scenario}: ${seeds} seeds hold all invariants and take every path`, async (context) => {
    for (const line of await run(['--scenario', scenario, '--seeds', String(seeds)]))
      context.diagnostic(line);
  });

  test(`${scenario}: a seed that runs twice leaves the same trace`, async (context) => {
    const lines = await run(['--scenario', scenario, '--seed', '4711']);
    context.diagnostic(lines.at(-1)!);
  });
}

function run(options: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--conditions=@polylog/source', MAIN, ...options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      const lines = output.trim().split('\n');
      if (code === 0) resolve(lines);
      // The counts of paths are many, and say nothing about what was violated.
      else
        reject(new assert.AssertionError({ message: lines.filter((line) => !COUNT.test(line)).join('\n') }));
    });
  });
}
