import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkStyle } from '../check-style.ts';

// Not written out, because this file is checked too.
const OXLINT = 'oxlint';
const TS = '@ts';
const HOME = '/home';

test('a suppression without a reason is a breach', () => {
  assert.equal(checkStyle('a.ts', `// ${OXLINT}-disable-next-line no-console\n`).length, 1);
  assert.equal(checkStyle('a.ts', `// ${TS}-expect-error\n`).length, 1);
  assert.deepEqual(
    checkStyle('a.ts', '// oxlint-disable-next-line no-console -- the command line prints\n'),
    [],
  );
  assert.deepEqual(checkStyle('a.ts', '// @ts-expect-error: the option is not in the types\n'), []);
});

test('@ts-ignore is a breach', () => {
  assert.equal(checkStyle('a.ts', `// ${TS}-ignore\n`).length, 1);
});

test('a path of one machine is a breach', () => {
  assert.equal(checkStyle('README.md', `cd ${HOME}/me/polylog\n`).length, 1);
  assert.deepEqual(checkStyle('README.md', 'https://example.org/home/page and /tmp/x\n'), []);
});

test('an address in the lockfile is a breach', () => {
  const lockfile = (resolved: string) => JSON.stringify({ packages: { 'node_modules/a': { resolved } } });
  assert.equal(checkStyle('package-lock.json', lockfile('https://registry.example/a.tgz')).length, 1);
  assert.deepEqual(checkStyle('package-lock.json', lockfile('packages/a')), []);
});

test('a lockfile without the optional packages of other systems is a breach', () => {
  const entry = { optionalDependencies: { 'a-darwin': '1.0.0' } };
  const lockfile = (packages: Record<string, object>) => JSON.stringify({ packages });
  assert.equal(checkStyle('package-lock.json', lockfile({ 'node_modules/a': entry })).length, 1);
  assert.deepEqual(
    checkStyle('package-lock.json', lockfile({ 'node_modules/a': entry, 'node_modules/a-darwin': {} })),
    [],
  );
});
