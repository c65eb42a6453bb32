import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import type { ErrorName } from '../errors.ts';

/** What a transactional write asks the transaction coordinator before it touches the log. */
export interface AddPartitionsRequest {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly partitions: readonly TopicPartition[];
  /**
   * `verify`: the client adds its partitions itself, they must belong to the open transaction already (KIP-890 part 1).
   * `add`: the client leaves that to the broker: those that are not part of the transaction yet become it (KIP-890 part 2).
   */
  readonly mode: 'verify' | 'add';
}

/**
 * The transaction coordinator as the writers of transactional records see it: AddPartitionsToTxn v4 and v5 without a socket. It finds the
 * coordinator of the transactional id by itself.
 */
export interface TransactionVerifier {
  /**
   * The partitions that must not be written to, by `topicPartitionKey`, each with its reason; those that are not in it may be. With `add` that
   * is durable when it resolves. The errors are the coordinator's own, as in AddPartitionsToTxn (INVALID_TXN_STATE, CONCURRENT_TRANSACTIONS,
   * INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED, TRANSACTION_ABORTABLE, NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS ...): what clients are told
   * of them depends on their version and is up to the caller. Rejects only for a bug.
   */
  addPartitions(request: AddPartitionsRequest): Promise<ReadonlyMap<string, ErrorName>>;
}
