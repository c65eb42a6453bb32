import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PartitionHistory, PollOrder } from './history.ts';

function rule(name: string, act: () => void): void {
  assert.throws(act, { name: 'Violation', rule: name });
}

function acknowledged(...values: number[]): PartitionHistory {
  const history = new PartitionHistory('p');
  values.forEach((value, offset) => {
    history.sent(value);
    history.acknowledged(value, offset, true);
  });
  return history;
}

test('a history without faults passes', () => {
  const history = acknowledged(10, 11);
  history.read(0, 10);
  history.read(1, 11);
  history.checkComplete(0, 2);
});

test('an acknowledged value that readers have passed is a lost write', () => {
  const history = acknowledged(10, 11);
  history.read(1, 11);
  rule('lost-write', () => history.checkComplete(0, 2));
});

test('an acknowledged value at the end that nobody read is unseen', () => {
  const history = acknowledged(10, 11);
  history.read(0, 10);
  rule('unseen', () => history.checkComplete(0, 1));
});

test('a deleted value is not lost', () => {
  const history = acknowledged(10, 11);
  history.read(1, 11);
  history.checkComplete(1, 2);
});

test('an offset holds one value, and a value one offset', () => {
  const history = acknowledged(10);
  history.sent(12);
  history.read(0, 10);
  rule('inconsistent-offsets', () => history.read(0, 12));
  rule('duplicate', () => history.read(1, 10));
});

test('a value that failed for certain is never read', () => {
  const history = new PartitionHistory('p');
  history.sent(10);
  history.failed(10);
  rule('G1a', () => history.read(0, 10));
});

test('a write that was taken back may return only after a loss of power', () => {
  const history = new PartitionHistory('p');
  history.sent(10);
  history.rolledBack(10);
  rule('G1a', () => history.read(0, 10));
  history.powerLost();
  history.read(0, 10);
});

test('what was read must still be there', () => {
  const history = acknowledged(10);
  history.sent(11);
  history.read(0, 10);
  history.read(1, 11);
  rule('lost-read', () => history.checkComplete(0, 1));
});

test('a consumer sees neither gaps nor steps back', () => {
  const order = new PollOrder();
  order.assign(5);
  order.saw(5, 'c');
  rule('skip-poll', () => order.saw(7, 'c'));
  rule('nonmonotonic-poll', () => order.saw(5, 'c'));
});
