import assert from 'node:assert/strict';
import { test } from 'node:test';

import { openFilesMaxOf } from '../../src/config/open-files.ts';

test('as many files are kept open as the settings say, or as the process leaves', () => {
  const chosen = (wanted: number, descriptorsMax: number | undefined, connections = 10_000): number =>
    openFilesMaxOf({ 'files.open.max': wanted, 'max.connections': connections }, descriptorsMax);
  assert.equal(chosen(700, 1_000_000), 700);
  assert.equal(chosen(3, 1_000_000), 16);
  assert.equal(chosen(0, 20_000), 9000);
  assert.equal(chosen(0, 20_000, 1000), 18_000);
  assert.equal(chosen(0, 1024), 2000);
  assert.equal(chosen(0, undefined), 2000);
  assert.equal(chosen(0, 1_048_576), 50_000);
});
