import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { BufferPool } from '../../../src/frontends/kafka/buffer-pool.ts';
import { ByteBudget } from '../../../src/frontends/kafka/byte-budget.ts';

test('who asks for more than the whole budget gets it when nobody else has a part of it', () => {
  const budget = new ByteBudget(100);
  assert.equal(budget.tryTake(1), true);
  let granted = false;
  assert.equal(budget.tryTake(1000), false);
  budget.wait(1000, () => void (granted = true));
  assert.equal(granted, false);
  budget.give(1);
  assert.equal(granted, true);
  budget.give(1000);
  assert.equal(budget.usedBytes, 0);
});

test('small requests do not overtake a large one that waits, and go on when it leaves the line', () => {
  const budget = new ByteBudget(100);
  assert.equal(budget.tryTake(60), true);
  const leave = budget.wait(90, () => assert.fail('it has left'));
  assert.equal(budget.tryTake(10), false);
  const granted: number[] = [];
  budget.wait(10, () => void granted.push(10));
  leave();
  leave();
  assert.deepEqual(granted, [10]);
});

test('a lower rank goes ahead of a higher one, and of those without', () => {
  const budget = new ByteBudget(100);
  assert.equal(budget.tryTake(100), true);
  const granted: string[] = [];
  budget.wait(50, () => void granted.push('last'));
  budget.wait(50, () => void granted.push('second'), 2);
  budget.wait(50, () => void granted.push('first'), 1);
  assert.equal(budget.tryTake(0, 1), false);
  assert.equal(budget.tryTake(0, 0), true);
  budget.give(100);
  assert.deepEqual(granted, ['first', 'second']);
  budget.give(50);
  assert.deepEqual(granted, ['first', 'second', 'last']);
});

test('who gives back as soon as it is granted does not deepen the stack', () => {
  const budget = new ByteBudget(1);
  assert.equal(budget.tryTake(1), true);
  let granted = 0;
  for (let index = 0; index < 20_000; index++) {
    budget.wait(1, () => {
      granted++;
      budget.give(1);
    });
  }
  budget.give(1);
  assert.deepEqual([granted, budget.usedBytes], [20_000, 0]);
});

test('giving back more than was taken is a bug', () => {
  assert.throws(() => new ByteBudget(10).give(1), /more bytes/);
});

test('the budget is never exceeded, and everybody gets its bytes in the order of asking', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 150 }), { maxLength: 50 }),
      fc.infiniteStream(fc.boolean()),
      (asked, coin) => {
        const budget = new ByteBudget(100);
        const held: number[] = [];
        const order: number[] = [];
        const grant = (index: number): void => {
          order.push(index);
          held.push(asked[index]!);
        };
        for (const [index, bytes] of asked.entries()) {
          if (budget.tryTake(bytes)) grant(index);
          else budget.wait(bytes, () => grant(index));
          assert.ok(budget.usedBytes <= 100);
          if (coin.next().value && held.length > 0) budget.give(held.shift()!);
        }
        while (held.length > 0) budget.give(held.shift()!);
        assert.deepEqual(
          order,
          asked.map((_, index) => index),
        );
        assert.deepEqual([budget.usedBytes, budget.waiting], [0, 0]);
      },
    ),
  );
});

test('the pool gives back what fits, and keeps no more than it may', () => {
  const pool = new BufferPool({ retainedBytesMax: 16_384 });
  const first = pool.take(5000);
  assert.equal(first.length, 8192);
  pool.give(first);
  assert.equal(pool.take(8192), first);
  for (const buffer of [8192, 8192, 8192].map((bytes) => pool.take(bytes))) pool.give(buffer);
  assert.equal(pool.retainedBytes, 16_384);
  assert.equal(pool.take(1).length, 4096);
});
