import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BatchBuilder,
  type BatchOptions,
  buildBatch,
  buildEndTransactionBatch,
  checkBatch,
  checkProduceBatch,
  checkRecords,
  emptyBatchHeader,
  forEachBatch,
  type NewRecord,
  patchCrc,
  RECORD_ERRORS_MAX,
} from '@polylog/record';
import * as golden from './golden.ts';
import { batch, newRecords, sampleRecords } from './samples.ts';

const MIB = 1024 * 1024;
const T = 1_700_000_000_000;

function simple(options: BatchOptions = {}): Buffer {
  return Buffer.from(buildBatch({ ...options, records: sampleRecords.slice(0, 3) }));
}

function check(bytes: Uint8Array): string {
  return checkProduceBatch(bytes, 0, bytes.length, emptyBatchHeader());
}

/** The answer for a batch with some bytes changed and a CRC that is right. */
function checkWith(change: (bytes: Buffer) => void, bytes: Buffer = simple()): string {
  change(bytes);
  patchCrc(bytes);
  return check(bytes);
}

test('batches of stock clients pass', () => {
  for (const [name, base64] of Object.entries(golden)) {
    const bytes = batch(base64);
    const header = emptyBatchHeader();
    assert.equal(checkBatch(bytes, 0, bytes.length, header), 'ok', name);
    if (!/COMMIT|ABORT|LEADER|APPEND|TRANSACTIONAL/.test(name)) assert.equal(check(bytes), 'ok', name);
  }
});

test('each fault has its code', () => {
  assert.equal(check(simple()), 'ok');
  assert.equal(
    checkWith((bytes) => bytes.writeInt8(1, 16)),
    'bad_magic',
  );
  assert.equal(check(batch(golden.JAVA_COMMIT)), 'bad_base_offset');
  assert.equal(
    checkWith((bytes) => bytes.writeInt32BE(0, 57)),
    'bad_count',
  );
  assert.equal(
    checkWith((bytes) => bytes.writeInt32BE(-1, 57)),
    'bad_count',
  );
  assert.equal(
    checkWith((bytes) => bytes.writeInt32BE(2, 57)),
    'bad_count',
    'fewer records than offsets',
  );
  assert.equal(
    checkWith((bytes) => bytes.writeInt32BE(-1, 23)),
    'bad_count',
  );
  assert.equal(
    checkWith((bytes) => bytes.writeInt32BE(0x7fff_ffff, 23)),
    'bad_count',
  );
  for (const codec of [5, 6, 7])
    assert.equal(
      checkWith((bytes) => bytes.writeInt16BE(codec, 21)),
      'unknown_codec',
    );
  assert.equal(
    checkWith((bytes) => bytes.writeInt16BE(0x20, 21)),
    'control_batch',
  );
  assert.equal(
    checkWith((bytes) => bytes.writeInt16BE(0x08, 21)),
    'append_time',
  );
  assert.equal(
    checkWith((bytes) => bytes.writeInt16BE(-128, 21)),
    'ok',
    'unused bits are ignored',
  );
});

test('length: what is incomplete is told from what is impossible', () => {
  const bytes = simple();
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(checkProduceBatch(bytes, 0, length, emptyBatchHeader()), 'truncated', `${length} bytes`);
  }
  const within = Buffer.concat([Buffer.alloc(7), bytes, Buffer.alloc(7)]);
  assert.equal(checkProduceBatch(within, 7, within.length, emptyBatchHeader()), 'ok');
  assert.equal(checkProduceBatch(within, 7, 7 + bytes.length - 1, emptyBatchHeader()), 'truncated');
  for (const length of [48, 0, -1, -0x8000_0000]) {
    const broken = simple();
    broken.writeInt32BE(length, 8);
    assert.equal(check(broken), 'bad_length', `${length}`);
  }
  for (const length of [bytes.length - 11, 0x7fff_ffff]) {
    const broken = simple();
    broken.writeInt32BE(length, 8);
    assert.equal(check(broken), 'truncated', `${length}`);
  }
  // An old message set of one short message: offset, size, CRC, magic 1, attributes, ...
  const old = Buffer.alloc(34);
  old.writeInt8(1, 16);
  assert.equal(check(old), 'bad_magic');
});

test('the CRC is checked before what it covers is believed', () => {
  const bytes = simple();
  for (let at = 17; at < bytes.length; at++) {
    bytes[at]! ^= 0x40;
    assert.equal(check(bytes), 'bad_crc', `byte ${at}`);
    bytes[at]! ^= 0x40;
  }
});

test('int64 fields beyond 2^53 are a fault, not an exception', () => {
  for (const [at, name] of [
    [27, 'baseTimestamp'],
    [35, 'maxTimestamp'],
    [43, 'producerId'],
  ] as const) {
    for (const value of [2n ** 53n, 2n ** 63n - 1n, -(2n ** 63n)]) {
      assert.equal(
        checkWith((bytes) => bytes.writeBigInt64BE(value, at)),
        'int64_out_of_range',
        `${name} ${value}`,
      );
    }
    assert.notEqual(
      checkWith((bytes) => bytes.writeBigInt64BE(2n ** 53n - 1n, at)),
      'int64_out_of_range',
    );
  }
  const bytes = simple();
  bytes.writeBigInt64BE(2n ** 53n, 0);
  assert.equal(check(bytes), 'int64_out_of_range');
});

test('producer fields: an id needs epoch and sequence, a transaction an id', () => {
  const of = (options: BatchOptions) => check(simple(options));
  assert.equal(of({ producerId: 0, producerEpoch: 0, baseSequence: 0 }), 'ok');
  assert.equal(of({ producerId: 5, producerEpoch: 0, baseSequence: 2 ** 31 - 1, transactional: true }), 'ok');
  assert.equal(of({ producerId: 5, producerEpoch: 0 }), 'bad_producer');
  assert.equal(of({ producerId: 5, baseSequence: 0 }), 'bad_producer');
  assert.equal(of({ transactional: true }), 'bad_producer');
});

test('what a broker reads back may be a control batch, have gaps, be empty', () => {
  const ok = (bytes: Uint8Array) =>
    assert.equal(checkBatch(bytes, 0, bytes.length, emptyBatchHeader()), 'ok');
  ok(
    buildEndTransactionBatch(
      { type: 'abort', coordinatorEpoch: 0 },
      { timestamp: T, producerId: 1, producerEpoch: 0 },
    ),
  );
  ok(new BatchBuilder({ baseOffset: 70 }).build(5));
  const gaps = new BatchBuilder({ baseOffset: 70, logAppendTimeMs: T });
  gaps.append(sampleRecords[0]!, 2);
  ok(gaps.build(4));
  const bytes = simple();
  bytes.writeInt32BE(4, 57);
  patchCrc(bytes);
  assert.equal(
    checkBatch(bytes, 0, bytes.length, emptyBatchHeader()),
    'bad_count',
    'more records than offsets',
  );
});

test('forEachBatch visits every complete batch and returns where it stopped', () => {
  fc.assert(
    fc.property(fc.array(newRecords, { maxLength: 5 }), fc.nat(), fc.nat(9), (sets, cut, prefix) => {
      const batches = sets.map((records, index) => buildBatch({ baseOffset: index * 1000, records }));
      const bytes = Buffer.concat([Buffer.alloc(prefix), ...batches]);
      const end = prefix + (cut % (bytes.length - prefix + 1));
      const starts: number[] = [];
      let expected = prefix;
      for (const each of batches) {
        if (expected + each.length > end) break;
        starts.push(expected);
        expected += each.length;
      }
      const seen: number[] = [];
      const stopped = forEachBatch(bytes, prefix, end, (header, at, size) => {
        assert.equal(header.baseOffset, seen.length * 1000);
        assert.equal(size, batches[seen.length]!.length);
        seen.push(at);
      });
      assert.deepEqual(seen, starts);
      assert.equal(stopped, expected);
    }),
  );
});

test('forEachBatch stops when told, and at an impossible length', () => {
  const one = simple();
  const bytes = Buffer.concat([one, one, one]);
  let calls = 0;
  assert.equal(
    forEachBatch(bytes, 0, bytes.length, () => ++calls < 2),
    2 * one.length,
  );
  assert.equal(calls, 2);
  for (const length of [48, 0, -12, -0x8000_0000]) {
    bytes.writeInt32BE(length, one.length + 8);
    assert.equal(
      forEachBatch(bytes, 0, bytes.length, () => undefined),
      one.length,
    );
  }
});

test('checkRecords: sound batches, with the timestamp that the header should have', () => {
  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const bytes = buildBatch({ codec, records: sampleRecords });
    const plain = buildBatch({ records: sampleRecords });
    assert.deepEqual(checkRecords(bytes, { maxBytes: MIB }), {
      result: 'ok',
      maxTimestamp: T + 100_000,
      maxTimestampOffsetDelta: 3,
      uncompressedBytes: plain.length - 61,
    });
  }
});

test('checkRecords: lists the records without keys, and those out of the bounds of time', () => {
  const bytes = buildBatch({ records: sampleRecords });
  assert.deepEqual(checkRecords(bytes, { maxBytes: MIB, requireKeys: true }), {
    result: 'invalid_records',
    errors: [{ recordIndex: 1, fault: 'missing_key' }],
  });
  assert.deepEqual(checkRecords(bytes, { maxBytes: MIB, timestampMin: T - 4999, timestampMax: T + 99_999 }), {
    result: 'invalid_records',
    errors: [
      { recordIndex: 2, fault: 'timestamp_out_of_range' },
      { recordIndex: 3, fault: 'timestamp_out_of_range' },
    ],
  });
  const atBounds = checkRecords(bytes, { maxBytes: MIB, timestampMin: T - 5000, timestampMax: T + 100_000 });
  assert.equal(atBounds.result, 'ok');
  const without = buildBatch({ records: [{ timestamp: -1, key: null, value: null }] });
  assert.equal(checkRecords(without, { maxBytes: MIB, timestampMin: T }).result, 'ok', 'no timestamp');
});

test('checkRecords: offset deltas must be 0, 1, 2, ...', () => {
  const builder = new BatchBuilder();
  for (const delta of [0, 2, 3]) builder.append(sampleRecords[0]!, delta);
  assert.deepEqual(checkRecords(builder.build(), { maxBytes: MIB }), {
    result: 'invalid_records',
    errors: [
      { recordIndex: 1, fault: 'bad_offset_delta' },
      { recordIndex: 2, fault: 'bad_offset_delta' },
    ],
  });
});

test('checkRecords: the list of failing records has an end', () => {
  const record: NewRecord = { timestamp: T, key: null, value: null };
  const bytes = buildBatch({ records: Array.from({ length: RECORD_ERRORS_MAX + 1 }, () => record) });
  const result = checkRecords(bytes, { maxBytes: MIB, requireKeys: true });
  assert.equal(result.result === 'invalid_records' && result.errors.length, RECORD_ERRORS_MAX);
});

test('checkRecords: wrong counts, broken compression and bombs are results, not exceptions', () => {
  const bytes = simple({ codec: 'lz4' });
  bytes.writeInt32BE(2, 57);
  assert.equal(checkRecords(bytes, { maxBytes: MIB }).result, 'malformed');
  bytes.writeInt32BE(3, 57);
  assert.equal(checkRecords(bytes, { maxBytes: MIB }).result, 'ok');
  assert.equal(checkRecords(bytes, { maxBytes: 10 }).result, 'too_large');
  bytes[62]! ^= 1;
  assert.equal(checkRecords(bytes, { maxBytes: MIB }).result, 'malformed');
  assert.equal(checkRecords(bytes.subarray(0, 30), { maxBytes: MIB }).result, 'malformed');
});
