import {
  type BatchHeader,
  emptyBatchHeader,
  endTransactionOf,
  lastOffset,
  readBatchHeaderInto,
  sizeInBytes,
} from '@polylog/record';
import { type Clock, DiskError, type Logger } from '../platform/index.ts';
import type { Log } from '../storage/types.ts';
import { truncationOffset } from './follower.core.ts';
import type { PartitionCore } from './partition.core.ts';
import type { ReplicaFetchRequest, ReplicaFetchResponse } from './transport.ts';

/** What became of a fetch's answer; `refused`: the leader did not accept the request, wait before the next one. */
export type FetchProgress = 'appended' | 'idle' | 'truncated' | 'refused' | 'dropped';

export interface FollowerOptions {
  readonly log: Log;
  readonly core: PartitionCore;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly brokerId: number;
  readonly brokerEpoch: number;
  /** The log has grown. */
  readonly appended: () => void;
  /** The log has been cut or reset: offsets and producer state start over from what it holds. */
  readonly cut: () => void;
}

const NO_BATCHES: readonly Uint8Array[] = [];

/** A replica's side towards its leader: what it asks for, and what it does with the answers. */
export class Follower {
  readonly #log: Log;
  readonly #core: PartitionCore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #brokerId: number;
  readonly #brokerEpoch: number;
  readonly #appended: () => void;
  readonly #wasCut: () => void;
  readonly #header: BatchHeader = emptyBatchHeader();
  #appending: readonly Uint8Array[] = NO_BATCHES;

  constructor(options: FollowerOptions) {
    this.#log = options.log;
    this.#core = options.core;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#brokerId = options.brokerId;
    this.#brokerEpoch = options.brokerEpoch;
    this.#appended = options.appended;
    this.#wasCut = options.cut;
  }

  /** Batches of which the core knows already, while they are being appended to the log. */
  get appending(): readonly Uint8Array[] {
    return this.#appending;
  }

  /** The next fetch, or undefined while this replica follows nobody. */
  nextFetch(limits: {
    readonly bytesMax: number;
    readonly waitMsMax: number;
  }): ReplicaFetchRequest | undefined {
    if (this.#core.role.kind !== 'follower' || this.#core.role.leader < 0) return undefined;
    const log = this.#log;
    return {
      topicId: log.id.topicId,
      partition: log.id.partition,
      replicaId: this.#brokerId,
      brokerEpoch: this.#brokerEpoch,
      leaderEpoch: this.#core.leaderEpoch,
      fetchOffset: log.endOffset,
      lastFetchedEpoch: log.epochs.latest ?? -1,
      durableOffset: log.durableOffset,
      // A leader tells its clients that records are deleted once no replica can bring them back.
      logStartOffset: log.durableStartOffset,
      bytesMax: limits.bytesMax,
      waitMsMax: log.durableOffset < log.endOffset ? 0 : limits.waitMsMax,
    };
  }

  /**
   * Takes the answer to a fetch, if it still fits: an answer to a request of another epoch or offset is dropped. The bytes are in the log, not durable,
   * when it returns. Throws DiskError, with nothing appended.
   */
  handleFetchResponse(request: ReplicaFetchRequest, response: ReplicaFetchResponse): FetchProgress {
    const role = this.#core.role;
    if (role.kind !== 'follower' || request.leaderEpoch !== this.#core.leaderEpoch) return 'dropped';
    if (request.fetchOffset !== this.#log.endOffset) return 'dropped';
    if (response.kind === 'diverging') {
      this.#cut(truncationOffset(this.#log, response.end));
      return 'truncated';
    }
    if (response.kind === 'error') return this.#handleFetchError(response);
    const progress = response.bytes.length > 0 ? this.#appendFetched(response.bytes) : 'idle';
    this.#core.leaderHighWatermark(response.highWatermark);
    const startOffset = Math.min(response.logStartOffset, this.#log.endOffset);
    if (startOffset > this.#log.startOffset) {
      this.#log.advanceStartOffset(startOffset);
      this.#core.logStartMoved(startOffset);
      this.#persistStart();
    }
    return progress;
  }

  /** The next fetch reports it. */
  #persistStart(): void {
    this.#log.persistStart().catch((error: unknown) => {
      if (!(error instanceof DiskError)) throw error;
      const { topic, partition } = this.#log.id;
      this.#logger.warn({ topic, partition, error }, 'The start of the log could not be made durable yet');
    });
  }

  #appendFetched(bytes: Uint8Array): FetchProgress {
    const batches: Uint8Array[] = [];
    const header = this.#header;
    const log = this.#log;
    const { startOffset } = log;
    let expected = log.endOffset;
    for (let at = 0; at < bytes.length;) {
      readBatchHeaderInto(header, bytes, at);
      const endOffset = lastOffset(header) + 1;
      if (header.baseOffset < expected && batches.length === 0 && startOffset === expected) {
        // The leader's log starts in the middle of this batch: an empty follower takes it whole, and starts where the leader does.
        if (endOffset <= startOffset) return 'refused';
        log.reset(header.baseOffset);
        expected = header.baseOffset;
      }
      if (header.baseOffset < expected || header.partitionLeaderEpoch > this.#core.leaderEpoch)
        return 'refused';
      batches.push(bytes.subarray(at, at + sizeInBytes(header)));
      expected = endOffset;
      at += sizeInBytes(header);
    }
    this.#append(batches, this.#clock.nowMs());
    if (log.startOffset < startOffset) log.advanceStartOffset(startOffset);
    this.#appended();
    return 'appended';
  }

  #append(batches: readonly Uint8Array[], nowMs: number): void {
    const core = this.#core;
    for (const batch of batches) {
      const header = readBatchHeaderInto(this.#header, batch);
      core.followerAppends(header, endTransactionOf(batch, header), nowMs);
    }
    this.#appending = batches;
    try {
      this.#log.append(batches, nowMs, core.aborted);
    } catch (error) {
      core.rollbackTurn();
      throw error;
    } finally {
      this.#appending = NO_BATCHES;
    }
    core.commitTurn();
  }

  #handleFetchError(response: Extract<ReplicaFetchResponse, { kind: 'error' }>): FetchProgress {
    if (response.error !== 'OFFSET_OUT_OF_RANGE') return 'refused';
    if (this.#log.endOffset < response.logStartOffset) {
      // The leader has deleted what comes next: nothing here connects to what it has.
      this.#log.reset(response.logStartOffset);
      this.#wasCut();
      return 'truncated';
    }
    if (this.#log.endOffset > response.logEndOffset) {
      this.#cut(response.logEndOffset);
      return 'truncated';
    }
    return 'refused';
  }

  #cut(offset: number): void {
    this.#logger.info(
      { topic: this.#log.id.topic, partition: this.#log.id.partition, from: this.#log.endOffset, to: offset },
      'Truncating to the point where the leader agrees.',
    );
    if (offset < this.#log.startOffset) this.#log.reset(offset);
    else this.#log.truncate(offset);
    this.#wasCut();
  }
}
