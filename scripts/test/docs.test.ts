import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { readableAmount } from '../docs/configuration.ts';

const SCRIPT = fileURLToPath(new URL('../docs.ts', import.meta.url));
const ARGS = ['--conditions=@polylog/source', SCRIPT];

describe('npm run docs', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-docs-test-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  const check = (): { status: number | null; stderr: string } =>
    spawnSync(process.execPath, [...ARGS, '--check'], { cwd: folder, encoding: 'utf8' });

  it('writes pages that pass the check, until one of them is changed by hand', () => {
    mkdirSync(path.join(folder, 'docs'));
    assert.equal(check().status, 1);
    execFileSync(process.execPath, ARGS, { cwd: folder });
    assert.deepEqual([check().status, check().stderr], [0, '']);
    const page = path.join(folder, 'docs/configuration.md');
    appendFileSync(page, 'by hand\n');
    const stale = check();
    assert.equal(stale.status, 1);
    assert.equal(stale.stderr, 'docs/configuration.md is not what the code says: run npm run docs\n');
    assert.match(readFileSync(page, 'utf8'), /by hand\n$/, 'the check writes nothing');
  });

  it('documents every setting, with default, unit and what is legal', () => {
    const page = readFileSync(path.join(folder, 'docs/configuration.md'), 'utf8');
    assert.match(
      page,
      /### `retention\.ms`\n\n[^\n]+\n\n\*long, in ms · default `604800000` \(7 days\) · an integer of at least -1\*\n\nDefault from the broker's `log\.retention\.ms`, else `log\.retention\.minutes`, else `log\.retention\.hours`\./,
    );
    assert.match(page, /\| `log\.flush` \| \[`flush`\]\(#flush\) \| `fsync` \|/);
  });

  it('writes amounts in the largest unit that divides them', () => {
    const cases = [
      [604_800_000, 'ms', '7 days'],
      [3_600_000, 'ms', '1 hour'],
      [1500, 'ms', undefined],
      [10_080, 'minutes', '7 days'],
      [104_857_600, 'bytes', '100 MiB'],
      [1_048_588, 'bytes', undefined],
      [-1, 'bytes', undefined],
      [1000, undefined, undefined],
    ] as const;
    for (const [amount, unit, text] of cases) assert.equal(readableAmount(amount, unit), text);
  });
});
