import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { InvalidArgumentError } from 'commander';
import { duration, integer, nameValue, patience, pointInTime, rate, unescape } from '../src/values.ts';

function refused(parse: () => unknown): void {
  assert.throws(parse, InvalidArgumentError);
}

describe('what people write', () => {
  it('nobody waits longer than a timer can', () => {
    assert.equal(patience('24d'), 2_073_600_000);
    for (const text of ['25d', '0s', '7']) refused(() => patience(text));
  });

  it('durations have units', () => {
    assert.equal(duration('500ms'), 500);
    assert.equal(duration('1h30m'), 5_400_000);
    assert.equal(duration('1.5d'), 129_600_000);
    assert.equal(duration('2w'), 1_209_600_000);
    for (const text of ['5', '', 'm', '1x', '-1s', '1h 30m', '9'.repeat(20) + 'w'])
      refused(() => duration(text));
  });

  it('points in time are dates, times or milliseconds', () => {
    assert.equal(pointInTime('2026-11-25'), Date.UTC(2026, 10, 25));
    assert.equal(pointInTime('2026-11-25T18:30:00Z'), Date.UTC(2026, 10, 25, 18, 30));
    assert.equal(pointInTime('2026-11-25 18:30:00+02:00'), Date.UTC(2026, 10, 25, 16, 30));
    assert.equal(pointInTime('1795643844413'), 1_795_643_844_413);
    for (const text of ['yesterday', '2026-13-01', '2026', '', '25.11.2026'])
      refused(() => pointInTime(text));
  });

  it('whole numbers have bounds', () => {
    assert.equal(integer(0)('0'), 0);
    assert.equal(integer(-5)('-5'), -5);
    for (const text of ['-1', '1.5', '1e3', '', ' 1', '99999999999999999999'])
      refused(() => integer(0)(text));
    refused(() => integer(1, 5)('6'));
  });

  it('assignments keep what follows the first equals sign', () => {
    assert.deepEqual(nameValue('a=b=c', [{ name: 'x', value: 'y' }]), [
      { name: 'x', value: 'y' },
      { name: 'a', value: 'b=c' },
    ]);
    assert.deepEqual(nameValue('a='), [{ name: 'a', value: '' }]);
    for (const text of ['a', '=b', '']) refused(() => nameValue(text));
  });

  it('rates are per second, minute or hour', () => {
    assert.equal(rate('100'), 100);
    assert.equal(rate('6000/m'), 100);
    assert.equal(rate('36/h'), 0.01);
    for (const text of ['0', 'fast', '-1', '1/d']) refused(() => rate(text));
  });

  it('escapes stand for characters that are hard to type', () => {
    assert.equal(unescape('a\\tb\\n\\x00\\\\n'), 'a\tb\n\0\\n');
    assert.equal(unescape('\\q'), '\\q');
  });
});
