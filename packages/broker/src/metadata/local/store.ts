import { readBatchHeader, sizeInBytes } from '@polylog/record';
import { BrokerError } from '../../errors.ts';
import type { Clock, Logger, Loop } from '../../platform/index.ts';
import type { Log, LogConfig, LogId, LogStore } from '../../storage/types.ts';
import {
  TRANSACTION_OPERATIONS_MAX,
  type Lease,
  type MetadataEntry,
  type MetadataEvent,
  type MetadataStore,
  type Transaction,
  type TransactionOutcome,
  type Watch,
  type WatchOptions,
} from '../types.ts';
import { decodeTransaction, encodeTransaction, type MetadataRecord } from './records.ts';
import { MetadataState } from './state.core.ts';

/** Topic id of the log, the one that Kafka reserves for its own metadata. */
export const CLUSTER_LOG_ID: LogId = { topic: '__cluster', topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', partition: 0 };

const MIB = 1024 * 1024;
const CLUSTER_LOG_CONFIG: LogConfig = {
  segmentBytes: 4 * MIB,
  segmentMs: 7 * 24 * 3_600_000,
  segmentIndexBytes: MIB,
  indexIntervalBytes: 65_536,
  retentionMs: -1,
  retentionBytes: -1,
  // Segments below the start offset go; none goes by age or size.
  deleteOldSegments: true,
  fileDeleteDelayMs: 0,
  flush: 'fsync',
};

/** The log is rewritten when it is larger than this and than so many times what is live in it. */
const REWRITE_BYTES_MIN = MIB;
const REWRITE_GARBAGE_FACTOR = 4;
const RESTATE_RECORDS_PER_BATCH = 1000;
const REPLAY_BYTES_MAX = MIB;
/** How many transactions back a watch may begin. */
const HISTORY_TRANSACTIONS_MAX = 1000;

export interface LocalMetadataStoreOptions {
  readonly logs: LogStore;
  readonly clock: Clock;
  readonly loop: Loop;
  readonly logger: Logger;
}

interface Change {
  readonly revision: number;
  /** Durable up to here means that the change is. */
  readonly endOffset: number;
  readonly events: readonly MetadataEvent[];
}

interface Waiter {
  readonly endOffset: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Watcher {
  readonly options: WatchOptions;
  /** Revision up to which it has heard everything. */
  heard: number;
}

/**
 * The metadata store of a single broker: a coordinator whose log is `__cluster`. State changes as soon as its records are
 * appended; whoever learns of a change, by answer, read or watch, waits until it is durable.
 */
export class LocalMetadataStore implements MetadataStore {
  readonly #logs: LogStore;
  readonly #clock: Clock;
  readonly #loop: Loop;
  readonly #logger: Logger;
  readonly #log: Log;
  readonly #state = new MetadataState();
  /** Recent changes in order; the last ones may not be durable yet. */
  #history: Change[] = [];
  /** Changes up to this revision are no longer in the history. */
  #forgotten = 0;
  #waiters: Waiter[] = [];
  readonly #watchers = new Set<Watcher>();
  #leases = 0;
  #flushScheduled = false;
  #rewriting = false;
  #closed: Error | undefined;
  /** About the bytes between the log's start and its end. */
  #loggedBytes = 0;

  private constructor(options: LocalMetadataStoreOptions) {
    this.#logs = options.logs;
    this.#clock = options.clock;
    this.#loop = options.loop;
    this.#logger = options.logger;
    const { topic, partition } = CLUSTER_LOG_ID;
    this.#log = this.#logs.get(topic, partition) ?? this.#logs.create(CLUSTER_LOG_ID, CLUSTER_LOG_CONFIG);
  }

  /** Replays the log. Rejects with BrokerError when it is damaged. */
  static async open(options: LocalMetadataStoreOptions): Promise<LocalMetadataStore> {
    const store = new LocalMetadataStore(options);
    store.#log.configure(CLUSTER_LOG_CONFIG);
    await store.#replay();
    store.#forgotten = store.#state.revision;
    store.#log.onDurable = () => store.#onDurable();
    // Leases end with the process that held them: nobody else can use this store.
    const leased = store.#state.leasedKeys();
    if (leased.length > 0) store.#append(leased.map((key) => ({ key, value: null })));
    else store.#rewriteIfWorthwhile();
    await store.#durable();
    return store;
  }

  async get(key: string): Promise<MetadataEntry | undefined> {
    this.#assertOpen();
    const entry = this.#state.get(key);
    await this.#durable();
    return entry;
  }

  async range(
    prefix: string,
  ): Promise<{ readonly revision: number; readonly entries: readonly MetadataEntry[] }> {
    this.#assertOpen();
    const result = { revision: this.#state.revision, entries: this.#state.range(prefix) };
    await this.#durable();
    return result;
  }

  async transact(transaction: Transaction): Promise<TransactionOutcome> {
    this.#assertOpen();
    assertLegal(transaction);
    const records = this.#state.decide(transaction);
    if (records !== undefined && records.length > 0) this.#append(records);
    const revision = this.#state.revision;
    await this.#durable();
    return records === undefined ? { succeeded: false } : { succeeded: true, revision };
  }

  watch(options: WatchOptions): Watch {
    this.#assertOpen();
    const watcher: Watcher = { options, heard: options.afterRevision };
    this.#watchers.add(watcher);
    // Not synchronously: the caller may not have finished what it does with the result.
    void Promise.resolve().then(() => this.#catchUp(watcher));
    return { cancel: () => void this.#watchers.delete(watcher) };
  }

  grantLease(_options: { readonly ttlMs: number }): Promise<Lease> {
    this.#assertOpen();
    const id = `local-${++this.#leases}`;
    return Promise.resolve({
      id,
      validUntilMs: Number.POSITIVE_INFINITY,
      onLost: undefined,
      revoke: () => this.#revoke(id),
    });
  }

  /** Waits until everything is durable, then ends all watches. The log stays with its store. */
  async close(): Promise<void> {
    if (this.#closed !== undefined) return;
    const settled = this.#durable();
    this.#closed = new BrokerError('KAFKA_STORAGE_ERROR', 'The metadata store is closed');
    await settled;
    this.#watchers.clear();
  }

  /** Ends without waiting, because the disk below failed: what waits for durability is rejected. */
  abort(cause: Error): void {
    this.#closed = new BrokerError('KAFKA_STORAGE_ERROR', 'The metadata log failed', { cause });
    this.#watchers.clear();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(this.#closed);
  }

  async #replay(): Promise<void> {
    const log = this.#log;
    let offset = log.startOffset;
    while (offset < log.endOffset) {
      const outcome = log.read({
        offset,
        endOffset: log.endOffset,
        bytesMax: REPLAY_BYTES_MAX,
        atLeastOneBatch: true,
      });
      if (outcome.kind !== 'records' || outcome.slice.bytes === 0) {
        if (outcome.kind === 'records') outcome.slice.release();
        throw new BrokerError(
          'KAFKA_STORAGE_ERROR',
          `The metadata log ${CLUSTER_LOG_ID.topic}-0 is damaged at offset ${offset}: restore the data folder from a copy`,
        );
      }
      const bytes = new Uint8Array(outcome.slice.bytes);
      try {
        await outcome.slice.readIntoAsync(bytes, 0);
      } finally {
        outcome.slice.release();
      }
      offset = this.#applyBatches(bytes);
    }
  }

  /** Returns the offset after the last batch. */
  #applyBatches(bytes: Uint8Array): number {
    let nextOffset = 0;
    for (let at = 0; at < bytes.length;) {
      const header = readBatchHeader(bytes, at);
      const size = sizeInBytes(header);
      this.#state.apply(header.baseOffset, decodeTransaction(bytes.subarray(at, at + size)));
      this.#loggedBytes += size;
      nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
      at += size;
    }
    return nextOffset;
  }

  #append(records: readonly MetadataRecord[]): void {
    const baseOffset = this.#log.endOffset;
    this.#appendBatches([{ baseOffset, records }]);
    const events = this.#state.apply(baseOffset, records);
    this.#history.push({ revision: baseOffset + 1, endOffset: this.#log.endOffset, events });
    this.#rewriteIfWorthwhile();
  }

  #appendBatches(
    transactions: readonly { readonly baseOffset: number; readonly records: readonly MetadataRecord[] }[],
  ): void {
    const nowMs = this.#clock.nowMs();
    const batches = transactions.map(({ baseOffset, records }) =>
      encodeTransaction(records, baseOffset, nowMs),
    );
    try {
      this.#log.append(batches, nowMs);
    } catch (cause) {
      throw new BrokerError('KAFKA_STORAGE_ERROR', 'The metadata log could not be written', { cause });
    }
    for (const batch of batches) this.#loggedBytes += batch.length;
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#loop.afterTurn(() => {
      this.#flushScheduled = false;
      this.#logs.flushTurn();
    });
  }

  /** Resolves when everything that was appended before the call is durable. */
  #durable(): Promise<void> {
    const { endOffset, durableOffset } = this.#log;
    if (durableOffset >= endOffset) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiters.push({ endOffset, resolve, reject });
    });
  }

  #onDurable(): void {
    for (const watcher of this.#watchers) this.#catchUp(watcher);
    const durable = this.#log.durableOffset;
    // In the order of their offsets.
    const ready = this.#waiters.findIndex(({ endOffset }) => endOffset > durable);
    for (const { resolve } of this.#waiters.splice(0, ready === -1 ? this.#waiters.length : ready)) resolve();
    this.#forget(durable);
  }

  #forget(durable: number): void {
    const excess = this.#history.length - HISTORY_TRANSACTIONS_MAX;
    if (excess <= 0) return;
    const waiting = this.#history.findIndex(({ endOffset }) => endOffset > durable);
    const gone = this.#history.splice(0, waiting === -1 ? excess : Math.min(excess, waiting));
    this.#forgotten = gone.at(-1)?.revision ?? this.#forgotten;
  }

  #catchUp(watcher: Watcher): void {
    if (!this.#watchers.has(watcher)) return;
    const { prefix, onEvents, onCompacted } = watcher.options;
    if (watcher.heard < this.#forgotten) {
      this.#watchers.delete(watcher);
      onCompacted();
      return;
    }
    const durable = this.#log.durableOffset;
    const events: MetadataEvent[] = [];
    for (const change of this.#history) {
      if (change.revision <= watcher.heard || change.endOffset > durable) continue;
      watcher.heard = change.revision;
      for (const event of change.events) {
        if ((event.kind === 'put' ? event.entry.key : event.key).startsWith(prefix)) events.push(event);
      }
    }
    if (events.length > 0) onEvents(events);
  }

  async #revoke(lease: string): Promise<void> {
    this.#assertOpen();
    const keys = this.#state.leasedKeys(lease);
    if (keys.length > 0) this.#append(keys.map((key) => ({ key, value: null })));
    await this.#durable();
  }

  /**
   * Restates everything at the end of the log and then drops what came before. A crash in between, or a start offset that came back
   * older, only makes the next replay longer: records and their restatement give the same state.
   */
  #rewriteIfWorthwhile(): void {
    const worthwhile =
      this.#loggedBytes > REWRITE_BYTES_MIN &&
      this.#loggedBytes > REWRITE_GARBAGE_FACTOR * this.#state.liveBytes;
    if (!worthwhile || this.#rewriting) return;
    this.#rewriting = true;
    const records = this.#state.restate();
    const firstOffset = this.#log.endOffset;
    const batches = [];
    for (let at = 0; at < records.length; at += RESTATE_RECORDS_PER_BATCH) {
      batches.push({
        baseOffset: firstOffset + at,
        records: records.slice(at, at + RESTATE_RECORDS_PER_BATCH),
      });
    }
    const bytesBefore = this.#loggedBytes;
    try {
      if (batches.length > 0) this.#appendBatches(batches);
    } catch (error) {
      // What called for the rewrite has succeeded; the log only stays long until the next one.
      this.#logger.warn({ error }, 'The metadata log could not be rewritten');
      this.#rewriting = false;
      return;
    }
    void this.#durable().then(
      () => {
        this.#log.advanceStartOffset(firstOffset);
        this.#loggedBytes -= bytesBefore;
        this.#rewriting = false;
      },
      // Rejected only by abort, after which nothing is written any more.
      () => undefined,
    );
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }
}

function assertLegal({ operations }: Transaction): void {
  if (operations.length > TRANSACTION_OPERATIONS_MAX) {
    throw new RangeError(
      `A transaction of ${operations.length} operations; at most ${TRANSACTION_OPERATIONS_MAX} are possible`,
    );
  }
  if (new Set(operations.map(({ key }) => key)).size !== operations.length) {
    throw new RangeError('A transaction must not name a key twice');
  }
}
