import { type Codec, codecOfId, compress, MalformedError, Writer } from '@polylog/bytes';
import { BatchBuilder } from './batch-builder.ts';
import {
  BATCH_HEADER_BYTES,
  BATCH_OVERHEAD_BYTES,
  type BatchHeader,
  codecIdOf,
  DELETE_HORIZON_BIT,
  hasDeleteHorizon,
  isTransactional,
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  patchCrc,
  readBatchHeader,
  RECORDS_AT,
  timestampTypeOf,
  writeBatchHeader,
} from './batch-header.ts';
import { batchBody, RecordCursor } from './record.ts';

const CONTINUED = 0x80;

export interface RetainOptions {
  /** Largest decompressed size of the records, in bytes. */
  readonly maxBytes: number;
  /**
   * KIP-534: stamped as the batch's delete horizon (ms since the epoch) if a tombstone stays and the batch has none yet. The records' timestamps
   * stay what they are.
   */
  readonly deleteHorizonMs: number;
  /** Stamps it without a tombstone, too: the marker of a transaction goes in the same way. */
  readonly stampAlways?: boolean;
  /** Asked once for each record, in order. */
  readonly retain: (record: RecordCursor) => boolean;
}

export interface RetainedRecords {
  /** The batch with the records that stay. Undefined where it can stay as it is, and where no record stays. */
  readonly batch: Uint8Array | undefined;
  readonly retained: number;
  readonly removed: number;
}

/**
 * Leaves out records of the batch at the start of `bytes`, as compaction does. Offsets, the header's producer fields and the timestamp type are kept;
 * the largest timestamp is that of the records which stay. CRC and length are made anew; the codec is the batch's own.
 *
 * @throws MalformedError, and of its family DecompressionLimitError, for records that cannot be decoded
 */
export function retainRecords(
  bytes: Uint8Array,
  header: BatchHeader,
  options: RetainOptions,
): RetainedRecords {
  const body = batchBody(bytes, header, options);
  const cursor = new RecordCursor(body, header.recordCount);
  const stays = new Uint8Array(header.recordCount);
  let retained = 0;
  let tombstones = 0;
  while (cursor.next()) {
    if (!options.retain(cursor)) continue;
    stays[cursor.index] = 1;
    retained++;
    if (cursor.value === null) tombstones++;
  }
  const removed = header.recordCount - retained;
  const stamps = (tombstones > 0 || options.stampAlways === true) && !hasDeleteHorizon(header.attributes);
  if (retained === 0 || (removed === 0 && !stamps)) return { batch: undefined, retained, removed };
  const batch = rebuild(body, header, stays, stamps ? options.deleteHorizonMs : undefined);
  return { batch, retained, removed };
}

function rebuild(
  body: Uint8Array,
  header: BatchHeader,
  stays: Uint8Array,
  deleteHorizonMs: number | undefined,
): Uint8Array {
  const cursor = new RecordCursor(body, header.recordCount);
  const writer = new Writer(body.length);
  const shiftMs = deleteHorizonMs === undefined ? 0 : header.baseTimestamp - deleteHorizonMs;
  let maxTimestamp = NO_TIMESTAMP;
  let count = 0;
  while (cursor.next()) {
    if (stays[cursor.index] === 0) continue;
    count++;
    maxTimestamp = Math.max(maxTimestamp, header.baseTimestamp + cursor.timestampDelta);
    if (shiftMs === 0) writer.bytes(body.subarray(cursor.start, cursor.end));
    else writeShifted(writer, body, cursor, shiftMs);
  }
  const codec = codecOfId(codecIdOf(header.attributes));
  if (codec === undefined) throw new MalformedError('unknown codec');
  return assemble(codec, writer.finish(), {
    ...header,
    attributes: deleteHorizonMs === undefined ? header.attributes : header.attributes | DELETE_HORIZON_BIT,
    baseTimestamp: deleteHorizonMs ?? header.baseTimestamp,
    // With log-append time it is the time of all records.
    maxTimestamp: timestampTypeOf(header.attributes) === 'append' ? header.maxTimestamp : maxTimestamp,
    recordCount: count,
  });
}

/** A record whose timestamp counts from another base. All behind the timestamp is copied. */
function writeShifted(writer: Writer, body: Uint8Array, record: RecordCursor, shiftMs: number): void {
  const attributesAt = behindVarint(body, record.start);
  const restAt = behindVarint(body, attributesAt + 1);
  const delta = new Writer(16);
  delta.varlong(record.timestampDelta + shiftMs);
  const deltaBytes = delta.finish();
  writer.varint(1 + deltaBytes.length + (record.end - restAt));
  writer.uint8(body[attributesAt]!);
  writer.bytes(deltaBytes);
  writer.bytes(body.subarray(restAt, record.end));
}

function behindVarint(bytes: Uint8Array, at: number): number {
  while ((bytes[at]! & CONTINUED) !== 0) at++;
  return at + 1;
}

function assemble(codec: Codec, body: Uint8Array, header: BatchHeader): Uint8Array {
  const section = compress(codec, body);
  const batch = new Uint8Array(BATCH_HEADER_BYTES + section.length);
  writeBatchHeader(batch, 0, { ...header, batchLength: batch.length - BATCH_OVERHEAD_BYTES });
  batch.set(section, RECORDS_AT);
  patchCrc(batch);
  return batch;
}

/** What is left of a batch whose records are all gone: its offsets, and what its producer's next sequence is told from. */
export function emptiedBatch(header: BatchHeader): Uint8Array {
  const { baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence, attributes } = header;
  return new BatchBuilder({
    baseOffset,
    leaderEpoch: partitionLeaderEpoch,
    producerId,
    producerEpoch,
    baseSequence,
    transactional: isTransactional(attributes),
  }).build(header.lastOffsetDelta);
}

/** A batch without records and without a producer, that stands for the offsets of records which are gone. */
export function fillerBatch(options: {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
}): Uint8Array {
  const { baseOffset, lastOffset, leaderEpoch } = options;
  return new BatchBuilder({ baseOffset, leaderEpoch }).build(lastOffset - baseOffset);
}

/**
 * Has a filler at the start of `bytes` begin at the offset, in place, if it begins before it: a follower that lags may be where a batch ended once
 * which cleaning has made a part of a longer filler. Other batches stay as they are.
 */
export function beginFillerAt(bytes: Uint8Array, offset: number): void {
  const { baseOffset, lastOffsetDelta, recordCount, producerId, partitionLeaderEpoch } =
    readBatchHeader(bytes);
  if (recordCount > 0 || producerId !== NO_PRODUCER_ID || baseOffset >= offset) return;
  const lastOffset = baseOffset + lastOffsetDelta;
  if (lastOffset < offset) return;
  bytes.set(fillerBatch({ baseOffset: offset, lastOffset, leaderEpoch: partitionLeaderEpoch }));
}
