/** A topic to be made. */
export interface CreateTopicRequest {
  readonly kafkaName: string;
  /** -1: the broker's default. */
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Replica lists by partition index; excludes the two above. */
  readonly assignments?: readonly (readonly number[])[];
  readonly configs: ReadonlyMap<string, string>;
  readonly validateOnly: boolean;
  readonly charge?: ChargePartitions | undefined;
}

/** Is told how many partitions are about to be made, when nothing else is wrong with the request; may throw BrokerError to refuse it. */
export type ChargePartitions = (partitions: number) => void;
