import { MalformedError, utf8Length } from '@polylog/bytes';
import {
  decodeTransactionKey,
  decodeTransactionValue,
  encodeTransactionKey,
  encodeTransactionValue,
} from '@polylog/record';
import { topicPartitionKey, type TopicPartition } from '../cluster/topic-partition.core.ts';
import { Deadline, DeadlineQueue } from '../coordinator/deadlines.core.ts';
import type {
  CoordinatorCore,
  CoordinatorSink,
  Durability,
  Instant,
  StateRecord,
} from '../coordinator/types.ts';
import type { ErrorName } from '../errors.ts';
import type { AddPartitionsRequest } from '../topics/transaction-verifier.ts';
import {
  addRefusal,
  completed,
  contains,
  endOf,
  extended,
  FENCE,
  fenced,
  firstTransaction,
  isAtRest,
  isCompleting,
  NEEDS_PRODUCER_ID,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  partitionCountOf,
  prepared,
  reinitialised,
  stateBytesOf,
  successorOf,
  type Transaction,
} from './transaction.core.ts';
import {
  EPOCH_PER_TRANSACTION_SINCE,
  type AddToTransactionRequest,
  type DescribedTransaction,
  type EndTransactionRequest,
  type EndTransactionResponse,
  type InitProducerRequest,
  type InitProducerResponse,
  type ListedTransaction,
  type ListTransactionsResponse,
  type MarkerPort,
  type ProducerIdentity,
  type Refused,
  type TransactionCounters,
  type TransactionFilter,
  type TransactionSettings,
} from './types.ts';

/** As a key of version 0 holds it: the length is an int16. */
const TRANSACTIONAL_ID_BYTES_MAX = 32_767;
/**
 * Ids that are looked at for their expiry, and transactions with their partitions whose time-outs are acted on, at a time, and the pause until the next ones.
 * The other partitions of the topic, fifty as a rule, take their steps in the same turns.
 */
const EXPIRY_IDS_PER_STEP = 500;
const TIMEOUT_WORK_PER_STEP = 100;
const STEP_PAUSE_MS = 10;
/** When a transaction whose markers are all written cannot be completed, as on a full disk, it is tried again after so long. */
const COMPLETION_RETRY_MS = 1000;

export interface TransactionsCoreOptions {
  readonly sink: CoordinatorSink;
  readonly settings: TransactionSettings;
  readonly counters: TransactionCounters;
  readonly markers: MarkerPort;
  /** Leader epoch of the partition that is the log. */
  readonly coordinatorEpoch: number;
  /** The finalized level of `transaction.version`. */
  readonly transactionVersion: () => number;
}

/** What a request may bring along: a producer id that nobody has. */
export interface FreshProducerId {
  readonly freshProducerId: number | undefined;
}

/** A transactional id in memory. */
interface Entry {
  readonly id: string;
  transaction: Transaction;
  stateBytes: number;
  /** Partitions that have no marker yet, by their key, once they are being written; else undefined. */
  awaitingMarkers: Map<string, TopicPartition> | undefined;
  /** Told once when the transaction that is being completed is complete, or the core is given up. */
  readonly waiting: Set<() => void>;
}

/**
 * The transactional ids of one partition of `__transaction_state`. Its state changes when a request is decided, and is written as records of Kafka's
 * format in the same turn; every answer waits until they are committed, refusals too: they tell of the state. Markers go out once the end of a
 * transaction is committed, and its completion is written when all of them are: from then on its producer may begin the next one.
 */
export class TransactionsCore implements CoordinatorCore {
  readonly #options: TransactionsCoreOptions;
  readonly #sink: CoordinatorSink;
  readonly #settings: TransactionSettings;
  readonly #counters: TransactionCounters;
  readonly #deadlines = new DeadlineQueue();
  readonly #entries = new Map<string, Entry>();
  /** Those whose transaction is open. */
  readonly #open = new Set<Entry>();
  /** Those whose markers are written, and whose completion could not be. */
  readonly #incomplete = new Set<Entry>();
  readonly #timeouts: Deadline;
  readonly #completions: Deadline;
  readonly #expiry: Deadline;
  /** Where a look for expired ids goes on. */
  #expiring: Iterator<Entry, void> | undefined;
  /** What it adds to the counter of all coordinators, from {@link loaded} to {@link close}. */
  #stateBytes = 0;
  #life: 'loading' | 'loaded' | 'closed' = 'loading';

  constructor(options: TransactionsCoreOptions) {
    this.#options = options;
    this.#sink = options.sink;
    this.#settings = options.settings;
    this.#counters = options.counters;
    this.#timeouts = new Deadline(this.#deadlines, (now) => this.#abortTimedOut(now));
    this.#completions = new Deadline(this.#deadlines, (now) => this.#completeWaiting(now));
    this.#expiry = new Deadline(this.#deadlines, (now) => this.#expire(now));
  }

  // The log

  replay({ key, value }: StateRecord): void {
    const id = decodeTransactionKey(key);
    if (id === undefined) return;
    if (value === null) {
      this.#remove(id);
      return;
    }
    const stored = decodeTransactionValue(value);
    if (!isAtRest(stored) && !isCompleting(stored) && stored.state !== 'Ongoing') {
      throw new MalformedError(`the state ${stored.state} is never written`);
    }
    this.#set(id, { ...stored, lastProducerEpoch: NO_PRODUCER_EPOCH });
  }

  loaded(now: Instant): void {
    this.#life = 'loaded';
    this.#counters.stateBytes += this.#stateBytes;
    // What was decided has to be told, though it may have been told already.
    for (const entry of this.#entries.values())
      if (isCompleting(entry.transaction)) this.#sendMarkers(entry, now);
    this.#timeouts.set(now.monotonicMs + this.#settings.timeoutCheckMs);
    this.#expiry.set(now.monotonicMs + this.#settings.expiryCheckMs);
  }

  get nextDeadlineMs(): number {
    return this.#deadlines.nextMs;
  }

  tick(now: Instant): void {
    this.#deadlines.run(now);
  }

  close(): void {
    this.#life = 'closed';
    this.#counters.stateBytes -= this.#stateBytes;
    for (const entry of this.#entries.values()) tellWaiting(entry);
  }

  // Producers

  /** Calls back with NEEDS_PRODUCER_ID, and has done nothing, if it cannot do without a fresh producer id. */
  initProducer(
    request: InitProducerRequest & FreshProducerId,
    now: Instant,
    done: (response: InitProducerResponse | typeof NEEDS_PRODUCER_ID) => void,
  ): void {
    const { transactionalId: id, freshProducerId, timeoutMs } = request;
    const refusal = this.#initRefusal(request);
    if (refusal !== undefined) {
      this.#refuse(refusal, done);
      return;
    }
    const entry = this.#entries.get(id);
    if (entry !== undefined) {
      this.#reinitialise(entry, request, now, done);
      return;
    }
    const first = firstTransaction(freshProducerId ?? NO_PRODUCER_ID, timeoutMs, now.wallMs);
    const isTooMany = this.#entries.size >= this.#settings.idsMax;
    if (isTooMany || this.#isTooMuch(stateBytesOf(id, first))) this.#refuse('POLICY_VIOLATION', done);
    else if (freshProducerId === undefined) done(NEEDS_PRODUCER_ID);
    else this.#initialise(this.#set(id, first), done);
  }

  #initRefusal({ transactionalId, timeoutMs }: InitProducerRequest): ErrorName | undefined {
    const isTooLong = utf8Length(transactionalId) > TRANSACTIONAL_ID_BYTES_MAX;
    if (transactionalId === '' || isTooLong) return 'INVALID_REQUEST';
    const isInRange = timeoutMs > 0 && timeoutMs <= this.#settings.timeoutMaxMs;
    return isInRange ? undefined : 'INVALID_TRANSACTION_TIMEOUT';
  }

  #reinitialise(
    entry: Entry,
    request: InitProducerRequest & FreshProducerId,
    now: Instant,
    done: (response: InitProducerResponse | typeof NEEDS_PRODUCER_ID) => void,
  ): void {
    const { freshProducerId } = request;
    const next = reinitialised(entry.transaction, request, { freshProducerId, nowMs: now.wallMs });
    if (next === NEEDS_PRODUCER_ID) {
      done(next);
    } else if (next === FENCE) {
      this.#counters.fenced++;
      // It comes again, until what its predecessor had begun is over.
      this.#fence(entry, now, (error) => done({ error: error ?? 'CONCURRENT_TRANSACTIONS' }));
    } else if (typeof next === 'string') {
      this.#refuse(next, done);
    } else {
      this.#change(entry, next);
      this.#initialise(entry, done);
    }
  }

  #initialise(entry: Entry, done: (response: InitProducerResponse) => void): void {
    const { producerId, producerEpoch } = entry.transaction;
    this.#append(entry, (error) => {
      if (error === undefined) this.#counters.initialised++;
      done(error === undefined ? { error, producerId, producerEpoch } : { error });
    });
  }

  // The partitions of a transaction

  /** All or none of them. */
  addPartitions(
    request: AddToTransactionRequest,
    now: Instant,
    done: (failure: ErrorName | undefined) => void,
  ): void {
    const answer = (error: ErrorName | undefined): void =>
      this.#sink.whenCommitted((failure) => done(failure ?? error));
    const { transactionalId, partitions, transactionVersion } = request;
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined) {
      answer(transactionalId === '' ? 'INVALID_REQUEST' : 'INVALID_PRODUCER_ID_MAPPING');
      return;
    }
    const { transaction } = entry;
    const refusal = addRefusal(transaction, request);
    const isOpen = transaction.state === 'Ongoing';
    if (refusal !== undefined || (isOpen && partitions.every((each) => contains(transaction, each)))) {
      answer(refusal);
      return;
    }
    const next = extended(transaction, partitions, { transactionVersion, nowMs: now.wallMs });
    const addedBytes = stateBytesOf(transactionalId, next) - entry.stateBytes;
    if (partitionCountOf(next) > this.#settings.partitionsMax || this.#isTooMuch(addedBytes)) {
      answer('POLICY_VIOLATION');
      return;
    }
    this.#change(entry, next);
    this.#append(entry, done);
  }

  /** Which of them are not part of the open transaction, by their key. */
  verifyPartitions(
    request: Omit<AddPartitionsRequest, 'mode'>,
    done: (refused: ReadonlyMap<string, ErrorName>) => void,
  ): void {
    const refused = this.#unverified(request);
    this.#sink.whenCommitted((failure) =>
      done(failure === undefined ? refused : refusalOfAll(request, failure)),
    );
  }

  #unverified(request: Omit<AddPartitionsRequest, 'mode'>): ReadonlyMap<string, ErrorName> {
    const { transactionalId, partitions } = request;
    const transaction = this.#entries.get(transactionalId)?.transaction;
    if (transaction === undefined) {
      return refusalOfAll(
        request,
        transactionalId === '' ? 'INVALID_REQUEST' : 'INVALID_PRODUCER_ID_MAPPING',
      );
    }
    const refusal = addRefusal(transaction, request);
    if (refusal !== undefined) return refusalOfAll(request, refusal);
    const missing = partitions.filter((partition) => !contains(transaction, partition));
    return new Map(missing.map((partition) => [topicPartitionKey(partition), 'TRANSACTION_ABORTABLE']));
  }

  // The end of a transaction

  /** Calls back with NEEDS_PRODUCER_ID, and has done nothing, if it cannot do without a fresh producer id. */
  end(
    request: EndTransactionRequest & FreshProducerId,
    now: Instant,
    done: (response: EndTransactionResponse | typeof NEEDS_PRODUCER_ID) => void,
  ): void {
    const { transactionalId, freshProducerId, result } = request;
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined) {
      this.#refuse(transactionalId === '' ? 'INVALID_REQUEST' : 'INVALID_PRODUCER_ID_MAPPING', done);
      return;
    }
    const outcome = endOf(entry.transaction, request);
    if (outcome === 'answer') {
      const identity = successorOf(entry.transaction);
      this.#sink.whenCommitted((error) => done(identified(error, identity)));
      return;
    }
    if (outcome !== 'prepare') {
      this.#refuse(outcome, done);
      return;
    }
    const next = prepared(entry.transaction, request, { freshProducerId, nowMs: now.wallMs });
    if (next === NEEDS_PRODUCER_ID) {
      done(next);
      return;
    }
    if (result === 'commit') this.#counters.committed++;
    else this.#counters.aborted++;
    const identity = successorOf(next);
    this.#prepare(entry, next, (error) => done(identified(error, identity)));
  }

  /** Its producer may write no more, and what it has written is aborted. */
  #fence(entry: Entry, now: Instant, done: (failure: Durability) => void): void {
    this.#counters.aborted++;
    this.#prepare(entry, fenced(entry.transaction, this.#options.transactionVersion(), now.wallMs), done);
  }

  #prepare(entry: Entry, next: Transaction, done: (failure: Durability) => void): void {
    this.#change(entry, next);
    this.#append(entry, (failure, now) => {
      done(failure);
      // Nobody may see the end of a transaction that a crash could take back.
      if (failure === undefined && this.#life === 'loaded') this.#sendMarkers(entry, now);
    });
  }

  // Markers

  #sendMarkers(entry: Entry, now: Instant): void {
    const { transaction } = entry;
    const partitions: TopicPartition[] = [];
    for (const [topic, indexes] of transaction.partitions) {
      for (const partition of indexes) partitions.push({ topic, partition });
    }
    if (partitions.length === 0) {
      this.#complete(entry, now);
      return;
    }
    const awaiting = new Map(partitions.map((partition) => [topicPartitionKey(partition), partition]));
    entry.awaitingMarkers = awaiting;
    this.#options.markers.send({
      transactionalId: entry.id,
      producerId: transaction.producerId,
      producerEpoch: transaction.producerEpoch,
      result: transaction.state === 'PrepareCommit' ? 'commit' : 'abort',
      coordinatorEpoch: this.#options.coordinatorEpoch,
      transactionVersion: transaction.clientTransactionVersion,
      partitions,
      isCancelled: () => this.#life !== 'loaded',
      written: (those, at) => {
        if (this.#life !== 'loaded' || entry.awaitingMarkers !== awaiting) return;
        for (const partition of those) awaiting.delete(topicPartitionKey(partition));
        if (awaiting.size === 0) this.#complete(entry, at);
      },
    });
  }

  #complete(entry: Entry, now: Instant): void {
    if (!isCompleting(entry.transaction)) return;
    if (!this.#sink.isWritable()) {
      this.#incomplete.add(entry);
      this.#completions.set(now.monotonicMs + COMPLETION_RETRY_MS);
      return;
    }
    entry.awaitingMarkers = undefined;
    this.#change(entry, completed(entry.transaction, now.wallMs));
    this.#append(entry, ignore);
    tellWaiting(entry);
  }

  /**
   * Calls back when the id's transaction is no longer being completed: who was answered CONCURRENT_TRANSACTIONS may ask again then. What comes of that
   * waits for the completion to be committed, as for all that was appended before. The returned function takes it back.
   */
  whenCompleted(transactionalId: string, done: () => void): () => void {
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined || !isCompleting(entry.transaction)) {
      done();
      return ignore;
    }
    entry.waiting.add(done);
    return () => void entry.waiting.delete(done);
  }

  #completeWaiting(now: Instant): void {
    const waiting = [...this.#incomplete];
    this.#incomplete.clear();
    for (const entry of waiting) this.#complete(entry, now);
  }

  // Time

  #abortTimedOut(now: Instant): void {
    let left = TIMEOUT_WORK_PER_STEP;
    let isAll = true;
    for (const entry of this.#open) {
      const { startMs, timeoutMs } = entry.transaction;
      if (startMs + timeoutMs > now.wallMs) continue;
      if (left <= 0) {
        isAll = false;
        break;
      }
      left -= 1 + partitionCountOf(entry.transaction);
      this.#counters.timedOut++;
      this.#fence(entry, now, ignore);
    }
    this.#timeouts.set(now.monotonicMs + (isAll ? this.#settings.timeoutCheckMs : STEP_PAUSE_MS));
  }

  /** A step at a time, so that many ids do not hold the loop. */
  #expire(now: Instant): void {
    this.#expiring ??= this.#entries.values();
    const records: StateRecord[] = [];
    for (let looked = 0; looked < EXPIRY_IDS_PER_STEP; looked++) {
      const { value: entry, done } = this.#expiring.next();
      if (done === true) {
        this.#expiring = undefined;
        break;
      }
      const { id, transaction } = entry;
      const isOld = transaction.lastUpdateMs <= now.wallMs - this.#settings.idExpirationMs;
      if (!isOld || !isAtRest(transaction)) continue;
      this.#remove(id);
      this.#counters.idsExpired++;
      records.push({ key: encodeTransactionKey(id), value: null });
    }
    const pauseMs = this.#expiring === undefined ? this.#settings.expiryCheckMs : STEP_PAUSE_MS;
    this.#expiry.set(now.monotonicMs + pauseMs);
    if (records.length > 0) this.#sink.append(records, ignore);
  }

  // Administration

  describe(transactionalId: string, done: (response: Refused | DescribedTransaction) => void): void {
    const described = this.#describe(transactionalId);
    this.#sink.whenCommitted((error) => done(error === undefined ? described : { error }));
  }

  #describe(transactionalId: string): Refused | DescribedTransaction {
    if (transactionalId === '') return { error: 'INVALID_REQUEST' };
    const entry = this.#entries.get(transactionalId);
    if (entry === undefined) return { error: 'TRANSACTIONAL_ID_NOT_FOUND' };
    const { state, timeoutMs, startMs, producerId, producerEpoch, partitions } = entry.transaction;
    const { awaitingMarkers } = entry;
    return {
      error: undefined,
      state,
      timeoutMs,
      startMs,
      producerId,
      producerEpoch,
      partitions: awaitingMarkers === undefined ? partitions : byTopic(awaitingMarkers.values()),
    };
  }

  list(filter: TransactionFilter, now: Instant, done: (response: ListTransactionsResponse) => void): void {
    const { states, producerIds, durationMs } = filter;
    const transactions: ListedTransaction[] = [];
    for (const { id, transaction } of this.#entries.values()) {
      const { producerId, state, startMs } = transaction;
      if (states.size > 0 && !states.has(state)) continue;
      if (producerIds.size > 0 && !producerIds.has(producerId)) continue;
      if (durationMs !== undefined && now.wallMs - startMs <= durationMs) continue;
      transactions.push({ transactionalId: id, producerId, state });
    }
    this.#sink.whenCommitted((error) => done(error === undefined ? { error, transactions } : { error }));
  }

  /** At this moment, committed or not: for metrics. */
  *transactions(): Generator<Transaction> {
    for (const { transaction } of this.#entries.values()) yield transaction;
  }

  // Changes

  #refuse(error: ErrorName, done: (response: Refused) => void): void {
    this.#sink.whenCommitted((failure) => done({ error: failure ?? error }));
  }

  #isTooMuch(addedBytes: number): boolean {
    return addedBytes > 0 && this.#counters.stateBytes + addedBytes > this.#settings.stateBytesMax;
  }

  #set(id: string, transaction: Transaction): Entry {
    let entry = this.#entries.get(id);
    if (entry === undefined) {
      entry = { id, transaction, stateBytes: 0, awaitingMarkers: undefined, waiting: new Set() };
      this.#entries.set(id, entry);
    }
    this.#change(entry, transaction);
    return entry;
  }

  #change(entry: Entry, next: Transaction): void {
    entry.transaction = next;
    const stateBytes = stateBytesOf(entry.id, next);
    this.#addBytes(stateBytes - entry.stateBytes);
    entry.stateBytes = stateBytes;
    if (next.state === 'Ongoing') this.#open.add(entry);
    else this.#open.delete(entry);
  }

  #remove(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#addBytes(-entry.stateBytes);
    this.#entries.delete(id);
    this.#open.delete(entry);
  }

  #addBytes(bytes: number): void {
    this.#stateBytes += bytes;
    if (this.#life === 'loaded') this.#counters.stateBytes += bytes;
  }

  #append({ id, transaction }: Entry, done: (failure: Durability, now: Instant) => void): void {
    // What a client of version 2 needs has a place in version 1 only, whatever the cluster's level is now.
    const { clientTransactionVersion } = transaction;
    const isFlexible =
      this.#options.transactionVersion() > 0 || clientTransactionVersion >= EPOCH_PER_TRANSACTION_SINCE;
    const value = encodeTransactionValue(transaction, isFlexible ? 1 : 0);
    this.#sink.append([{ key: encodeTransactionKey(id), value }], done);
  }
}

function identified(
  error: Durability,
  { producerId, producerEpoch }: ProducerIdentity,
): InitProducerResponse {
  return error === undefined ? { error, producerId, producerEpoch } : { error };
}

function tellWaiting(entry: Entry): void {
  for (const done of entry.waiting) {
    entry.waiting.delete(done);
    done();
  }
}

/** None of the partitions may be written to. */
export function refusalOfAll(
  { partitions }: Pick<AddPartitionsRequest, 'partitions'>,
  error: ErrorName,
): ReadonlyMap<string, ErrorName> {
  return new Map(partitions.map((partition) => [topicPartitionKey(partition), error]));
}

function byTopic(partitions: Iterable<TopicPartition>): Map<string, Set<number>> {
  const topics = new Map<string, Set<number>>();
  for (const { topic, partition } of partitions) {
    const indexes = topics.get(topic);
    if (indexes === undefined) topics.set(topic, new Set([partition]));
    else indexes.add(partition);
  }
  return topics;
}

/** Nobody waits for it; where it fails, the state is loaded again. */
function ignore(): void {}
