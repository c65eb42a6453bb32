import fc from 'fast-check';
import type { NewRecord, RecordHeader } from '@polylog/record';

export function batch(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

const T = 1_700_000_000_000;

function record(
  timestamp: number,
  key: string | null,
  value: string | null,
  headers: readonly RecordHeader[] = [],
): NewRecord {
  return {
    timestamp,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers,
  };
}

/** What the Java client was given for the golden batches: nulls, empty values, a timestamp that goes back, headers. */
export const sampleRecords: readonly NewRecord[] = [
  record(T, 'key-1', 'hello', [
    { key: 'trace', value: Buffer.from('abc') },
    { key: 'größe', value: null },
  ]),
  record(T + 7, null, 'no key'),
  record(T - 5000, 'tombstone', null),
  record(T + 100_000, '', ''),
  ...Array.from({ length: 30 }, (_, index) =>
    record(
      T + index,
      `user-${index % 3}`,
      `{"id":${index},"state":"active","note":"${'x'.repeat(index * 5)}"}`,
    ),
  ),
];

const nullableBytes = fc.option(
  fc.oneof(
    { weight: 9, arbitrary: fc.uint8Array({ maxLength: 80 }) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 4090, maxLength: 4100 }) },
  ),
);

export const newRecords: fc.Arbitrary<NewRecord[]> = fc.array(
  fc.record({
    timestamp: fc.oneof(fc.constant(-1), fc.integer({ min: T - 1e9, max: T + 1e9 }), fc.nat(2 ** 31 - 1)),
    key: nullableBytes,
    value: nullableBytes,
    headers: fc.array(
      fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 10 }), value: nullableBytes }),
      {
        maxLength: 4,
      },
    ),
  }),
  { minLength: 1, maxLength: 20 },
);
