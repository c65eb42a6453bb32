/** The partition of `__consumer_offsets` that has a group: the absolute value of Java's hash of the name, as in Kafka. */
export function groupPartitionOf(groupId: string, partitions: number): number {
  let hash = 0;
  for (let at = 0; at < groupId.length; at++) hash = (Math.imul(hash, 31) + groupId.charCodeAt(at)) | 0;
  // Java's Math.abs leaves the least integer negative, and Kafka takes 0 for it.
  return hash === -0x8000_0000 ? 0 : Math.abs(hash) % partitions;
}
