import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestGroup } from './catalogue.ts';
import { readOutcomes } from './outcomes.ts';

const GREEN = '\u001B[32m';
const RED = '\u001B[31m';
const PLAIN = '\u001B[0m';

function group(...names: string[]): TestGroup {
  const [number = ''] = names[0]!.split('_');
  const tests = names.map((name) => ({ name, number, scenario: 'default', knownIssue: false }) as const);
  return { number, scenario: 'default', knownIssue: false, quick: true, parts: undefined, tests };
}

const PASSED = [
  '#==================================================================#',
  `|${GREEN} <MAIN>                                   |     PASSED |   2.200s ${PLAIN}|`,
  `|${GREEN} 0045_subscribe_update                    |     PASSED |   1.250s ${PLAIN}|`,
  `|${RED} 0045_subscribe_many_updates              |     FAILED |   0.500s ${PLAIN}|${RED} f():1: no topic${PLAIN}`,
  `|${GREEN} 0045_other                               |    SKIPPED |   0.000s ${PLAIN}| Not here`,
  '#==================================================================#',
].join('\n');

test('state, duration and reason of each test are read from the summary', () => {
  const names = ['0045_subscribe_update', '0045_subscribe_many_updates', '0045_other'];
  assert.deepEqual(readOutcomes(group(...names), { output: PASSED, code: 1, isLate: false, seconds: 3 }), [
    { name: '0045_subscribe_update', outcome: 'passed', seconds: 1.25, reason: '' },
    { name: '0045_subscribe_many_updates', outcome: 'failed', seconds: 0.5, reason: 'f():1: no topic' },
    { name: '0045_other', outcome: 'skipped', seconds: 0, reason: 'Not here' },
  ]);
});

test('a test passes only if the runner ends well', () => {
  const end = { output: PASSED.replaceAll('FAILED', 'PASSED'), code: 1, isLate: false, seconds: 3 };
  const [result] = readOutcomes(group('0045_subscribe_update'), end);
  assert.equal(result?.outcome, 'failed');
  assert.match(result.reason, /ended with 1 after/);
});

test('where the runner aborts, the failure is read from its message', () => {
  const output = `${RED}### Test "0028_names (part)" failed at a.c:12:f() at Thu Nov 26 03:52:25 2026: ###\npart: f():12: why\n`;
  const [result] = readOutcomes(group('0028_names'), { output, code: null, isLate: false, seconds: 1.5 });
  assert.deepEqual(result, {
    name: '0028_names',
    outcome: 'failed',
    seconds: 1.5,
    reason: 'part: f():12: why',
  });
});

test('a test that passed before another one made the runner abort has passed', () => {
  const output = [
    `${GREEN}================= Test 0045_first PASSED =================${PLAIN}`,
    '### Test "0045_second" failed at a.c:12:f() at Thu Nov 26 03:52:25 2026: ###',
    'f():12: why',
  ].join('\n');
  const end = { output, code: null, isLate: false, seconds: 2 };
  const outcomes = readOutcomes(group('0045_first', '0045_second', '0045_third'), end);
  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome),
    ['passed', 'failed', 'unfinished'],
  );
});

test('a test that the runner says nothing of is unfinished', () => {
  const [crashed] = readOutcomes(group('0001_a'), { output: '', code: null, isLate: false, seconds: 1 });
  assert.deepEqual(crashed, {
    name: '0001_a',
    outcome: 'unfinished',
    seconds: 1,
    reason: 'the runner ended with a signal',
  });
  const [late] = readOutcomes(group('0001_a'), { output: '', code: null, isLate: true, seconds: 900 });
  assert.match(late!.reason, /time limit/);
});
