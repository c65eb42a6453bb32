/** Where InitProducerId takes its ids from: unique in the cluster, for ever. */
export interface ProducerIds {
  /** Rejects with BrokerError when no block of ids could be reserved durably. */
  next(): Promise<number>;
}
