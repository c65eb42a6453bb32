import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Deadline, DeadlineQueue } from '../../src/coordinator/deadlines.core.ts';

function at(monotonicMs: number) {
  return { monotonicMs, wallMs: monotonicMs };
}

describe('deadlines', () => {
  it('fire once each, in order, when they are due', () => {
    const queue = new DeadlineQueue();
    const fired: number[] = [];
    for (const ms of [30, 10, 20]) new Deadline(queue, () => fired.push(ms)).set(ms);
    assert.equal(queue.nextMs, 10);
    queue.run(at(9));
    assert.deepEqual(fired, []);
    queue.run(at(20));
    assert.deepEqual(fired, [10, 20]);
    queue.run(at(100));
    queue.run(at(200));
    assert.deepEqual(fired, [10, 20, 30]);
    assert.equal(queue.nextMs, Infinity);
  });

  it('that are moved back fire at the later time, those moved forward at the earlier, cleared ones never', () => {
    const queue = new DeadlineQueue();
    const fired: string[] = [];
    const back = new Deadline(queue, () => fired.push('back'));
    const forward = new Deadline(queue, () => fired.push('forward'));
    const cleared = new Deadline(queue, () => fired.push('cleared'));
    back.set(10);
    back.set(50);
    forward.set(50);
    forward.set(10);
    cleared.set(10);
    cleared.clear();
    queue.run(at(10));
    assert.deepEqual(fired, ['forward']);
    queue.run(at(49));
    queue.run(at(50));
    assert.deepEqual(fired, ['forward', 'back']);
  });

  it('that set themselves anew fire in the same run if that is due', () => {
    const queue = new DeadlineQueue();
    let count = 0;
    const repeating: Deadline = new Deadline(queue, () => {
      if (++count < 3) repeating.set(5);
    });
    repeating.set(1);
    queue.run(at(5));
    assert.equal(count, 3);
  });

  it('that were cleared are let go when many others come', () => {
    const queue = new DeadlineQueue();
    for (let index = 0; index < 100_000; index++) {
      const deadline = new Deadline(queue, () => assert.fail('it was cleared'));
      deadline.set(1_000_000 + index);
      deadline.clear();
    }
    assert.ok(queue.entries < 5000, `${queue.entries} entries`);
    queue.run(at(2_000_000));
    assert.equal(queue.nextMs, Infinity);
  });

  it('behave as a list of times does', () => {
    const step = fc.record({
      index: fc.nat(7),
      action: fc.constantFrom('set', 'clear', 'run'),
      ms: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const queue = new DeadlineQueue();
        const times = new Array<number>(8).fill(Infinity);
        let nowMs = 0;
        const fired: number[] = [];
        const deadlines = times.map((_, index) => new Deadline(queue, () => fired.push(index)));
        for (const { index, action, ms } of steps) {
          if (action === 'set') deadlines[index]!.set((times[index] = nowMs + ms));
          else if (action === 'clear') {
            deadlines[index]!.clear();
            times[index] = Infinity;
          } else {
            nowMs += ms;
            fired.length = 0;
            queue.run(at(nowMs));
            const due = times.flatMap((time, one) => (time <= nowMs ? [one] : []));
            assert.deepEqual(new Set(fired), new Set(due));
            assert.equal(fired.length, due.length);
            for (const one of due) times[one] = Infinity;
          }
          assert.ok(queue.nextMs <= Math.min(...times), 'the next call comes too late');
        }
      }),
    );
  });
});
