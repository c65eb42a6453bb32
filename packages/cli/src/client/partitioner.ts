const SEED = 0x9747b28c;
const FACTOR = 0x5bd1e995;
const ROTATION = 24;

/** MurmurHash2 as Kafka's default partitioner applies it to keys: who uses it too puts a key in the same partition. */
export function partitionOfKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitions;
}

/** Signed, 32 bits. */
export function murmur2(bytes: Uint8Array): number {
  const { length } = bytes;
  let hash = SEED ^ length;
  let at = 0;
  for (; length - at >= 4; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    word = Math.imul(word, FACTOR);
    word ^= word >>> ROTATION;
    hash = Math.imul(hash, FACTOR) ^ Math.imul(word, FACTOR);
  }
  const rest = length - at;
  if (rest >= 3) hash ^= bytes[at + 2]! << 16;
  if (rest >= 2) hash ^= bytes[at + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ bytes[at]!, FACTOR);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, FACTOR);
  return hash ^ (hash >>> 15);
}
