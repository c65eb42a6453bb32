import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { murmur2, partitionOfKey } from '../src/client/partitioner.ts';

/** Known values of Kafka's own hash. */
const HASHES: readonly (readonly [key: string, hash: number])[] = [
  ['21', -973_932_308],
  ['foobar', -790_332_482],
  ['a-little-bit-long-string', -985_981_536],
  ['a-little-bit-longer-string', -1_486_304_829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
  ['abc', 479_470_107],
];

describe('the partition of a key', () => {
  for (const [key, hash] of HASHES) {
    it(`follows Kafka's hash of ${key}`, () => assert.equal(murmur2(Buffer.from(key)), hash));
  }

  it('is one of the partitions, for negative hashes too', () => {
    for (const [key] of HASHES) {
      const partition = partitionOfKey(Buffer.from(key), 7);
      assert.ok(partition >= 0 && partition < 7);
    }
  });
});
