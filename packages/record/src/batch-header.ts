import { crc32cRange, TruncatedError } from '@polylog/bytes';

/*
 * The header of a record batch, format v2 (Kafka's message format of KIP-98), big-endian:
 *
 *    0 ┌──────────────────────────────────────────────┐
 *      │ baseOffset            int64                  │  stamped by the leader, outside of the CRC
 *    8 ├───────────────────────┬──────────────────────┤
 *      │ batchLength     int32 │                         bytes that follow this field: whole size - 12
 *   12 ├───────────────────────┤
 *      │ partitionLeaderEpoch  │                         int32, stamped by the leader, outside of the CRC
 *   16 ├───────┬───────────────┘
 *      │ magic │                                         int8, always 2
 *   17 ├───────┴───────────────┐
 *      │ crc            uint32 │                         CRC-32C of bytes 21 to the end of the batch
 *   21 ├───────────┬───────────┘
 *      │ attributes│                                     int16, see below
 *   23 ├───────────┴───────────┐
 *      │ lastOffsetDelta int32 │                         last offset - baseOffset; survives compaction
 *   27 ├───────────────────────┴──────────────────────┐
 *      │ baseTimestamp         int64, ms              │  first record's; or the delete horizon (bit 6)
 *   35 ├──────────────────────────────────────────────┤
 *      │ maxTimestamp          int64, ms              │  largest record's; or the append time (bit 3)
 *   43 ├──────────────────────────────────────────────┤
 *      │ producerId            int64                  │  -1: not idempotent
 *   51 ├───────────┬──────────────────────────────────┘
 *      │ prodEpoch │                                     int16
 *   53 ├───────────┴───────────┐
 *      │ baseSequence    int32 │                         of the first record; wraps from 2^31-1 to 0
 *   57 ├───────────────────────┤
 *      │ recordCount     int32 │                         fewer than lastOffsetDelta + 1 after compaction
 *   61 ├───────────────────────┴───────…
 *      │ records, compressed as a whole if the codec bits say so
 *
 *   attributes   15 ………… 7 │    6    │    5    │    4    │       3       │ 2  1  0
 *                 unused   │ delete  │ control │ transac-│ 0 create time │ codec: 0 none, 1 gzip,
 *                          │ horizon │ batch   │ tional  │ 1 append time │ 2 snappy, 3 lz4, 4 zstd
 */
export const BASE_OFFSET_AT = 0;
export const BATCH_LENGTH_AT = 8;
export const PARTITION_LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const RECORD_COUNT_AT = 57;
export const RECORDS_AT = 61;

/** The whole header. */
export const BATCH_HEADER_BYTES = 61;
/** What precedes the part that batchLength counts: baseOffset and batchLength itself. */
export const BATCH_OVERHEAD_BYTES = 12;
/** The smallest batchLength: a header without records, as compaction leaves it. */
export const BATCH_LENGTH_MIN = BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES;

export const MAGIC_V2 = 2;
export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
export const NO_SEQUENCE = -1;
export const NO_TIMESTAMP = -1;
export const NO_LEADER_EPOCH = -1;

export const CODEC_MASK = 0b0000_0111;
const TIMESTAMP_TYPE_BIT = 0b0000_1000;
const TRANSACTIONAL_BIT = 0b0001_0000;
const CONTROL_BIT = 0b0010_0000;
export const DELETE_HORIZON_BIT = 0b0100_0000;
const SEQUENCE_WRAP = 0x8000_0000;

/**
 * The fields as they stand in the bytes; nothing is validated. int64 fields are numbers: beyond 2^53 they hold the nearest
 * double, for which `Number.isSafeInteger` is false. Reading such a header does not throw, since one bad field must not
 * cost more than its batch: checkProduceBatch refuses it as `int64_out_of_range`.
 */
export interface BatchHeader {
  baseOffset: number;
  batchLength: number;
  partitionLeaderEpoch: number;
  magic: number;
  /** Unsigned. */
  crc: number;
  attributes: number;
  lastOffsetDelta: number;
  /** ms since the epoch, -1: none. With the delete-horizon bit: when tombstones and markers of this batch may go. */
  baseTimestamp: number;
  /** ms since the epoch, -1: none. */
  maxTimestamp: number;
  producerId: number;
  producerEpoch: number;
  baseSequence: number;
  recordCount: number;
}

export type TimestampType = 'create' | 'append';

/** A header to pass to {@link readBatchHeaderInto}, over and over. */
export function emptyBatchHeader(): BatchHeader {
  return {
    baseOffset: 0,
    batchLength: 0,
    partitionLeaderEpoch: 0,
    magic: 0,
    crc: 0,
    attributes: 0,
    lastOffsetDelta: 0,
    baseTimestamp: 0,
    maxTimestamp: 0,
    producerId: 0,
    producerEpoch: 0,
    baseSequence: 0,
    recordCount: 0,
  };
}

/** The header of the batch that starts at `at`. Throws TruncatedError when fewer than 61 bytes follow. */
export function readBatchHeader(bytes: Uint8Array, at = 0): BatchHeader {
  return readBatchHeaderInto(emptyBatchHeader(), bytes, at);
}

/** As {@link readBatchHeader}, into an existing object: the hot path allocates nothing. Returns the target. */
export function readBatchHeaderInto(target: BatchHeader, bytes: Uint8Array, at = 0): BatchHeader {
  if (at + BATCH_HEADER_BYTES > bytes.length) throw new TruncatedError(BATCH_HEADER_BYTES, bytes.length - at);
  target.baseOffset = int64(bytes, at + BASE_OFFSET_AT);
  target.batchLength = int32(bytes, at + BATCH_LENGTH_AT);
  target.partitionLeaderEpoch = int32(bytes, at + PARTITION_LEADER_EPOCH_AT);
  target.magic = (bytes[at + MAGIC_AT]! << 24) >> 24;
  target.crc = int32(bytes, at + CRC_AT) >>> 0;
  target.attributes = int16(bytes, at + ATTRIBUTES_AT);
  target.lastOffsetDelta = int32(bytes, at + LAST_OFFSET_DELTA_AT);
  target.baseTimestamp = int64(bytes, at + BASE_TIMESTAMP_AT);
  target.maxTimestamp = int64(bytes, at + MAX_TIMESTAMP_AT);
  target.producerId = int64(bytes, at + PRODUCER_ID_AT);
  target.producerEpoch = int16(bytes, at + PRODUCER_EPOCH_AT);
  target.baseSequence = int32(bytes, at + BASE_SEQUENCE_AT);
  target.recordCount = int32(bytes, at + RECORD_COUNT_AT);
  return target;
}

/** The codec's id, 0 to 7, of which 5 to 7 mean nothing; see codecOfId in `@polylog/bytes`. */
export function codecIdOf(attributes: number): number {
  return attributes & CODEC_MASK;
}

export function timestampTypeOf(attributes: number): TimestampType {
  return (attributes & TIMESTAMP_TYPE_BIT) === 0 ? 'create' : 'append';
}

export function isTransactional(attributes: number): boolean {
  return (attributes & TRANSACTIONAL_BIT) !== 0;
}

export function isControl(attributes: number): boolean {
  return (attributes & CONTROL_BIT) !== 0;
}

/** KIP-534: baseTimestamp holds the delete horizon instead of the first record's timestamp. */
export function hasDeleteHorizon(attributes: number): boolean {
  return (attributes & DELETE_HORIZON_BIT) !== 0;
}

/** The attributes field of a batch. */
export function batchAttributes(parts: {
  codecId: number;
  timestampType: TimestampType;
  transactional: boolean;
  control: boolean;
  deleteHorizon: boolean;
}): number {
  return (
    (parts.codecId & CODEC_MASK) |
    (parts.timestampType === 'append' ? TIMESTAMP_TYPE_BIT : 0) |
    (parts.transactional ? TRANSACTIONAL_BIT : 0) |
    (parts.control ? CONTROL_BIT : 0) |
    (parts.deleteHorizon ? DELETE_HORIZON_BIT : 0)
  );
}

/** Bytes of the whole batch, header included. */
export function sizeInBytes(header: BatchHeader): number {
  return header.batchLength + BATCH_OVERHEAD_BYTES;
}

export function lastOffset(header: BatchHeader): number {
  return header.baseOffset + header.lastOffsetDelta;
}

/** The sequence of the batch's last record, or -1 without a sequence. After 2^31-1 comes 0. */
export function lastSequence(header: BatchHeader): number {
  if (header.baseSequence === NO_SEQUENCE) return NO_SEQUENCE;
  return (header.baseSequence + header.lastOffsetDelta) % SEQUENCE_WRAP;
}

/** The sequence that is `increment` (0 to 2^31-1) after `sequence`. */
export function advanceSequence(sequence: number, increment: number): number {
  return (sequence + increment) % SEQUENCE_WRAP;
}

/** Stamps the offset of the first record. The CRC does not cover it. */
export function patchBaseOffset(bytes: Uint8Array, at: number, baseOffset: number): void {
  setInt64(bytes, at + BASE_OFFSET_AT, baseOffset);
}

/** Stamps the leader epoch under which the batch was appended. The CRC does not cover it. */
export function patchLeaderEpoch(bytes: Uint8Array, at: number, leaderEpoch: number): void {
  setInt32(bytes, at + PARTITION_LEADER_EPOCH_AT, leaderEpoch);
}

/**
 * Turns the batch into one with log-append time: every record then counts as written at maxTimestamp, so that the records,
 * compressed or not, stay as they are. Recomputes the CRC.
 */
export function patchLogAppendTime(bytes: Uint8Array, at: number, appendTimeMs: number): void {
  bytes[at + ATTRIBUTES_AT + 1] = bytes[at + ATTRIBUTES_AT + 1]! | TIMESTAMP_TYPE_BIT;
  setInt64(bytes, at + MAX_TIMESTAMP_AT, appendTimeMs);
  setInt32(bytes, at + CRC_AT, computeCrc(bytes, at));
}

/** Whether the stored CRC matches. False, too, for a batch that does not lie within `bytes` as a whole. */
export function verifyCrc(bytes: Uint8Array, at = 0): boolean {
  if (at + BATCH_HEADER_BYTES > bytes.length) return false;
  const batchLength = int32(bytes, at + BATCH_LENGTH_AT);
  if (batchLength < BATCH_LENGTH_MIN || at + BATCH_OVERHEAD_BYTES + batchLength > bytes.length) return false;
  return int32(bytes, at + CRC_AT) >>> 0 === computeCrc(bytes, at);
}

/** CRC-32C from the attributes to the batch's end, as the stored batchLength has it. The batch must lie within `bytes`. */
export function computeCrc(bytes: Uint8Array, at = 0): number {
  const end = at + BATCH_OVERHEAD_BYTES + int32(bytes, at + BATCH_LENGTH_AT);
  return crc32cRange(bytes, at + ATTRIBUTES_AT, end);
}

/** Writes a whole header but for the CRC, which needs the records behind it: see {@link patchCrc}. */
export function writeBatchHeader(bytes: Uint8Array, at: number, header: BatchHeader): void {
  setInt64(bytes, at + BASE_OFFSET_AT, header.baseOffset);
  setInt32(bytes, at + BATCH_LENGTH_AT, header.batchLength);
  setInt32(bytes, at + PARTITION_LEADER_EPOCH_AT, header.partitionLeaderEpoch);
  bytes[at + MAGIC_AT] = header.magic;
  setInt32(bytes, at + CRC_AT, header.crc);
  setInt16(bytes, at + ATTRIBUTES_AT, header.attributes);
  setInt32(bytes, at + LAST_OFFSET_DELTA_AT, header.lastOffsetDelta);
  setInt64(bytes, at + BASE_TIMESTAMP_AT, header.baseTimestamp);
  setInt64(bytes, at + MAX_TIMESTAMP_AT, header.maxTimestamp);
  setInt64(bytes, at + PRODUCER_ID_AT, header.producerId);
  setInt16(bytes, at + PRODUCER_EPOCH_AT, header.producerEpoch);
  setInt32(bytes, at + BASE_SEQUENCE_AT, header.baseSequence);
  setInt32(bytes, at + RECORD_COUNT_AT, header.recordCount);
}

/** Computes and stores the CRC of a finished batch. */
export function patchCrc(bytes: Uint8Array, at = 0): void {
  setInt32(bytes, at + CRC_AT, computeCrc(bytes, at));
}

function int16(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;
}

function int32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function int64(bytes: Uint8Array, at: number): number {
  return int32(bytes, at) * 0x1_0000_0000 + (int32(bytes, at + 4) >>> 0);
}

function setInt16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8;
  bytes[at + 1] = value;
}

function setInt32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 24;
  bytes[at + 1] = value >> 16;
  bytes[at + 2] = value >> 8;
  bytes[at + 3] = value;
}

function setInt64(bytes: Uint8Array, at: number, value: number): void {
  setInt32(bytes, at, Math.floor(value / 0x1_0000_0000));
  setInt32(bytes, at + 4, value >>> 0);
}
