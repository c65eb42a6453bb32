import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { WordCounts } from './word-counts.ts';

function judge(written: readonly (readonly [word: string, count: number, partition?: number])[]): string[] {
  const counts = new WordCounts();
  counts.give('a b a');
  for (const [offset, [word, count, partition = 0]] of written.entries()) {
    counts.read({ partition, offset, word, count });
  }
  counts.finish();
  return counts.violations.map(({ kind, word }) => `${kind} ${word}`);
}

describe('the judge of counted words', () => {
  test('is content with each count once, in order', () => {
    assert.deepEqual(
      judge([
        ['a', 1],
        ['b', 1],
        ['a', 2],
      ]),
      [],
    );
  });
  test('finds a result that was written twice', () => {
    assert.deepEqual(
      judge([
        ['a', 1],
        ['b', 1],
        ['a', 1],
        ['a', 2],
      ]),
      ['repeated a'],
    );
  });
  test('finds a line that was counted twice', () => {
    assert.deepEqual(
      judge([
        ['a', 1],
        ['b', 1],
        ['b', 2],
        ['a', 2],
      ]),
      ['total b'],
    );
  });
  test('finds what is missing, in the middle and at the end', () => {
    assert.deepEqual(judge([['a', 2]]), ['skipped a', 'total b']);
    assert.deepEqual(
      judge([
        ['a', 1],
        ['b', 1],
      ]),
      ['total a'],
    );
  });
  test('finds words that nobody gave, and words in two partitions', () => {
    assert.deepEqual(
      judge([
        ['a', 1],
        ['b', 1],
        ['c', 1],
      ]),
      ['unexpected c', 'total a'],
    );
    assert.deepEqual(
      judge([
        ['a', 1],
        ['b', 1],
        ['a', 2, 1],
      ]),
      ['partition a'],
    );
  });
});
