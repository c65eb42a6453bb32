import assert from 'node:assert/strict';
import { BatchBuilder, type BatchOptions, decodeBatch, readBatchHeader, sizeInBytes } from '@polylog/record';
import type { CompactionConfig, Log, LogConfig } from '../../src/storage/types.ts';
import { readAll } from './helpers.ts';

export const COMPACTION: CompactionConfig = {
  minLagMs: 0,
  maxLagMs: Number.MAX_SAFE_INTEGER,
  minDirtyRatio: 0,
  deleteRetentionMs: 1000,
};

export const COMPACTED: Partial<LogConfig> = {
  segmentBytes: 2000,
  indexIntervalBytes: 200,
  deleteOldSegments: false,
  compaction: COMPACTION,
};

export interface Keyed {
  readonly key: string | null;
  /** Null: a tombstone. */
  readonly value: string | null;
  readonly timestamp?: number;
}

export const TIMESTAMP = 1_699_999_000_000;

export function keyedBatch(
  offset: number,
  records: readonly Keyed[],
  options: BatchOptions = {},
): Uint8Array {
  const builder = new BatchBuilder({ leaderEpoch: 0, ...options, baseOffset: offset });
  for (const { key, value, timestamp = TIMESTAMP } of records) {
    builder.append({
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      timestamp,
    });
  }
  return builder.build();
}

export function appendKeyed(log: Log, records: readonly Keyed[], options: BatchOptions = {}): void {
  log.append([keyedBatch(log.endOffset, records, options)], TIMESTAMP);
}

export interface FoundRecord {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestamp: number;
}

/** All records of a log from an offset on; asserts that its batches are dense. */
export function recordsOf(log: Log, from = log.startOffset): FoundRecord[] {
  const found: FoundRecord[] = [];
  let expected: number | undefined;
  for (const { bytes, baseOffset, endOffset } of readAll(log, from, 700)) {
    if (expected !== undefined) assert.equal(baseOffset, expected, 'the log has a hole');
    expected = endOffset;
    for (const { offset, key, value, timestamp } of decodeBatch(bytes, { maxBytes: 1e8 })) {
      found.push({ offset, key: text(key), value: text(value), timestamp });
    }
  }
  return found;
}

export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : Buffer.from(bytes).toString();
}

/** `key=value@offset` for each record, `key=-@offset` for tombstones. */
export function summaryOf(log: Log): string {
  return recordsOf(log)
    .map(({ key, value, offset }) => `${key}=${value ?? '-'}@${offset}`)
    .join(' ');
}

/** Headers of all batches of a log. */
export function headersOf(log: Log): ReturnType<typeof readBatchHeader>[] {
  return readAll(log).map(({ bytes }) => {
    assert.equal(sizeInBytes(readBatchHeader(bytes)), bytes.length);
    return readBatchHeader(bytes);
  });
}
