import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { judgeTransfer } from './line-transfer.ts';

function judge(topic: readonly string[], sink: readonly string[]): string[] {
  return judgeTransfer({ given: ['a', 'b', 'c'], topic, sink }).map(({ kind, line }) => `${kind} ${line}`);
}

describe('the judge of transferred lines', () => {
  test('is content with each line once in the topic, and at least once in the file', () => {
    assert.deepEqual(judge(['a', 'b', 'c'], ['a', 'a', 'b', 'c', 'b']), []);
  });
  test('finds what was lost on either way', () => {
    assert.deepEqual(judge(['a', 'c'], ['a']), ['lost-before-topic b', 'lost-before-sink c']);
  });
  test('finds what is in the topic twice, or in another order', () => {
    assert.deepEqual(judge(['a', 'a', 'b', 'c'], ['a', 'b', 'c']), ['repeated-in-topic a']);
    assert.deepEqual(judge(['b', 'a', 'c'], ['a', 'b', 'c']), ['disorder-in-topic a']);
  });
  test('finds what nobody gave, in the topic and in the file', () => {
    assert.deepEqual(judge(['a', 'b', 'c', 'd'], ['a', 'b', 'c', 'c-torn']), [
      'unexpected d',
      'unexpected c-torn',
    ]);
  });
});
