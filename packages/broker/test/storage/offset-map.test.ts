import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { halfSipHash, KeyHash } from '../../src/storage/cleaner/key-hash.ts';
import { OffsetMap, SLOT_BYTES } from '../../src/storage/cleaner/offset-map.ts';

const SECRET = Uint32Array.from([1, 2, 3, 4]);

/** Of the reference implementation's vectors_hsip64: key 00 01 … 07, input 00 01 … of each length. */
const VECTORS = ['218d1f59b9b83cc8', 'be552412f8387315'];

describe('the hash of keys', () => {
  it('is HalfSipHash-2-4 as its authors publish it', () => {
    for (const [length, expected] of VECTORS.entries()) {
      const input = Uint8Array.from({ length }, (_, index) => index);
      const words = new Uint32Array(2);
      halfSipHash(input, 0x03020100, 0x07060504, words, 0);
      const bytes = Buffer.alloc(8);
      bytes.writeUInt32LE(words[0]!, 0);
      bytes.writeUInt32LE(words[1]!, 4);
      assert.equal(bytes.toString('hex'), expected);
    }
  });

  it('depends on each of the four words of its secret, and on every byte of the key', () => {
    const seen = new Set<string>();
    const hashOf = (secret: Uint32Array, key: string): string => {
      const hash = new KeyHash(secret);
      hash.hash(Buffer.from(key));
      return hash.words.join(' ');
    };
    for (let word = 0; word < 4; word++)
      seen.add(
        hashOf(
          SECRET.map((one, index) => (index === word ? one + 1 : one)),
          'key',
        ),
      );
    for (const key of ['key', 'kez', 'ley', 'key\0', 'ke', '']) seen.add(hashOf(SECRET, key));
    assert.equal(seen.size, 10);
  });
});

describe('the table of keys', () => {
  it('agrees with a Map', () => {
    const offsets = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 2 ** 50 })));
    fc.assert(
      fc.property(offsets, (puts) => {
        const map = new OffsetMap({ bytesMax: 1e6, keysMax: 61, secret: SECRET });
        const model = new Map<string, number>();
        for (const [key, offset] of puts) {
          assert.ok(map.put(Buffer.from(`key ${key}`), offset));
          model.set(`key ${key}`, offset);
        }
        for (let key = 0; key <= 61; key++)
          assert.equal(map.get(Buffer.from(`key ${key}`)), model.get(`key ${key}`) ?? -1);
        assert.equal(map.size, model.size);
      }),
    );
  });

  it('keeps to its memory: it refuses new keys when it is full, and still takes known ones', () => {
    const map = new OffsetMap({ bytesMax: 100 * SLOT_BYTES, keysMax: 1e6, secret: SECRET });
    assert.equal(map.capacity, 90);
    for (let key = 0; key < 90; key++) assert.ok(map.put(Buffer.from([key]), key));
    assert.ok(!map.put(Buffer.from('new'), 1));
    assert.ok(map.put(Buffer.from([3]), 2 ** 33));
    assert.equal(map.get(Buffer.from([3])), 2 ** 33);
    assert.equal(map.get(Buffer.from('new')), -1);
  });

  it('tells offset 0 and those whose low word is 0 from no offset', () => {
    const map = new OffsetMap({ bytesMax: 1e4, keysMax: 10, secret: SECRET });
    for (const offset of [0, 2 ** 32 - 1, 2 ** 32, 2 ** 52]) {
      map.put(Buffer.from('key'), offset);
      assert.equal(map.get(Buffer.from('key')), offset);
    }
  });
});
