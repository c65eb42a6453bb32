import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutFirstOffsets, withoutRisingOffsets } from './dump-log-segments.ts';

const second = 'Non-consecutive offsets in /data/t-0/00000000000000000800.log';

test("what DumpLogSegments says about the first offset of Kafka's own segments is no complaint", () => {
  assert.deepEqual(withoutFirstOffsets([second, '  -1 is followed by 800']), []);
});

test('a hole is a complaint, with its file', () => {
  const hole = '  810 is followed by 812';
  assert.deepEqual(withoutFirstOffsets([second, hole, '  -1 is followed by 800']), [second, hole]);
  assert.deepEqual(withoutFirstOffsets([second, '  -1 is followed by 800', hole]), [second, hole]);
});

test('a first offset that is not the one of the file name is a complaint', () => {
  const lines = [second, '  -1 is followed by 801'];
  assert.deepEqual(withoutFirstOffsets(lines), lines);
});

test('everything else is a complaint', () => {
  const lines = ['Mismatches in :/data/t-0/00000000000000000800.index', '  Index offset: 5, log offset: 6'];
  assert.deepEqual(withoutFirstOffsets(lines), lines);
});

test('in a compacted segment a gap is no complaint, and offsets that fall are one', () => {
  const gaps = [second, '  -1 is followed by 801', '  805 is followed by 900'];
  assert.deepEqual(withoutRisingOffsets(gaps), []);
  assert.deepEqual(withoutRisingOffsets([...gaps, '  900 is followed by 900']), [
    second,
    '  900 is followed by 900',
  ]);
});
