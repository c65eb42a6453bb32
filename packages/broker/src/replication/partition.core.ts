import type { BatchHeader, EndTransactionMarker } from '@polylog/record';
import { isControl } from '@polylog/record';
import type { ErrorName } from '../errors.ts';
import type { AbortedTransaction, LeaderEpochs } from '../storage/types.ts';
import { IsrState, type FollowerPosition } from './isr.core.ts';
import {
  effectiveMinIsr,
  type IsrMember,
  type IsrProposal,
  type PartitionRecord,
} from './partition-record.core.ts';
import { ProducerStates } from './producer-state.core.ts';
import type { AppendOptions, TransactionEnd } from './types.ts';

export interface EpochEnd {
  readonly epoch: number;
  readonly endOffset: number;
}

/** What the core asks of its driver. Called synchronously, from within the core's methods. */
export interface PartitionSink {
  highWatermarkMoved(highWatermark: number): void;
  /** One at a time; answered by `proposalRefused` or by a newer record through `applyRecord`. */
  proposeIsr(proposal: IsrProposal): void;
}

export interface PartitionCoreOptions {
  readonly brokerId: number;
  readonly sink: PartitionSink;
  /** The log's epoch table, read anew each time. */
  readonly log: { readonly epochs: LeaderEpochs };
  readonly minInsyncReplicas: number;
  /** `replica.lag.time.max.ms`. */
  readonly replicaLagTimeMaxMs: number;
  /** Read whenever it is needed: it may change. */
  readonly producerIdExpirationMs: number;
}

export interface LogOffsets {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly durableOffset: number;
}

export interface FollowerFetch extends FollowerPosition {
  readonly replicaId: number;
  readonly leaderEpoch: number;
  /** The epoch of the follower's last record, or -1 if it has none. */
  readonly lastFetchedEpoch: number;
}

export type FollowerFetchVerdict =
  | { readonly kind: 'ok' }
  | { readonly kind: 'diverging'; readonly end: EpochEnd }
  | { readonly kind: 'error'; readonly error: ErrorName };

export type PartitionRole =
  | { readonly kind: 'leader'; readonly isr: IsrState }
  | { readonly kind: 'follower'; readonly leader: number }
  | { readonly kind: 'offline' };

const FETCH_OK: FollowerFetchVerdict = { kind: 'ok' };

/**
 * What decides about one replica of a partition: offsets, roles, epochs, ISR, HW. It sees header fields and numbers, and does no I/O.
 *
 *   log start <= HW <= durable (least over the maximal ISR) ;  durable <= written (LEO) <= reserved
 *
 * A turn reserves offsets and producer sequences; `commitTurn` makes them the LEO after the write has succeeded, `rollbackTurn` takes all
 * of them back. All times are milliseconds; `nowMs` of `reserve` is wall clock (producer expiry), all others monotonic.
 */
export class PartitionCore {
  readonly #brokerId: number;
  readonly #sink: PartitionSink;
  readonly #log: { readonly epochs: LeaderEpochs };
  readonly #replicaLagTimeMaxMs: number;
  readonly producers: ProducerStates;
  #minInsyncReplicas: number;
  #role: PartitionRole = { kind: 'offline' };
  #leaderEpoch = -1;
  #partitionEpoch = -1;
  #reservedEnd = 0;
  #writtenEnd = 0;
  #durableEnd = 0;
  #highWatermark = 0;
  /** What of transactions that ended below it is not known: only where the log ends, when it is loaded. */
  #stableKnownFrom = 0;
  /** Transactions that the present turn's markers abort, in their order. */
  #aborted: AbortedTransaction[] = [];
  /** Results of the latest successful {@link reserve}. */
  reservedBaseOffset = 0;
  reservedEndOffset = 0;
  reservedDuplicate = false;

  constructor(options: PartitionCoreOptions) {
    this.#brokerId = options.brokerId;
    this.#sink = options.sink;
    this.#log = options.log;
    this.#minInsyncReplicas = options.minInsyncReplicas;
    this.#replicaLagTimeMaxMs = options.replicaLagTimeMaxMs;
    this.producers = new ProducerStates({
      get expirationMs() {
        return options.producerIdExpirationMs;
      },
    });
  }

  get role(): PartitionRole {
    return this.#role;
  }
  get leaderEpoch(): number {
    return this.#leaderEpoch;
  }
  get partitionEpoch(): number {
    return this.#partitionEpoch;
  }
  get leader(): number {
    if (this.#role.kind === 'leader') return this.#brokerId;
    return this.#role.kind === 'follower' ? this.#role.leader : -1;
  }
  get isr(): readonly IsrMember[] {
    return this.#role.kind === 'leader' ? this.#role.isr.isr : [];
  }
  get reservedEnd(): number {
    return this.#reservedEnd;
  }
  get writtenEnd(): number {
    return this.#writtenEnd;
  }
  get durableEnd(): number {
    return this.#durableEnd;
  }
  get highWatermark(): number {
    return this.#highWatermark;
  }
  /** Below it every transaction has ended, and its marker is below the HW. */
  get lastStableOffset(): number {
    const highWatermark = this.#highWatermark;
    // Markers in the part that was not replayed may lie above the HW: until it has passed them nothing below is certain.
    if (highWatermark < this.#stableKnownFrom) return 0;
    const unstable = this.producers.firstUnstableOffset;
    return unstable === undefined || unstable > highWatermark ? highWatermark : unstable;
  }
  get aborted(): readonly AbortedTransaction[] {
    return this.#aborted;
  }
  /** Rule 4: a new leader's HW may be stale until it has reached the start of its epoch. */
  get highWatermarkIsCurrent(): boolean {
    return this.#role.kind === 'leader' && this.#highWatermark >= this.#role.isr.epochStartOffset;
  }

  set minInsyncReplicas(value: number) {
    this.#minInsyncReplicas = value;
    this.#advanceHighWatermark();
  }

  /**
   * After the log was opened, or cut, or emptied: the offsets start over from what it holds. Not during a turn with reservations.
   * `producers` has been restored from a snapshot and the batches from `replayedFrom` on.
   */
  load(log: LogOffsets, replayedFrom: number): void {
    this.#reservedEnd = log.endOffset;
    this.#writtenEnd = log.endOffset;
    this.#durableEnd = log.durableOffset;
    this.#highWatermark = Math.max(log.startOffset, Math.min(this.#highWatermark, log.endOffset));
    this.#stableKnownFrom = Math.min(replayedFrom, log.endOffset);
    this.producers.replicatedTo(this.#highWatermark);
  }

  /** Takes a record of the metadata store. False if it is not newer than what is known. */
  applyRecord(record: PartitionRecord, nowMs: number): boolean {
    if (record.leaderEpoch < this.#leaderEpoch || record.partitionEpoch <= this.#partitionEpoch) return false;
    const sameEpoch = record.leaderEpoch === this.#leaderEpoch;
    this.#leaderEpoch = record.leaderEpoch;
    this.#partitionEpoch = record.partitionEpoch;
    if (record.leader !== this.#brokerId) {
      this.#role = { kind: 'follower', leader: record.leader };
    } else if (sameEpoch && this.#role.kind === 'leader') {
      this.#role.isr.update(record, nowMs);
    } else {
      this.#role = {
        kind: 'leader',
        isr: new IsrState(this.#brokerId, record, this.#writtenEnd, nowMs),
      };
    }
    this.#advanceHighWatermark();
    return true;
  }

  /** The log can no longer be written. Only a restart brings the replica back. */
  goOffline(): void {
    this.#role = { kind: 'offline' };
  }

  /** Why this replica takes no batches at present, whatever is in them. */
  roleRefusal(requiredAcks: number): ErrorName | undefined {
    const role = this.#role;
    if (role.kind !== 'leader') {
      return role.kind === 'offline' && this.#leaderEpoch >= 0
        ? 'KAFKA_STORAGE_ERROR'
        : 'NOT_LEADER_OR_FOLLOWER';
    }
    return requiredAcks === -1 && role.isr.isr.length < this.#minIsr(role.isr)
      ? 'NOT_ENOUGH_REPLICAS'
      : undefined;
  }

  /**
   * Checks a batch and reserves its offsets for the present turn. Returns the refusal, or undefined: then `reservedBaseOffset`,
   * `reservedEndOffset` and `reservedDuplicate` hold. For a duplicate they are those of the original, and nothing is reserved.
   */
  reserve(
    header: BatchHeader,
    options: Pick<AppendOptions, 'requiredAcks' | 'origin' | 'nowMs' | 'verification'>,
  ): ErrorName | undefined {
    const refused = this.roleRefusal(options.requiredAcks);
    if (refused !== undefined) return refused;
    this.reservedDuplicate = false;
    // The end of a transaction goes by `reserveMarker`; coordinators write no other control batch with a producer.
    if (isControl(header.attributes) && (options.origin === 'client' || header.producerId >= 0))
      return 'INVALID_RECORD';
    if (header.producerId >= 0) {
      if (header.baseSequence < 0 && options.origin === 'client') return 'INVALID_RECORD';
      const refusal = this.producers.check(header, options);
      if (refusal !== undefined) return refusal;
      if (this.producers.duplicateLastOffset >= 0) {
        this.reservedDuplicate = true;
        this.reservedEndOffset = this.producers.duplicateLastOffset + 1;
        this.reservedBaseOffset = this.producers.duplicateLastOffset - header.lastOffsetDelta;
        return undefined;
      }
    }
    this.#take(header);
    if (header.producerId >= 0) this.producers.record(header, undefined, options.nowMs);
    return undefined;
  }

  /** The same for a marker; `header` is that of its batch. */
  reserveMarker(header: BatchHeader, end: TransactionEnd, nowMs: number): ErrorName | undefined {
    const refusal = this.roleRefusal(-1) ?? this.producers.checkMarker(end);
    if (refusal !== undefined) return refusal;
    this.reservedDuplicate = false;
    this.#take(header);
    const marker: EndTransactionMarker = { type: end.result, coordinatorEpoch: end.coordinatorEpoch };
    this.#noteAborted(this.producers.record(header, marker, nowMs));
    return undefined;
  }

  /** Reserves the offsets of a batch. */
  #take(header: BatchHeader): void {
    this.reservedBaseOffset = this.#reservedEnd;
    this.reservedEndOffset = this.#reservedEnd + header.lastOffsetDelta + 1;
    this.#reservedEnd = this.reservedEndOffset;
    header.baseOffset = this.reservedBaseOffset;
  }

  #noteAborted(aborted: AbortedTransaction | undefined): void {
    if (aborted !== undefined) this.#aborted.push(aborted);
  }

  /** All that was reserved has been written. */
  commitTurn(): void {
    this.#writtenEnd = this.#reservedEnd;
    this.#aborted.length = 0;
    this.producers.commit();
  }

  /** Nothing of what was reserved exists: producers, too, are as they were before the turn. */
  rollbackTurn(): void {
    this.#reservedEnd = this.#writtenEnd;
    this.#aborted.length = 0;
    this.producers.rollback(this.#writtenEnd);
  }

  /** A follower is about to append a batch that its leader has stamped and checked; `commitTurn` or `rollbackTurn` follow. */
  followerAppends(header: BatchHeader, marker: EndTransactionMarker | undefined, nowMs: number): void {
    this.#reservedEnd = header.baseOffset + header.lastOffsetDelta + 1;
    if (header.producerId >= 0) this.#noteAborted(this.producers.record(header, marker, nowMs));
  }

  /** Records below it are durable on this broker. */
  durable(offset: number): void {
    if (offset <= this.#durableEnd) return;
    this.#durableEnd = Math.min(offset, this.#writtenEnd);
    this.#advanceHighWatermark();
  }

  /** A follower learns the leader's HW with what it fetches. */
  leaderHighWatermark(highWatermark: number): void {
    if (this.#role.kind === 'follower') this.#raiseHighWatermark(Math.min(highWatermark, this.#writtenEnd));
  }

  /** DeleteRecords or retention moved the log's start. */
  logStartMoved(startOffset: number): void {
    this.#raiseHighWatermark(startOffset);
  }

  /** KIP-320. */
  checkLeaderEpoch(leaderEpoch: number): ErrorName | undefined {
    if (leaderEpoch === -1 || leaderEpoch === this.#leaderEpoch) return undefined;
    return leaderEpoch < this.#leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH';
  }

  /** Where the largest epoch at or below `epoch` ends; the leader's own epoch, still without records, ends at the LEO too. */
  endOffsetForEpoch(epoch: number): EpochEnd | undefined {
    if (epoch < 0 || epoch > this.#leaderEpoch) return undefined;
    if (epoch === this.#leaderEpoch) return { epoch, endOffset: this.#writtenEnd };
    const epochs = this.#log.epochs;
    const latest = epochs.latest;
    if (latest === undefined || epoch >= latest) return { epoch: latest ?? -1, endOffset: this.#writtenEnd };
    const known = epochs.endOffsetOf(epoch, this.#writtenEnd);
    if (known !== undefined) return known;
    // Below the first epoch that the log still holds: what precedes that one is a prefix of it.
    const first = epochs.entries[0];
    return first === undefined ? undefined : { epoch, endOffset: first.startOffset };
  }

  /** A follower's fetch: epochs are checked, divergence is found (KIP-101, 279), and if all is well its position is noted. */
  followerFetch(fetch: FollowerFetch, logStartOffset: number, nowMs: number): FollowerFetchVerdict {
    const role = this.#role;
    if (role.kind !== 'leader') return { kind: 'error', error: 'NOT_LEADER_OR_FOLLOWER' };
    const fenced = this.checkLeaderEpoch(fetch.leaderEpoch);
    if (fenced !== undefined) return { kind: 'error', error: fenced };
    const view = role.isr.followers.get(fetch.replicaId);
    if (view === undefined) return { kind: 'error', error: 'UNKNOWN_TOPIC_OR_PARTITION' };
    // A request that was under way when its sender restarted says nothing about the restarted one.
    if (fetch.brokerEpoch < view.brokerEpoch) return { kind: 'error', error: 'FENCED_LEADER_EPOCH' };
    if (fetch.fetchOffset < logStartOffset) return { kind: 'error', error: 'OFFSET_OUT_OF_RANGE' };
    if (fetch.lastFetchedEpoch >= 0) {
      const end = this.endOffsetForEpoch(fetch.lastFetchedEpoch);
      if (end === undefined) return { kind: 'error', error: 'OFFSET_OUT_OF_RANGE' };
      if (end.epoch < fetch.lastFetchedEpoch || end.endOffset < fetch.fetchOffset) {
        return { kind: 'diverging', end };
      }
    }
    if (fetch.fetchOffset > this.#writtenEnd) return { kind: 'error', error: 'OFFSET_OUT_OF_RANGE' };
    view.fetched(fetch, this.#writtenEnd, nowMs);
    this.#advanceHighWatermark();
    const expansion = role.isr.expand(view, this.#highWatermark, nowMs);
    if (expansion !== undefined) this.#sink.proposeIsr(expansion);
    return FETCH_OK;
  }

  /** To be called now and then, at a fraction of the replica lag: proposes to drop followers that lag. */
  tick(nowMs: number): void {
    if (this.#role.kind !== 'leader') return;
    const shrunk = this.#role.isr.shrink(nowMs, this.#replicaLagTimeMaxMs);
    if (shrunk !== undefined) this.#sink.proposeIsr(shrunk);
  }

  /** The store has certainly not applied the proposal, and will not, because a member may not be added. */
  proposalRefused(proposal: IsrProposal, nowMs: number): void {
    if (this.#role.kind === 'leader' && this.#role.isr.proposed === proposal) {
      this.#role.isr.refused(nowMs);
      this.#advanceHighWatermark();
    }
  }

  /** The least log start over the replicas that are in sync, or undefined while one of them has not fetched. */
  leastFollowerLogStart(): number {
    let least = Number.MAX_SAFE_INTEGER;
    if (this.#role.kind !== 'leader') return -1;
    for (const member of this.#role.isr.isr) {
      const view = this.#role.isr.followers.get(member.id);
      if (view !== undefined) least = Math.min(least, view.logStartOffset);
    }
    return least;
  }

  /** Rule 2. */
  #advanceHighWatermark(): void {
    if (this.#role.kind !== 'leader') return;
    const isr = this.#role.isr;
    if (isr.isr.length < this.#minIsr(isr)) return;
    this.#raiseHighWatermark(isr.leastDurable(this.#durableEnd));
  }

  #raiseHighWatermark(offset: number): void {
    if (offset <= this.#highWatermark) return;
    this.#highWatermark = offset;
    this.producers.replicatedTo(offset);
    this.#sink.highWatermarkMoved(offset);
  }

  #minIsr(isr: IsrState): number {
    return effectiveMinIsr(this.#minInsyncReplicas, isr.replicas.length);
  }
}
