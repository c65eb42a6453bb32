import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MalformedError, Reader, TruncatedError, utf8Length, Writer } from '@polylog/bytes';

/** One value of each kind: how it is written, how it is read, and the values it may have. */
interface Kind {
  readonly write: (writer: Writer, value: never) => void;
  readonly read: (reader: Reader, value: never) => unknown;
  readonly values: fc.Arbitrary<unknown>;
}

function kind<T>(
  values: fc.Arbitrary<T>,
  write: (writer: Writer, value: T) => void,
  read: (reader: Reader, value: T) => T,
): Kind {
  return { values, write, read };
}

const int32s = fc.oneof(fc.integer(), fc.constantFrom(0, -1, 63, 64, -64, -65, 0x7fff_ffff, -0x8000_0000));
const uint32s = fc.oneof(
  fc.integer({ min: 0, max: 0xffff_ffff }),
  fc.constantFrom(127, 128, 16_383, 16_384, 0xffff_ffff),
);
/** Every power of two and its neighbours, where lengths and signs change. */
const safeInts = fc.oneof(
  fc.maxSafeInteger(),
  fc
    .tuple(fc.integer({ min: 0, max: 53 }), fc.integer({ min: -1, max: 1 }), fc.boolean())
    .map(
      ([power, delta, negative]) =>
        (negative ? -1 : 1) * Math.min(2 ** power + delta, Number.MAX_SAFE_INTEGER),
    )
    .map((value) => value + 0),
);

const KINDS: Record<string, Kind> = {
  int8: kind(
    fc.integer({ min: -128, max: 127 }),
    (w, v) => w.int8(v),
    (r) => r.int8(),
  ),
  uint8: kind(
    fc.integer({ min: 0, max: 255 }),
    (w, v) => w.uint8(v),
    (r) => r.uint8(),
  ),
  int16: kind(
    fc.integer({ min: -32_768, max: 32_767 }),
    (w, v) => w.int16(v),
    (r) => r.int16(),
  ),
  uint16: kind(
    fc.integer({ min: 0, max: 65_535 }),
    (w, v) => w.uint16(v),
    (r) => r.uint16(),
  ),
  int32: kind(
    int32s,
    (w, v) => w.int32(v),
    (r) => r.int32(),
  ),
  uint32: kind(
    uint32s,
    (w, v) => w.uint32(v),
    (r) => r.uint32(),
  ),
  int64: kind(
    safeInts,
    (w, v) => w.int64(v),
    (r) => r.int64(),
  ),
  int64big: kind(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    (w, v) => w.int64big(v),
    (r) => r.int64big(),
  ),
  float64: kind(
    fc.double(),
    (w, v) => w.float64(v),
    (r) => r.float64(),
  ),
  uvarint: kind(
    uint32s,
    (w, v) => w.uvarint(v),
    (r) => r.uvarint(),
  ),
  varint: kind(
    int32s,
    (w, v) => w.varint(v),
    (r) => r.varint(),
  ),
  varlong: kind(
    safeInts,
    (w, v) => w.varlong(v),
    (r) => r.varlong(),
  ),
  bytes: kind(
    fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 4090, maxLength: 4100 })),
    (w, v) => w.bytes(v),
    (r, v) => Uint8Array.from(r.bytes(v.length)),
  ),
  string: kind(
    fc.oneof(
      fc.string({ maxLength: 80 }),
      fc.string({ unit: 'grapheme', maxLength: 80 }),
      fc.constant('\ufeffbom'),
    ),
    (w, v) => w.string(v, utf8Length(v)),
    (r, v) => r.string(utf8Length(v)),
  ),
};

const items = fc.array(
  fc
    .constantFrom(...Object.keys(KINDS))
    .chain((name) => KINDS[name]!.values.map((value) => ({ name, value }))),
  { maxLength: 40 },
);

test('what is written is read back, in one buffer, in chunks, and in the middle of a larger buffer', () => {
  fc.assert(
    fc.property(items, fc.integer({ min: 1, max: 64 }), (list, initialBytes) => {
      const writer = new Writer(initialBytes);
      for (const { name, value } of list) KINDS[name]!.write(writer, value as never);
      const { length } = writer;
      const chunks = writer.chunks();
      const bytes = Buffer.concat(chunks);
      assert.equal(bytes.length, length);

      const framed = Buffer.concat([Buffer.from('before'), bytes, Buffer.from('after')]);
      const reader = new Reader(framed, 6, 6 + length);
      for (const { name, value } of list) assert.deepEqual(KINDS[name]!.read(reader, value as never), value);
      assert.equal(reader.remaining, 0);
    }),
  );
});

test('a value cut short throws TruncatedError and leaves the position where it was', () => {
  fc.assert(
    fc.property(items, fc.nat(), (list, cut) => {
      const writer = new Writer();
      const ends: number[] = [];
      for (const { name, value } of list) {
        KINDS[name]!.write(writer, value as never);
        ends.push(writer.length);
      }
      const bytes = writer.finish();
      fc.pre(bytes.length > 0);
      const end = cut % bytes.length;
      const reader = new Reader(bytes, 0, end);
      const broken = ends.findIndex((at) => at > end);
      for (const { name, value } of list.slice(0, broken)) KINDS[name]!.read(reader, value as never);
      const before = reader.position;
      const { name, value } = list[broken]!;
      assert.throws(() => KINDS[name]!.read(reader, value as never), TruncatedError);
      assert.equal(reader.position, before);
    }),
  );
});

test('any bytes give values or the malformed family, and reading never leaves the range', () => {
  const names = Object.keys(KINDS).filter((name) => name !== 'bytes' && name !== 'string');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(fc.constantFrom(...names)), (bytes, order) => {
      const reader = new Reader(bytes);
      for (const name of order) {
        const before = reader.position;
        try {
          KINDS[name]!.read(reader, undefined as never);
          assert.ok(reader.position > before && reader.position <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof MalformedError, String(error));
          assert.equal(reader.position, before);
          return;
        }
      }
    }),
  );
});

test('int64 refuses what a number cannot hold, and int64big takes it', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigInt64BE(2n ** 53n, 0);
  bytes.writeBigInt64BE(-(2n ** 63n), 8);
  const reader = new Reader(bytes);
  assert.throws(() => reader.int64(), { name: 'MalformedError', message: /9007199254740992/ });
  assert.equal(reader.position, 0);
  assert.equal(reader.int64big(), 2n ** 53n);
  assert.throws(() => reader.int64(), MalformedError);
  assert.equal(reader.int64big(), -(2n ** 63n));
});

test('varints have a last byte, and a largest value', () => {
  const read = (hex: string, name: 'uvarint' | 'varint' | 'varlong') =>
    new Reader(Buffer.from(hex, 'hex'))[name]();
  assert.equal(read('ffffffff0f', 'uvarint'), 0xffff_ffff);
  assert.throws(() => read('ffffffff1f', 'uvarint'), MalformedError);
  assert.throws(() => read('ffffffffff01', 'uvarint'), MalformedError);
  assert.equal(read('ffffffff0f', 'varint'), -0x8000_0000);
  assert.equal(read('feffffff0f', 'varint'), 0x7fff_ffff);
  assert.equal(read('feffffffffffff1f', 'varlong'), Number.MAX_SAFE_INTEGER);
  assert.equal(read('fdffffffffffff1f', 'varlong'), -Number.MAX_SAFE_INTEGER);
  assert.throws(() => read('ffffffffffffff1f', 'varlong'), MalformedError);
  assert.throws(() => read('ffffffffffffffffff01', 'varlong'), MalformedError, 'the smallest int64');
  assert.throws(() => read('ffffffffffffffffff02', 'varlong'), MalformedError, '65 bits');
  assert.throws(() => read('ffffffffffffffffffff01', 'varlong'), MalformedError, 'eleven bytes');
  assert.equal(read('808000', 'varlong'), 0, 'not the shortest form, but legal');
});

test('lengths that are negative, or longer than what is there, are refused before anything is allocated', () => {
  const reader = new Reader(Buffer.from('abc'));
  assert.throws(() => reader.bytes(-1), MalformedError);
  assert.throws(() => reader.string(-1), MalformedError);
  assert.throws(() => reader.skip(-1), MalformedError);
  assert.throws(() => reader.bytes(0x7fff_ffff), TruncatedError);
  assert.throws(() => reader.string(4), TruncatedError);
  assert.throws(() => reader.skip(4), TruncatedError);
  assert.equal(reader.string(3), 'abc');
});

test('a reader refuses a range outside of its buffer', () => {
  const bytes = new Uint8Array(4);
  assert.throws(() => new Reader(bytes, 0, 5), RangeError);
  assert.throws(() => new Reader(bytes, -1), RangeError);
  assert.throws(() => new Reader(bytes, 3, 2), RangeError);
});

test('strings that are not UTF-8 decode to replacement characters, short or long', () => {
  for (const length of [1, 33]) {
    assert.equal(new Reader(Buffer.alloc(length, 0xff)).string(length), '\ufffd'.repeat(length));
  }
  assert.equal(utf8Length('\ud800'), 3, 'a lone surrogate is written as U+FFFD');
});

test('large byte strings are passed on, not copied', () => {
  const large = new Uint8Array(4096);
  const writer = new Writer();
  writer.int32(1);
  writer.bytes(large);
  writer.int32(2);
  const chunks = writer.chunks();
  assert.equal(chunks.length, 3);
  assert.equal(chunks[1], large);
});

test('writers that are nested, and one that goes on after its end, leave what others wrote alone', () => {
  const finished: { chunks: Uint8Array[]; byte: number }[] = [];
  const open: { writer: Writer; byte: number }[] = [];
  for (let byte = 0; byte < 200; byte++) {
    const writer = new Writer();
    open.push({ writer, byte });
    for (let count = 0; count < 300; count++) writer.uint8(byte);
    // Two are opened for each that is finished, in another order.
    const done = byte % 2 === 1 ? open.shift() : undefined;
    if (done === undefined) continue;
    finished.push({ chunks: done.writer.chunks(), byte: done.byte });
    done.writer.int32(-1);
    done.writer.chunks();
  }
  for (const { writer, byte } of open) finished.push({ chunks: writer.chunks(), byte });
  for (const { chunks, byte } of finished)
    assert.deepEqual(Buffer.from(chunks[0]!), Buffer.alloc(300, byte), `writer ${byte}`);
});

test('strings of one, two and three bytes per character, short and long', () => {
  for (const text of [
    '',
    'abc',
    'a'.repeat(64),
    'a'.repeat(65),
    'aé',
    'é'.repeat(40),
    'a€',
    '\ud800',
    'a\x7f\x80',
  ]) {
    const writer = new Writer();
    const bytes = utf8Length(text);
    writer.string(text, bytes);
    assert.equal(bytes, Buffer.byteLength(text));
    assert.deepEqual(Buffer.from(writer.finish()), Buffer.from(text));
  }
});

test('short strings that were read before come back equal, whatever was read in between', () => {
  const texts = fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { maxLength: 2000 });
  fc.assert(
    fc.property(texts, (values) => {
      for (const value of [...values, ...values]) {
        const bytes = Buffer.from(value);
        assert.equal(new Reader(bytes).string(bytes.length), bytes.toString());
      }
    }),
    { numRuns: 20 },
  );
});

test('readers of two buffers in turn each see their own bytes', () => {
  const first = Buffer.from([1, 2, 3, 4]);
  const second = Buffer.from([5, 6, 7, 8]);
  for (const buffer of [first, second, first, first.subarray(2), second])
    assert.equal(new Reader(buffer).int16(), buffer.readInt16BE(0));
});
