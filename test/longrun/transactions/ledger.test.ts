import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareReaders, TransactionLedger, type SeenRecord } from './ledger.ts';

/** Three transactions of two records: 0 committed, 1 aborted, 2 with its commit under way. */
function ledger(): TransactionLedger {
  const made = new TransactionLedger();
  for (const number of [0, 1, 2]) made.began('p', number, 2);
  made.committing('p', 0);
  made.committed('p', 0);
  made.aborted('p', 1);
  made.committing('p', 2);
  return made;
}

/** Records by transaction and index, one after the other in one partition. */
function seen(...records: readonly (readonly [number: number, index: number])[]): SeenRecord[] {
  return records.map(([number, index], offset) => ({
    topic: 't',
    partition: 0,
    offset,
    value: `p:${number}:${index}:2:xx`,
  }));
}

function kinds(records: readonly SeenRecord[], of = ledger()): string[] {
  return of.check(records).map(({ kind }) => kind);
}

describe('the ledger of transactions', () => {
  test('finds nothing wrong when a commit of unknown fate shows all its records, or none', () => {
    assert.deepEqual(kinds(seen([0, 0], [0, 1])), []);
    assert.deepEqual(kinds(seen([0, 1], [0, 0], [2, 0], [2, 1])), []);
  });

  test('finds a committed transaction that is gone, in whole or in part', () => {
    assert.deepEqual(kinds([]), ['lost']);
    assert.deepEqual(kinds(seen([0, 1])), ['lost']);
  });

  test('finds a torn transaction', () => {
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [2, 1])), ['torn']);
  });

  test('finds a record of an aborted transaction, and of one whose commit was never asked for', () => {
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [1, 0])), ['aborted-read']);
    const open = ledger();
    open.began('p', 3, 2);
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [3, 0]), open), ['aborted-read']);
  });

  test('believes an abort that was confirmed after a commit that failed', () => {
    const failed = ledger();
    failed.aborted('p', 2);
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [2, 0], [2, 1]), failed), ['aborted-read', 'aborted-read']);
  });

  test('finds a record twice, one behind a later transaction, and one that nobody sent', () => {
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [0, 1])), ['duplicate']);
    assert.deepEqual(kinds(seen([2, 0], [2, 1], [0, 0], [0, 1])), ['disorder']);
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [9, 0])), ['unexpected']);
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [2, 7])), ['unexpected']);
    const garbage = [{ topic: 't', partition: 0, offset: 9, value: 'garbage' }];
    assert.deepEqual(kinds([...seen([0, 0], [0, 1]), ...garbage]), ['unexpected']);
  });

  test('finds an offset that tells another fate than the records', () => {
    const resumed = (offset: number): TransactionLedger => {
      const made = ledger();
      made.resumed('p', 1000, offset);
      return made;
    };
    assert.deepEqual(kinds(seen([0, 0], [0, 1]), resumed(1)), []);
    assert.deepEqual(kinds(seen([0, 0], [0, 1]), resumed(3)), ['offsets']);
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [2, 0], [2, 1]), resumed(3)), []);
    assert.deepEqual(kinds(seen([0, 0], [0, 1], [2, 0], [2, 1]), resumed(1)), ['offsets']);
    assert.deepEqual(kinds(seen([0, 0], [0, 1]), resumed(0)), ['offsets']);
  });

  test('counts what it knows', () => {
    const made = ledger();
    made.began('q', 0, 1);
    assert.deepEqual(made.counts, { transactions: 4, committed: 1, aborted: 1, unknown: 1, abandoned: 1 });
  });

  test('finds readers that saw different records', () => {
    const all = seen([0, 0], [0, 1], [2, 0]);
    assert.deepEqual(compareReaders(all, all), []);
    assert.equal(compareReaders(all, all.slice(1)).length, 1);
    assert.equal(compareReaders(all.slice(1), all).length, 1);
    const [first, ...rest] = all;
    assert.equal(compareReaders([{ ...first!, value: 'other' }, ...rest], all).length, 1);
  });
});
