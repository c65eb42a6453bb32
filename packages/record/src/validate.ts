import { codecOfId } from '@polylog/bytes';
import {
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_MIN,
  BATCH_OVERHEAD_BYTES,
  type BatchHeader,
  codecIdOf,
  computeCrc,
  emptyBatchHeader,
  isControl,
  isTransactional,
  MAGIC_AT,
  MAGIC_V2,
  readBatchHeaderInto,
  timestampTypeOf,
} from './batch-header.ts';

/**
 * What is wrong with a batch that anyone may have written:
 * - `truncated`: it does not end within the range; the header is filled if its 61 bytes are there
 * - `bad_length`: batchLength is below that of a bare header
 * - `bad_magic`: format v0 or v1, which KIP-724 retired, or none at all
 * - `bad_crc`: some byte from the attributes on has changed
 * - `int64_out_of_range`: an offset, timestamp or producer id that JavaScript's numbers cannot hold (beyond 2^53), in a batch
 *   that is otherwise well-formed; no real clock, log or cluster gets there
 * - `bad_count`: a negative record count or offset delta, or more records than offsets
 * - `unknown_codec`: codec 5, 6 or 7
 */
export type BatchFault =
  | 'truncated'
  | 'bad_length'
  | 'bad_magic'
  | 'bad_crc'
  | 'int64_out_of_range'
  | 'bad_count'
  | 'unknown_codec';

/**
 * What is wrong with a batch from a producer:
 * - `bad_base_offset`: not 0, which only a leader may assign
 * - `bad_count`, also: no records, or offsets with gaps
 * - `control_batch`: control batches are for brokers to write
 * - `append_time`: claims log-append time, which only a leader may set
 * - `bad_producer`: a producer id without epoch or sequence, or a transaction without a producer id
 */
export type ProduceBatchFault =
  | BatchFault
  | 'bad_base_offset'
  | 'control_batch'
  | 'append_time'
  | 'bad_producer';

/**
 * Checks the batch that starts at `at` and must end by `end`, by its header and its CRC alone; fills `header`. For batches that
 * a broker reads back, from its disk or from a leader: gaps in the offsets, control batches and empty batches are legal. Bits of
 * the attributes without a meaning are ignored, as in Kafka.
 */
export function checkBatch(
  bytes: Uint8Array,
  at: number,
  end: number,
  header: BatchHeader,
): 'ok' | BatchFault {
  const framing = checkFraming(bytes, at, end, header);
  if (framing !== 'ok') return framing;
  if (
    header.recordCount < 0 ||
    header.lastOffsetDelta < 0 ||
    header.recordCount > header.lastOffsetDelta + 1
  ) {
    return 'bad_count';
  }
  return 'ok';
}

/** As {@link checkBatch}, with the rules for what producers may send. */
export function checkProduceBatch(
  bytes: Uint8Array,
  at: number,
  end: number,
  header: BatchHeader,
): 'ok' | ProduceBatchFault {
  const framing = checkFraming(bytes, at, end, header);
  if (framing !== 'ok') return framing;
  if (header.baseOffset !== 0) return 'bad_base_offset';
  if (header.recordCount <= 0 || header.lastOffsetDelta !== header.recordCount - 1) return 'bad_count';
  if (isControl(header.attributes)) return 'control_batch';
  if (timestampTypeOf(header.attributes) === 'append') return 'append_time';
  if (
    header.producerId >= 0
      ? header.baseSequence < 0 || header.producerEpoch < 0
      : isTransactional(header.attributes)
  ) {
    return 'bad_producer';
  }
  return 'ok';
}

function checkFraming(bytes: Uint8Array, at: number, end: number, header: BatchHeader): 'ok' | BatchFault {
  if (end - at < BATCH_HEADER_BYTES) {
    // The old formats have the magic in the same place, and may be shorter: they deserve their own answer.
    return end - at > MAGIC_AT && bytes[at + MAGIC_AT] !== MAGIC_V2 ? 'bad_magic' : 'truncated';
  }
  readBatchHeaderInto(header, bytes, at);
  if (header.magic !== MAGIC_V2) return 'bad_magic';
  if (header.batchLength < BATCH_LENGTH_MIN) return 'bad_length';
  if (header.batchLength > end - at - BATCH_OVERHEAD_BYTES) return 'truncated';
  if (computeCrc(bytes, at) !== header.crc) return 'bad_crc';
  if (
    !Number.isSafeInteger(header.baseOffset) ||
    !Number.isSafeInteger(header.baseTimestamp) ||
    !Number.isSafeInteger(header.maxTimestamp) ||
    !Number.isSafeInteger(header.producerId)
  ) {
    return 'int64_out_of_range';
  }
  if (codecOfId(codecIdOf(header.attributes)) === undefined) return 'unknown_codec';
  return 'ok';
}

/**
 * Calls back for each complete batch in `bytes[start, end)`, in order, until the callback returns false. The header is one
 * object, overwritten for every batch; the size includes the header. Nothing but the framing is looked at: magic, CRC and
 * counts are up to the callback.
 *
 * @returns where the next batch would start: `end`, or where an incomplete batch, or one with an impossible length, begins, or
 * behind the batch whose callback returned false
 */
export function forEachBatch(
  bytes: Uint8Array,
  start: number,
  end: number,
  onBatch: (header: BatchHeader, at: number, size: number) => boolean | void,
  header: BatchHeader = emptyBatchHeader(),
): number {
  let at = start;
  while (end - at >= BATCH_HEADER_BYTES) {
    readBatchHeaderInto(header, bytes, at);
    const size = header.batchLength + BATCH_OVERHEAD_BYTES;
    if (size < BATCH_HEADER_BYTES || size > end - at) break;
    const next = at + size;
    if (onBatch(header, at, size) === false) return next;
    at = next;
  }
  return at;
}
