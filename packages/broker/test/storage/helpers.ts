import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildBatch, patchBaseOffset, patchLeaderEpoch, readBatchHeader, sizeInBytes } from '@polylog/record';
import { NodeDisk } from '../../src/platform/node/disk.ts';
import type { Disk } from '../../src/platform/disk.ts';
import type { Logger } from '../../src/platform/log.ts';
import type { TimerHandle, Timers } from '../../src/platform/clock.ts';
import { openLogStore } from '../../src/storage/log-store.ts';
import type { Log, LogConfig, LogStore, StorageConfig } from '../../src/storage/types.ts';

export const LOG_CONFIG: LogConfig = {
  segmentBytes: 1024 * 1024,
  segmentMs: 7 * 24 * 3600 * 1000,
  segmentIndexBytes: 1024 * 1024,
  indexIntervalBytes: 4096,
  retentionMs: -1,
  retentionBytes: -1,
  deleteOldSegments: true,
  fileDeleteDelayMs: 0,
  flush: 'fsync',
};

export const TOPIC_ID = 'AAAAAAAAQACAAAAAAAAAAQ';

/** A logger that keeps errors for a test to look at. */
export function testLogger(): Logger & { readonly errors: string[] } {
  const errors: string[] = [];
  const logger = {
    errors,
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (_: unknown, message: string) => void errors.push(message),
    child: () => logger,
  };
  return logger;
}

/** Timers that only run when a test says so. */
export class ManualTimers implements Timers {
  nowMs = 0;
  #waiting: { atMs: number; callback: () => void }[] = [];

  after(delayMs: number, callback: () => void): TimerHandle {
    const timer = { atMs: this.nowMs + delayMs, callback };
    this.#waiting.push(timer);
    return { cancel: () => void (this.#waiting = this.#waiting.filter((one) => one !== timer)) };
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (;;) {
      const due = this.#waiting.filter((timer) => timer.atMs <= this.nowMs);
      if (due.length === 0) return;
      this.#waiting = this.#waiting.filter((timer) => timer.atMs > this.nowMs);
      for (const timer of due) timer.callback();
    }
  }
}

export class ManualClock {
  ms = 1_700_000_000_000;
  nowMs(): number {
    return this.ms;
  }
  monotonicMs(): number {
    return this.ms;
  }
}

export interface Opened {
  readonly store: LogStore;
  readonly logger: ReturnType<typeof testLogger>;
  readonly timers: ManualTimers;
  readonly clock: ManualClock;
}

export async function openStore(
  dataDirectory: string,
  options: { disk?: Disk; config?: Partial<StorageConfig>; logConfig?: Partial<LogConfig> } = {},
): Promise<Opened> {
  const logger = testLogger();
  const timers = new ManualTimers();
  const clock = new ManualClock();
  const store = await openLogStore({
    disk: options.disk ?? new NodeDisk(),
    clock,
    timers,
    logger,
    dataDirectory,
    config: { journalFileBytes: 256 * 1024, freeSpaceReserveBytes: 0, ...options.config },
    logConfigOf: () => ({ ...LOG_CONFIG, ...options.logConfig }),
  });
  for (const log of store.logs()) cleanAll(log);
  return { store, logger, timers, clock };
}

export function newLog(
  store: LogStore,
  config: Partial<LogConfig> = {},
  topic = 'orders',
  partition = 0,
): Log {
  return cleanAll(store.create({ topic, topicId: TOPIC_ID, partition }, { ...LOG_CONFIG, ...config }));
}

/** All of it is stable, as far as cleaning is concerned. */
export function cleanAll(log: Log): Log {
  log.cleaningBound = () => log.durableOffset;
  return log;
}

export interface BatchSpec {
  readonly records?: number;
  readonly valueBytes?: number;
  readonly epoch?: number;
  readonly timestamp?: number;
  /** Told from other batches by it. */
  readonly fill?: number;
}

/** A stamped batch that starts at the offset. */
export function batchAt(offset: number, spec: BatchSpec = {}): Uint8Array {
  const { records = 1, valueBytes = 100, epoch = 0, timestamp = 1_700_000_000_000 + offset, fill } = spec;
  const value = new Uint8Array(valueBytes).fill(fill ?? offset % 251);
  const batch = buildBatch({
    records: Array.from({ length: records }, (_, index) => ({
      timestamp: timestamp + index,
      key: null,
      value,
    })),
  });
  patchBaseOffset(batch, 0, offset);
  patchLeaderEpoch(batch, 0, epoch);
  return batch;
}

export function appendBatch(log: Log, spec: BatchSpec = {}): Uint8Array {
  const batch = batchAt(log.endOffset, spec);
  log.append([batch], 1_700_000_000_000);
  return batch;
}

/** Flushes the turn and waits until all is durable. */
export async function makeDurable(store: LogStore, log: Log): Promise<void> {
  const target = log.endOffset;
  if (log.durableOffset >= target) return;
  await new Promise<void>((resolve, reject) => {
    log.onDurable = (durable) => {
      if (durable >= target) resolve();
    };
    store.onFatal = reject;
    store.flushTurn();
  });
  log.onDurable = undefined;
}

/** Compares without printing megabytes. */
export function assertSameBatches(actual: readonly ReadBatch[], expected: readonly Uint8Array[]): void {
  const at = expected.findIndex((bytes, index) => {
    const batch = actual[index];
    return batch === undefined || Buffer.compare(batch.bytes, bytes) !== 0;
  });
  assert.equal(at, -1, `batch ${at} differs`);
  assert.equal(actual.length, expected.length);
}

export interface ReadBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly bytes: Uint8Array;
}

/** Reads all from an offset on, in many reads; throws on anything but records. */
export function readAll(log: Log, from = log.startOffset, bytesMax = 10_000): ReadBatch[] {
  const batches: ReadBatch[] = [];
  for (let offset = from; offset < log.endOffset;) {
    const outcome = log.read({ offset, endOffset: log.endOffset, bytesMax, atLeastOneBatch: true });
    if (outcome.kind !== 'records') throw new Error(`${outcome.kind} at ${offset}`);
    const bytes = new Uint8Array(outcome.slice.bytes);
    outcome.slice.readInto(bytes, 0);
    outcome.slice.release();
    if (bytes.length === 0) throw new Error(`nothing at ${offset}`);
    for (let at = 0; at < bytes.length;) {
      const header = readBatchHeader(bytes, at);
      const size = sizeInBytes(header);
      const endOffset = header.baseOffset + header.lastOffsetDelta + 1;
      batches.push({ baseOffset: header.baseOffset, endOffset, bytes: bytes.slice(at, at + size) });
      at += size;
      offset = endOffset;
    }
  }
  return batches;
}

export function temporaryFolder(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'polylog-storage-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
