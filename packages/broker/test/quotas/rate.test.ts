import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { SampledRate, TokenBucket, windowMsOf } from '../../src/quotas/rate.core.ts';
import { WINDOW } from '../support/quotas.ts';

const WINDOW_MS = windowMsOf(WINDOW);

/** What gets through when each of these amounts comes as soon as the throttle of the one before is over. */
function through(
  limit: number,
  amounts: readonly number[],
): { readonly sum: number; readonly endMs: number } {
  const rate = new SampledRate(WINDOW);
  let nowMs = 12_345;
  let sum = 0;
  for (const amount of amounts) {
    rate.record(amount, nowMs);
    sum += amount;
    nowMs += 1 + rate.throttleMs(limit, nowMs, WINDOW_MS);
  }
  return { sum, endMs: nowMs - 12_345 };
}

describe('A rate over a sliding window', () => {
  it('lets a beginner have all samples but one at once, and throttles what is beyond for as long as it takes', () => {
    const rate = new SampledRate(WINDOW);
    rate.record(10_000, 50_000);
    assert.equal(rate.throttleMs(1000, 50_000, WINDOW_MS), 0);
    rate.record(1000, 50_000);
    assert.equal(rate.throttleMs(1000, 50_000, WINDOW_MS), 1000);
    // As long as the window is not full, it counts as all samples but one: a beginner's burst is paid back first.
    assert.equal(rate.throttleMs(1000, 51_000, WINDOW_MS), 1000);
    assert.equal(rate.throttleMs(1000, 60_500, WINDOW_MS), 500);
    assert.equal(rate.throttleMs(1000, 61_000, WINDOW_MS), 0);
  });

  it('forgets everything when the whole window has passed', () => {
    const rate = new SampledRate(WINDOW);
    rate.record(1e9, 1000);
    assert.ok(rate.perSecond(11_999) > 0);
    assert.equal(rate.perSecond(12_000), 0);
  });

  it('never asks for more than it may, also where the limit is 0', () => {
    const rate = new SampledRate(WINDOW);
    rate.record(1e9, 1000);
    assert.equal(rate.throttleMs(1, 1000, WINDOW_MS), WINDOW_MS);
    assert.equal(rate.throttleMs(0, 1000, 1000), 1000);
  });

  it('takes back what was recorded in the same moment', () => {
    const rate = new SampledRate(WINDOW);
    rate.record(500, 7000);
    rate.record(-500, 7000);
    assert.equal(rate.perSecond(7000), 0);
  });

  it('holds who waits as told to the limit, beside the first burst', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 1_000_000 }),
        // Up to a second's worth each: larger ones may be more than the window remembers.
        fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: 100, maxLength: 400 }),
        (limit, parts) => {
          const { sum, endMs } = through(
            limit,
            parts.map((part) => Math.ceil(part * limit)),
          );
          // What came last may be a second's worth, and waits are whole milliseconds.
          const allowed = limit * (endMs / 1000 + WINDOW.samples + 1);
          assert.ok(sum <= allowed, `${sum} bytes in ${endMs} ms are more than ${allowed}`);
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not hold back who waits as told any longer', () => {
    const { sum, endMs } = through(
      1000,
      Array.from({ length: 300 }, () => 100),
    );
    assert.equal(sum, 30_000);
    // 30 seconds' worth, of which a beginner's burst came at once.
    assert.ok(endMs < 25_000, `${endMs} ms`);
  });
});

describe('A bucket of tokens', () => {
  it('has a whole window at first, and goes into debt for what is larger', () => {
    const bucket = new TokenBucket(WINDOW);
    bucket.take(11 * 5, 5, 9000);
    assert.equal(bucket.throttleMs(5, 9000), 0);
    bucket.take(10, 5, 9000);
    assert.equal(bucket.throttleMs(5, 9000), 2000);
    assert.equal(bucket.throttleMs(5, 10_000), 1000);
    assert.equal(bucket.throttleMs(5, 11_000), 0);
  });

  it('never holds more than a window, however long it rested', () => {
    const bucket = new TokenBucket(WINDOW);
    bucket.take(0, 5, 0);
    bucket.take(60, 5, 1_000_000);
    assert.equal(bucket.throttleMs(5, 1_000_000), 1000);
  });
});
