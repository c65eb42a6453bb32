import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CODECS, DecompressionLimitError, MalformedError } from '@polylog/bytes';
import {
  BATCH_HEADER_BYTES,
  BatchBuilder,
  buildBatch,
  buildEndTransactionBatch,
  buildLeaderChangeBatch,
  checkBatch,
  decodeBatch,
  emptyBatchHeader,
  type LogRecord,
  type NewRecord,
  patchCrc,
  readBatchHeader,
  readControlRecord,
  RecordCursor,
  rewriteBatch,
  verifyCrc,
} from '@polylog/record';
import * as golden from './golden.ts';
import { batch, newRecords, sampleRecords } from './samples.ts';

const MIB = 1024 * 1024;
const codecs = fc.constantFrom(...CODECS);

const JAVA = {
  none: golden.JAVA_NONE,
  gzip: golden.JAVA_GZIP,
  snappy: golden.JAVA_SNAPPY,
  lz4: golden.JAVA_LZ4,
  zstd: golden.JAVA_ZSTD,
};
const KAFKA_PYTHON = {
  none: golden.KAFKA_PYTHON_NONE,
  gzip: golden.KAFKA_PYTHON_GZIP,
  snappy: golden.KAFKA_PYTHON_SNAPPY,
  lz4: golden.KAFKA_PYTHON_LZ4,
  zstd: golden.KAFKA_PYTHON_ZSTD,
};

/** Plain values, whatever kind of byte array holds the bytes. */
function plain(records: readonly (LogRecord | NewRecord)[], baseOffset = 0, appendTimeMs?: number): unknown {
  const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('hex'));
  return records.map((record, index) => ({
    offset: 'offset' in record ? record.offset : baseOffset + index,
    timestamp: appendTimeMs ?? record.timestamp,
    key: text(record.key),
    value: text(record.value),
    headers: (record.headers ?? []).map((header) => [header.key, text(header.value)]),
  }));
}

for (const codec of CODECS) {
  test(`${codec}: a batch of the Java client decodes to what the client was given`, () => {
    const bytes = batch(JAVA[codec]);
    assert.equal(checkBatch(bytes, 0, bytes.length, emptyBatchHeader()), 'ok');
    assert.deepEqual(plain(decodeBatch(bytes, { maxBytes: MIB })), plain(sampleRecords));
  });

  test(`${codec}: a batch of kafka-python decodes`, () => {
    const bytes = batch(KAFKA_PYTHON[codec]);
    assert.equal(checkBatch(bytes, 0, bytes.length, emptyBatchHeader()), 'ok');
    const records = decodeBatch(bytes, { maxBytes: MIB });
    assert.equal(records.length, 12);
    for (const [index, record] of records.entries()) {
      assert.equal(record.offset, index);
      assert.equal(record.timestamp, 1_700_000_000_000 + index);
      assert.equal(record.key?.toString() ?? null, index % 2 === 1 ? `key-${index}` : null);
      assert.equal(record.value?.toString(), `${'value '.repeat(10)}${index}`);
      assert.deepEqual(
        plain([record]),
        plain([{ ...record, headers: index === 3 ? [{ key: 'h', value: Buffer.from('1') }] : [] }]),
      );
    }
  });
}

test('an uncompressed batch is, byte for byte, that of the Java client', () => {
  assert.deepEqual(Buffer.from(buildBatch({ records: sampleRecords })), batch(golden.JAVA_NONE));
  const pair = [
    { timestamp: 1_700_000_000_000, key: Buffer.from('k'), value: Buffer.from('v') },
    { timestamp: 1_700_000_000_001, key: Buffer.from('k2'), value: Buffer.from('v2') },
  ];
  assert.deepEqual(
    Buffer.from(
      buildBatch({
        baseOffset: 2 ** 32 + 5,
        leaderEpoch: 12,
        producerId: 2 ** 40 + 1,
        producerEpoch: 3,
        baseSequence: 2 ** 31 - 1,
        transactional: true,
        records: pair,
      }),
    ),
    batch(golden.JAVA_TRANSACTIONAL),
  );
  const early = pair.map(({ key, value }, index) => ({ timestamp: index + 1, key, value }));
  assert.deepEqual(
    Buffer.from(buildBatch({ baseOffset: 9, logAppendTimeMs: 1_700_000_000_999, records: early })),
    batch(golden.JAVA_APPEND_TIME),
  );
  assert.deepEqual(
    plain(decodeBatch(batch(golden.JAVA_APPEND_TIME), { maxBytes: MIB })),
    plain(early, 9, 1_700_000_000_999),
  );
});

test('control batches are, byte for byte, those of the Java client, and read back', () => {
  const place = {
    baseOffset: 500,
    leaderEpoch: 12,
    timestamp: 1_700_000_000_000,
    producerId: 4000,
    producerEpoch: 2,
  };
  for (const [type, expected] of [
    ['commit', golden.JAVA_COMMIT],
    ['abort', golden.JAVA_ABORT],
  ] as const) {
    assert.deepEqual(
      Buffer.from(buildEndTransactionBatch({ type, coordinatorEpoch: 17 }, place)),
      batch(expected),
    );
    const [record] = decodeBatch(batch(expected), { maxBytes: MIB });
    assert.equal(record!.offset, 500);
    assert.deepEqual(readControlRecord(record!), { type, coordinatorEpoch: 17 });
  }
  const change = { leaderId: 2, voters: [1, 2, 3], grantingVoters: [2] };
  const leaderChange = buildLeaderChangeBatch(change, {
    baseOffset: 77,
    leaderEpoch: 5,
    timestamp: 1_700_000_000_000,
  });
  assert.deepEqual(Buffer.from(leaderChange), batch(golden.JAVA_LEADER_CHANGE));
  assert.deepEqual(readControlRecord(decodeBatch(leaderChange, { maxBytes: MIB })[0]!), {
    type: 'leader_change',
    ...change,
  });
});

test('control records: unknown types are told, newer versions read, broken ones malformed', () => {
  const read = (key: string | null, value: string | null) =>
    readControlRecord({
      key: key === null ? null : Buffer.from(key, 'hex'),
      value: value === null ? null : Buffer.from(value, 'hex'),
    });
  assert.deepEqual(read('00000005', null), { type: 'unknown', typeId: 5 });
  assert.deepEqual(read('00010001ff', '000100000007ff'), { type: 'commit', coordinatorEpoch: 7 });
  const voter = `00000001${'ab'.repeat(16)}00`;
  assert.deepEqual(read('00000002', `00010000000102${voter}02${voter}00`), {
    type: 'leader_change',
    leaderId: 1,
    voters: [1],
    grantingVoters: [1],
  });
  for (const [key, value] of [
    [null, '000000000007'],
    ['000000', '000000000007'],
    ['ffff0001', '000000000007'],
    ['00000001', null],
    ['00000001', '0000000000'],
    ['00000001', 'ffff00000007'],
    ['00000002', '000000000001ffffffff0f'],
    ['00000002', '00000000000100'],
  ] as const) {
    assert.throws(() => read(key, value), MalformedError, `${key} ${value}`);
  }
});

test('what is built is decoded, with every codec', () => {
  fc.assert(
    fc.property(codecs, newRecords, fc.nat(2 ** 48), (codec, records, baseOffset) => {
      const bytes = buildBatch({ codec, baseOffset, records });
      const header = emptyBatchHeader();
      assert.equal(checkBatch(bytes, 0, bytes.length, header), 'ok');
      assert.equal(header.recordCount, records.length);
      assert.equal(header.lastOffsetDelta, records.length - 1);
      assert.equal(header.maxTimestamp, Math.max(...records.map((record) => record.timestamp)));
      assert.deepEqual(plain(decodeBatch(bytes, { maxBytes: MIB })), plain(records, baseOffset));
    }),
  );
});

test('the builder: uncompressed size, offsets with gaps, a longer offset range, a delete horizon, no records at all', () => {
  const [first, second] = sampleRecords as [NewRecord, NewRecord];
  const builder = new BatchBuilder({ baseOffset: 100, deleteHorizonMs: 1_800_000_000_000 });
  builder.append(first, 3);
  builder.append(second, 8);
  assert.throws(() => builder.append(second, 8), RangeError);
  const size = builder.uncompressedBytes;
  const bytes = builder.build(10);
  assert.equal(bytes.length, size);
  const header = emptyBatchHeader();
  assert.equal(checkBatch(bytes, 0, bytes.length, header), 'ok');
  assert.deepEqual(
    [header.lastOffsetDelta, header.recordCount, header.baseTimestamp],
    [10, 2, 1_800_000_000_000],
  );
  const records = decodeBatch(bytes, { maxBytes: MIB });
  assert.deepEqual(
    records.map((record) => [record.offset, record.timestamp]),
    [
      [103, first.timestamp],
      [108, second.timestamp],
    ],
  );
  assert.throws(() => new BatchBuilder().build(), RangeError);
  const empty = new BatchBuilder({ codec: 'gzip' }).build(4);
  assert.equal(empty.length, BATCH_HEADER_BYTES);
  assert.equal(checkBatch(empty, 0, empty.length, header), 'ok');
  assert.deepEqual(decodeBatch(empty, { maxBytes: 0 }), []);
});

test('rewriting changes codec and append time and nothing else', () => {
  fc.assert(
    fc.property(codecs, codecs, newRecords, fc.option(fc.nat(2 ** 48)), (from, to, records, appendTimeMs) => {
      const options = {
        producerId: 7,
        producerEpoch: 1,
        baseSequence: 5,
        transactional: true,
        leaderEpoch: 9,
      };
      const bytes = buildBatch({ codec: from, baseOffset: 40, ...options, records });
      const before = Uint8Array.from(bytes);
      const rewritten = rewriteBatch(bytes, {
        codec: to,
        maxBytes: MIB,
        ...(appendTimeMs === null ? {} : { logAppendTimeMs: appendTimeMs }),
      });
      assert.deepEqual(Uint8Array.from(bytes), before, 'the original is left alone');
      assert.ok(verifyCrc(rewritten));
      assert.deepEqual(
        plain(decodeBatch(rewritten, { maxBytes: MIB })),
        plain(records, 40, appendTimeMs ?? undefined),
      );
      const old = readBatchHeader(bytes);
      const header = readBatchHeader(rewritten);
      assert.deepEqual(header, {
        ...old,
        batchLength: rewritten.length - 12,
        crc: header.crc,
        attributes: (old.attributes & ~7) | CODECS.indexOf(to) | (appendTimeMs === null ? 0 : 8),
        maxTimestamp: appendTimeMs ?? old.maxTimestamp,
      });
    }),
  );
});

test('rewriting reads no further than the batch, and keeps an unchanged codec as it is', () => {
  const bytes = batch(golden.JAVA_LZ4);
  const followed = Buffer.concat([bytes, bytes]);
  assert.deepEqual(Buffer.from(rewriteBatch(followed, { maxBytes: MIB })), bytes);
  assert.throws(() => rewriteBatch(bytes, { codec: 'zstd', maxBytes: 1000 }), DecompressionLimitError);
});

for (const codec of CODECS) {
  test(`${codec}: cut anywhere, a batch is malformed`, () => {
    const bytes = batch(JAVA[codec]);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(
        () => decodeBatch(bytes.subarray(0, length), { maxBytes: MIB }),
        MalformedError,
        `at ${length}`,
      );
    }
  });

  test(`${codec}: a batch whose length ends early is malformed`, () => {
    const bytes = batch(JAVA[codec]);
    for (let length = bytes.length - 1; length >= 0; length--) {
      const cut = Buffer.from(bytes.subarray(0, Math.max(length, 12)));
      cut.writeInt32BE(length - 12, 8);
      // Ends with its record count still standing: xerial streams and plain records have no end mark of their own.
      assert.throws(() => decodeBatch(cut, { maxBytes: MIB }), MalformedError, `at ${length}`);
    }
  });

  test(`${codec}: a mutated batch decodes within the limit or throws of the malformed family`, () => {
    const original = batch(JAVA[codec]);
    const maxBytes = 8192;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        (changes) => {
          const bytes = Buffer.from(original);
          for (const [at, value] of changes) bytes[at] = value;
          try {
            let used = 0;
            for (const record of decodeBatch(bytes, { maxBytes })) {
              used += (record.key?.length ?? 0) + (record.value?.length ?? 0);
            }
            assert.ok(used <= Math.max(maxBytes, bytes.length));
          } catch (error) {
            assert.ok(error instanceof MalformedError, String(error));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
}

test('counts and lengths that the bytes cannot hold are refused before anything is allocated', () => {
  const bytes = batch(golden.JAVA_NONE);
  for (const count of [-1, 33, 35, 0x7fff_ffff]) {
    bytes.writeInt32BE(count, 57);
    assert.throws(() => decodeBatch(bytes, { maxBytes: MIB }), MalformedError, `${count} records`);
  }
  /** One record: length, attributes, timestamp delta, offset delta, then the given bytes. */
  const body = (fields: string) => {
    const rest = Buffer.from(fields, 'hex');
    return Buffer.concat([Buffer.of((rest.length + 3) * 2, 0, 0, 0), rest]);
  };
  const next = (fields: string) => {
    const cursor = new RecordCursor(body(fields), 1);
    cursor.next();
    return cursor;
  };
  assert.equal(next('010100').key, null);
  assert.equal(next('030100').key, null, 'every negative length is null');
  assert.equal(next('000100').key?.length, 0);
  assert.throws(() => next('feffffff0f0100'), MalformedError, 'key of 2^31-1 bytes');
  assert.throws(() => next('0101feffffff0f'), MalformedError, '2^31-1 headers');
  assert.throws(() => next('010101'), MalformedError, '-1 headers');
  assert.throws(() => next('0101020101'), MalformedError, 'header with a null key');
  assert.throws(() => next('01010000'), MalformedError, 'a byte too many');
  assert.deepEqual(next('0101020001').headers(), [{ key: '', value: null }]);
});

test('an announced count above what the bytes could hold fails at once, not when they run out', () => {
  assert.throws(() => new RecordCursor(Buffer.alloc(13), 2), { message: '2 records in 13 bytes' });
  assert.throws(() => new RecordCursor(Buffer.alloc(14), -1), { message: '-1 records in 14 bytes' });
  assert.equal(new RecordCursor(Buffer.alloc(14), 2).recordCount, 2);
  // Two headers announced, three bytes left.
  const cursor = new RecordCursor(Buffer.from('12000000010104000100', 'hex'), 1);
  assert.throws(() => cursor.next(), { message: 'record 0: 2 headers in 3 bytes' });
});

test('lengths around the steps of a varint', () => {
  for (const length of [63, 64, 8191, 8192, 1_048_575, 1_048_576]) {
    const records = [{ timestamp: 0, key: null, value: Buffer.alloc(length, 'v') }];
    assert.equal(decodeBatch(buildBatch({ records }), { maxBytes: 2 * MIB })[0]!.value!.length, length);
  }
  for (let power = 0; power <= 52; power++) {
    for (const timestamp of [2 ** power - 1, 2 ** power, -(2 ** power), -(2 ** power) - 1]) {
      const records = [0, timestamp].map((each) => ({ timestamp: each, key: null, value: null }));
      assert.equal(decodeBatch(buildBatch({ records }), { maxBytes: MIB })[1]!.timestamp, timestamp);
    }
  }
});

test('a timestamp that leaves the safe range is malformed', () => {
  const bytes = buildBatch({
    records: [
      { timestamp: 5, key: null, value: null },
      { timestamp: 9, key: null, value: null },
    ],
  });
  const far = Buffer.from(bytes);
  far.writeBigInt64BE(BigInt(Number.MAX_SAFE_INTEGER), 27);
  patchCrc(far);
  assert.throws(() => decodeBatch(far, { maxBytes: MIB }), MalformedError);
});

test('a decompression bomb within a batch stops at the limit', () => {
  const value = Buffer.alloc(16 * MIB);
  for (const codec of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const bytes = buildBatch({ codec, records: [{ timestamp: 0, key: null, value }] });
    assert.throws(() => decodeBatch(bytes, { maxBytes: MIB }), DecompressionLimitError, codec);
    assert.equal(decodeBatch(bytes, { maxBytes: 17 * MIB })[0]!.value!.length, value.length);
  }
});
