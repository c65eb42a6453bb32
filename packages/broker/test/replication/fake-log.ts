import {
  emptyBatchHeader,
  endTransactionOf,
  type EndTransactionMarker,
  readBatchHeaderInto,
  type BatchHeader,
} from '@polylog/record';
import { DiskError } from '../../src/platform/index.ts';
import type {
  AbortedTransaction,
  EpochEntry,
  LeaderEpochs,
  Log,
  LogConfig,
  LogSlice,
  ProducerSnapshotEntry,
  ReadOptions,
  ReadOutcome,
} from '../../src/storage/types.ts';

export const FAKE_LOG_CONFIG: LogConfig = {
  segmentBytes: 1 << 30,
  segmentMs: -1,
  segmentIndexBytes: 1 << 20,
  indexIntervalBytes: 4096,
  retentionMs: -1,
  retentionBytes: -1,
  deleteOldSegments: false,
  fileDeleteDelayMs: 0,
  flush: 'fsync',
};

interface StoredBatch {
  readonly header: BatchHeader;
  readonly bytes: Uint8Array;
}

/** A log in memory. `sync` makes what was appended durable, when the test says so; `fail` makes the next append fail. */
export class FakeLog implements Log {
  readonly id = { topic: 't', topicId: 'AAAAAAAAAAAAAAAAAAAAAA', partition: 0 };
  config = FAKE_LOG_CONFIG;
  startOffset = 0;
  endOffset = 0;
  durableOffset = 0;
  offline = false;
  failNext: 'no' | 'cut' | 'offline' = 'no';
  appends = 0;
  batches: StoredBatch[] = [];
  aborted: AbortedTransaction[] = [];
  snapshots: { readonly offset: number; readonly entries: readonly ProducerSnapshotEntry[] }[] = [];
  /** Roll, which asks for a snapshot, before a batch with this base offset. */
  rollAt = -1;
  snapshotSource: (() => readonly ProducerSnapshotEntry[]) | undefined;
  retentionBound: (() => number) | undefined;
  cleaningBound: (() => number) | undefined;
  onDurable: ((durableOffset: number) => void) | undefined;

  get sizeBytes(): number {
    return this.batches.reduce((sum, batch) => sum + batch.bytes.length, 0);
  }

  get epochs(): LeaderEpochs {
    const entries: EpochEntry[] = [];
    for (const { header } of this.batches) {
      if (entries.at(-1)?.epoch === header.partitionLeaderEpoch) continue;
      entries.push({ epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset });
    }
    return {
      entries,
      latest: entries.at(-1)?.epoch,
      endOffsetOf(epoch, logEndOffset) {
        const at = entries.findLastIndex((entry) => entry.epoch <= epoch);
        if (at < 0 || epoch > entries.at(-1)!.epoch) return undefined;
        return { epoch: entries[at]!.epoch, endOffset: entries[at + 1]?.startOffset ?? logEndOffset };
      },
      epochAt: (offset) => entries.findLast((entry) => entry.startOffset <= offset)?.epoch,
    };
  }

  get recoveryPoint(): number {
    return this.durableOffset;
  }

  prepareRead(): undefined {
    return undefined;
  }

  append(batches: readonly Uint8Array[], _nowMs: number, aborted: readonly AbortedTransaction[] = []): void {
    this.appends++;
    if (this.failNext !== 'no') {
      this.offline = this.failNext === 'offline';
      this.failNext = 'no';
      throw new DiskError({ code: 'EIO', operation: 'write', path: 'fake', detail: 'injected' });
    }
    for (const bytes of batches) {
      const header = readBatchHeaderInto(emptyBatchHeader(), bytes);
      if (header.baseOffset !== this.endOffset)
        throw new Error(`gap: ${header.baseOffset} at ${this.endOffset}`);
      if (header.baseOffset === this.rollAt && this.snapshotSource !== undefined) {
        this.snapshots.push({ offset: this.endOffset, entries: this.snapshotSource() });
      }
      this.batches.push({ header, bytes: bytes.slice() });
      this.endOffset = header.baseOffset + header.lastOffsetDelta + 1;
    }
    this.aborted.push(...aborted);
  }

  sync(offset = this.endOffset): void {
    if (offset <= this.durableOffset) return;
    this.durableOffset = offset;
    this.onDurable?.(offset);
  }

  truncate(offset: number): void {
    this.batches = this.batches.filter(({ header }) => header.baseOffset + header.lastOffsetDelta < offset);
    const last = this.batches.at(-1);
    this.endOffset =
      last === undefined ? this.startOffset : last.header.baseOffset + last.header.lastOffsetDelta + 1;
    this.durableOffset = Math.min(this.durableOffset, this.endOffset);
    this.snapshots = this.snapshots.filter((snapshot) => snapshot.offset <= this.endOffset);
    this.aborted = this.aborted.filter(({ lastOffset }) => lastOffset < this.endOffset);
  }

  reset(offset: number): void {
    this.batches = [];
    this.snapshots = [];
    this.startOffset = this.endOffset = this.durableOffset = offset;
  }

  advanceStartOffset(offset: number): void {
    this.startOffset = Math.max(this.startOffset, Math.min(offset, this.endOffset));
  }

  get durableStartOffset(): number {
    return this.startOffset;
  }

  persistStart(): Promise<void> {
    return Promise.resolve();
  }

  read(options: ReadOptions): ReadOutcome {
    if (options.offset < this.startOffset || options.offset > this.endOffset) return { kind: 'out-of-range' };
    const picked: Uint8Array[] = [];
    for (const { header, bytes } of this.batches) {
      const end = header.baseOffset + header.lastOffsetDelta + 1;
      if (end <= options.offset) continue;
      if (end > options.endOffset) break;
      picked.push(bytes);
    }
    const all = Buffer.concat(picked);
    const slice: LogSlice = {
      bytes: all.length,
      endOffset: options.endOffset,
      hot: true,
      readInto: (target, at) => target.set(all.subarray(at, at + target.length)),
      readIntoAsync: async (target, at) => target.set(all.subarray(at, at + target.length)),
      release: () => undefined,
    };
    return { kind: 'records', slice };
  }

  async offsetForTimestamp(): Promise<undefined> {
    return undefined;
  }
  async offsetOfMaxTimestamp(): Promise<undefined> {
    return undefined;
  }
  abortedTransactions(fromOffset: number, toOffset: number): AbortedTransaction[] {
    return this.aborted.filter(
      ({ firstOffset, lastOffset }) => firstOffset < toOffset && lastOffset >= fromOffset,
    );
  }
  configure(config: LogConfig): void {
    this.config = config;
  }

  loadProducerSnapshot(): {
    readonly entries: readonly ProducerSnapshotEntry[];
    readonly replayFrom: number;
  } {
    const snapshot = this.snapshots.at(-1);
    return { entries: snapshot?.entries ?? [], replayFrom: snapshot?.offset ?? this.startOffset };
  }

  scanHeaders(
    fromOffset: number,
    visit: (header: BatchHeader, marker: EndTransactionMarker | undefined) => void,
  ): void {
    for (const { header, bytes } of this.batches)
      if (header.baseOffset >= fromOffset) visit(header, endTransactionOf(bytes, header));
  }
}
