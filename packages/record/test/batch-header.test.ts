import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TruncatedError } from '@polylog/bytes';
import {
  advanceSequence,
  batchAttributes,
  BATCH_HEADER_BYTES,
  type BatchHeader,
  codecIdOf,
  emptyBatchHeader,
  hasDeleteHorizon,
  isControl,
  isTransactional,
  lastOffset,
  lastSequence,
  patchBaseOffset,
  patchLeaderEpoch,
  patchLogAppendTime,
  readBatchHeader,
  readBatchHeaderInto,
  sizeInBytes,
  timestampTypeOf,
  verifyCrc,
  writeBatchHeader,
} from '@polylog/record';
import * as golden from './golden.ts';
import { batch } from './samples.ts';

const int16s = fc.integer({ min: -32_768, max: 32_767 });
const headers: fc.Arbitrary<BatchHeader> = fc.record(
  {
    baseOffset: fc.maxSafeInteger(),
    batchLength: fc.integer(),
    partitionLeaderEpoch: fc.integer(),
    magic: fc.integer({ min: -128, max: 127 }),
    crc: fc.integer({ min: 0, max: 0xffff_ffff }),
    attributes: int16s,
    lastOffsetDelta: fc.integer(),
    baseTimestamp: fc.maxSafeInteger(),
    maxTimestamp: fc.maxSafeInteger(),
    producerId: fc.maxSafeInteger(),
    producerEpoch: int16s,
    baseSequence: fc.integer(),
    recordCount: fc.integer(),
  },
  { noNullPrototype: true },
);

test('a header written is the header read, wherever it stands, and as a DataView reads it', () => {
  fc.assert(
    fc.property(headers, fc.nat(20), (header, at) => {
      const bytes = new Uint8Array(at + BATCH_HEADER_BYTES + 3);
      writeBatchHeader(bytes, at, header);
      assert.deepEqual(readBatchHeader(bytes, at), header);
      const view = new DataView(bytes.buffer, at);
      assert.equal(view.getBigInt64(0), BigInt(header.baseOffset));
      assert.equal(view.getInt32(8), header.batchLength);
      assert.equal(view.getInt32(12), header.partitionLeaderEpoch);
      assert.equal(view.getInt8(16), header.magic);
      assert.equal(view.getUint32(17), header.crc);
      assert.equal(view.getInt16(21), header.attributes);
      assert.equal(view.getInt32(23), header.lastOffsetDelta);
      assert.equal(view.getBigInt64(27), BigInt(header.baseTimestamp));
      assert.equal(view.getBigInt64(35), BigInt(header.maxTimestamp));
      assert.equal(view.getBigInt64(43), BigInt(header.producerId));
      assert.equal(view.getInt16(51), header.producerEpoch);
      assert.equal(view.getInt32(53), header.baseSequence);
      assert.equal(view.getInt32(57), header.recordCount);
    }),
  );
});

test('a batch of the Java client', () => {
  const bytes = batch(golden.JAVA_TRANSACTIONAL);
  const header = readBatchHeader(bytes);
  assert.deepEqual(header, {
    baseOffset: 2 ** 32 + 5,
    batchLength: bytes.length - 12,
    partitionLeaderEpoch: 12,
    magic: 2,
    crc: bytes.readUInt32BE(17),
    attributes: 0x10,
    lastOffsetDelta: 1,
    baseTimestamp: 1_700_000_000_000,
    maxTimestamp: 1_700_000_000_001,
    producerId: 2 ** 40 + 1,
    producerEpoch: 3,
    baseSequence: 2 ** 31 - 1,
    recordCount: 2,
  });
  assert.equal(sizeInBytes(header), bytes.length);
  assert.equal(lastOffset(header), 2 ** 32 + 6);
  assert.equal(lastSequence(header), 0, 'wraps');
  assert.ok(isTransactional(header.attributes));
  assert.ok(!isControl(header.attributes));
});

test('reading into an object reuses it', () => {
  const target = emptyBatchHeader();
  assert.equal(readBatchHeaderInto(target, batch(golden.JAVA_COMMIT)), target);
  assert.equal(target.producerId, 4000);
});

test('fewer bytes than a header are TruncatedError', () => {
  const bytes = batch(golden.JAVA_COMMIT);
  for (let length = 0; length < BATCH_HEADER_BYTES; length++) {
    assert.throws(() => readBatchHeader(bytes.subarray(0, length)), TruncatedError);
  }
  assert.throws(() => readBatchHeader(bytes, bytes.length - BATCH_HEADER_BYTES + 1), TruncatedError);
});

test('int64 fields beyond 2^53 do not throw, and are not safe integers', () => {
  for (const value of [2n ** 53n, 2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n)]) {
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES);
    for (const at of [0, 27, 35, 43]) bytes.writeBigInt64BE(value, at);
    const header = readBatchHeader(bytes);
    for (const field of ['baseOffset', 'baseTimestamp', 'maxTimestamp', 'producerId'] as const) {
      assert.ok(!Number.isSafeInteger(header[field]), `${field} ${value}`);
    }
  }
});

test('attributes are taken apart as they are put together', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 7 }),
      fc.constantFrom('create' as const, 'append' as const),
      fc.boolean(),
      fc.boolean(),
      fc.boolean(),
      fc.integer({ min: 0, max: 0x1ff }),
      (codecId, timestampType, transactional, control, deleteHorizon, unused) => {
        const parts = { codecId, timestampType, transactional, control, deleteHorizon };
        const attributes = batchAttributes(parts) | (unused << 7);
        assert.equal(codecIdOf(attributes), codecId);
        assert.equal(timestampTypeOf(attributes), timestampType);
        assert.equal(isTransactional(attributes), transactional);
        assert.equal(isControl(attributes), control);
        assert.equal(hasDeleteHorizon(attributes), deleteHorizon);
      },
    ),
  );
});

test('sequences wrap at 2^31, and no sequence stays none', () => {
  const header = emptyBatchHeader();
  const last = (baseSequence: number, lastOffsetDelta: number) =>
    lastSequence({ ...header, baseSequence, lastOffsetDelta });
  assert.equal(last(-1, 5), -1);
  assert.equal(last(0, 0), 0);
  assert.equal(last(2 ** 31 - 1, 0), 2 ** 31 - 1);
  assert.equal(last(2 ** 31 - 2, 1), 2 ** 31 - 1);
  assert.equal(last(2 ** 31 - 1, 1), 0);
  assert.equal(last(2 ** 31 - 1, 2 ** 31 - 1), 2 ** 31 - 2);
  assert.equal(advanceSequence(2 ** 31 - 3, 5), 2);
});

test('offset and leader epoch are stamped without touching the CRC or anything else', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), fc.nat(), (baseOffset, epoch) => {
      const bytes = Buffer.concat([Buffer.alloc(5, 0xee), batch(golden.JAVA_LZ4), Buffer.alloc(5, 0xee)]);
      const before = readBatchHeader(bytes, 5);
      patchBaseOffset(bytes, 5, baseOffset);
      patchLeaderEpoch(bytes, 5, epoch);
      assert.ok(verifyCrc(bytes, 5));
      assert.deepEqual(readBatchHeader(bytes, 5), { ...before, baseOffset, partitionLeaderEpoch: epoch });
      assert.deepEqual(bytes.subarray(66, -5), batch(golden.JAVA_LZ4).subarray(61));
      assert.equal(bytes.readUInt8(4), 0xee);
    }),
  );
});

test('stamping log-append time sets bit and timestamp and renews the CRC', () => {
  const bytes = Buffer.concat([Buffer.alloc(5), batch(golden.JAVA_TRANSACTIONAL)]);
  const before = readBatchHeader(bytes, 5);
  patchLogAppendTime(bytes, 5, 1_800_000_000_000);
  const after = readBatchHeader(bytes, 5);
  assert.ok(verifyCrc(bytes, 5));
  assert.notEqual(after.crc, before.crc);
  assert.deepEqual(after, { ...before, crc: after.crc, attributes: 0x18, maxTimestamp: 1_800_000_000_000 });
  assert.equal(timestampTypeOf(after.attributes), 'append');
});

test('the CRC notices every flipped bit from its own to the last, and none before', () => {
  const bytes = batch(golden.JAVA_TRANSACTIONAL);
  assert.ok(verifyCrc(bytes));
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const at = bit >> 3;
    bytes[at]! ^= 1 << (bit & 7);
    // A changed batchLength moves the end.
    const covered = at >= 17 || (at >= 8 && at < 12);
    assert.equal(verifyCrc(bytes), !covered, `bit ${bit & 7} of byte ${at}`);
    bytes[at]! ^= 1 << (bit & 7);
  }
  for (let length = 0; length < bytes.length; length++) assert.ok(!verifyCrc(bytes.subarray(0, length)));
});
