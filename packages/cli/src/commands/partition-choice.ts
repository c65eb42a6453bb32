import { InvalidArgumentError } from 'commander';

/** A topic, or some partitions of it. */
export interface PartitionChoice {
  readonly topic: string;
  readonly partitions: readonly number[] | undefined;
}

/** `orders` or `orders:0,2`, for an option that may be repeated. Throws InvalidArgumentError. */
export function parsePartitions(text: string, previous: readonly PartitionChoice[] = []): PartitionChoice[] {
  const match = /^(?<topic>[^:]+)(?::(?<partitions>\d+(?:,\d+)*))?$/.exec(text);
  const { topic, partitions } = match?.groups ?? {};
  if (topic === undefined)
    throw new InvalidArgumentError('Give a topic, or some of its partitions: orders:0,2.');
  return [...previous, { topic, partitions: partitions?.split(',').map(Number) }];
}
