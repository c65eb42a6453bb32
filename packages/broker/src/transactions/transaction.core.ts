import type { StoredTransaction, TransactionPartitions, TransactionState } from '@polylog/record';
import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import type { ErrorName } from '../errors.ts';
import {
  EPOCH_PER_TRANSACTION_SINCE,
  type EndTransactionRequest,
  type InitProducerRequest,
  type ProducerIdentity,
} from './types.ts';

export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
const NO_TIME = -1;
/** The last epoch that a client is given: one above it is left to fence it. */
export const PRODUCER_EPOCH_MAX = 32_766;
const NO_PARTITIONS: TransactionPartitions = new Map();
/** What a partition takes in memory, about, beside its topic's name. */
const PARTITION_BYTES = 48;
/** The same of a transactional id and a topic beside their names, of which a character takes up to two bytes. */
const ENTRY_BYTES = 512;
const CHARACTER_BYTES = 2;

/*
 * What becomes of a transactional id, step by step. Each function is pure: it answers with a whole new state, an error, or what it needs.
 *
 *          init                 add                    end, time-out, fence        all markers are written
 *   (none) ────► Empty ───────────────────► Ongoing ────────────────────► PrepareCommit ────► CompleteCommit
 *                  ▲  ▲                         ▲                       └► PrepareAbort  ────► CompleteAbort
 *                  │  └──────── init ───────────┼───────────────────────────────────────────────────┤
 *                  │                            └────────────────────── add ────────────────────────┘
 *                  └── with version 2 an abort is taken here too, and in CompleteX: it raises the epoch (KIP-890)
 */

/** A transactional id, as it is stored, and what is not: that is lost with the coordinator. */
export interface Transaction extends StoredTransaction {
  /** The epoch before the last rise that was asked for by the producer itself, which may not have heard of it; else -1. */
  readonly lastProducerEpoch: number;
}

/** Nothing can be decided before there is a producer id that nobody had. */
export const NEEDS_PRODUCER_ID = 'needs-producer-id';

/** The transaction of a predecessor is open, and has to be aborted first. */
export const FENCE = 'fence';

export function isCompleting({ state }: Pick<StoredTransaction, 'state'>): boolean {
  return state === 'PrepareCommit' || state === 'PrepareAbort';
}

/** What is not open, and may be forgotten once it is old. */
export function isAtRest({ state }: Pick<StoredTransaction, 'state'>): boolean {
  return state === 'Empty' || state === 'CompleteCommit' || state === 'CompleteAbort';
}

/** Memory that it takes, about. */
export function stateBytesOf(transactionalId: string, { partitions }: Transaction): number {
  let bytes = ENTRY_BYTES + CHARACTER_BYTES * transactionalId.length;
  for (const [topic, indexes] of partitions) {
    bytes += ENTRY_BYTES + CHARACTER_BYTES * topic.length + PARTITION_BYTES * indexes.size;
  }
  return bytes;
}

// InitProducerId

/** A transactional id that nobody had. */
export function firstTransaction(producerId: number, timeoutMs: number, nowMs: number): Transaction {
  return {
    producerId,
    previousProducerId: NO_PRODUCER_ID,
    nextProducerId: NO_PRODUCER_ID,
    producerEpoch: 0,
    lastProducerEpoch: NO_PRODUCER_EPOCH,
    timeoutMs,
    state: 'Empty',
    partitions: NO_PARTITIONS,
    lastUpdateMs: nowMs,
    startMs: NO_TIME,
    clientTransactionVersion: 0,
  };
}

/** A producer takes up its transactional id again (KIP-98, KIP-360): it gets an epoch above all before, or a fresh producer id where those are used up. */
export function reinitialised(
  transaction: Transaction,
  { expected, timeoutMs }: Pick<InitProducerRequest, 'expected' | 'timeoutMs'>,
  { freshProducerId, nowMs }: { readonly freshProducerId: number | undefined; readonly nowMs: number },
): Transaction | ErrorName | typeof NEEDS_PRODUCER_ID | typeof FENCE {
  if (expected !== undefined && !mayGoOn(transaction, expected)) return 'PRODUCER_FENCED';
  if (isCompleting(transaction)) return 'CONCURRENT_TRANSACTIONS';
  const { producerId, producerEpoch } = transaction;
  const isRetry = expected !== undefined && expected.producerEpoch !== producerEpoch;
  // Whoever has opened a transaction has heard of its epoch: what names the one before is late.
  if (transaction.state === 'Ongoing') return isRetry ? 'PRODUCER_FENCED' : FENCE;
  const present = {
    ...transaction,
    timeoutMs,
    state: 'Empty',
    partitions: NO_PARTITIONS,
    lastUpdateMs: nowMs,
    startMs: NO_TIME,
  } as const;
  // If the first answer was lost, the same is given again: nobody else has asked since, for that would have cleared the last epoch.
  if (isRetry && producerEpoch <= PRODUCER_EPOCH_MAX) return present;
  const next = {
    ...present,
    previousProducerId: producerId,
    lastProducerEpoch: expected?.producerEpoch ?? NO_PRODUCER_EPOCH,
  };
  if (producerEpoch < PRODUCER_EPOCH_MAX) return { ...next, producerEpoch: producerEpoch + 1 };
  if (freshProducerId === undefined) return NEEDS_PRODUCER_ID;
  return { ...next, producerId: freshProducerId, producerEpoch: 0 };
}

/** Whether a producer is the present one, or was until an answer that it may not have heard. */
function mayGoOn(transaction: Transaction, { producerId, producerEpoch }: ProducerIdentity): boolean {
  const isPresent = producerId === transaction.producerId;
  const isPrevious = producerId === transaction.previousProducerId && producerEpoch >= PRODUCER_EPOCH_MAX;
  if (!isPresent && !isPrevious) return false;
  if (isPresent && producerEpoch === transaction.producerEpoch) return true;
  return producerEpoch === transaction.lastProducerEpoch;
}

// AddPartitionsToTxn

/** Why a producer may not add partitions to its transaction, or ask about them. */
export function addRefusal(transaction: Transaction, producer: ProducerIdentity): ErrorName | undefined {
  if (isAhead(transaction, producer)) return 'CONCURRENT_TRANSACTIONS';
  if (transaction.producerId !== producer.producerId) return 'INVALID_PRODUCER_ID_MAPPING';
  if (!isCurrentEpoch(transaction, producer)) return 'PRODUCER_FENCED';
  return isCompleting(transaction) ? 'CONCURRENT_TRANSACTIONS' : undefined;
}

/** The highest epoch of all is nobody's: it only fences. */
function isCurrentEpoch(
  { producerEpoch }: Transaction,
  producer: Pick<ProducerIdentity, 'producerEpoch'>,
): boolean {
  return producer.producerEpoch === producerEpoch && producerEpoch <= PRODUCER_EPOCH_MAX;
}

/** It was told how its transaction ends, and goes on, while that is still being completed. */
function isAhead(transaction: Transaction, { producerId, producerEpoch }: ProducerIdentity): boolean {
  if (!isCompleting(transaction)) return false;
  const successor = successorOf(transaction);
  const isSuccessor = producerId === successor.producerId && producerEpoch === successor.producerEpoch;
  return isSuccessor && producerEpoch <= PRODUCER_EPOCH_MAX;
}

export function contains({ partitions }: Transaction, { topic, partition }: TopicPartition): boolean {
  return partitions.get(topic)?.has(partition) === true;
}

/** With more partitions; opened if it was not. */
export function extended(
  transaction: Transaction,
  added: readonly TopicPartition[],
  { transactionVersion, nowMs }: { readonly transactionVersion: number; readonly nowMs: number },
): Transaction {
  const isOpen = transaction.state === 'Ongoing';
  const partitions = new Map<string, ReadonlySet<number>>(isOpen ? transaction.partitions : []);
  const own = new Map<string, Set<number>>();
  for (const { topic, partition } of added) {
    let indexes = own.get(topic);
    if (indexes === undefined) {
      own.set(topic, (indexes = new Set(partitions.get(topic))));
      partitions.set(topic, indexes);
    }
    indexes.add(partition);
  }
  return {
    ...transaction,
    previousProducerId: transaction.producerId,
    state: 'Ongoing',
    partitions,
    startMs: isOpen ? transaction.startMs : nowMs,
    lastUpdateMs: nowMs,
    clientTransactionVersion: transactionVersion,
  };
}

export function partitionCountOf({ partitions }: Transaction): number {
  let count = 0;
  for (const indexes of partitions.values()) count += indexes.size;
  return count;
}

// EndTxn

/**
 * What an EndTxn means: `prepare` ends the transaction; `answer` says that it has ended already, since this is a retry; else an error.
 *
 * Before version 2 the epoch says nothing about which transaction is meant: the state must fit. With version 2 each transaction has its own
 * epoch, and its end raises it: an EndTxn of the epoch before the present one is a retry, and of the present one it is about the present
 * transaction, which may be one without partitions, if it aborts.
 */
export function endOf(
  transaction: Transaction,
  request: Pick<EndTransactionRequest, 'producerId' | 'producerEpoch' | 'result' | 'transactionVersion'>,
): 'prepare' | 'answer' | ErrorName {
  return request.transactionVersion >= EPOCH_PER_TRANSACTION_SINCE
    ? endWithOwnEpoch(transaction, request)
    : endByState(transaction, request);
}

type EndFacts = Pick<EndTransactionRequest, 'producerId' | 'producerEpoch' | 'result'>;

function endByState(
  { state, producerId, producerEpoch }: Transaction,
  request: EndFacts,
): 'prepare' | 'answer' | ErrorName {
  if (request.producerId !== producerId) return 'INVALID_PRODUCER_ID_MAPPING';
  if (request.producerEpoch !== producerEpoch) return 'PRODUCER_FENCED';
  if (state === 'Ongoing') return 'prepare';
  if (resultOf(state) !== request.result) return 'INVALID_TXN_STATE';
  return state === 'CompleteCommit' || state === 'CompleteAbort' ? 'answer' : 'CONCURRENT_TRANSACTIONS';
}

function endWithOwnEpoch(transaction: Transaction, request: EndFacts): 'prepare' | 'answer' | ErrorName {
  // Also to abort what has nothing in it yet.
  if (isAhead(transaction, request)) return 'CONCURRENT_TRANSACTIONS';
  const { state, producerId, producerEpoch, previousProducerId } = transaction;
  const isPresent = request.producerId === producerId;
  // The epochs were used up: the next transaction has another producer id.
  const isBeforeOverflow =
    request.producerId === previousProducerId &&
    request.producerEpoch === PRODUCER_EPOCH_MAX &&
    producerEpoch === 0 &&
    !isPresent;
  if (!isPresent && !isBeforeOverflow) return 'INVALID_PRODUCER_ID_MAPPING';
  // Where the end did not raise the epoch, the one before is a fenced producer's: told of the present epoch it would be two with its successor.
  const isRaised = transaction.clientTransactionVersion >= EPOCH_PER_TRANSACTION_SINCE;
  const isRetry = isRaised && (isBeforeOverflow || request.producerEpoch === producerEpoch - 1);
  const isCurrent = isPresent && isCurrentEpoch(transaction, request);
  switch (state) {
    case 'Ongoing':
      return isCurrent ? 'prepare' : 'PRODUCER_FENCED';
    case 'PrepareCommit':
    case 'PrepareAbort':
      if (!isRetry) return 'PRODUCER_FENCED';
      return resultOf(state) === request.result ? 'CONCURRENT_TRANSACTIONS' : contradictionOf(request);
    case 'CompleteCommit':
    case 'CompleteAbort':
      if (isRetry && resultOf(state) !== request.result) return contradictionOf(request);
      // There is no epoch to go on with after a producer of the last one was fenced.
      if (isRetry) return producerEpoch <= PRODUCER_EPOCH_MAX ? 'answer' : 'PRODUCER_FENCED';
      return endWithoutPartitions(isCurrent, request);
    default:
      return endWithoutPartitions(isCurrent, request);
  }
}

/** Who commits what was aborted had run out of time, or has a successor: clients know what to do about being fenced, of all errors. */
function contradictionOf({ result }: EndFacts): ErrorName {
  return result === 'commit' ? 'PRODUCER_FENCED' : 'INVALID_TXN_STATE';
}

function endWithoutPartitions(isCurrent: boolean, { result }: EndFacts): 'prepare' | ErrorName {
  if (!isCurrent) return 'PRODUCER_FENCED';
  return result === 'abort' ? 'prepare' : 'INVALID_TXN_STATE';
}

function resultOf(state: TransactionState): 'commit' | 'abort' | undefined {
  if (state === 'PrepareCommit' || state === 'CompleteCommit') return 'commit';
  return state === 'PrepareAbort' || state === 'CompleteAbort' ? 'abort' : undefined;
}

/** The end is decided, and told to the partitions once that is durable. */
export function prepared(
  transaction: Transaction,
  { result, transactionVersion }: Pick<EndTransactionRequest, 'result' | 'transactionVersion'>,
  { freshProducerId, nowMs }: { readonly freshProducerId: number | undefined; readonly nowMs: number },
): Transaction | typeof NEEDS_PRODUCER_ID {
  const { producerId, producerEpoch, state } = transaction;
  const raises = transactionVersion >= EPOCH_PER_TRANSACTION_SINCE;
  const isUsedUp = raises && producerEpoch >= PRODUCER_EPOCH_MAX;
  if (isUsedUp && freshProducerId === undefined) return NEEDS_PRODUCER_ID;
  return {
    ...transaction,
    previousProducerId: producerId,
    nextProducerId: isUsedUp ? freshProducerId! : NO_PRODUCER_ID,
    // The highest epoch of all, which no client has, for the markers of the last transaction.
    producerEpoch: raises ? producerEpoch + 1 : producerEpoch,
    lastProducerEpoch: raises ? producerEpoch : transaction.lastProducerEpoch,
    state: result === 'commit' ? 'PrepareCommit' : 'PrepareAbort',
    startMs: state === 'Ongoing' ? transaction.startMs : nowMs,
    lastUpdateMs: nowMs,
    clientTransactionVersion: transactionVersion,
  };
}

/**
 * An abort that the producer has not asked for: with an epoch above its own it can no longer write, and its markers end what it has written.
 * The epochs may be used up by that; the next InitProducerId sees to it.
 *
 * @param transactionVersion the cluster's
 */
export function fenced(transaction: Transaction, transactionVersion: number, nowMs: number): Transaction {
  const { producerId, producerEpoch } = transaction;
  const raises = transactionVersion >= EPOCH_PER_TRANSACTION_SINCE;
  return {
    ...transaction,
    previousProducerId: producerId,
    nextProducerId: NO_PRODUCER_ID,
    producerEpoch: producerEpoch + 1,
    // With its own epoch per transaction a producer that is still there learns from its next EndTxn or InitProducerId what has happened.
    lastProducerEpoch: raises ? producerEpoch : NO_PRODUCER_EPOCH,
    state: 'PrepareAbort',
    lastUpdateMs: nowMs,
    clientTransactionVersion: transactionVersion,
  };
}

/** With what a producer goes on whose transaction is being completed, or is complete. */
export function successorOf({ producerId, producerEpoch, nextProducerId }: Transaction): ProducerIdentity {
  return nextProducerId === NO_PRODUCER_ID
    ? { producerId, producerEpoch }
    : { producerId: nextProducerId, producerEpoch: 0 };
}

/** All partitions have their markers. */
export function completed(transaction: Transaction, nowMs: number): Transaction {
  return {
    ...transaction,
    ...successorOf(transaction),
    previousProducerId: transaction.producerId,
    nextProducerId: NO_PRODUCER_ID,
    state: transaction.state === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort',
    partitions: NO_PARTITIONS,
    lastUpdateMs: nowMs,
  };
}
