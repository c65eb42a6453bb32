/** The programs of docs/embedding.md, run in the checkout as they stand there; test/packaging.test.ts runs those that need more packages. */
import assert from 'node:assert/strict';
import process from 'node:process';
import { after, before, describe, it } from 'node:test';

import { run, type RunResult } from '../peers/process.ts';
import { blocksOf, readPage } from './page.ts';
import { Reader } from './reader.ts';

const page = readPage('docs/embedding.md');
const files = blocksOf(page).filter(({ attributes }) => attributes.has('file'));

function passed({ code, stdout, stderr }: RunResult): string {
  assert.equal(code, 0, stdout + stderr);
  return stdout + stderr;
}

describe('docs/embedding.md', () => {
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
    assert.ok(page.includes(`It prints \`${stdout.trim()}\`.`));
  });
});
