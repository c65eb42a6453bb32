/** A partition by its topic's kafkaName. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** One string per partition, for maps and sets: its folder's name, which no other partition has. */
export function topicPartitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}
