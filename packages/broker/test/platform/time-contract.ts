import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { Clock, Loop, Random, Timers } from '../../src/platform/index.ts';

export interface TimeUnderTest {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly loop: Loop;
  readonly random: Random;
  pass(milliseconds: number): Promise<void>;
}

/** What every clock, timers, loop and randomness keep to. */
export function testTime(name: string, make: () => TimeUnderTest): void {
  describe(`${name}, as time and chance`, () => {
    let under: TimeUnderTest;
    beforeEach(() => {
      under = make();
    });

    it('has a wall clock of whole milliseconds and a monotonic one that goes on', async () => {
      const { clock } = under;
      assert.ok(Number.isInteger(clock.nowMs()) && clock.nowMs() > Date.UTC(2020, 0, 1));
      const start = clock.monotonicMs();
      await under.pass(20);
      assert.ok(clock.monotonicMs() >= start + 19);
    });

    it('runs callbacks at or after their deadline, never from within', async () => {
      const { clock, timers } = under;
      const start = clock.monotonicMs();
      const ran: [number, number][] = [];
      for (const delayMs of [0, -0, 1, 7.5, 20])
        timers.after(delayMs, () => ran.push([delayMs, clock.monotonicMs()]));
      const ranWithin = ran.length;
      await under.pass(60);
      assert.deepEqual([ranWithin, ran.length], [0, 5]);
      for (const [delayMs, atMs] of ran) assert.ok(atMs - start >= delayMs, `${delayMs}: ${atMs - start}`);
    });

    it('refuses a delay that is negative or no number', () => {
      for (const delayMs of [-1, -1_795_442_886_194, Number.NaN, Number.NEGATIVE_INFINITY]) {
        assert.throws(() => under.timers.after(delayMs, () => assert.fail()), RangeError);
      }
    });

    it('does not run what was cancelled, nor what is due in months', async () => {
      let ran = 0;
      const handle = under.timers.after(5, () => ran++);
      handle.cancel();
      handle.cancel();
      const far = under.timers.after(100 * 24 * 3600 * 1000, () => ran++);
      const done = under.timers.after(1, () => ran++);
      await under.pass(30);
      done.cancel();
      far.cancel();
      assert.equal(ran, 1);
    });

    it('runs what waits for the end of the turn once, in order, and what comes then in the next turn', async () => {
      const { loop } = under;
      const ran: string[] = [];
      loop.afterTurn(() => {
        ran.push('a');
        loop.afterTurn(() => ran.push('c'));
        under.timers.after(0, () => undefined);
      });
      loop.afterTurn(() => ran.push('b'));
      assert.deepEqual(ran, []);
      await under.pass(10);
      assert.deepEqual(ran, ['a', 'b', 'c']);
    });

    it('runs what is to be last in the turn after all else of it, also when the end of the turn asks for it', async () => {
      const { loop } = under;
      const ran: string[] = [];
      loop.lastInTurn(() => ran.push('last'));
      loop.afterTurn(() => {
        ran.push('a');
        loop.lastInTurn(() => {
          ran.push('last of a');
          loop.lastInTurn(() => ran.push('last of the next turn'));
        });
        loop.afterTurn(() => ran.push('next turn'));
      });
      loop.afterTurn(() => ran.push('b'));
      await under.pass(10);
      assert.deepEqual(ran, ['a', 'b', 'last', 'last of a', 'next turn', 'last of the next turn']);
    });

    it('draws fractions below one and ids that Kafka prints', () => {
      const ids = new Set<string>();
      for (let draw = 0; draw < 1000; draw++) {
        const fraction = under.random.fraction();
        assert.ok(fraction >= 0 && fraction < 1);
        const id = under.random.uuid();
        assert.match(id, /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
        assert.equal(Buffer.from(id, 'base64url').length, 16);
        ids.add(id);
      }
      assert.equal(ids.size, 1000);
    });
  });
}
