import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { apis, type Api } from '@polylog/kafka-protocol';

import { readableAmount } from '../docs/configuration.ts';
import { KAFKA_APIS } from '../docs/kafka-apis.ts';
import { compatibilityTable } from '../docs/kafka.ts';

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

  it('refuses an API that is served without an entry, and one that is not without a reason', () => {
    const known = [
      { key: 1, name: 'Served', kafka: [0, 3] },
      { key: 2, name: 'Absent', kafka: [0, 0], note: 'no | reason' },
    ] as const;
    const table = compatibilityTable(new Map([[1, [2, 3]]]), known);
    assert.match(table, /^\| Served \| 1 \| 2-3 \| 0-3 \| {2}\|$/m);
    assert.match(table, /^\| Absent \| 2 \| no \| 0 \| no \\\| reason \|$/m);
    assert.throws(
      () => compatibilityTable(new Map([[3, [0, 0]]]), known),
      /API 3 is served, and has no entry/,
    );
    assert.throws(() => compatibilityTable(new Map(), known), /Served is not served, .* does not say why/);
  });

  it('names APIs as their schemas do', () => {
    const names = new Map(KAFKA_APIS.map(({ key, name }) => [key, name]));
    for (const { key, name } of Object.values(apis) as Api[]) assert.equal(names.get(key), name);
    assert.equal(names.size, KAFKA_APIS.length);
  });

  it('leaves alone what of a page is written by hand', () => {
    const page = path.join(folder, 'docs/kafka.md');
    const text = readFileSync(page, 'utf8');
    writeFileSync(page, `before\n${text.replace('| Produce | 0 | 0-13 |', '| Produce | 0 | 0-2 |')}after\n`);
    assert.equal(check().status, 1);
    execFileSync(process.execPath, ARGS, { cwd: folder });
    assert.equal(readFileSync(page, 'utf8'), `before\n${text}after\n`);
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
