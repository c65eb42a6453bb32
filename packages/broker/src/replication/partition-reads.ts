import { beginFillerAt } from '@polylog/record';
import type { ErrorName } from '../errors.ts';
import { DiskError, type Logger } from '../platform/index.ts';
import type { Log, LogSlice, ReadOutcome, TimestampedOffset } from '../storage/types.ts';
import type { PartitionCore } from './partition.core.ts';
import { brokerError } from './refusals.ts';
import type { ReplicaFetchRequest, ReplicaFetchResponse } from './transport.ts';
import type { Isolation, PartitionReadOptions, PartitionReadOutcome } from './types.ts';

const EMPTY_SLICE: LogSlice = {
  bytes: 0,
  endOffset: 0,
  hot: true,
  readInto: () => undefined,
  readIntoAsync: () => Promise.resolve(),
  release: () => undefined,
};
const NO_BYTES = new Uint8Array(0);

/** What a replica gives out of its log, bounded by what its core knows to be committed: to consumers, and to followers. */
export class PartitionReads {
  readonly #log: Log;
  readonly #core: PartitionCore;
  readonly #logger: Logger;

  constructor(options: { readonly log: Log; readonly core: PartitionCore; readonly logger: Logger }) {
    this.#log = options.log;
    this.#core = options.core;
    this.#logger = options.logger;
  }

  get highWatermark(): number {
    return Math.max(this.#core.highWatermark, this.#log.startOffset);
  }

  get lastStableOffset(): number {
    return Math.max(this.#core.lastStableOffset, this.#log.startOffset);
  }

  read(options: PartitionReadOptions): PartitionReadOutcome {
    const positions = {
      highWatermark: this.highWatermark,
      lastStableOffset: this.lastStableOffset,
      logStartOffset: this.#log.startOffset,
    };
    if (!this.#isLeader) {
      const offline = this.#core.role.kind === 'offline' && this.#log.offline;
      return { error: offline ? 'KAFKA_STORAGE_ERROR' : 'NOT_LEADER_OR_FOLLOWER', ...positions };
    }
    if (options.offset < this.#log.startOffset || options.offset > this.#log.endOffset) {
      return { error: 'OFFSET_OUT_OF_RANGE', ...positions };
    }
    const endOffset = this.#bound(options.isolation);
    if (options.offset >= endOffset) return { error: undefined, slice: EMPTY_SLICE, ...positions };
    let outcome: ReadOutcome;
    try {
      outcome = this.#log.read({
        offset: options.offset,
        endOffset,
        bytesMax: options.bytesMax,
        atLeastOneBatch: options.atLeastOneBatch,
        skipEmpty: true,
      });
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      const { topic, partition } = this.#log.id;
      this.#logger.error({ topic, partition, error: error.message }, 'A read failed.');
      return { error: 'KAFKA_STORAGE_ERROR', ...positions };
    }
    if (outcome.kind === 'records') return { error: undefined, slice: outcome.slice, ...positions };
    return { error: errorOf(outcome), ...positions };
  }

  prepareRead(options: PartitionReadOptions): Promise<void> | undefined {
    const endOffset = this.#bound(options.isolation);
    if (!this.#isLeader || options.offset < this.#log.startOffset || options.offset >= endOffset)
      return undefined;
    return this.#log.prepareRead({
      offset: options.offset,
      endOffset,
      bytesMax: options.bytesMax,
      atLeastOneBatch: options.atLeastOneBatch,
      skipEmpty: true,
    });
  }

  async offsetForTimestamp(timestamp: number, isolation: Isolation): Promise<TimestampedOffset | undefined> {
    this.#requireCurrentHighWatermark();
    return this.#log.offsetForTimestamp(timestamp, this.#bound(isolation));
  }

  async offsetOfMaxTimestamp(isolation: Isolation): Promise<TimestampedOffset | undefined> {
    this.#requireCurrentHighWatermark();
    return this.#log.offsetOfMaxTimestamp(this.#bound(isolation));
  }

  /** The answer to a follower's fetch that the core has admitted. */
  replicaFetch(request: ReplicaFetchRequest): ReplicaFetchResponse {
    const bytes = this.#bytesFrom(request.fetchOffset, request.bytesMax);
    if (typeof bytes === 'string') return this.fetchError(bytes);
    const { highWatermark } = this;
    return { kind: 'records', bytes, highWatermark, logStartOffset: this.#log.startOffset };
  }

  fetchError(error: ErrorName): ReplicaFetchResponse {
    const { startOffset, endOffset } = this.#log;
    return { kind: 'error', error, logStartOffset: startOffset, logEndOffset: endOffset };
  }

  /** A follower reads to the end of the log: what it fetches is what moves the HW. */
  #bytesFrom(offset: number, bytesMax: number): Uint8Array | ErrorName {
    let slice: LogSlice | undefined;
    try {
      const { endOffset } = this.#log;
      const outcome = this.#log.read({ offset, endOffset, bytesMax, atLeastOneBatch: true });
      if (outcome.kind !== 'records') return errorOf(outcome);
      slice = outcome.slice;
      if (slice.bytes === 0) return NO_BYTES;
      const bytes = new Uint8Array(slice.bytes);
      slice.readInto(bytes, 0);
      beginFillerAt(bytes, offset);
      return bytes;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      return 'KAFKA_STORAGE_ERROR';
    } finally {
      slice?.release();
    }
  }

  get #isLeader(): boolean {
    return this.#core.role.kind === 'leader';
  }

  #bound(isolation: Isolation): number {
    if (isolation === 'log_end') return this.#log.endOffset;
    return isolation === 'read_committed' ? this.lastStableOffset : this.highWatermark;
  }

  #requireCurrentHighWatermark(): void {
    if (!this.#isLeader) throw brokerError('NOT_LEADER_OR_FOLLOWER');
    if (!this.#core.highWatermarkIsCurrent) throw brokerError('OFFSET_NOT_AVAILABLE');
  }
}

function errorOf(outcome: Exclude<ReadOutcome, { kind: 'records' }>): ErrorName {
  return outcome.kind === 'corrupt' ? 'KAFKA_STORAGE_ERROR' : 'OFFSET_OUT_OF_RANGE';
}
