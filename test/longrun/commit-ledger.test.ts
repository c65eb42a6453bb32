import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CommitLedger } from './commit-ledger.ts';

/** Offsets up to 10 were sent for partition 0, and up to 7 acknowledged. */
function ledgerOf(): CommitLedger {
  const ledger = new CommitLedger();
  for (let offset = 1; offset <= 10; offset++) ledger.sending('g', 0, offset);
  for (let offset = 1; offset <= 7; offset++) ledger.acknowledge('g', 0, offset);
  return ledger;
}

describe('the judge of commits', () => {
  test('accepts what was acknowledged, and what was sent and may have been stored', () => {
    const ledger = ledgerOf();
    for (const offset of [7, 8, 10]) ledger.observe('g', ledger.floors('g', 1), [offset]);
    assert.deepEqual(ledger.violations, []);
    assert.deepEqual([ledger.acknowledged, ledger.observed], [7, 3]);
  });

  test('finds an acknowledged commit that is gone, once', () => {
    const ledger = ledgerOf();
    ledger.observe('g', ledger.floors('g', 1), [6]);
    ledger.observe('g', ledger.floors('g', 1), [-1]);
    const found = ledger.violations.map((violation) => [violation.kind, violation.expected, violation.found]);
    assert.deepEqual(found, [
      ['went-back', 7, 6],
      ['went-back', 6, -1],
    ]);
  });

  test('finds that the broker takes back what it has said, acknowledged or not', () => {
    const ledger = ledgerOf();
    ledger.observe('g', ledger.floors('g', 1), [9]);
    ledger.observe('g', ledger.floors('g', 1), [8]);
    assert.deepEqual(ledger.violations, [
      { kind: 'went-back', group: 'g', partition: 0, expected: 9, found: 8 },
    ]);
  });

  test('allows what was acknowledged only after the broker was asked to be missing in its answer', () => {
    const ledger = ledgerOf();
    const floors = ledger.floors('g', 1);
    ledger.acknowledge('g', 0, 8);
    ledger.observe('g', floors, [7]);
    assert.deepEqual(ledger.violations, []);
  });

  test('finds an offset that nobody sent, where what is sent is known', () => {
    const ledger = ledgerOf();
    ledger.observe('g', ledger.floors('g', 1), [11]);
    ledger.observe('members', ledger.floors('members', 1), [1000]);
    assert.deepEqual(ledger.violations, [
      { kind: 'made-up', group: 'g', partition: 0, expected: 10, found: 11 },
    ]);
  });
});
