import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import type { ErrorName } from '../errors.ts';

/** The end of one producer's transaction, to be written to partitions that one broker leads. */
export interface TxnMarker {
  readonly producerId: number;
  /** With transaction version 2 one more than that of the transaction's records (KIP-890), before that the same or a higher one. */
  readonly producerEpoch: number;
  readonly result: 'commit' | 'abort';
  /** Leader epoch of the coordinator's partition of `__transaction_state`: an older one than the last is fenced. */
  readonly coordinatorEpoch: number;
  /** `transaction.version` under which the transaction ran: 0 or 1 before KIP-890's part 2, then 2 (KIP-1228). */
  readonly transactionVersion: number;
  readonly partitions: readonly TopicPartition[];
}

export interface WriteTxnMarkersRequest {
  readonly markers: readonly TxnMarker[];
}

/**
 * At the index of each marker the partitions to which it was not written, by `topicPartitionKey`, each with its reason; in all others it is durable and
 * below the high watermark.
 */
export type WriteTxnMarkersResponse = readonly ReadonlyMap<string, ErrorName>[];

/** Writes markers to partitions of this broker. */
export interface TxnMarkerWriter {
  /**
   * One append per marker and partition, all of them in the present turn. Errors of single partitions stand in the response; rejects only for a bug.
   */
  writeTxnMarkers(request: WriteTxnMarkersRequest): Promise<WriteTxnMarkersResponse>;
}

/**
 * How one broker speaks to another, itself included: whoever needs something of the leader of a partition goes this way, and does not care
 * where that is.
 */
export interface PeerPort {
  /**
   * Rejects with BrokerError when the broker cannot be reached (LEADER_NOT_AVAILABLE): nothing is known then of what became of the request, and the
   * caller looks for the partitions' leaders again and repeats it.
   */
  writeTxnMarkers(brokerId: number, request: WriteTxnMarkersRequest): Promise<WriteTxnMarkersResponse>;
}
