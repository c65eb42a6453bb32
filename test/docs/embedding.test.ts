/** The programs of docs/embedding.md, run as they stand there. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';

import { run, type RunResult } from '../peers/process.ts';
import { blocksOf, commandsOf, readPage, ROOT } from './page.ts';
import { Reader } from './reader.ts';

const BIN = path.join(ROOT, 'node_modules/.bin');
/** What the examples were written for. */
const TOOLS = ['vitest@4.1.12', 'jest@30.5.2'];
const NO_NETWORK = /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ETIMEDOUT|ENETUNREACH|ENOTCACHED/;
const INSTALL_DEADLINE_MS = 300_000;

const blocks = blocksOf(readPage('docs/embedding.md'));
const files = blocks.filter(({ attributes }) => attributes.has('file'));

function passed({ code, stdout, stderr }: RunResult): string {
  assert.equal(code, 0, stdout + stderr);
  return stdout + stderr;
}

describe('docs/embedding.md, in the checkout', () => {
  const reader = new Reader();
  after(() => reader.remove());
  before(() => files.forEach((file) => reader.save(file)));
  const node = async (...args: string[]): Promise<RunResult> =>
    // Without the variable, or the inner test runner takes itself for a part of this one.
    run('env', ['-u', 'NODE_TEST_CONTEXT', process.execPath, '--conditions=@polylog/source', ...args], {
      cwd: reader.folder,
    });

  it('has a test for node:test that passes', async () => {
    const printed = passed(await node('--test', '--test-reporter=spec', 'node/orders.test.mjs'));
    assert.match(printed, /pass 1\n/);
  });

  it('starts a broker with all options, and prints what it says', async () => {
    const { code, stdout } = await node('options.mjs');
    assert.equal(code, 0);
    assert.ok(readPage('docs/embedding.md').includes(`It prints \`${stdout.trim()}\`.`));
  });
});

describe('docs/embedding.md, in a project of its own', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-embedding-'));
  const env = { PATH: `${BIN}${path.delimiter}${process.env['PATH']}` };
  let unreachable: string | undefined;
  after(() => rmSync(folder, { recursive: true, force: true }));

  before(async () => {
    const pack = commandsOf(blocks.find(({ language }) => language === 'console')!)[0]!;
    const packed = await run('bash', ['-c', pack.command.replace('~/my-project', folder)], {
      cwd: ROOT,
      env,
    });
    assert.equal(packed.code, 0, packed.stderr);
    assert.equal(packed.stdout, pack.output);
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
    const tarballs = packed.stdout
      .trim()
      .split('\n')
      .map((name) => `./${name}`);
    assert.ok(tarballs.every((name) => existsSync(path.join(folder, name))));
    const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    const installed = await run('npm', ['install', ...quietly, ...tarballs, 'kafkajs@2.2.4', ...TOOLS], {
      cwd: folder,
      env,
      deadlineMs: INSTALL_DEADLINE_MS,
    });
    const isAlone = process.env['CI'] !== 'true' && NO_NETWORK.test(installed.stderr);
    if (isAlone) unreachable = 'the npm registry cannot be reached';
    else passed(installed);
    const reader = new Reader();
    for (const file of files) reader.save(file);
    passed(await run('cp', ['-r', 'node', 'vitest', 'jest', folder], { cwd: reader.folder }));
    reader.remove();
  });

  const tool = async (name: string, args: readonly string[], cwd: string): Promise<RunResult> =>
    run(path.join(folder, 'node_modules/.bin', name), args, { cwd: path.join(folder, cwd), env });

  it('has a test for Vitest that passes', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    const printed = passed(await tool('vitest', ['run', '--no-color'], 'vitest'));
    assert.match(printed, /Tests +1 passed/);
  });

  it('has a test for Jest that passes, with a broker for all test files', async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    const printed = passed(await tool('jest', [], 'jest'));
    assert.match(printed, /Tests: +1 passed, 1 total/);
  });

  it("has Vitest's test pass in Jest with Node's flag, as it says", async (test) => {
    if (unreachable !== undefined) return test.skip(unreachable);
    const [, ...withoutImport] = files
      .find(({ attributes }) => attributes.get('file') === 'vitest/orders.test.mjs')!
      .text.split('\n');
    writeFileSync(path.join(folder, 'jest/inside.test.mjs'), withoutImport.join('\n'));
    const args = ['--globalSetup=', '--globalTeardown=', '--testMatch=**/inside.test.mjs'];
    const printed = passed(
      await run(path.join(folder, 'node_modules/.bin/jest'), args, {
        cwd: path.join(folder, 'jest'),
        env: { ...env, NODE_OPTIONS: '--experimental-vm-modules' },
      }),
    );
    assert.match(printed, /Tests: +1 passed, 1 total/);
  });
});
