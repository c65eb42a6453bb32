import { DecompressionLimitError, MalformedError } from '@polylog/bytes';
import { NO_TIMESTAMP, readBatchHeader, timestampTypeOf } from './batch-header.ts';
import { batchBody, RecordCursor } from './record.ts';

/** More failing records than this are not listed: the answer must stay small beside the request. */
export const RECORD_ERRORS_MAX = 1000;

export interface CheckRecordsOptions {
  /** Largest decompressed size of the records, in bytes. */
  readonly maxBytes: number;
  /** For compacted topics. */
  readonly requireKeys?: boolean;
  /** For topics with create time: ms since the epoch; records without a timestamp pass. */
  readonly timestampMin?: number;
  readonly timestampMax?: number;
}

export type RecordFault = 'missing_key' | 'timestamp_out_of_range' | 'bad_offset_delta';

/** One failing record, as Kafka reports it in Produce's record errors (KIP-467). */
export interface RecordError {
  /** Position within the batch, from 0. */
  readonly recordIndex: number;
  readonly fault: RecordFault;
}

export type RecordsCheck =
  | {
      readonly result: 'ok';
      /** What the header's maxTimestamp should be, which a client may have got wrong; -1: no record has a timestamp. */
      readonly maxTimestamp: number;
      /** Of the first record with that timestamp. */
      readonly maxTimestampOffsetDelta: number;
      /** Of all records, decompressed. */
      readonly uncompressedBytes: number;
    }
  | { readonly result: 'invalid_records'; readonly errors: readonly RecordError[] }
  /** Not decodable: broken compression, lengths that do not add up, another number of records than announced. */
  | { readonly result: 'malformed'; readonly reason: string }
  /** Decompresses to more than maxBytes. */
  | { readonly result: 'too_large' };

/**
 * Reads all records of the batch at the start of `bytes`, which has passed checkProduceBatch, and checks what the header cannot
 * tell: the slow path for compacted topics, timestamp bounds and clients that are not trusted. Does not throw.
 */
export function checkRecords(bytes: Uint8Array, options: CheckRecordsOptions): RecordsCheck {
  try {
    return walkRecords(bytes, options);
  } catch (error) {
    if (error instanceof DecompressionLimitError) return { result: 'too_large' };
    if (error instanceof MalformedError) return { result: 'malformed', reason: error.message };
    throw error;
  }
}

function walkRecords(bytes: Uint8Array, options: CheckRecordsOptions): RecordsCheck {
  const header = readBatchHeader(bytes);
  const body = batchBody(bytes, header, options);
  const cursor = new RecordCursor(body, header.recordCount);
  const { requireKeys = false, timestampMin = -Infinity, timestampMax = Infinity } = options;
  const appendTime = timestampTypeOf(header.attributes) === 'append';
  const errors: RecordError[] = [];
  let maxTimestamp = NO_TIMESTAMP;
  let maxTimestampOffsetDelta = 0;
  while (cursor.next()) {
    const timestamp = appendTime ? header.maxTimestamp : header.baseTimestamp + cursor.timestampDelta;
    if (!Number.isSafeInteger(timestamp))
      throw new MalformedError(`record ${cursor.index}: timestamp out of range`);
    if (timestamp > maxTimestamp) {
      maxTimestamp = timestamp;
      maxTimestampOffsetDelta = cursor.offsetDelta;
    }
    let fault: RecordFault | undefined;
    if (cursor.offsetDelta !== cursor.index) fault = 'bad_offset_delta';
    else if (requireKeys && cursor.key === null) fault = 'missing_key';
    else if (timestamp !== NO_TIMESTAMP && (timestamp < timestampMin || timestamp > timestampMax)) {
      fault = 'timestamp_out_of_range';
    }
    if (fault !== undefined && errors.length < RECORD_ERRORS_MAX)
      errors.push({ recordIndex: cursor.index, fault });
  }
  if (errors.length > 0) return { result: 'invalid_records', errors };
  return { result: 'ok', maxTimestamp, maxTimestampOffsetDelta, uncompressedBytes: body.length };
}
