import { crc32c, crc32cRange, Reader } from '@polylog/bytes';
import {
  BATCH_HEADER_BYTES,
  emptyBatchHeader,
  readBatchHeaderInto,
  sizeInBytes,
  verifyCrc,
} from '@polylog/record';
import { isPlausible } from './batch-cursor.ts';
import { putInt32, putInt64 } from './index-file.ts';

/*
 * A file of the journal, big-endian. It is preallocated and used again and again; what is left in it from before differs in generation or
 * round. Rounds start at multiples of 4096, so that a torn write of one cannot hurt another. A round is written only after the
 * one before it is durable: of all rounds, only the last one can be torn.
 *
 *       0 ┌──────────────────────────┐
 *         │ magic            8 bytes │  'PLJRNL01'
 *       8 │ crc               uint32 │  CRC-32C of bytes 12 to 28
 *      12 │ generation         int64 │  grows when recovery or a clean stop has made all older entries needless
 *      20 │ fileNumber         int64 │  grows with each use of a file; gives the order of the files
 *    4096 ├──────────────────────────┤
 *         │ round: 36 bytes          │
 *         │   magic           uint32 │  'RND1'
 *     + 4 │   crc             uint32 │  CRC-32C of bytes 8 to 36
 *     + 8 │   generation       int64 │
 *     +16 │   round            int64 │  grows by 1
 *     +24 │   bytes           uint32 │  of the entries
 *     +28 │   fileNumber       int64 │
 *         ├──────────────────────────┤
 *         │ entry: 70 bytes          │
 *         │   crc             uint32 │  CRC-32C of bytes 4 to the end of the name; the batches have their own
 *     + 4 │   kind             uint8 │  1: batches; 2: the log was deleted
 *     + 5 │   unused           uint8 │
 *     + 6 │   nameBytes       uint16 │
 *     + 8 │   sequence         int64 │  grows by 1 with each entry
 *     +16 │   topicId       22 bytes │  as text
 *     +38 │   partition        int32 │
 *     +42 │   baseOffset       int64 │
 *     +50 │   endOffset        int64 │
 *     +58 │   leaderEpoch      int32 │  of the first batch
 *     +62 │   bytes           uint32 │  of the batches
 *     +66 │   headersCrc      uint32 │  CRC-32C of the bytes 0 to 21 of each batch, which the batch's CRC leaves out
 *     +70 │   topic        nameBytes │  so that a folder that got lost can be made again
 *         │   batches                │
 *         ├──────────────────────────┤
 *         │ further entries, rounds  │
 */
export const JOURNAL_BLOCK_BYTES = 4096;
const FILE_MAGIC = Buffer.from('PLJRNL01', 'latin1');
const FILE_HEADER_BYTES = 28;
const ROUND_MAGIC = 0x524e4431;
export const ROUND_HEADER_BYTES = 36;
export const ENTRY_HEADER_BYTES = 70;
const TOPIC_ID_BYTES = 22;
/** What a batch's CRC does not cover. */
const UNCOVERED_BYTES = 21;

export const ENTRY_BATCHES = 1;
export const ENTRY_DELETED = 2;

export interface FileHeader {
  readonly generation: number;
  readonly fileNumber: number;
}

export function encodeFileHeader(header: FileHeader): Uint8Array {
  const bytes = new Uint8Array(JOURNAL_BLOCK_BYTES);
  bytes.set(FILE_MAGIC);
  putInt64(bytes, 12, header.generation);
  putInt64(bytes, 20, header.fileNumber);
  putInt32(bytes, 8, crc32cRange(bytes, 12, FILE_HEADER_BYTES));
  return bytes;
}

/** Undefined if it is none: a new file, or a torn header. */
export function decodeFileHeader(bytes: Uint8Array): FileHeader | undefined {
  if (bytes.length < FILE_HEADER_BYTES || FILE_MAGIC.compare(bytes, 0, 8) !== 0) return undefined;
  const reader = new Reader(bytes, 8);
  if (reader.uint32() !== crc32cRange(bytes, 12, FILE_HEADER_BYTES)) return undefined;
  return { generation: reader.int64(), fileNumber: reader.int64() };
}

export interface RoundHeader extends FileHeader {
  readonly round: number;
  readonly bytes: number;
}

export function encodeRoundHeader(bytes: Uint8Array, header: RoundHeader): void {
  putInt32(bytes, 0, ROUND_MAGIC);
  putInt64(bytes, 8, header.generation);
  putInt64(bytes, 16, header.round);
  putInt32(bytes, 24, header.bytes);
  putInt64(bytes, 28, header.fileNumber);
  putInt32(bytes, 4, crc32cRange(bytes, 8, ROUND_HEADER_BYTES));
}

export function decodeRoundHeader(bytes: Uint8Array): RoundHeader | undefined {
  if (bytes.length < ROUND_HEADER_BYTES) return undefined;
  const reader = new Reader(bytes);
  if (reader.uint32() !== ROUND_MAGIC) return undefined;
  if (reader.uint32() !== crc32cRange(bytes, 8, ROUND_HEADER_BYTES)) return undefined;
  const generation = reader.int64();
  const round = reader.int64();
  const length = reader.uint32();
  return { generation, round, bytes: length, fileNumber: reader.int64() };
}

export interface EntryHeader {
  readonly kind: number;
  readonly sequence: number;
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly leaderEpoch: number;
  readonly bytes: number;
}

/** Writes an entry's header and name at `at`; the batches follow, for which `batches` are given. Returns where they go. */
export function encodeEntry(
  target: Uint8Array,
  at: number,
  entry: EntryHeader,
  name: Uint8Array,
  batches: readonly Uint8Array[],
): number {
  target[at + 4] = entry.kind;
  target[at + 5] = 0;
  target[at + 6] = name.length >> 8;
  target[at + 7] = name.length;
  putInt64(target, at + 8, entry.sequence);
  for (let index = 0; index < TOPIC_ID_BYTES; index++)
    target[at + 16 + index] = entry.topicId.charCodeAt(index);
  putInt32(target, at + 38, entry.partition);
  putInt64(target, at + 42, entry.baseOffset);
  putInt64(target, at + 50, entry.endOffset);
  putInt32(target, at + 58, entry.leaderEpoch);
  putInt32(target, at + 62, entry.bytes);
  let headersCrc = 0;
  for (const batch of batches) headersCrc = crc32cRange(batch, 0, UNCOVERED_BYTES, headersCrc);
  putInt32(target, at + 66, headersCrc);
  target.set(name, at + ENTRY_HEADER_BYTES);
  const end = at + ENTRY_HEADER_BYTES + name.length;
  putInt32(target, at, crc32cRange(target, at + 4, end));
  return end;
}

export interface JournalEntry extends EntryHeader {
  /** A view into what was decoded: whole batches, all of them valid. */
  readonly batches: Uint8Array;
}

/** Decodes the entries of a round up to the first that is not whole and valid. */
export function decodeEntries(bytes: Uint8Array): { entries: JournalEntry[]; complete: boolean } {
  const entries: JournalEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const entry = decodeEntry(bytes, at);
    if (entry === undefined) return { entries, complete: false };
    entries.push(entry.entry);
    at = entry.end;
  }
  return { entries, complete: true };
}

function decodeEntry(bytes: Uint8Array, at: number): { entry: JournalEntry; end: number } | undefined {
  if (bytes.length - at < ENTRY_HEADER_BYTES) return undefined;
  const reader = new Reader(bytes, at);
  const crc = reader.uint32();
  const kind = reader.int8();
  reader.int8();
  const nameBytes = reader.uint16();
  const batchesAt = at + ENTRY_HEADER_BYTES + nameBytes;
  if (batchesAt > bytes.length || crc !== crc32cRange(bytes, at + 4, batchesAt)) return undefined;
  const sequence = reader.int64();
  const topicId = reader.string(TOPIC_ID_BYTES);
  const partition = reader.int32();
  const baseOffset = reader.int64();
  const endOffset = reader.int64();
  const leaderEpoch = reader.int32();
  const length = reader.uint32();
  const headersCrc = reader.uint32();
  const topic = reader.string(nameBytes);
  const end = batchesAt + length;
  if (end > bytes.length) return undefined;
  const batches = bytes.subarray(batchesAt, end);
  const entry: JournalEntry = {
    kind,
    sequence,
    topic,
    topicId,
    partition,
    baseOffset,
    endOffset,
    leaderEpoch,
    bytes: length,
    batches,
  };
  return areValidBatches(entry, headersCrc) ? { entry, end } : undefined;
}

/** Whether the bytes are whole batches with valid CRCs that lead from the base to the end offset. */
function areValidBatches(entry: JournalEntry, headersCrc: number): boolean {
  const { batches } = entry;
  const header = emptyBatchHeader();
  let offset = entry.baseOffset;
  let crc = 0;
  for (let at = 0; at < batches.length; at += sizeInBytes(header)) {
    if (batches.length - at < BATCH_HEADER_BYTES) return false;
    readBatchHeaderInto(header, batches, at);
    if (!isPlausible(header, batches.length - at) || header.baseOffset !== offset) return false;
    if (!verifyCrc(batches, at)) return false;
    crc = crc32c(batches.subarray(at, at + UNCOVERED_BYTES), crc);
    offset = header.baseOffset + header.lastOffsetDelta + 1;
  }
  return offset === entry.endOffset && crc === headersCrc;
}
