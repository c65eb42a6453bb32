import type { BatchHeader } from '@polylog/record';
import { advanceSequence, isControl, isTransactional, lastOffset, lastSequence } from '@polylog/record';
import type { ErrorName } from '../errors.ts';
import type { ProducerSnapshotEntry } from '../storage/types.ts';

/** Kafka caches five: a client has at most five requests in flight per connection, so an older duplicate cannot come. */
export const CACHED_BATCHES_PER_PRODUCER = 5;
/** Beyond it the producer that was idle longest is forgotten: its next batch is accepted as that of an unknown producer. */
export const PRODUCERS_PER_PARTITION_MAX = 100_000;
/** Kafka's default of `producer.id.expiration.ms`. */
export const PRODUCER_ID_EXPIRATION_MS_DEFAULT = 86_400_000;

const NO_OFFSET = -1;
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
  coordinatorEpoch = -1;
  txnFirstOffset = NO_OFFSET;
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

/** How one producer was before the turn. Kept and reused from turn to turn. */
class SavedEntry {
  entry: ProducerEntry | undefined;
  created = false;
  epoch = 0;
  readonly slots = new Float64Array(SLOTS_LENGTH);
  newest = 0;
  count = 0;
  coordinatorEpoch = 0;
  txnFirstOffset = 0;

  save(entry: ProducerEntry, created: boolean): void {
    this.entry = entry;
    this.created = created;
    this.epoch = entry.epoch;
    this.slots.set(entry.slots);
    this.newest = entry.newest;
    this.count = entry.count;
    this.coordinatorEpoch = entry.coordinatorEpoch;
    this.txnFirstOffset = entry.txnFirstOffset;
  }
}

/**
 * Idempotence per partition (KIP-98): which batch of which producer was taken last. Changes belong to a turn: `commit` keeps them,
 * `rollback` restores every producer that the turn touched.
 */
export class ProducerStates {
  readonly #entries = new Map<number, ProducerEntry>();
  readonly #expirationMs: number;
  readonly #producersMax: number;
  #oldest: ProducerEntry | undefined;
  #newest: ProducerEntry | undefined;
  #turn = 0;
  /** Spares partitions without transactions, nearly all, the search for the first unstable offset. */
  #transactionsSeen = false;
  readonly #saved: SavedEntry[] = [];
  #savedCount = 0;
  /** Last offset of the cached batch that the latest {@link check} found to be repeated, or -1. */
  duplicateLastOffset = NO_OFFSET;

  constructor(options: { readonly expirationMs: number; readonly producersMax?: number }) {
    this.#expirationMs = options.expirationMs;
    this.#producersMax = options.producersMax ?? PRODUCERS_PER_PARTITION_MAX;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The first offset of the earliest open transaction, or undefined. */
  get firstUnstableOffset(): number | undefined {
    if (!this.#transactionsSeen) return undefined;
    let first: number | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.txnFirstOffset === NO_OFFSET) continue;
      if (first === undefined || entry.txnFirstOffset < first) first = entry.txnFirstOffset;
    }
    return first;
  }

  /**
   * Whether the batch of an idempotent producer may be appended. An error name, or undefined; in that case
   * `duplicateLastOffset` tells whether it was appended before. Changes nothing else.
   */
  check(header: BatchHeader): ErrorName | undefined {
    this.duplicateLastOffset = NO_OFFSET;
    const entry = this.#entries.get(header.producerId);
    if (entry === undefined) return undefined;
    if (header.producerEpoch < entry.epoch) return 'INVALID_PRODUCER_EPOCH';
    if (isControl(header.attributes)) return undefined;
    if (header.producerEpoch > entry.epoch) {
      return header.baseSequence === 0 ? undefined : 'OUT_OF_ORDER_SEQUENCE_NUMBER';
    }
    const duplicate = entry.findBatch(lastSequence(header), header.lastOffsetDelta);
    if (duplicate !== NO_OFFSET) {
      this.duplicateLastOffset = duplicate;
      return undefined;
    }
    const expected = entry.count === 0 ? 0 : advanceSequence(entry.lastSequence, 1);
    return header.baseSequence === expected ? undefined : 'OUT_OF_ORDER_SEQUENCE_NUMBER';
  }

  /** Takes note of a batch of the present turn; its header has its base offset already. */
  record(header: BatchHeader, nowMs: number): void {
    let entry = this.#entries.get(header.producerId);
    const created = entry === undefined;
    entry ??= this.#create(header.producerId);
    if (entry.savedInTurn !== this.#turn) this.#save(entry, created);
    this.#update(entry, header);
    this.#touch(entry, nowMs);
  }

  /** The same for a batch that is in the log already: recovery, and a follower's append. */
  replay(header: BatchHeader, nowMs: number): void {
    if (header.producerId < 0) return;
    const entry = this.#entries.get(header.producerId) ?? this.#create(header.producerId);
    this.#update(entry, header);
    this.#touch(entry, nowMs);
  }

  /** Replaces everything by a snapshot's entries, each with its last batch only. */
  restore(snapshot: readonly ProducerSnapshotEntry[]): void {
    this.#entries.clear();
    this.#oldest = undefined;
    this.#newest = undefined;
    this.commit();
    for (const saved of [...snapshot].sort((a, b) => a.timestamp - b.timestamp)) {
      const entry = this.#create(saved.producerId);
      entry.epoch = saved.producerEpoch;
      if (saved.lastSequence >= 0) entry.push(saved.lastSequence, saved.lastOffset, saved.offsetDelta);
      entry.coordinatorEpoch = saved.coordinatorEpoch;
      entry.txnFirstOffset = saved.currentTxnFirstOffset;
      if (entry.txnFirstOffset !== NO_OFFSET) this.#transactionsSeen = true;
      this.#touch(entry, saved.timestamp);
    }
  }

  commit(): void {
    for (let at = 0; at < this.#savedCount; at++) this.#saved[at]!.entry = undefined;
    this.#savedCount = 0;
    this.#turn++;
  }

  rollback(): void {
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
      entry.txnFirstOffset = saved.txnFirstOffset;
    }
    this.commit();
  }

  /** Forgets producers without an open transaction that were idle for longer than the expiration. Not during a turn with changes. */
  expire(nowMs: number): number {
    let expired = 0;
    let entry = this.#oldest;
    while (entry !== undefined && nowMs - entry.lastUsedMs >= this.#expirationMs) {
      const next: ProducerEntry | undefined = entry.newer;
      if (entry.txnFirstOffset === NO_OFFSET && entry.savedInTurn !== this.#turn) {
        this.#remove(entry);
        expired++;
      }
      entry = next;
    }
    return expired;
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

  #update(entry: ProducerEntry, header: BatchHeader): void {
    if (header.producerEpoch > entry.epoch) {
      entry.epoch = header.producerEpoch;
      entry.count = 0;
    }
    if (isControl(header.attributes)) {
      entry.txnFirstOffset = NO_OFFSET;
      return;
    }
    if (isTransactional(header.attributes) && entry.txnFirstOffset === NO_OFFSET) {
      entry.txnFirstOffset = header.baseOffset;
      this.#transactionsSeen = true;
    }
    entry.push(lastSequence(header), lastOffset(header), header.lastOffsetDelta);
  }

  #save(entry: ProducerEntry, created: boolean): void {
    entry.savedInTurn = this.#turn;
    if (this.#savedCount === this.#saved.length) this.#saved.push(new SavedEntry());
    this.#saved[this.#savedCount++]!.save(entry, created);
  }

  #create(producerId: number): ProducerEntry {
    if (this.#entries.size >= this.#producersMax) this.#evictOldest();
    const entry = new ProducerEntry(producerId);
    this.#entries.set(producerId, entry);
    this.#link(entry);
    return entry;
  }

  #evictOldest(): void {
    let entry = this.#oldest;
    // What the present turn changed must stay, or a rollback could not find it.
    while (entry !== undefined && (entry.txnFirstOffset !== NO_OFFSET || entry.savedInTurn === this.#turn)) {
      entry = entry.newer;
    }
    if (entry !== undefined) this.#remove(entry);
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

function snapshotOf(entry: ProducerEntry, state: ProducerEntry | SavedEntry): ProducerSnapshotEntry {
  const at = state.newest * SLOT_FIELDS;
  const empty = state.count === 0;
  return {
    producerId: entry.producerId,
    producerEpoch: state.epoch,
    lastSequence: empty ? -1 : state.slots[at]!,
    lastOffset: empty ? -1 : state.slots[at + 1]!,
    offsetDelta: empty ? 0 : state.slots[at + 2]!,
    timestamp: entry.lastUsedMs,
    coordinatorEpoch: state.coordinatorEpoch,
    currentTxnFirstOffset: state.txnFirstOffset,
  };
}

/** Applies a batch to a snapshot, by the same rules as {@link ProducerStates.record}. */
export function applyToSnapshot(
  snapshot: Map<number, ProducerSnapshotEntry>,
  header: BatchHeader,
  nowMs: number,
): void {
  if (header.producerId < 0) return;
  const before = snapshot.get(header.producerId);
  const control = isControl(header.attributes);
  const sameEpoch = before !== undefined && before.producerEpoch >= header.producerEpoch;
  const openTxn = before?.currentTxnFirstOffset ?? NO_OFFSET;
  const opens = isTransactional(header.attributes) && openTxn === NO_OFFSET;
  snapshot.set(header.producerId, {
    producerId: header.producerId,
    producerEpoch: header.producerEpoch,
    lastSequence: control ? (sameEpoch ? before.lastSequence : -1) : lastSequence(header),
    lastOffset: control ? (sameEpoch ? before.lastOffset : -1) : lastOffset(header),
    offsetDelta: control ? (sameEpoch ? before.offsetDelta : 0) : header.lastOffsetDelta,
    timestamp: nowMs,
    coordinatorEpoch: before?.coordinatorEpoch ?? -1,
    currentTxnFirstOffset: control ? NO_OFFSET : opens ? header.baseOffset : openTxn,
  });
}
