import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkHistory, type Acknowledged, type History, type StoredPartition } from './history.ts';

/** Ten records of one partition, of which the first eight were acknowledged. */
function sound(): History & { acknowledged: Acknowledged[]; partitions: StoredPartition[] } {
  const records = Array.from({ length: 10 }, (_, offset) => ({ offset, value: `v${offset}` }));
  return {
    acknowledged: records.slice(0, 8).map(({ offset, value }) => ({ partition: 0, offset, value })),
    wasSent: (value) => value.startsWith('v'),
    idempotent: true,
    partitions: [{ partition: 0, logStartOffset: 0, endOffset: 10, records }],
  };
}

/** The history with its only partition changed. */
function withPartition(change: (stored: StoredPartition) => Partial<StoredPartition>): History {
  const history = sound();
  return { ...history, partitions: history.partitions.map((stored) => ({ ...stored, ...change(stored) })) };
}

function kinds(history: History): string[] {
  return [...new Set(checkHistory(history).map(({ kind }) => kind))].toSorted();
}

describe('the checker of histories', () => {
  test('finds nothing wrong with a sound history, acknowledged or not', () => {
    assert.deepEqual(checkHistory(sound()), []);
    assert.deepEqual(checkHistory({ ...sound(), acknowledged: [] }), []);
  });

  test('finds an acknowledged record that is gone from the end', () => {
    const history = withPartition(({ records }) => ({ records: records.slice(0, 7), endOffset: 7 }));
    assert.deepEqual(kinds(history), ['lost']);
  });

  test('allows an unacknowledged record to be gone from the end', () => {
    assert.deepEqual(
      kinds(withPartition(({ records }) => ({ records: records.slice(0, 8), endOffset: 8 }))),
      [],
    );
  });

  test('finds a gap, also of a record that was never acknowledged', () => {
    const without = (gone: number): History =>
      withPartition(({ records }) => ({ records: records.filter(({ offset }) => offset !== gone) }));
    assert.deepEqual(kinds(without(8)), ['gap']);
    assert.deepEqual(kinds(without(3)), ['gap', 'lost']);
    assert.deepEqual(kinds(without(0)), ['gap', 'lost']);
  });

  test('finds an end that promises more than there is, or less', () => {
    assert.deepEqual(kinds(withPartition(() => ({ endOffset: 11 }))), ['gap']);
    assert.deepEqual(kinds(withPartition(() => ({ endOffset: 9 }))), ['disorder']);
  });

  test('finds two records that changed places', () => {
    const history = withPartition(({ records }) => ({ records: [...records.slice(1, 2), ...records] }));
    assert.ok(kinds(history).includes('disorder'));
  });

  test('finds another value at an acknowledged offset', () => {
    const history = withPartition(({ records }) => ({
      records: records.map((record) => (record.offset === 5 ? { offset: 5, value: 'v50' } : record)),
    }));
    assert.deepEqual(kinds(history), ['inconsistent-offset']);
  });

  test('finds a record that nobody sent, and one without a value', () => {
    for (const value of ['made up', null]) {
      const history = withPartition(({ records }) => ({
        records: records.map((record) => (record.offset === 9 ? { offset: 9, value } : record)),
      }));
      assert.deepEqual(kinds(history), ['unexpected']);
    }
  });

  test('finds a duplicate of an idempotent producer, and allows one of a plain producer', () => {
    const history = withPartition(({ records }) => ({
      records: records.map((record) => (record.offset === 9 ? { offset: 9, value: 'v8' } : record)),
    }));
    assert.deepEqual(kinds(history), ['duplicate']);
    assert.deepEqual(kinds({ ...history, idempotent: false }), []);
  });

  test('finds an offset that was acknowledged twice', () => {
    const history = sound();
    history.acknowledged.push({ partition: 0, offset: 7, value: 'v9' });
    assert.deepEqual(kinds(history), ['contradictory-acknowledgement', 'inconsistent-offset']);
  });

  test('finds a value that was acknowledged at two offsets', () => {
    const history = sound();
    history.acknowledged.push({ partition: 0, offset: 8, value: 'v7' });
    assert.deepEqual(kinds(history), ['contradictory-acknowledgement', 'inconsistent-offset']);
  });

  test('finds a partition that was not read at all', () => {
    const history = sound();
    history.acknowledged.push({ partition: 1, offset: 0, value: 'v0' });
    assert.deepEqual(kinds(history), ['lost']);
  });

  test('does not ask for what retention or DeleteRecords took away', () => {
    const history = withPartition(({ records }) => ({ logStartOffset: 4, records: records.slice(4) }));
    assert.deepEqual(kinds(history), []);
  });
});
