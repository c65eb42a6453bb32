import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { crc32c, crc32cRange } from '@polylog/bytes';

/** Bit by bit, from the definition. */
function model(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

/** Around the sizes where the implementation changes its way. */
const sizes = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 40, max: 600 }));
const payload = sizes.chain((size) => fc.uint8Array({ minLength: size, maxLength: size }));

test('vectors of RFC 3720, B.4, and of others', () => {
  assert.equal(crc32c(new Uint8Array(0)), 0);
  assert.equal(crc32c(Buffer.from('a')), 0xc1d04330);
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
  assert.equal(crc32c(Uint8Array.from({ length: 4352 }, (_, index) => index)), 0x52dde6d2);
});

test('equals the definition for every size up to 600 bytes, also at an odd place in a larger buffer', () => {
  const buffer = Uint8Array.from({ length: 700 }, (_, index) => (index * 131) ^ (index >> 3));
  for (let size = 0; size <= 600; size++) {
    const part = buffer.subarray(37, 37 + size);
    const expected = model(part);
    assert.equal(crc32c(part), expected, `size ${size}`);
    assert.equal(crc32cRange(buffer, 37, 37 + size), expected, `range of size ${size}`);
  }
});

test('goes on from a seed: the CRC of a, then b, is that of a followed by b', () => {
  fc.assert(
    fc.property(payload, payload, (a, b) => {
      assert.equal(crc32c(b, crc32c(a)), crc32c(Buffer.concat([a, b])));
      assert.equal(crc32c(b, crc32c(a)), model(b, model(a)));
    }),
  );
});

test('notices any single flipped bit', () => {
  fc.assert(
    fc.property(payload, fc.nat(), (bytes, position) => {
      fc.pre(bytes.length > 0);
      const before = crc32c(bytes);
      bytes[(position >> 3) % bytes.length]! ^= 1 << (position & 7);
      assert.notEqual(crc32c(bytes), before);
    }),
  );
});
