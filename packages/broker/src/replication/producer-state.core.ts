import type { BatchHeader, EndTransactionMarker } from '@polylog/record';
import {
  advanceSequence,
  isControl,
  isTransactional,
  lastOffset,
  lastSequence,
  NO_SEQUENCE,
} from '@polylog/record';
import type { ErrorName } from '../errors.ts';
import type { AbortedTransaction, ProducerSnapshotEntry } from '../storage/types.ts';
import type { AppendOptions, ProducerDescription, TransactionEnd } from './types.ts';
import { type UnstableTransaction, UnstableTransactions } from './unstable-transactions.core.ts';
import { NO_VERIFICATION, Verifications } from './verifications.core.ts';

/** Kafka caches five: a client has at most five requests in flight per connection, so an older duplicate cannot come. */
export const CACHED_BATCHES_PER_PRODUCER = 5;
/** Beyond it the producer that was idle longest is forgotten: its next batch is accepted as that of an unknown producer. */
export const PRODUCERS_PER_PARTITION_MAX = 100_000;
/** So many are looked at for one to forget; if none of them can be, there is one more until somebody else comes. */
const EVICTION_LOOKS_MAX = 16;
/** Kafka's default of `producer.id.expiration.ms`. */
export const PRODUCER_ID_EXPIRATION_MS_DEFAULT = 86_400_000;

const NO_OFFSET = -1;
/** `transaction.version` from which on each marker raises the producer's epoch (KIP-890). */
const EPOCH_BUMPING_VERSION = 2;
/** Per cached batch: last sequence, last offset, last offset - base offset. */
const SLOT_FIELDS = 3;
const SLOTS_LENGTH = CACHED_BATCHES_PER_PRODUCER * SLOT_FIELDS;

/** What the partition knows of one producer id. Linked from least to most recently used. */
class ProducerEntry {
  readonly producerId: number;
  epoch = -1;
  /** A ring of the newest batches; `newest` is the index of the latest slot. */
  readonly slots = new Float64Array(SLOTS_LENGTH);
  newest = 0;
  count = 0;
  lastUsedMs = 0;
  /** Of the last marker. */
  coordinatorEpoch = -1;
  /** Its open transaction. */
  transaction: UnstableTransaction | undefined;
  /** The turn in which it was last saved, so that it is saved once per turn. */
  savedInTurn = -1;
  older: ProducerEntry | undefined;
  newer: ProducerEntry | undefined;

  constructor(producerId: number) {
    this.producerId = producerId;
  }

  get lastSequence(): number {
    return this.count === 0 ? -1 : this.slots[this.newest * SLOT_FIELDS]!;
  }

  push(sequence: number, offset: number, delta: number): void {
    this.newest = (this.newest + 1) % CACHED_BATCHES_PER_PRODUCER;
    const at = this.newest * SLOT_FIELDS;
    this.slots[at] = sequence;
    this.slots[at + 1] = offset;
    this.slots[at + 2] = delta;
    if (this.count < CACHED_BATCHES_PER_PRODUCER) this.count++;
  }

  /** The last offset of the cached batch with exactly this last sequence and size, or -1. */
  findBatch(sequence: number, delta: number): number {
    for (let back = 0; back < this.count; back++) {
      const slot = (this.newest - back + CACHED_BATCHES_PER_PRODUCER) % CACHED_BATCHES_PER_PRODUCER;
      const at = slot * SLOT_FIELDS;
      if (this.slots[at] === sequence && this.slots[at + 2] === delta) return this.slots[at + 1]!;
    }
    return NO_OFFSET;
  }
}

type ProducedHeader = Pick<BatchHeader, 'producerId' | 'producerEpoch' | 'baseSequence'>;

/** How one producer was before the turn. Kept and reused from turn to turn. */
class SavedEntry {
  entry: ProducerEntry | undefined;
  created = false;
  epoch = 0;
  readonly slots = new Float64Array(SLOTS_LENGTH);
  newest = 0;
  count = 0;
  coordinatorEpoch = 0;
  transaction: UnstableTransaction | undefined;

  save(entry: ProducerEntry, created: boolean): void {
    this.entry = entry;
    this.created = created;
    this.epoch = entry.epoch;
    this.slots.set(entry.slots);
    this.newest = entry.newest;
    this.count = entry.count;
    this.coordinatorEpoch = entry.coordinatorEpoch;
    this.transaction = entry.transaction;
  }
}

/**
 * Idempotence and transactions per partition (KIP-98): which batch of which producer was taken last, and which transactions are open. Changes belong
 * to a turn: `commit` keeps them, `rollback` restores every producer that the turn touched.
 */
export class ProducerStates {
  readonly #entries = new Map<number, ProducerEntry>();
  readonly #options: { readonly expirationMs: number };
  readonly #producersMax: number;
  #oldest: ProducerEntry | undefined;
  #newest: ProducerEntry | undefined;
  #turn = 0;
  readonly #transactions = new UnstableTransactions();
  readonly #verifications = new Verifications();
  readonly #saved: SavedEntry[] = [];
  #savedCount = 0;
  /** Last offset of the cached batch that the latest {@link check} found to be repeated, or -1. */
  duplicateLastOffset = NO_OFFSET;

  /** `expirationMs` is read whenever producers are looked through: it may change. */
  constructor(options: { readonly expirationMs: number; readonly producersMax?: number }) {
    this.#options = options;
    this.#producersMax = options.producersMax ?? PRODUCERS_PER_PARTITION_MAX;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The first offset of the earliest transaction that is open, or whose marker is not below the HW yet; or undefined. */
  get firstUnstableOffset(): number | undefined {
    return this.#transactions.firstOffset;
  }

  /** Markers below the HW are certain. */
  replicatedTo(highWatermark: number): void {
    if (this.#transactions.size > 0) this.#transactions.replicatedTo(highWatermark);
  }

  // Transactional appends (KIP-890)

  /** Whether the producer has a transaction open here, under this epoch: its next batches need no verification. */
  hasOpenTransaction(producerId: number, producerEpoch: number): boolean {
    const entry = this.#entries.get(producerId);
    return entry?.transaction !== undefined && entry.epoch === producerEpoch;
  }

  /** See `Partition.startVerification`. */
  startVerification(header: ProducedHeader, isEpochBumped: boolean, nowMs: number): number | ErrorName {
    const { producerId, producerEpoch, baseSequence } = header;
    const entry = this.#entries.get(producerId);
    if (entry !== undefined && producerEpoch < entry.epoch) return 'INVALID_PRODUCER_EPOCH';
    if (this.hasOpenTransaction(producerId, producerEpoch)) return NO_VERIFICATION;
    const producer = { id: producerId, epoch: producerEpoch, sequence: baseSequence };
    return this.#verifications.start(producer, isEpochBumped, nowMs);
  }

  /**
   * Whether a batch of records with a producer id may be appended. An error name, or undefined; in that case
   * `duplicateLastOffset` tells whether it was appended before. Changes nothing else. Sequences are the clients': coordinators write without.
   */
  check(header: BatchHeader, options: Pick<AppendOptions, 'origin' | 'verification'>): ErrorName | undefined {
    this.duplicateLastOffset = NO_OFFSET;
    const entry = this.#entries.get(header.producerId);
    const isClient = options.origin === 'client';
    if (entry !== undefined) {
      if (header.producerEpoch < entry.epoch) return 'INVALID_PRODUCER_EPOCH';
      if (isClient && header.producerEpoch === entry.epoch) {
        this.duplicateLastOffset = entry.findBatch(lastSequence(header), header.lastOffsetDelta);
        if (this.duplicateLastOffset !== NO_OFFSET) return undefined;
      }
    }
    if (isTransactional(header.attributes)) {
      const refusal = this.#checkTransaction(header, entry, options);
      if (refusal !== undefined) return refusal;
    }
    if (isClient && !isInSequence(header, entry)) return 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    return entry?.transaction !== undefined && !isTransactional(header.attributes)
      ? 'INVALID_TXN_STATE'
      : undefined;
  }

  /** The same for what a coordinator would write, which has no sequences. */
  transactionRefusal({
    producerId,
    producerEpoch,
    verification,
  }: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly verification: number;
  }): ErrorName | undefined {
    const entry = this.#entries.get(producerId);
    if (entry !== undefined && producerEpoch < entry.epoch) return 'INVALID_PRODUCER_EPOCH';
    const header = { producerId, producerEpoch, baseSequence: NO_SEQUENCE };
    return this.#checkTransaction(header, entry, { origin: 'coordinator', verification });
  }

  /** No record of a transaction gets in that the coordinator does not know to be open. */
  #checkTransaction(
    { producerId, producerEpoch, baseSequence }: ProducedHeader,
    entry: ProducerEntry | undefined,
    { origin, verification = NO_VERIFICATION }: Pick<AppendOptions, 'origin' | 'verification'>,
  ): ErrorName | undefined {
    if (entry?.transaction !== undefined && entry.epoch === producerEpoch) return undefined;
    if (!this.#verifications.holds(producerId, verification)) return 'INVALID_TXN_STATE';
    const hasState = entry !== undefined && entry.count > 0;
    return origin === 'client' && this.#verifications.isOutOfOrder(producerId, baseSequence, hasState)
      ? 'OUT_OF_ORDER_SEQUENCE_NUMBER'
      : undefined;
  }

  /** Whether the marker may be appended: not that of a producer, or of a coordinator, which another one has succeeded. */
  checkMarker(marker: TransactionEnd): ErrorName | undefined {
    const entry = this.#entries.get(marker.producerId);
    if (entry === undefined) return undefined;
    const { producerEpoch, transactionVersion, coordinatorEpoch } = marker;
    if (producerEpoch < entry.epoch) return 'INVALID_PRODUCER_EPOCH';
    // KIP-1228: its epoch is above that of the transaction's records, or it is one that was written before: what is open now is another transaction.
    const isLate = transactionVersion >= EPOCH_BUMPING_VERSION && producerEpoch === entry.epoch;
    if (isLate && entry.transaction !== undefined) return 'INVALID_PRODUCER_EPOCH';
    return coordinatorEpoch < entry.coordinatorEpoch ? 'TRANSACTION_COORDINATOR_FENCED' : undefined;
  }

  /**
   * Takes note of a batch of the present turn; its header has its base offset already. `marker`: what a control batch says. Returns the transaction that
   * it has aborted.
   */
  record(
    header: BatchHeader,
    marker: EndTransactionMarker | undefined,
    nowMs: number,
  ): AbortedTransaction | undefined {
    if (isEmptiedMarker(header, marker)) return undefined;
    let entry = this.#entries.get(header.producerId);
    const created = entry === undefined;
    entry ??= this.#create(header.producerId);
    if (entry.savedInTurn !== this.#turn) this.#save(entry, created);
    const aborted = this.#update(entry, header, marker);
    this.#touch(entry, nowMs);
    return aborted;
  }

  /** The same for a batch that is in the log already: recovery. */
  replay(header: BatchHeader, marker: EndTransactionMarker | undefined, nowMs: number): void {
    if (header.producerId < 0 || isEmptiedMarker(header, marker)) return;
    const entry = this.#entries.get(header.producerId) ?? this.#create(header.producerId);
    this.#update(entry, header, marker);
    this.#touch(entry, nowMs);
  }

  /** Replaces everything by a snapshot's entries, each with its last batch only. */
  restore(snapshot: readonly ProducerSnapshotEntry[]): void {
    this.#entries.clear();
    this.#oldest = undefined;
    this.#newest = undefined;
    this.#transactions.clear();
    this.#verifications.clear();
    this.commit();
    for (const saved of [...snapshot].sort((a, b) => a.timestamp - b.timestamp)) {
      // All of them: whose transaction is open is not known yet, and it must not be forgotten.
      const entry = this.#add(saved.producerId);
      entry.epoch = saved.producerEpoch;
      if (saved.lastOffset >= 0) entry.push(saved.lastSequence, saved.lastOffset, saved.offsetDelta);
      entry.coordinatorEpoch = saved.coordinatorEpoch;
      this.#touch(entry, saved.timestamp);
    }
    const open = snapshot.filter((saved) => saved.currentTxnFirstOffset >= 0);
    for (const saved of open.sort((a, b) => a.currentTxnFirstOffset - b.currentTxnFirstOffset)) {
      const entry = this.#entries.get(saved.producerId)!;
      entry.transaction = this.#transactions.open(saved.currentTxnFirstOffset);
    }
  }

  commit(): void {
    for (let at = 0; at < this.#savedCount; at++) {
      const saved = this.#saved[at]!;
      saved.entry = undefined;
      saved.transaction = undefined;
    }
    this.#savedCount = 0;
    this.#turn++;
  }

  /** @param endOffset of what is written: all above it was never there */
  rollback(endOffset: number): void {
    for (let at = 0; at < this.#savedCount; at++) {
      const saved = this.#saved[at]!;
      const entry = saved.entry!;
      if (saved.created) {
        this.#remove(entry);
        continue;
      }
      entry.epoch = saved.epoch;
      entry.slots.set(saved.slots);
      entry.newest = saved.newest;
      entry.count = saved.count;
      entry.coordinatorEpoch = saved.coordinatorEpoch;
      entry.transaction = saved.transaction;
    }
    this.#transactions.rollback(endOffset);
    this.commit();
  }

  /** Forgets producers without an open transaction that were idle for longer than the expiration. Not during a turn with changes. */
  expire(nowMs: number): number {
    let expired = 0;
    const { expirationMs } = this.#options;
    this.#verifications.expire(nowMs);
    let entry = this.#oldest;
    while (entry !== undefined && nowMs - entry.lastUsedMs >= expirationMs) {
      const next: ProducerEntry | undefined = entry.newer;
      if (entry.transaction === undefined && entry.savedInTurn !== this.#turn) {
        this.#remove(entry);
        expired++;
      }
      entry = next;
    }
    return expired;
  }

  /** Whether a producer with an open transaction has written nothing since then, the wall-clock time of `nowMs` elsewhere. */
  hasTransactionIdleSince(sinceMs: number): boolean {
    if (this.#transactions.size === 0) return false;
    let entry = this.#oldest;
    while (entry !== undefined && entry.lastUsedMs <= sinceMs && entry.transaction === undefined) {
      entry = entry.newer;
    }
    return entry !== undefined && entry.lastUsedMs <= sinceMs;
  }

  /** What DescribeProducers tells of each. */
  describe(): ProducerDescription[] {
    return Array.from(this.#entries.values(), (entry) => ({
      producerId: entry.producerId,
      producerEpoch: entry.epoch,
      lastSequence: entry.lastSequence,
      lastTimestampMs: entry.lastUsedMs,
      coordinatorEpoch: entry.coordinatorEpoch,
      transactionStartOffset: entry.transaction?.firstOffset ?? NO_OFFSET,
    }));
  }

  /** The state as it is, or as it was before the present turn. */
  snapshot(at: 'now' | 'before-turn'): Map<number, ProducerSnapshotEntry> {
    const result = new Map<number, ProducerSnapshotEntry>();
    for (const entry of this.#entries.values()) result.set(entry.producerId, snapshotOf(entry, entry));
    if (at === 'now') return result;
    for (let index = 0; index < this.#savedCount; index++) {
      const saved = this.#saved[index]!;
      const entry = saved.entry!;
      if (saved.created) result.delete(entry.producerId);
      else result.set(entry.producerId, snapshotOf(entry, saved));
    }
    return result;
  }

  #update(
    entry: ProducerEntry,
    header: BatchHeader,
    marker: EndTransactionMarker | undefined,
  ): AbortedTransaction | undefined {
    if (header.producerEpoch > entry.epoch) {
      entry.epoch = header.producerEpoch;
      entry.count = 0;
    }
    if (marker !== undefined) return this.#endTransaction(entry, header, marker);
    if (isTransactional(header.attributes)) {
      this.#verifications.end(entry.producerId);
      entry.transaction ??= this.#transactions.open(header.baseOffset);
    }
    entry.push(lastSequence(header), lastOffset(header), header.lastOffsetDelta);
    return undefined;
  }

  #endTransaction(
    entry: ProducerEntry,
    header: BatchHeader,
    { type, coordinatorEpoch }: EndTransactionMarker,
  ): AbortedTransaction | undefined {
    this.#verifications.end(entry.producerId);
    entry.coordinatorEpoch = coordinatorEpoch;
    const { transaction, producerId } = entry;
    if (transaction === undefined) return undefined;
    entry.transaction = undefined;
    const markerOffset = lastOffset(header);
    this.#transactions.complete(transaction, markerOffset);
    if (type === 'commit') return undefined;
    const lastStableOffset = this.#transactions.firstOpenOffset ?? markerOffset + 1;
    return { producerId, firstOffset: transaction.firstOffset, lastOffset: markerOffset, lastStableOffset };
  }

  #save(entry: ProducerEntry, created: boolean): void {
    entry.savedInTurn = this.#turn;
    if (this.#savedCount === this.#saved.length) this.#saved.push(new SavedEntry());
    this.#saved[this.#savedCount++]!.save(entry, created);
  }

  #create(producerId: number): ProducerEntry {
    if (this.#entries.size >= this.#producersMax) this.#evictOldest();
    return this.#add(producerId);
  }

  #add(producerId: number): ProducerEntry {
    const entry = new ProducerEntry(producerId);
    this.#entries.set(producerId, entry);
    this.#link(entry);
    return entry;
  }

  /** Those with an open transaction stay, and go to the end of the line: else everybody who comes would have to pass them. */
  #evictOldest(): void {
    let entry = this.#oldest;
    for (let looks = 0; entry !== undefined && looks < EVICTION_LOOKS_MAX; looks++) {
      const next: ProducerEntry | undefined = entry.newer;
      // What the present turn changed must stay, or a rollback could not find it.
      if (entry.transaction === undefined && entry.savedInTurn !== this.#turn) {
        this.#remove(entry);
        if (this.#entries.size < this.#producersMax) return;
      } else if (entry.transaction !== undefined) {
        this.#unlink(entry);
        this.#link(entry);
      }
      entry = next;
    }
  }

  #touch(entry: ProducerEntry, nowMs: number): void {
    entry.lastUsedMs = nowMs;
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#link(entry);
  }

  #remove(entry: ProducerEntry): void {
    this.#entries.delete(entry.producerId);
    this.#unlink(entry);
  }

  #link(entry: ProducerEntry): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink(entry: ProducerEntry): void {
    if (entry.older === undefined) this.#oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === undefined) this.#newest = entry.older;
    else entry.newer.older = entry.older;
    entry.older = undefined;
    entry.newer = undefined;
  }
}

/** One that cleaning has left without its record says nothing any more. */
function isEmptiedMarker({ attributes }: BatchHeader, marker: EndTransactionMarker | undefined): boolean {
  return isControl(attributes) && marker === undefined;
}

/** Whether the batch of a client continues what its producer has written; of a producer that is not known any batch does. */
function isInSequence(
  { producerEpoch, baseSequence }: BatchHeader,
  entry: ProducerEntry | undefined,
): boolean {
  if (entry === undefined) return true;
  // With the epoch, that of a marker too, the sequence starts over.
  if (producerEpoch > entry.epoch || entry.count === 0) return baseSequence === 0;
  return baseSequence === advanceSequence(entry.lastSequence, 1);
}

function snapshotOf(entry: ProducerEntry, state: ProducerEntry | SavedEntry): ProducerSnapshotEntry {
  const at = state.newest * SLOT_FIELDS;
  const empty = state.count === 0;
  return {
    producerId: entry.producerId,
    producerEpoch: state.epoch,
    lastSequence: empty ? -1 : state.slots[at]!,
    lastOffset: empty ? NO_OFFSET : state.slots[at + 1]!,
    offsetDelta: empty ? 0 : state.slots[at + 2]!,
    timestamp: entry.lastUsedMs,
    coordinatorEpoch: state.coordinatorEpoch,
    currentTxnFirstOffset: state.transaction?.firstOffset ?? NO_OFFSET,
  };
}

/** Applies a batch to a snapshot, by the same rules as {@link ProducerStates.record}. */
export function applyToSnapshot(
  snapshot: Map<number, ProducerSnapshotEntry>,
  header: BatchHeader,
  marker: EndTransactionMarker | undefined,
  nowMs: number,
): void {
  const { producerId, producerEpoch, attributes } = header;
  if (producerId < 0 || isEmptiedMarker(header, marker)) return;
  const before = snapshot.get(producerId);
  const isSameEpoch = before !== undefined && before.producerEpoch >= producerEpoch;
  const openTxn = before?.currentTxnFirstOffset ?? NO_OFFSET;
  const common = { producerId, producerEpoch, timestamp: nowMs };
  if (marker !== undefined) {
    snapshot.set(producerId, {
      ...common,
      lastSequence: isSameEpoch ? before.lastSequence : -1,
      lastOffset: isSameEpoch ? before.lastOffset : NO_OFFSET,
      offsetDelta: isSameEpoch ? before.offsetDelta : 0,
      coordinatorEpoch: marker.coordinatorEpoch,
      currentTxnFirstOffset: NO_OFFSET,
    });
    return;
  }
  const opens = isTransactional(attributes) && openTxn === NO_OFFSET;
  snapshot.set(producerId, {
    ...common,
    lastSequence: lastSequence(header),
    lastOffset: lastOffset(header),
    offsetDelta: header.lastOffsetDelta,
    coordinatorEpoch: before?.coordinatorEpoch ?? -1,
    currentTxnFirstOffset: opens ? header.baseOffset : openTxn,
  });
}
