/** The partition of a state topic that has a key, a group's or transactional id: the absolute value of Java's hash of it, as in Kafka. */
export function statePartitionOf(key: string, partitions: number): number {
  let hash = 0;
  for (let at = 0; at < key.length; at++) hash = (Math.imul(hash, 31) + key.charCodeAt(at)) | 0;
  // Java's Math.abs leaves the least integer negative, and Kafka takes 0 for it.
  return hash === -0x8000_0000 ? 0 : Math.abs(hash) % partitions;
}
