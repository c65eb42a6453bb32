import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  BatchBuilder,
  beginFillerAt,
  decodeBatch,
  emptiedBatch,
  fillerBatch,
  hasDeleteHorizon,
  type LogRecord,
  readBatchHeader,
  retainRecords,
  verifyCrc,
} from '../src/index.ts';

const MAX_BYTES = 1_000_000;
/** Without the difference between a Buffer and other bytes. */
function recordsOf(batch: Uint8Array): LogRecord[] {
  return decodeBatch(new Uint8Array(batch), { maxBytes: MAX_BYTES }).map((record) => ({
    ...record,
    key: record.key && new Uint8Array(record.key),
    value: record.value && new Uint8Array(record.value),
    headers: record.headers.map(({ key, value }) => ({ key, value: value && new Uint8Array(value) })),
  }));
}

const HORIZON_MS = 1_800_000_000_000;

function build(options: {
  codec?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  appendTimeMs?: number;
  values: readonly (string | null)[];
}): Uint8Array {
  const builder = new BatchBuilder({
    baseOffset: 1000,
    leaderEpoch: 7,
    producerId: 5,
    producerEpoch: 1,
    baseSequence: 40,
    codec: options.codec ?? 'none',
    ...(options.appendTimeMs === undefined ? {} : { logAppendTimeMs: options.appendTimeMs }),
  });
  for (const [index, value] of options.values.entries()) {
    builder.append({
      key: Buffer.from(`key ${index}`),
      value: value === null ? null : Buffer.from(value),
      headers: [{ key: 'h', value: Buffer.from([index & 0xff]) }],
      timestamp: 1_700_000_000_000 + ((index * 7919) % 1000),
    });
  }
  return builder.build();
}

describe('retaining some records of a batch', () => {
  it('leaves those as they were, with their offsets, timestamps and headers, in every codec', () => {
    const spec = fc.record({
      codec: fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd'),
      values: fc.array(fc.option(fc.string({ maxLength: 30 }), { nil: null }), {
        minLength: 1,
        maxLength: 40,
      }),
      mask: fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
      appendTimeMs: fc.option(fc.constant(1_700_000_005_000), { nil: undefined }),
    });
    fc.assert(
      fc.property(spec, ({ mask, values, codec, appendTimeMs }) => {
        const batch = build({ values, codec, ...(appendTimeMs === undefined ? {} : { appendTimeMs }) });
        const header = readBatchHeader(batch);
        const expected = recordsOf(batch).filter((_, index) => mask[index]);
        const result = retainRecords(batch, header, {
          maxBytes: MAX_BYTES,
          deleteHorizonMs: HORIZON_MS,
          retain: (record) => mask[record.index]!,
        });
        assert.equal(result.retained, expected.length);
        assert.equal(result.removed, values.length - expected.length);
        const stamps = expected.some(({ value }) => value === null);
        if (expected.length === 0 || (result.removed === 0 && !stamps))
          return assert.equal(result.batch, undefined);
        const kept = result.batch!;
        assert.ok(verifyCrc(kept));
        assert.deepEqual(recordsOf(kept), expected);
        const after = readBatchHeader(kept);
        assert.equal(hasDeleteHorizon(after.attributes), stamps);
        assert.equal(after.baseTimestamp, stamps ? HORIZON_MS : header.baseTimestamp);
        assert.equal(after.maxTimestamp, Math.max(...expected.map(({ timestamp }) => timestamp)));
        const { baseOffset, lastOffsetDelta, producerId, producerEpoch, baseSequence, partitionLeaderEpoch } =
          header;
        assert.deepEqual(
          {
            ...after,
            baseOffset,
            lastOffsetDelta,
            producerId,
            producerEpoch,
            baseSequence,
            partitionLeaderEpoch,
          },
          after,
        );
      }),
    );
  });

  it('does not move a delete horizon that is stamped already', () => {
    const header = (batch: Uint8Array) => readBatchHeader(batch);
    const options = { maxBytes: MAX_BYTES, retain: () => true };
    const batch = build({ values: [null, 'x'] });
    const first = retainRecords(batch, header(batch), { ...options, deleteHorizonMs: HORIZON_MS }).batch!;
    const again = retainRecords(first, header(first), { ...options, deleteHorizonMs: HORIZON_MS + 5 });
    assert.equal(again.batch, undefined);
    const less = retainRecords(first, header(first), {
      maxBytes: MAX_BYTES,
      deleteHorizonMs: HORIZON_MS + 5,
      retain: (record) => record.index === 0,
    });
    assert.equal(header(less.batch!).baseTimestamp, HORIZON_MS);
    assert.deepEqual(recordsOf(less.batch!), recordsOf(batch).slice(0, 1));
  });
});

describe('batches without records', () => {
  it('stand for their offsets, and, if emptied, for their producer', () => {
    const header = readBatchHeader(build({ values: ['x', 'y', 'z'] }));
    const emptied = emptiedBatch(header);
    const filler = fillerBatch({ baseOffset: 1000, lastOffset: 1002, leaderEpoch: 7 });
    for (const batch of [emptied, filler]) {
      assert.equal(batch.length, 61);
      assert.ok(verifyCrc(batch));
      const after = readBatchHeader(batch);
      assert.deepEqual(
        [after.baseOffset, after.lastOffsetDelta, after.partitionLeaderEpoch, after.recordCount],
        [1000, 2, 7, 0],
      );
      assert.deepEqual(recordsOf(batch), []);
    }
    assert.deepEqual([readBatchHeader(emptied).producerId, readBatchHeader(emptied).baseSequence], [5, 40]);
    assert.equal(readBatchHeader(filler).producerId, -1);
  });

  it('can begin later, for a follower that has their first offsets already', () => {
    const filler = new Uint8Array(fillerBatch({ baseOffset: 1000, lastOffset: 1099, leaderEpoch: 7 }));
    beginFillerAt(filler, 1000);
    assert.equal(readBatchHeader(filler).baseOffset, 1000);
    beginFillerAt(filler, 1040);
    const { baseOffset, lastOffsetDelta, partitionLeaderEpoch } = readBatchHeader(filler);
    assert.deepEqual([baseOffset, lastOffsetDelta, partitionLeaderEpoch], [1040, 59, 7]);
    assert.ok(verifyCrc(filler));
    const batch = new Uint8Array(build({ values: ['x', 'y'] }));
    const before = batch.slice();
    beginFillerAt(batch, 1001);
    assert.deepEqual(batch, before);
    const emptied = new Uint8Array(emptiedBatch(readBatchHeader(batch)));
    beginFillerAt(emptied, 1001);
    assert.equal(readBatchHeader(emptied).baseOffset, 1000, "a producer's batch is never divided");
  });
});
