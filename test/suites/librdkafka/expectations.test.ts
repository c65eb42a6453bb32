import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  contradictions,
  readExpectations,
  surprises,
  type Expectations,
  type ModeResult,
} from './expectations.ts';

const EXPECTATIONS: Expectations = {
  passing: ['0001_a', '0002_b'],
  others: { '0003_c': { reason: 'never' }, '0004_d': { modes: ['consumer'], reason: 'classic only' } },
};

function result(mode: 'classic' | 'consumer', name: string, outcome: ModeResult['outcome']): ModeResult {
  return { mode, name, outcome, seconds: 1, reason: 'why', tries: 1 };
}

test('a run as committed holds no surprise', () => {
  const results = [
    result('classic', '0001_a', 'passed'),
    result('consumer', '0003_c', 'failed'),
    result('classic', '0004_d', 'passed'),
    result('consumer', '0004_d', 'skipped'),
  ];
  assert.deepEqual(surprises(EXPECTATIONS, results), []);
});

test('a listed test that fails or is skipped is a surprise', () => {
  assert.deepEqual(
    surprises(EXPECTATIONS, [result('classic', '0001_a', 'failed'), result('consumer', '0002_b', 'skipped')]),
    [
      'classic 0001_a failed, but is listed as passing: why',
      'consumer 0002_b skipped, but is listed as passing: why',
    ],
  );
});

test('one of the others that passes is a surprise, in the modes of which it is said', () => {
  const results = [result('classic', '0003_c', 'passed'), result('consumer', '0004_d', 'passed')];
  assert.equal(surprises(EXPECTATIONS, results).length, 2);
});

test('what passes now and then is no surprise', () => {
  const others = { '0003_c': { isUnsteady: true, reason: 'a race' } };
  const results = [result('classic', '0003_c', 'passed'), result('consumer', '0003_c', 'failed')];
  assert.deepEqual(surprises({ passing: [], others }, results), []);
});

test('each test of the suite is listed once', () => {
  assert.deepEqual(contradictions(EXPECTATIONS, ['0001_a', '0002_b', '0003_c', '0004_d']), []);
  const twice = { passing: ['0001_a', '0003_c'], others: EXPECTATIONS.others };
  assert.deepEqual(contradictions(twice, ['0003_c', '0004_d', '0005_e']), [
    '0005_e is not listed',
    '0001_a is listed, but the suite has no such test',
    '0003_c is listed twice',
  ]);
});

test('each committed exception says why', () => {
  for (const [name, { reason }] of Object.entries(readExpectations().others)) {
    assert.ok(reason.length > 20, `${name} needs a reason`);
  }
});
