import type { BatchHeader } from '@polylog/record';
import {
  buildEndTransactionBatch,
  emptyBatchHeader,
  endTransactionOf,
  patchBaseOffset,
  patchLeaderEpoch,
  readBatchHeaderInto,
} from '@polylog/record';
import { BrokerError, type ErrorName } from '../errors.ts';
import { type Clock, DiskError, type Logger, type Timers } from '../platform/index.ts';
import type { AbortedTransaction, Log, ProducerSnapshotEntry, TimestampedOffset } from '../storage/types.ts';
import { durableStart } from './durable-start.ts';
import { type FetchProgress, Follower } from './follower.ts';
import { IsrProposals } from './isr-proposals.ts';
import { PartitionCore, type PartitionSink } from './partition.core.ts';
import type { IsrProposal, PartitionRecord } from './partition-record.core.ts';
import { PartitionReads } from './partition-reads.ts';
import { applyToSnapshot, PRODUCER_ID_EXPIRATION_MS_DEFAULT } from './producer-state.core.ts';
import { recoverProducers } from './producer-recovery.ts';
import { brokerError, refusalOf } from './refusals.ts';
import { Subscribers } from './subscribers.ts';
import type { IsrStore, ReplicaFetchRequest, ReplicaFetchResponse } from './transport.ts';
import type { TurnParticipant, TurnScheduler } from './turns.ts';
import type {
  AppendOptions,
  AppendResult,
  Isolation,
  Partition,
  PartitionReadOptions,
  PartitionReadOutcome,
  ProducerDescription,
  TransactionEnd,
} from './types.ts';
import { WaitingAppends } from './waiting-appends.ts';

/** Kafka's default of `replica.lag.time.max.ms`. */
export const REPLICA_LAG_TIME_MAX_MS_DEFAULT = 30_000;

export interface LocalPartitionOptions {
  readonly log: Log;
  readonly brokerId: number;
  readonly brokerEpoch: number;
  readonly turns: TurnScheduler;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  /** `min.insync.replicas`; a smaller replication factor lowers it. */
  readonly minInsyncReplicas: number;
  /** Absent on a broker that stands alone: no ISR ever changes there. */
  readonly isrStore?: IsrStore;
  readonly replicaLagTimeMaxMs?: number;
  /** May change: it is read whenever it is needed. */
  readonly producerIdExpirationMs?: number;
}

type Done = (result: AppendResult) => void;

/** The record of a partition on a broker that stands alone. `partitionEpoch` must rise if it is applied again. */
export function standaloneRecord(options: {
  readonly brokerId: number;
  readonly brokerEpoch: number;
  readonly leaderEpoch: number;
  readonly partitionEpoch: number;
}): PartitionRecord {
  return {
    leader: options.brokerId,
    leaderEpoch: options.leaderEpoch,
    partitionEpoch: options.partitionEpoch,
    replicas: [options.brokerId],
    isr: [{ id: options.brokerId, brokerEpoch: options.brokerEpoch }],
    elr: [],
  };
}

/**
 * One replica on this broker: the partition core over a log. It leads or follows nobody until the first {@link applyRecord}. Producer state
 * is rebuilt from the log in the constructor.
 */
export class LocalPartition implements Partition, TurnParticipant, PartitionSink {
  readonly #log: Log;
  readonly #core: PartitionCore;
  readonly #turns: TurnScheduler;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #brokerId: number;
  readonly #follower: Follower;
  readonly #reads: PartitionReads;
  readonly #proposals: IsrProposals | undefined;
  readonly #header: BatchHeader = emptyBatchHeader();

  /** The present turn: batches in the order of their offsets, completions that end with the turn, refusals. */
  #batches: Uint8Array[] = [];
  #unacknowledged: { readonly baseOffset: number; readonly endOffset: number; readonly done: Done }[] = [];
  #refused: { readonly done: Done; readonly result: AppendResult }[] = [];
  #turnFailure: AppendResult | undefined;
  #registered = false;
  #changed = false;
  #logChanged = false;
  #closed = false;

  readonly #untilDurable = new WaitingAppends();
  readonly #untilHighWatermark = new WaitingAppends();
  readonly #subscribers = new Subscribers();
  readonly #logSubscribers = new Subscribers();
  #startWaits: { readonly offset: number; readonly done: (error: BrokerError | undefined) => void }[] = [];

  constructor(options: LocalPartitionOptions) {
    this.#log = options.log;
    this.#turns = options.turns;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#brokerId = options.brokerId;
    this.#core = new PartitionCore({
      brokerId: options.brokerId,
      sink: this,
      log: options.log,
      minInsyncReplicas: options.minInsyncReplicas,
      replicaLagTimeMaxMs: options.replicaLagTimeMaxMs ?? REPLICA_LAG_TIME_MAX_MS_DEFAULT,
      get producerIdExpirationMs() {
        return options.producerIdExpirationMs ?? PRODUCER_ID_EXPIRATION_MS_DEFAULT;
      },
    });
    this.#follower = new Follower({
      log: options.log,
      core: this.#core,
      clock: options.clock,
      logger: options.logger,
      brokerId: options.brokerId,
      brokerEpoch: options.brokerEpoch,
      appended: () => {
        this.#logChanged = true;
        if (!this.#registered) this.#register();
      },
      cut: () => this.#reload(),
    });
    this.#reads = new PartitionReads({ log: options.log, core: this.#core, logger: options.logger });
    this.#proposals = options.isrStore && this.#proposalsTo(options.isrStore, options);
    this.#reload();
    this.#log.onDurable = this.#onDurable;
    this.#log.snapshotSource = this.#snapshot;
    this.#log.retentionBound = () => this.highWatermark;
    this.#log.cleaningBound = () => this.lastStableOffset;
  }

  get topic(): string {
    return this.#log.id.topic;
  }
  get topicId(): string {
    return this.#log.id.topicId;
  }
  get index(): number {
    return this.#log.id.partition;
  }
  get log(): Log {
    return this.#log;
  }
  get leaderEpoch(): number {
    return this.#core.leaderEpoch;
  }
  get partitionEpoch(): number {
    return this.#core.partitionEpoch;
  }
  get leader(): number {
    return this.#core.leader;
  }
  get isLeader(): boolean {
    return this.#core.role.kind === 'leader';
  }
  get role(): 'leader' | 'follower' | 'offline' {
    return this.#core.role.kind;
  }
  get logStartOffset(): number {
    return this.#log.startOffset;
  }
  get logEndOffset(): number {
    return this.#log.endOffset;
  }
  get highWatermark(): number {
    return this.#reads.highWatermark;
  }
  get lastStableOffset(): number {
    return this.#reads.lastStableOffset;
  }
  /** Rule 4 of KIP-207: false while a new leader's HW may lag behind what was served before; ListOffsets then answers OFFSET_NOT_AVAILABLE. */
  get highWatermarkIsCurrent(): boolean {
    return this.#core.highWatermarkIsCurrent;
  }
  get isr(): readonly number[] {
    return this.#core.isr.map((member) => member.id);
  }
  get producerCount(): number {
    return this.#core.producers.size;
  }
  hasTransactionIdleSince(sinceMs: number): boolean {
    return this.#core.producers.hasTransactionIdleSince(sinceMs);
  }
  /** Appends that were written and wait for durability or the HW. */
  get waitingAppends(): number {
    return this.#untilDurable.size + this.#untilHighWatermark.size;
  }

  append(batch: Uint8Array, options: AppendOptions, done: Done): void {
    if (!this.#registered) this.#register();
    const unwritable = this.#unwritable();
    if (unwritable !== undefined) {
      this.#refuse(unwritable, done);
      return;
    }
    const core = this.#core;
    const header = readBatchHeaderInto(this.#header, batch);
    const refusal = core.reserve(header, options);
    if (refusal === undefined) this.#take(batch, options.requiredAcks, done);
    else this.#refuse(refusal, done);
  }

  appendMarker(end: TransactionEnd, nowMs: number, done: Done): void {
    if (!this.#registered) this.#register();
    const unwritable = this.#unwritable();
    if (unwritable !== undefined) {
      this.#refuse(unwritable, done);
      return;
    }
    const { result, coordinatorEpoch, producerId, producerEpoch } = end;
    const batch = buildEndTransactionBatch(
      { type: result, coordinatorEpoch },
      { timestamp: nowMs, producerId, producerEpoch },
    );
    const refusal = this.#core.reserveMarker(readBatchHeaderInto(this.#header, batch), end, nowMs);
    if (refusal === undefined) this.#take(batch, -1, done);
    else this.#refuse(refusal, done);
  }

  /** A batch whose offsets the core has reserved. */
  #take(batch: Uint8Array, requiredAcks: -1 | 0 | 1, done: Done): void {
    const core = this.#core;
    const baseOffset = core.reservedBaseOffset;
    const endOffset = core.reservedEndOffset;
    if (!core.reservedDuplicate) {
      patchBaseOffset(batch, 0, baseOffset);
      patchLeaderEpoch(batch, 0, core.leaderEpoch);
      this.#batches.push(batch);
    }
    if (requiredAcks === -1) this.#untilHighWatermark.add(baseOffset, endOffset, done);
    else if (requiredAcks === 1) this.#untilDurable.add(baseOffset, endOffset, done);
    else this.#unacknowledged.push({ baseOffset, endOffset, done });
  }

  startVerification(
    producer: { readonly producerId: number; readonly producerEpoch: number; readonly baseSequence: number },
    isEpochBumped: boolean,
    nowMs: number,
  ): number | ErrorName {
    return this.#core.producers.startVerification(producer, isEpochBumped, nowMs);
  }

  transactionRefusal(producer: {
    readonly producerId: number;
    readonly producerEpoch: number;
    readonly verification: number;
  }): ErrorName | undefined {
    return this.appendRefusal(-1) ?? this.#core.producers.transactionRefusal(producer);
  }

  markerRefusal(end: TransactionEnd): ErrorName | undefined {
    return this.appendRefusal(-1) ?? this.#core.producers.checkMarker(end);
  }

  describeProducers(): ProducerDescription[] {
    return this.#core.producers.describe();
  }

  appendRefusal(requiredAcks: -1 | 0 | 1): ErrorName | undefined {
    return this.#unwritable() ?? this.#core.roleRefusal(requiredAcks);
  }

  #unwritable(): ErrorName | undefined {
    if (this.#closed) return 'NOT_LEADER_OR_FOLLOWER';
    return this.#log.offline || this.#turns.diskFull ? 'KAFKA_STORAGE_ERROR' : undefined;
  }

  writeTurn(nowMs: number): void {
    this.#registered = false;
    if (this.#batches.length === 0) return;
    const batches = this.#batches;
    try {
      this.#log.append(batches, nowMs, this.#core.aborted);
      this.#core.commitTurn();
      this.#logChanged = true;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      this.#core.rollbackTurn();
      this.#turnFailure = refusalOf('KAFKA_STORAGE_ERROR');
      this.#logger.error(
        { topic: this.topic, partition: this.index, error: error.message, offline: this.#log.offline },
        'The write of a turn failed; nothing of it was kept.',
      );
      if (this.#log.offline) this.#goOffline();
    }
    batches.length = 0;
  }

  completeTurn(): void {
    const writtenEnd = this.#core.writtenEnd;
    const failure = this.#turnFailure;
    this.#turnFailure = undefined;
    if (this.#refused.length > 0) {
      const refused = this.#refused;
      this.#refused = [];
      for (const { done, result } of refused) done(result);
    }
    if (failure !== undefined) {
      this.#untilDurable.failAbove(writtenEnd, failure);
      this.#untilHighWatermark.failAbove(writtenEnd, failure);
    }
    if (this.#unacknowledged.length > 0) {
      const unacknowledged = this.#unacknowledged;
      this.#unacknowledged = [];
      for (const { baseOffset, endOffset, done } of unacknowledged) {
        if (failure !== undefined && endOffset > writtenEnd) done(failure);
        else done({ error: undefined, baseOffset, logStartOffset: this.#log.startOffset });
      }
    }
    this.#core.durable(this.#log.durableOffset);
    this.#releaseWaiting();
  }

  wakeSubscribers(): void {
    if (this.#changed) {
      this.#changed = false;
      this.#subscribers.wakeAll();
    }
    if (this.#logChanged) {
      this.#logChanged = false;
      this.#logSubscribers.wakeAll();
    }
  }

  read(options: PartitionReadOptions): PartitionReadOutcome {
    return this.#reads.read(options);
  }

  prepareRead(options: PartitionReadOptions): Promise<void> | undefined {
    return this.#reads.prepareRead(options);
  }

  abortedTransactions(fromOffset: number, toOffset: number): readonly AbortedTransaction[] {
    return this.#log.abortedTransactions(fromOffset, toOffset);
  }

  checkLeaderEpoch(leaderEpoch: number): ErrorName | undefined {
    return this.#core.checkLeaderEpoch(leaderEpoch);
  }

  endOffsetForEpoch(epoch: number): { readonly epoch: number; readonly endOffset: number } | undefined {
    return this.#core.endOffsetForEpoch(epoch);
  }

  epochAt(offset: number): number | undefined {
    return this.#log.epochs.epochAt(offset);
  }

  offsetForTimestamp(timestamp: number, isolation: Isolation): Promise<TimestampedOffset | undefined> {
    return this.#reads.offsetForTimestamp(timestamp, isolation);
  }

  offsetOfMaxTimestamp(isolation: Isolation): Promise<TimestampedOffset | undefined> {
    return this.#reads.offsetOfMaxTimestamp(isolation);
  }

  async deleteRecords(offset: number, bound = (followers: Promise<void>) => followers): Promise<number> {
    if (!this.isLeader) throw brokerError('NOT_LEADER_OR_FOLLOWER');
    const target = offset === -1 ? this.highWatermark : offset;
    if (target < 0 || target > this.highWatermark) throw brokerError('OFFSET_OUT_OF_RANGE');
    if (target > this.#log.startOffset) {
      this.#log.advanceStartOffset(target);
      this.#markChanged();
    }
    // What was deleted must not be back after a crash; also for who asks a second time while the first is being written.
    await durableStart(this.#log);
    if (!this.isLeader) throw brokerError('NOT_LEADER_OR_FOLLOWER');
    if (this.#core.leastFollowerLogStart() >= target) return this.#log.startOffset;
    const followers = new Promise<void>((resolve, reject) => {
      this.#startWaits.push({
        offset: target,
        done: (error) => (error === undefined ? resolve() : reject(error)),
      });
    });
    await bound(followers);
    return this.#log.startOffset;
  }

  subscribe(wake: () => void): () => void {
    return this.#subscribers.add(wake);
  }

  /**
   * The same for each turn in which the LEO or the durable offset moved, or the role changed: what a follower's parked fetch waits for on
   * the leader, and a follower's fetcher that wants to report what is durable.
   */
  subscribeLog(wake: () => void): () => void {
    return this.#logSubscribers.add(wake);
  }

  /** A new record of the metadata store, in any order: older ones are ignored. */
  applyRecord(record: PartitionRecord): void {
    const before = this.#core.role;
    const epochBefore = this.#core.leaderEpoch;
    if (this.#log.offline || this.#closed) return;
    const wasLeader = before.kind === 'leader';
    const staysLeader = record.leader === this.#brokerId && record.leaderEpoch === epochBefore;
    if (wasLeader && !staysLeader && record.leaderEpoch > epochBefore)
      this.#abandon('NOT_LEADER_OR_FOLLOWER');
    if (this.#core.applyRecord(record, this.#clock.monotonicMs())) this.#markChanged();
    this.#core.durable(this.#log.durableOffset);
    this.#releaseWaiting();
  }

  setMinInsyncReplicas(value: number): void {
    this.#core.minInsyncReplicas = value;
    this.#releaseWaiting();
  }

  /** Housekeeping, to be called every few seconds: lagging followers leave the ISR, idle producers are forgotten. */
  tick(): void {
    if (!this.#registered) this.#core.producers.expire(this.#clock.nowMs());
    this.#core.tick(this.#clock.monotonicMs());
    // Retention moves the start of the log by itself.
    this.#core.logStartMoved(this.#log.startOffset);
  }

  /** The topic was deleted, or the broker stops: everything that waits is answered, and nothing is accepted any more. */
  close(): void {
    if (this.#closed) return;
    this.#abandon('NOT_LEADER_OR_FOLLOWER');
    this.#closed = true;
    this.#core.goOffline();
    this.#log.onDurable = undefined;
    this.#log.retentionBound = undefined;
    this.#log.cleaningBound = undefined;
    this.#markChanged();
  }

  // Leader towards its followers.

  /** Answers a follower's fetch from what is there; a transport that wants to wait for data subscribes and asks again. */
  replicaFetch(request: ReplicaFetchRequest): ReplicaFetchResponse {
    const verdict = this.#core.followerFetch(request, this.#log.startOffset, this.#clock.monotonicMs());
    this.#releaseWaiting();
    if (verdict.kind === 'diverging') return verdict;
    if (verdict.kind === 'error') return this.#reads.fetchError(verdict.error);
    return this.#reads.replicaFetch(request);
  }

  // Follower towards its leader.

  /** The next fetch, or undefined while this replica follows nobody. */
  nextFetch(limits: {
    readonly bytesMax: number;
    readonly waitMsMax: number;
  }): ReplicaFetchRequest | undefined {
    return this.#follower.nextFetch(limits);
  }

  /**
   * Takes the answer to a fetch, if it still fits: an answer to a request of another epoch or offset is dropped. The bytes are in the log, not durable,
   * when it returns. Throws DiskError, with nothing appended.
   */
  handleFetchResponse(request: ReplicaFetchRequest, response: ReplicaFetchResponse): FetchProgress {
    try {
      return this.#follower.handleFetchResponse(request, response);
    } catch (error) {
      // A cut that failed half-way: only a restart, which recovers the log, brings the replica back.
      if (error instanceof DiskError && this.#log.offline) this.#goOffline();
      throw error;
    }
  }

  // PartitionSink, called by the core.

  highWatermarkMoved(): void {
    this.#markChanged();
  }

  proposeIsr(proposal: IsrProposal): void {
    this.#proposals?.propose(proposal);
  }

  #proposalsTo(store: IsrStore, options: LocalPartitionOptions): IsrProposals {
    return new IsrProposals({
      store,
      core: this.#core,
      id: options.log.id,
      clock: options.clock,
      timers: options.timers,
      logger: options.logger,
      isClosed: () => this.#closed,
      learned: (record) => this.applyRecord(record),
      settled: () => this.#releaseWaiting(),
    });
  }

  /** Offsets and producer state from the log. */
  #reload(): void {
    const outside = { clock: this.#clock, logger: this.#logger };
    this.#core.load(this.#log, recoverProducers(this.#log, this.#core.producers, outside));
  }

  /** A roll may fall between two batches of a turn, or of what a follower fetched: then the state before the turn, and the batches up to the roll, make the snapshot. */
  readonly #snapshot = (): readonly ProducerSnapshotEntry[] => {
    const endOffset = this.#log.endOffset;
    const batches = this.#batches.length > 0 ? this.#batches : this.#follower.appending;
    if (batches.length === 0) return [...this.#core.producers.snapshot('now').values()];
    const state = this.#core.producers.snapshot('before-turn');
    const nowMs = this.#clock.nowMs();
    const header = emptyBatchHeader();
    for (const batch of batches) {
      if (readBatchHeaderInto(header, batch).baseOffset >= endOffset) break;
      applyToSnapshot(state, header, endTransactionOf(batch, header), nowMs);
    }
    return [...state.values()];
  };

  readonly #onDurable = (durableOffset: number): void => {
    // Within a turn's write the log has bytes that the core does not know of yet; completeTurn catches up.
    if (this.#turns.writing) {
      if (!this.#registered) this.#register();
      return;
    }
    this.#core.durable(durableOffset);
    if (this.#logSubscribers.size > 0) {
      this.#logChanged = true;
      if (!this.#registered) this.#register();
    }
    this.#releaseWaiting();
  };

  #releaseWaiting(): void {
    const { startOffset } = this.#log;
    if (this.#untilDurable.size > 0) this.#untilDurable.release(this.#core.durableEnd, startOffset);
    if (this.#untilHighWatermark.size > 0) {
      this.#untilHighWatermark.release(this.#core.highWatermark, startOffset);
    }
    if (this.#startWaits.length > 0) {
      const least = this.#core.leastFollowerLogStart();
      const ready = this.#startWaits.filter((wait) => wait.offset <= least);
      this.#startWaits = this.#startWaits.filter((wait) => wait.offset > least);
      for (const wait of ready) wait.done(undefined);
    }
  }

  #refuse(error: ErrorName, done: Done): void {
    this.#refused.push({ done, result: refusalOf(error) });
  }

  /** Nothing of the present turn will be written, and nothing that waits will be acknowledged. */
  #abandon(error: ErrorName): void {
    this.#batches.length = 0;
    this.#core.rollbackTurn();
    const result = refusalOf(error);
    for (const { done } of this.#unacknowledged) this.#refused.push({ done, result });
    this.#unacknowledged = [];
    const refuse = (queue: WaitingAppends): void => {
      queue.drain((done) => this.#refused.push({ done, result }));
    };
    refuse(this.#untilDurable);
    refuse(this.#untilHighWatermark);
    const waits = this.#startWaits;
    this.#startWaits = [];
    for (const wait of waits) wait.done(brokerError(error));
    if (!this.#registered) this.#register();
  }

  #goOffline(): void {
    this.#core.goOffline();
    this.#changed = true;
  }

  #markChanged(): void {
    this.#changed = true;
    this.#logChanged = true;
    if (!this.#registered && !this.#turns.writing) this.#register();
  }

  #register(): void {
    this.#registered = true;
    this.#turns.register(this);
  }
}
