import { MalformedError } from '@polylog/bytes';
import {
  type BatchHeader,
  buildBatch,
  decodeRecords,
  batchBody,
  emptyBatchHeader,
  isControl,
  isTransactional,
  type LogRecord,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  readBatchHeaderInto,
  readControlRecord,
  sizeInBytes,
} from '@polylog/record';
import type { ErrorName } from '../errors.ts';
import type { Clock, Logger, TimerHandle, Timers } from '../platform/index.ts';
import type { AppendResult, Partition, TransactionEnd } from '../replication/types.ts';
import type {
  CoordinatorCore,
  CoordinatorSink,
  Durability,
  Instant,
  StateRecord,
  TransactionProducer,
} from './types.ts';

/** Records of one change go into batches of at most about this size. */
const BATCH_BYTES_MAX = 1024 * 1024;
/** Read at a time while loading, and so about what a load holds in memory; a larger batch is read nevertheless. */
const LOAD_BYTES_MAX = 256 * 1024;
/** After so long a load lets others have the event loop: all loads of one kind together, since many are in the same turn after a start. */
const LOAD_TURN_MS_MAX = 10;
/** A batch of the topic may decompress to this: clients do not write here, but a copied folder may hold anything. */
const DECOMPRESSED_BYTES_MAX = 128 * 1024 * 1024;
/** Pause before a state that could not be written or read is loaded again: the first one, and after many failures. */
const RELOAD_MS_MIN = 200;
const RELOAD_MS_MAX = 30_000;
/** Timers are not set for longer: what is due later is looked at again then. */
const TIMER_MS_MAX = 60_000;
/**
 * A timer that is late by more says that the process stood still: what peers have sent meanwhile, heartbeats above all, waits in the sockets, and
 * is read for so long before anybody is given up for being silent.
 */
const LATE_MS_MAX = 1000;
/** While nothing can be written, what is due waits, and is tried again after so long. */
const UNWRITABLE_PAUSE_MS = 1000;
const NO_TRANSACTION = { producerId: NO_PRODUCER_ID, producerEpoch: NO_PRODUCER_EPOCH } as const;

export interface ShardOptions<C extends CoordinatorCore> {
  readonly partition: Partition;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly makeCore: (sink: CoordinatorSink) => C;
  readonly counters: ShardCounters;
}

/** Shared by all shards of one kind. Add to the fields. */
export interface ShardCounters {
  /** Not a count: shards whose logs are being read at present. */
  reading: number;
  /** Loads that were complete. */
  loads: number;
  /** Loads that failed, and will be tried again. */
  loadFailures: number;
  /** Milliseconds of the last complete load. */
  lastLoadMs: number;
  /** States that were given up because a write failed. */
  resets: number;
  /** Records that were read and could not be understood. */
  unreadableRecords: number;
}

export type ShardUse<C> =
  | { readonly core: C; readonly error: undefined }
  | { readonly core: undefined; readonly error: ErrorName };

/** One life of the core: what it appended belongs to it, and to no later one. */
interface Life<C> {
  readonly core: C;
  readonly leaderEpoch: number;
  /** Changes are numbered from 1; they are committed in the order of their numbers. */
  appended: number;
  committed: number;
  /** Who waits until the change of that number is committed, in order. */
  waiting: { readonly change: number; readonly done: (failure: Durability) => void }[];
}

type State<C> =
  | { readonly kind: 'idle' }
  | { readonly kind: 'loading' }
  | { readonly kind: 'active'; readonly life: Life<C> }
  | { readonly kind: 'closed' };

/** Of a log that is being loaded. */
interface ReadBatches {
  readonly bytes: Uint8Array;
  /** Of the first batch that is not replayed yet. */
  at: number;
  /** Behind those that are. */
  nextOffset: number;
}

/**
 * Runs a coordinator's core over the partition that is its log: loads it when this broker becomes the leader, appends what it decides, gives
 * it up when a write fails or the leadership is lost. The core changes its state when it appends, in the same turn; answers wait until that
 * is committed.
 */
export class CoordinatorShard<C extends CoordinatorCore> {
  readonly partition: Partition;
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #logger: Logger;
  readonly #makeCore: (sink: CoordinatorSink) => C;
  readonly #counters: ShardCounters;
  readonly #unsubscribe: () => void;
  #state: State<C> = { kind: 'idle' };
  #reloadMs = RELOAD_MS_MIN;
  #timer: TimerHandle | undefined;
  #timerAtMs = Infinity;
  /** Monotonic ms: what is due before it waits until then. */
  #notBeforeMs = 0;
  /** A load that waits until what it has read is committed. */
  #onFollow: (() => void) | undefined;

  constructor(options: ShardOptions<C>) {
    this.partition = options.partition;
    this.#clock = options.clock;
    this.#timers = options.timers;
    this.#logger = options.logger.child({
      topic: options.partition.topic,
      partition: options.partition.index,
    });
    this.#makeCore = options.makeCore;
    this.#counters = options.counters;
    this.#unsubscribe = this.partition.subscribe(() => this.#follow());
    this.#follow();
  }

  get isActive(): boolean {
    return this.#state.kind === 'active';
  }

  get isLoading(): boolean {
    return this.#state.kind === 'loading';
  }

  /** The core, if it may be asked now; else why not. Whoever used it calls {@link used} in the same turn. */
  use(): ShardUse<C> {
    this.#follow();
    const state = this.#state;
    if (state.kind === 'active') return { core: state.life.core, error: undefined };
    const isLoading = state.kind === 'loading';
    return { core: undefined, error: isLoading ? 'COORDINATOR_LOAD_IN_PROGRESS' : 'NOT_COORDINATOR' };
  }

  /** Whether a change may be decided now: the partition would take it. */
  get isWritable(): boolean {
    return this.partition.appendRefusal(-1) === undefined;
  }

  /** The core's deadlines may have changed. */
  used(): void {
    if (this.#state.kind === 'active') this.#schedule(this.#state.life);
  }

  /**
   * Writes the marker that ends a producer's transaction, and tells the core in the same turn. `done` gets the error, or undefined once the
   * marker is committed; it may be called at once.
   */
  endTransaction(end: TransactionEnd, done: (failure: Durability) => void): void {
    this.#follow();
    const state = this.#state;
    // Markers are meant for the leader of a partition; whoever sends them looks for it again, and repeats them.
    const refusal = state.kind === 'active' ? this.partition.markerRefusal(end) : 'NOT_LEADER_OR_FOLLOWER';
    if (refusal !== undefined || state.kind !== 'active') {
      done(refusal);
      return;
    }
    const { life } = state;
    const change = ++life.appended;
    life.core.endTransaction?.(end.producerId, end.result);
    this.partition.appendMarker(end, this.#clock.nowMs(), ({ error }) => {
      if (error === undefined) this.#changed(life, change);
      else this.#failed(life, error);
      done(error);
    });
    this.used();
  }

  now(): Instant {
    return { monotonicMs: this.#clock.monotonicMs(), wallMs: this.#clock.nowMs() };
  }

  close(): void {
    if (this.#state.kind === 'closed') return;
    this.#unsubscribe();
    this.#giveUp('NOT_COORDINATOR');
    this.#state = { kind: 'closed' };
    this.#onFollow?.();
  }

  /** In step with the partition's leadership. */
  #follow(): void {
    const state = this.#state;
    if (state.kind === 'closed') return;
    const { isLeader, leaderEpoch } = this.partition;
    if (state.kind === 'active' && (!isLeader || state.life.leaderEpoch !== leaderEpoch)) {
      this.#giveUp('NOT_COORDINATOR');
    }
    if (this.#state.kind === 'idle' && isLeader) this.#startLoading();
    this.#onFollow?.();
  }

  // Loading

  #startLoading(): void {
    this.#state = { kind: 'loading' };
    this.#load().catch((error: unknown) => {
      if (this.#state.kind !== 'loading') return;
      this.#counters.loadFailures++;
      this.#logger.error({ error }, 'The state could not be loaded; it will be tried again');
      this.#reloadLater();
    });
  }

  /** What is loading or broken becomes idle after a while, and loads again if this broker still leads. */
  #reloadLater(): void {
    this.#state = { kind: 'loading' };
    const pauseMs = this.#reloadMs;
    this.#reloadMs = Math.min(RELOAD_MS_MAX, 2 * pauseMs);
    this.#timers.after(pauseMs, () => {
      if (this.#state.kind !== 'loading') return;
      this.#state = { kind: 'idle' };
      this.#follow();
    });
  }

  async #load(): Promise<void> {
    const startedMs = this.#clock.monotonicMs();
    const { leaderEpoch } = this.partition;
    const life: Life<C> = {
      core: this.#makeCore(this.#sinkOf(() => life)),
      leaderEpoch,
      appended: 0,
      committed: 0,
      waiting: [],
    };
    const { core } = life;
    const isStill = (): boolean =>
      this.#state.kind === 'loading' && this.partition.isLeader && this.partition.leaderEpoch === leaderEpoch;
    let offset = this.partition.logStartOffset;
    // What a leader has in its log will be committed, or its epoch ends: what lies above the HW counts too. Nothing is added meanwhile: all
    // that is written here, markers included, passes by the core.
    this.#counters.reading++;
    try {
      while (offset < this.partition.logEndOffset) {
        const next = await this.#loadFrom(core, offset, isStill);
        if (next === undefined) return this.#loadAnew();
        if (next <= offset) throw new Error(`the log of the state ends at ${offset}`);
        offset = next;
      }
    } finally {
      this.#counters.reading--;
    }
    // But nobody is told of it before.
    while (this.partition.highWatermark < offset) {
      await new Promise<void>((resolve) => (this.#onFollow = resolve));
      if (!isStill()) return this.#loadAnew();
    }
    this.#onFollow = undefined;
    this.#counters.loads++;
    this.#counters.lastLoadMs = this.#clock.monotonicMs() - startedMs;
    this.#state = { kind: 'active', life };
    core.loaded(this.now());
    this.used();
  }

  /** The leadership has changed during a load. */
  #loadAnew(): void {
    this.#onFollow = undefined;
    if (this.#state.kind !== 'loading') return;
    this.#state = { kind: 'idle' };
    this.#follow();
  }

  /** Reads some batches, and replays them over as many turns as they take; resolves with the offset behind them, or undefined if that is not wanted any more. */
  async #loadFrom(core: C, offset: number, isStill: () => boolean): Promise<number | undefined> {
    const options = {
      offset,
      bytesMax: LOAD_BYTES_MAX,
      atLeastOneBatch: true,
      isolation: 'log_end',
    } as const;
    await this.partition.prepareRead(options);
    if (!isStill()) return undefined;
    const outcome = this.partition.read(options);
    if (outcome.error === 'OFFSET_OUT_OF_RANGE' && outcome.logStartOffset > offset)
      return outcome.logStartOffset;
    if (outcome.error !== undefined) throw new Error(`a read at ${offset} failed: ${outcome.error}`);
    const { slice } = outcome;
    const bytes = Buffer.allocUnsafe(slice.bytes);
    try {
      await slice.readIntoAsync(bytes, 0);
    } finally {
      slice.release();
    }
    const read: ReadBatches = { bytes, at: 0, nextOffset: offset };
    while (isStill()) {
      this.#replayBatches(core, read, offset);
      if (read.at === bytes.length) return read.nextOffset;
      await new Promise<void>((resolve) => this.#timers.after(0, resolve));
    }
    return undefined;
  }

  /** What a turn has room for, at least one batch. */
  #replayBatches(core: C, read: ReadBatches, from: number): void {
    const now = this.now();
    const turnMsMax = LOAD_TURN_MS_MAX / this.#counters.reading;
    const header = emptyBatchHeader();
    const { bytes, at: first } = read;
    for (; read.at < bytes.length; read.at += sizeInBytes(header)) {
      const { at } = read;
      if (at > first && this.#clock.monotonicMs() - now.monotonicMs > turnMsMax) return;
      readBatchHeaderInto(header, bytes, at);
      read.nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
      const body = batchBody(bytes.subarray(at), header, { maxBytes: DECOMPRESSED_BYTES_MAX });
      for (const record of decodeRecords(body, header)) {
        if (record.offset >= from) this.#replay(core, header, record, now);
      }
    }
  }

  /** A record that cannot be read is left out, and said: the rest of the state is worth having. */
  #replay(core: C, { attributes, producerId }: BatchHeader, record: LogRecord, now: Instant): void {
    const { key, value, offset } = record;
    try {
      if (isControl(attributes)) {
        const { type } = readControlRecord(record);
        if (type === 'commit' || type === 'abort') core.endTransaction?.(producerId, type);
        return;
      }
      if (key === null) throw new MalformedError('a record without a key');
      core.replay({ key, value }, now, isTransactional(attributes) ? producerId : NO_PRODUCER_ID);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#counters.unreadableRecords++;
      this.#logger.warn(
        { offset, error: error.message },
        'A record of the state cannot be read: it is left out',
      );
    }
  }

  // Writing

  #sinkOf(lifeOf: () => Life<C>): CoordinatorSink {
    return {
      append: (records, done, producer) => this.#append(lifeOf(), records, done, producer),
      transactionRefusal: (producer) => this.partition.transactionRefusal(producer),
      isWritable: () => this.isWritable,
      whenCommitted: (done) => {
        const life = lifeOf();
        if (!this.#isPresent(life)) done('NOT_COORDINATOR');
        else if (life.committed === life.appended) done(undefined);
        else life.waiting.push({ change: life.appended, done });
      },
    };
  }

  #isPresent(life: Life<C>): boolean {
    return this.#state.kind === 'active' && this.#state.life === life;
  }

  #append(
    life: Life<C>,
    records: readonly StateRecord[],
    done: (failure: Durability, now: Instant) => void,
    producer?: TransactionProducer,
  ): void {
    if (records.length === 0) throw new Error('a change without records');
    const batches = inBatches(records);
    let left = batches.length;
    let failure: Durability;
    const change = ++life.appended;
    const nowMs = this.#clock.nowMs();
    const completed = (result: AppendResult): void => {
      if (result.error !== undefined) failure ??= this.#failed(life, result.error);
      if (--left > 0) return;
      done(failure, this.now());
      if (failure === undefined) this.#changed(life, change);
    };
    for (const batch of batches) {
      const bytes = buildBatch({
        records: batch.map(({ key, value }) => ({ key, value, timestamp: nowMs })),
        ...(producer === undefined ? NO_TRANSACTION : inTransactionOf(producer)),
      });
      const options = { requiredAcks: -1, nowMs, origin: 'coordinator' } as const;
      this.partition.append(bytes, producer === undefined ? options : { ...options, ...producer }, completed);
    }
  }

  #changed(life: Life<C>, change: number): void {
    this.#reloadMs = RELOAD_MS_MIN;
    committed(life, change);
    // Whoever was answered may have a deadline from now on.
    if (this.#isPresent(life)) this.#schedule(life);
  }

  /** The state is ahead of the log: it is given up. Returns what clients are told. */
  #failed(life: Life<C>, error: ErrorName): ErrorName {
    const told = toldOf(error);
    if (this.#isPresent(life)) {
      this.#counters.resets++;
      this.#logger.warn({ error }, 'A change could not be written: the state is loaded again from the log');
      this.#giveUp(told);
      this.#reloadLater();
    }
    return told;
  }

  #giveUp(error: ErrorName): void {
    const state = this.#state;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    this.#state = { kind: 'idle' };
    if (state.kind !== 'active') return;
    const { waiting, core } = state.life;
    state.life.waiting = [];
    for (const { done } of waiting) done(error);
    core.close(error);
  }

  // Time

  #schedule(life: Life<C>): void {
    const dueMs = Math.max(life.core.nextDeadlineMs, this.#notBeforeMs);
    if (dueMs >= this.#timerAtMs || dueMs === Infinity) return;
    this.#timer?.cancel();
    this.#timerAtMs = dueMs;
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil(dueMs - this.#clock.monotonicMs())));
    this.#timer = this.#timers.after(delayMs, () => this.#timeUp(life, dueMs));
  }

  #timeUp(life: Life<C>, dueMs: number): void {
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    if (!this.#isPresent(life)) return;
    const now = this.now();
    const isLate = now.monotonicMs - dueMs > LATE_MS_MAX;
    if (isLate) this.#notBeforeMs = now.monotonicMs + LATE_MS_MAX;
    else if (!this.isWritable) this.#notBeforeMs = now.monotonicMs + UNWRITABLE_PAUSE_MS;
    else life.core.tick(now);
    if (this.#isPresent(life)) this.#schedule(life);
  }
}

function committed<C>(life: Life<C>, change: number): void {
  life.committed = change;
  const waiting = life.waiting.findIndex((wait) => wait.change > change);
  const ready = life.waiting.splice(0, waiting === -1 ? life.waiting.length : waiting);
  for (const { done } of ready) done(undefined);
}

/** As Kafka's coordinators write: without a sequence, since they repeat nothing. */
function inTransactionOf({ producerId, producerEpoch }: TransactionProducer) {
  return { transactional: true, producerId, producerEpoch, baseSequence: NO_SEQUENCE };
}

function inBatches(records: readonly StateRecord[]): (readonly StateRecord[])[] {
  const batches: StateRecord[][] = [];
  let bytes = Infinity;
  for (const record of records) {
    const size = record.key.length + (record.value?.length ?? 0);
    if (bytes + size > BATCH_BYTES_MAX) {
      batches.push([]);
      bytes = 0;
    }
    batches.at(-1)!.push(record);
    bytes += size;
  }
  return batches;
}

/** As Kafka's coordinators translate what an append says: the client looks for the coordinator again, or waits and repeats. */
function toldOf(error: ErrorName): ErrorName {
  switch (error) {
    case 'NOT_ENOUGH_REPLICAS':
    case 'NOT_ENOUGH_REPLICAS_AFTER_APPEND':
    case 'REQUEST_TIMED_OUT':
    case 'UNKNOWN_TOPIC_OR_PARTITION':
      return 'COORDINATOR_NOT_AVAILABLE';
    case 'NOT_LEADER_OR_FOLLOWER':
    case 'KAFKA_STORAGE_ERROR':
      return 'NOT_COORDINATOR';
    default:
      return 'UNKNOWN_SERVER_ERROR';
  }
}
