import type { TransactionPartitions, TransactionState } from '@polylog/record';
import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import type { CoordinatorFound, Instant } from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type { TransactionVerifier } from '../topics/transaction-verifier.ts';

/** Answers of a refused request carry nothing else. */
export interface Refused {
  readonly error: ErrorName;
}

/** `transaction.version` from which on each transaction has an epoch of its own, and brokers add partitions to it (KIP-890 part 2). */
export const EPOCH_PER_TRANSACTION_SINCE = 2;

/** A producer at one moment: with a later epoch it is another one, and the earlier one is fenced. */
export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface InitProducerRequest {
  readonly transactionalId: string;
  /** After so long the coordinator aborts a transaction. */
  readonly timeoutMs: number;
  /** What the producer is, and wants to go on from after an error (KIP-360); undefined: it begins anew, and fences all before it. */
  readonly expected: ProducerIdentity | undefined;
}

export type InitProducerResponse = Refused | ({ readonly error: undefined } & ProducerIdentity);

/** What names an open transaction. */
export interface TransactionRequest extends ProducerIdentity {
  readonly transactionalId: string;
}

export interface AddToTransactionRequest extends TransactionRequest {
  readonly partitions: readonly TopicPartition[];
  /** Of the client. */
  readonly transactionVersion: number;
}

export interface EndTransactionRequest extends TransactionRequest {
  readonly result: 'commit' | 'abort';
  /** Of the client. */
  readonly transactionVersion: number;
}

/** With what the producer goes on. */
export type EndTransactionResponse = InitProducerResponse;

export interface DescribedTransaction extends ProducerIdentity {
  readonly error: undefined;
  readonly state: TransactionState;
  readonly timeoutMs: number;
  /** ms since the epoch; -1: none was begun. */
  readonly startMs: number;
  /** While it is being completed, those that have no marker yet. */
  readonly partitions: TransactionPartitions;
}

export interface ListedTransaction {
  readonly transactionalId: string;
  readonly producerId: number;
  readonly state: TransactionState;
}

/** All must hold; an empty set, or undefined: all do. */
export interface TransactionFilter {
  readonly states: ReadonlySet<string>;
  readonly producerIds: ReadonlySet<number>;
  /** Only those that have been running for longer. */
  readonly durationMs: number | undefined;
}

export interface ListTransactionsRequest extends TransactionFilter {
  /** A regular expression, in RE2's syntax, for the whole of the transactional id; undefined: any. */
  readonly idPattern: string | undefined;
}

export type ListTransactionsResponse =
  | Refused
  | { readonly error: undefined; readonly transactions: readonly ListedTransaction[] };

/** The end of a transaction that has to be told to its partitions. */
export interface MarkerTask extends ProducerIdentity {
  /** For messages. */
  readonly transactionalId: string;
  readonly result: 'commit' | 'abort';
  readonly coordinatorEpoch: number;
  readonly transactionVersion: number;
  readonly partitions: readonly TopicPartition[];
  /** Nobody waits for it any more: the coordinator has given up its state, and whoever loads it begins anew. */
  isCancelled(): boolean;
  /** These have the marker, or never need it. When all do, the task is over. */
  written(partitions: readonly TopicPartition[], now: Instant): void;
}

/** Brings markers to the leaders of partitions, however long that takes. */
export interface MarkerPort {
  send(task: MarkerTask): void;
}

/** What happened to transactions since the start. Add to the fields. */
export interface TransactionCounters {
  /** Answers that gave a producer of a transactional id its identity. */
  initialised: number;
  committed: number;
  /** By their producers, by time-outs and by successors of their producers. */
  aborted: number;
  /** Those of them whose time had run out. */
  timedOut: number;
  /** Those of them whose producer began anew, or has a successor. */
  fenced: number;
  idsExpired: number;
  /** Markers that partitions have taken. */
  markersWritten: number;
  /** Markers that had to be sent once more. */
  markerRetries: number;
  /** Not a count: bytes of memory that ids and partitions take, about. */
  stateBytes: number;
}

export function noTransactions(): TransactionCounters {
  return {
    initialised: 0,
    committed: 0,
    aborted: 0,
    timedOut: 0,
    fenced: 0,
    idsExpired: 0,
    markersWritten: 0,
    markerRetries: 0,
    stateBytes: 0,
  };
}

/** Limits and times of transactions; the names are those of the settings. */
export interface TransactionSettings {
  /** `transaction.max.timeout.ms`. */
  readonly timeoutMaxMs: number;
  /** `transactional.id.expiration.ms`. */
  readonly idExpirationMs: number;
  /** `transaction.abort.timed.out.transaction.cleanup.interval.ms`. */
  readonly timeoutCheckMs: number;
  /** `transaction.remove.expired.transaction.cleanup.interval.ms`. */
  readonly expiryCheckMs: number;
  /** `transactional.ids.per.coordinator.max`. */
  readonly idsMax: number;
  /** `transaction.partitions.max`, of one transaction. */
  readonly partitionsMax: number;
  /** `transactions.metadata.max.bytes`, of all transactional ids of the broker. */
  readonly stateBytesMax: number;
}

/**
 * The transactions of the cluster, as front ends see them. Every method answers for the broker at hand: with NOT_COORDINATOR, or
 * COORDINATOR_LOAD_IN_PROGRESS, where another one has the transactional id, or this one does not know it yet.
 */
export interface TransactionCoordinator extends TransactionVerifier {
  /** The broker that has the transactional id, or why it cannot be told. Makes the internal topic on first use. */
  coordinatorOf(transactionalId: string): Promise<CoordinatorFound>;
  initProducer(request: InitProducerRequest): Promise<InitProducerResponse>;
  /** All or none of the partitions. Resolves with why not. */
  addToTransaction(request: AddToTransactionRequest): Promise<ErrorName | undefined>;
  /** The partition in which a group's offsets are kept, which becomes part of the transaction. */
  addOffsets(request: TransactionRequest & { readonly groupId: string }): Promise<ErrorName | undefined>;
  end(request: EndTransactionRequest): Promise<EndTransactionResponse>;
  describe(transactionalId: string): Promise<Refused | DescribedTransaction>;
  /** The transactional ids of this broker; refused while some are still being loaded. */
  list(request: ListTransactionsRequest): Promise<ListTransactionsResponse>;
}
