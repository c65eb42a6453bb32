import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import {
  CODECS,
  type Codec,
  codecOfId,
  compress,
  decompress,
  DecompressionLimitError,
  idOfCodec,
  MalformedError,
  TruncatedError,
} from '@polylog/bytes';
import * as golden from './golden.ts';
import { records } from './golden.ts';

const MIB = 1024 * 1024;
const COMPRESSING = CODECS.filter((codec) => codec !== 'none');

function unpack(codec: Codec, base64: string, maxBytes = MIB): Buffer {
  return Buffer.from(decompress(codec, Buffer.from(base64, 'base64'), { maxBytes }));
}

/** Bytes with the repetitions, near and far, overlapping and not, that compressors look for. */
const compressible = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 80 }),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 9 }), fc.integer({ min: 1, max: 400 }))
        .map(([unit, times]) => Buffer.concat(Array.from({ length: times }, () => unit))),
    ),
    { maxLength: 30 },
  )
  .chain((parts) =>
    fc.array(fc.nat(Math.max(parts.length - 1, 0)), { maxLength: 30 }).map((order) => {
      const chosen = parts.length === 0 ? [] : [...parts, ...order.map((index) => parts[index]!)];
      return Buffer.concat(chosen);
    }),
  );

test('ids are those of Kafka', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 7].map((id) => codecOfId(id)),
    ['none', 'gzip', 'snappy', 'lz4', 'zstd', undefined, undefined],
  );
  for (const codec of CODECS) assert.equal(codecOfId(idOfCodec(codec)), codec);
});

for (const codec of CODECS) {
  test(`${codec}: what is compressed comes back, within exactly its size`, () => {
    fc.assert(
      fc.property(compressible, (bytes) => {
        const packed = compress(codec, bytes);
        assert.deepEqual(Buffer.from(decompress(codec, packed, { maxBytes: bytes.length })), bytes);
        if (bytes.length > 0) {
          assert.throws(
            () => decompress(codec, packed, { maxBytes: bytes.length - 1 }),
            DecompressionLimitError,
          );
        }
      }),
    );
  });

  test(`${codec}: sizes around block and chunk boundaries`, () => {
    for (const size of [
      0, 1, 2, 12, 13, 16_383, 16_384, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 300_000,
    ]) {
      const bytes = Buffer.alloc(size);
      for (let index = 0; index < size; index++) bytes[index] = (index * index) >> 7;
      const packed = compress(codec, bytes);
      assert.deepEqual(Buffer.from(decompress(codec, packed, { maxBytes: size })), bytes, `size ${size}`);
    }
  });

  test(`${codec}: reads from the middle of a larger buffer`, () => {
    const bytes = records(3);
    const packed = compress(
      codec,
      Buffer.concat([Buffer.from('junk'), bytes, Buffer.from('junk')]).subarray(4, -4),
    );
    const framed = Buffer.concat([Buffer.from('!!!'), packed, Buffer.from('!!!')]);
    assert.deepEqual(Buffer.from(decompress(codec, framed.subarray(3, -3), { maxBytes: MIB })), bytes);
  });
}

for (const codec of COMPRESSING) {
  test(`${codec}: cut anywhere, it is malformed`, () => {
    const packed = compress(codec, records(1));
    for (let end = 0; end < packed.length; end++) {
      // A xerial stream has no end mark: cut between two chunks, or before the first, it is a shorter stream.
      if (codec === 'snappy' && end === 16) continue;
      assert.throws(
        () => decompress(codec, packed.subarray(0, end), { maxBytes: MIB }),
        MalformedError,
        `at ${end}`,
      );
    }
  });

  test(`${codec}: mutated bytes give a result within the limit, or the malformed family`, () => {
    const packed = compress(codec, records(2));
    const maxBytes = 8192;
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(packed.length - 1), fc.integer({ min: 0, max: 255 })), {
          minLength: 1,
          maxLength: 4,
        }),
        (changes) => {
          const broken = Uint8Array.from(packed);
          for (const [at, value] of changes) broken[at] = value;
          try {
            assert.ok(decompress(codec, broken, { maxBytes }).length <= maxBytes);
          } catch (error) {
            assert.ok(error instanceof MalformedError, String(error));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  test(`${codec}: any bytes at all are refused in the malformed family`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          assert.ok(decompress(codec, bytes, { maxBytes: 1000 }).length <= 1000);
        } catch (error) {
          assert.ok(error instanceof MalformedError, String(error));
        }
      }),
    );
  });

  test(`${codec}: a bomb of 64 MiB costs no more memory than the limit`, () => {
    const bomb = compress(codec, Buffer.alloc(64 * MIB));
    const before = process.memoryUsage();
    for (let round = 0; round < 20; round++) {
      assert.throws(() => decompress(codec, bomb, { maxBytes: MIB }), DecompressionLimitError);
    }
    const after = process.memoryUsage();
    // Twenty rounds without a collection: up to 2 MiB each would still pass, 64 MiB once would not.
    assert.ok(
      after.arrayBuffers - before.arrayBuffers < 42 * MIB,
      `${after.arrayBuffers - before.arrayBuffers} bytes`,
    );
  });
}

test('lz4: linked blocks, checksums, content size, stored blocks, other block sizes, as the lz4 library writes them', () => {
  assert.deepEqual(unpack('lz4', golden.LZ4_LINKED), records(60));
  assert.deepEqual(unpack('lz4', golden.LZ4_INDEPENDENT), records(60));
  assert.deepEqual(unpack('lz4', golden.LZ4_HC), records(10));
  assert.equal(unpack('lz4', golden.LZ4_STORED).length, 100);
  assert.deepEqual(unpack('lz4', golden.LZ4_KAFKA_PYTHON), records(1));
});

test('lz4: concatenated frames are one content, skippable ones are skipped', () => {
  const expected = Buffer.concat([records(1), Buffer.from('tail')]);
  assert.deepEqual(unpack('lz4', golden.LZ4_CONCATENATED, expected.length), expected);
  assert.throws(() => unpack('lz4', golden.LZ4_CONCATENATED, expected.length - 1), DecompressionLimitError);
});

test('lz4: a wrong checksum of header, block or content is noticed', () => {
  const bytes = Buffer.from(golden.LZ4_LINKED, 'base64');
  // magic 4, FLG, BD, content size 8, HC, block size 4
  const blockBytes = bytes.readUInt32LE(15);
  for (const at of [14, 19 + blockBytes, bytes.length - 1]) {
    const broken = Buffer.from(bytes);
    broken[at]! ^= 1;
    assert.throws(
      () => decompress('lz4', broken, { maxBytes: MIB }),
      { message: /checksum mismatch/ },
      `at ${at}`,
    );
  }
});

test('lz4: a stated content size is checked against the limit first, and against the content last', () => {
  const bytes = Buffer.from(golden.LZ4_LINKED, 'base64');
  assert.throws(() => decompress('lz4', bytes, { maxBytes: 125_399 }), DecompressionLimitError);
  assert.equal(decompress('lz4', bytes, { maxBytes: 125_400 }).length, 125_400);
});

test('lz4: without a stated size, the limit holds for the sum of the blocks', () => {
  const bytes = Buffer.from(golden.LZ4_INDEPENDENT, 'base64');
  assert.throws(() => decompress('lz4', bytes, { maxBytes: 125_399 }), DecompressionLimitError);
  assert.equal(decompress('lz4', bytes, { maxBytes: 125_400 }).length, 125_400);
});

test('lz4: a block keeps to the frame: no larger than it says, no reaching into an independent predecessor', () => {
  const frame = (...blocks: Buffer[]) =>
    Buffer.concat([Buffer.from('04224d18604082', 'hex'), ...blocks, Buffer.alloc(4)]);
  const stored = (size: number) => {
    const block = Buffer.alloc(4 + size, 'x');
    block.writeUInt32LE((size | 0x8000_0000) >>> 0);
    return block;
  };
  assert.equal(decompress('lz4', frame(stored(65_536)), { maxBytes: MIB }).length, 65_536);
  assert.throws(() => decompress('lz4', frame(stored(65_537)), { maxBytes: MIB }), {
    message: /block size 65537/,
  });
  assert.throws(() => decompress('lz4', frame(stored(0)), { maxBytes: MIB }), { message: /block size 0/ });
  // One literal, then a match two bytes back: into the block before.
  const reaching = Buffer.from('06000000116202001063', 'hex');
  assert.throws(() => decompress('lz4', frame(stored(1), reaching), { maxBytes: MIB }), {
    message: /distance 2/,
  });
});

test('lz4: reserved flags, dictionaries, old versions, oversized blocks and reaching back too far are refused', () => {
  /** A frame with one block of its own; the header checksums were computed with the reference implementation. */
  const frame = (block: string) => {
    const data = Buffer.from(block, 'hex');
    const size = Buffer.alloc(4);
    size.writeUInt32LE(data.length);
    return Buffer.concat([Buffer.from('04224d18604082', 'hex'), size, data, Buffer.alloc(4)]);
  };
  const decode = (bytes: Uint8Array) => Buffer.from(decompress('lz4', bytes, { maxBytes: MIB })).toString();
  assert.equal(decode(frame('1061')), 'a');
  assert.equal(decode(frame('116101001062')), 'aaaaaab', 'a match that reads what it writes');
  assert.throws(() => decode(frame('116102001062')), { message: /distance 2/ });
  assert.throws(() => decode(frame('116100001062')), { message: /distance 0/ });
  assert.throws(() => decode(frame('11610100')), { message: /ends in a match/ });
  assert.throws(() => decode(frame('2061')), TruncatedError);
  assert.throws(() => decode(frame('f0ff')), TruncatedError);
  assert.throws(() => decode(frame(`1f610100${'ff'.repeat(258)}001062`)), { message: /exceeds 65536/ });
  assert.throws(() => decode(Buffer.from('04224d18614082', 'hex')), { message: /flags/ }, 'dictionary');
  assert.throws(() => decode(Buffer.from('04224d18204082', 'hex')), { message: /flags/ }, 'version');
  assert.throws(() => decode(Buffer.from('04224d18603082', 'hex')), { message: /block descriptor/ });
  assert.throws(() => decode(Buffer.from('02214c18604082', 'hex')), {
    message: /not an LZ4 frame/,
  });
});

test('snappy: raw blocks and xerial streams, as librdkafka and the Java client write them', () => {
  assert.deepEqual(unpack('snappy', golden.SNAPPY_RAW), records(1));
  assert.deepEqual(unpack('snappy', golden.SNAPPY_KAFKA_PYTHON), records(20));
  const stream = Buffer.from(golden.SNAPPY_KAFKA_PYTHON, 'base64');
  assert.deepEqual(
    unpack('snappy', Buffer.concat([stream, stream]).toString('base64')),
    records(40),
    'concatenated',
  );
});

test('snappy: every kind of element', () => {
  const decode = (hex: string) =>
    Buffer.from(decompress('snappy', Buffer.from(hex, 'hex'), { maxBytes: 1000 })).toString();
  assert.equal(decode('00'), '');
  assert.equal(decode('0308616263'), 'abc', 'literal, length in the tag');
  assert.equal(decode('03f002616263'), 'abc', 'literal, length in one byte');
  assert.equal(decode('03f40200616263'), 'abc', 'literal, length in two bytes');
  assert.equal(decode('03fc02000000616263'), 'abc', 'literal, length in four bytes');
  assert.equal(decode('07086162630103'), 'abcabca', 'copy, distance in 11 bits');
  assert.equal(decode('07086162630e0300'), 'abcabca', 'copy, distance in two bytes');
  assert.equal(decode('07086162630f03000000'), 'abcabca', 'copy, distance in four bytes');
  assert.throws(() => decode('07086162630104'), { message: /distance 4/ });
  assert.throws(() => decode('07086162630100'), { message: /distance 0/ });
  assert.throws(() => decode('06086162630103'), { message: /longer than it says/ });
  assert.throws(() => decode('08086162630103'), { message: /shorter than it says/ });
  assert.throws(() => decode('030c616263'), TruncatedError);
});

test('snappy: a chunk may not reach into the chunk before it', () => {
  const header = '82534e41505059000000000100000001';
  const abc = '000000050308616263';
  const decode = (hex: string) =>
    Buffer.from(decompress('snappy', Buffer.from(hex, 'hex'), { maxBytes: 1000 })).toString();
  assert.equal(decode(`${header}${abc}${abc}`), 'abcabc');
  assert.throws(() => decode(`${header}${abc}00000003040103`), { message: /distance 3/ });
  assert.throws(() => decode(`${header}00000000`), { message: /chunk size 0/ });
  assert.throws(() => decode(`${header}ffffffff`), { message: /chunk size -1/ });
});

test('snappy: a length that the block cannot have is refused before it is allocated', () => {
  assert.throws(() => decompress('snappy', Buffer.from('ffffffff0f00', 'hex'), { maxBytes: 2 ** 40 }), {
    name: 'MalformedError',
    message: /cannot hold/,
  });
});

test('zstd: with and without a stated size, with a checksum, in several frames; nothing may follow', () => {
  assert.deepEqual(unpack('zstd', golden.ZSTD_STREAM), records(1));
  assert.deepEqual(unpack('zstd', golden.ZSTD_SIZED), records(1));
  const twice = Buffer.concat([zstdCompressSync(records(1)), zstdCompressSync(records(1))]);
  assert.deepEqual(Buffer.from(decompress('zstd', twice, { maxBytes: MIB })), records(2));
  const behind = Buffer.concat([zstdCompressSync(records(1)), Buffer.from('garbage!')]);
  assert.throws(() => decompress('zstd', behind, { maxBytes: MIB }), MalformedError);
});

test('gzip: of other writers, in several members', () => {
  assert.deepEqual(unpack('gzip', golden.GZIP), records(1));
  const twice = Buffer.concat([gzipSync(records(1)), gzipSync(records(1))]);
  assert.deepEqual(Buffer.from(decompress('gzip', twice, { maxBytes: MIB })), records(2));
});

test('a size that is only claimed costs nothing', () => {
  const gzip = Buffer.from(gzipSync('x'));
  gzip.writeUInt32LE(0xffff_fff0, gzip.length - 4);
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(() => decompress('gzip', gzip, { maxBytes: 2 ** 31 }), MalformedError);
  assert.ok(process.memoryUsage().arrayBuffers - before < MIB);
});

test('levels reach gzip and zstd', () => {
  const bytes = records(40);
  for (const [codec, low, high] of [
    ['gzip', 1, 9],
    ['zstd', 1, 19],
  ] as const) {
    const fast = compress(codec, bytes, low);
    const small = compress(codec, bytes, high);
    assert.ok(small.length < fast.length, codec);
    assert.deepEqual(Buffer.from(decompress(codec, fast, { maxBytes: MIB })), bytes);
  }
});

test('none: the same bytes, not a copy', () => {
  const bytes = records(1);
  assert.equal(compress('none', bytes), bytes);
  assert.equal(decompress('none', bytes, { maxBytes: bytes.length }), bytes);
});
