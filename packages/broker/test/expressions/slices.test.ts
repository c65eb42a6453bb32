import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SimWorld } from '../../../../sim/platform/world.ts';
import { ExpressionCache } from '../../src/expressions/cache.ts';
import { Slices } from '../../src/expressions/slices.ts';
import { SLICE_MS, StepBudget, STEPS_PER_SLICE } from '../../src/expressions/step-budget.core.ts';
import type { CompiledExpression } from '../../src/expressions/types.ts';

describe('The budget of steps', () => {
  it('is closed when it is spent, until the next slice', () => {
    const budget = new StepBudget();
    assert.ok(budget.isOpen(5));
    budget.take(STEPS_PER_SLICE - 1);
    assert.ok(budget.isOpen(5));
    budget.take(1000);
    assert.ok(!budget.isOpen(5 + SLICE_MS - 1));
    assert.equal(budget.nextMs, 5 + SLICE_MS);
    assert.ok(budget.isOpen(5 + SLICE_MS));
  });

  it('is open at the moment that it said, whatever is rounded', () => {
    for (let begun = 1_000_000; begun < 1_000_100; begun += 0.1) {
      const budget = new StepBudget();
      assert.ok(budget.isOpen(begun));
      budget.take(STEPS_PER_SLICE);
      assert.ok(budget.isOpen(budget.nextMs), `${begun}`);
    }
  });
});

describe('The cache of expressions', () => {
  it('compiles each once, and forgets those that were used least recently where they take too much memory', () => {
    const cache = new ExpressionCache({ bytesMax: 1024 * 1024 });
    for (const expression of ['a', 'b', 'c', 'a', 'b', 'c']) cache.compile(expression);
    assert.equal(cache.compilations, 3);
    cache.compile('d');
    cache.compile('a');
    assert.ok(cache.bytes <= 1024 * 1024);
    assert.ok(cache.has('a') && cache.has('d') && !cache.has('b'));
    for (let index = 0; index < 100; index++) cache.compile(`x${index}`);
    assert.ok(cache.bytes <= 1024 * 1024);
  });

  it('keeps none that is refused', () => {
    const cache = new ExpressionCache();
    assert.match(cache.compile('(').fault ?? '', /missing closing \)/);
    assert.ok(!cache.has('('));
    assert.equal(cache.bytes, 0);
  });
});

describe('Texts are looked at', () => {
  const ids = Array.from({ length: 20_000 }, (_, index) => `id-${index}`);

  function slices(): { readonly sim: SimWorld; readonly slices: Slices } {
    const sim = new SimWorld({ seed: 1 });
    return { sim, slices: new Slices(sim.node('broker').boot()) };
  }

  function counted(expression: CompiledExpression): CompiledExpression & { readonly looked: () => number } {
    let count = 0;
    const matches = (text: string): boolean => {
      count++;
      return expression.matches(text);
    };
    return { ...expression, matches, looked: () => count };
  }

  function compiled(of: Slices, expression: string): CompiledExpression {
    const outcome = of.compileNow(expression);
    assert.equal(outcome.fault, undefined);
    return outcome;
  }

  it('in slices with turns between them, which all share', async () => {
    const { sim, slices: one } = slices();
    const left = counted(compiled(one, 'id-1.*'));
    const right = counted(compiled(one, 'id-.'));
    const all = Promise.all([one.matching(ids, (id) => id, left), one.matching(ids, (id) => id, right)]);
    const most = STEPS_PER_SLICE / 20 + 1;
    let before = 0;
    for (let slice = 0; slice < 5; slice++) {
      const looked = left.looked() + right.looked();
      assert.ok(looked - before <= most, `${looked - before} in one slice`);
      assert.ok(looked < ids.length);
      before = looked;
      await sim.advance(SLICE_MS);
    }
    const [ones, single] = await sim.settle(all);
    assert.deepEqual(
      ones,
      ids.filter((id) => id.startsWith('id-1')),
    );
    assert.equal(single.length, 10);
  });

  it('but not those that would take too long by themselves', async () => {
    const { sim, slices: one } = slices();
    const long = ['x'.repeat(32_000)];
    assert.deepEqual(await sim.settle(one.matching(long, (id) => id, compiled(one, 'x.*'))), long);
    await assert.rejects(
      sim.settle(one.matching(long, (id) => id, compiled(one, '.*a.{100}'))),
      /too long for a text of 32000 characters/,
    );
  });

  it('with expressions that wait for the time to compile them', async () => {
    const { sim, slices: one } = slices();
    const nasty = (index: number): string => String.raw`\pL`.repeat(100) + index;
    const waiting = Array.from({ length: 4 }, (_, index) => one.toCompile(nasty(index)));
    await sim.advance(SLICE_MS / 2);
    assert.equal(one.cache.compilations, 1);
    await sim.advance(2 * SLICE_MS);
    assert.ok(one.cache.compilations < 4);
    for (const { fault } of await sim.settle(Promise.all(waiting))) assert.equal(fault, undefined);
    assert.equal(one.cache.compilations, 4);
  });
});
