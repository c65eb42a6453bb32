import { codecOfId, decompress, MalformedError, Reader, TruncatedError } from '@polylog/bytes';
import {
  type BatchHeader,
  codecIdOf,
  readBatchHeader,
  RECORDS_AT,
  sizeInBytes,
  timestampTypeOf,
} from './batch-header.ts';

/*
 * A record within a batch (KIP-98). All lengths and deltas are zigzag varints:
 *
 *   ┌────────┬────────────┬────────────────┬─────────────┬───────────────┬─────────────────┬───────────────────────────┐
 *   │ length │ attributes │ timestampDelta │ offsetDelta │ keyLength key │ valueLength val │ headerCount (key value) … │
 *   └────────┴────────────┴────────────────┴─────────────┴───────────────┴─────────────────┴───────────────────────────┘
 *     of what  int8, unused  varlong, from    from          -1: null         -1: null          header keys are UTF-8,
 *     follows                baseTimestamp    baseOffset                                       their values may be null
 */
/** One byte for each field. */
export const RECORD_BYTES_MIN = 7;
const RECORD_HEADER_BYTES_MIN = 2;

export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** A decoded record. Keys and values are views into the batch, or into its decompressed body. */
export interface LogRecord {
  readonly offset: number;
  /** ms since the epoch, -1: none. In a batch with log-append time, that. */
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

export interface DecodeOptions {
  /** Largest decompressed size of the batch's records, in bytes. */
  readonly maxBytes: number;
}

/**
 * The records' bytes, decompressed if need be; for an uncompressed batch a view.
 *
 * @throws MalformedError when the batch is truncated or its codec unknown or its compressed data broken
 * @throws DecompressionLimitError above `maxBytes`
 */
export function batchBody(bytes: Uint8Array, header: BatchHeader, options: DecodeOptions): Uint8Array {
  const size = sizeInBytes(header);
  if (size < RECORDS_AT || size > bytes.length) throw new TruncatedError(size, bytes.length);
  const codec = codecOfId(codecIdOf(header.attributes));
  if (codec === undefined) throw new MalformedError(`unknown codec in attributes ${header.attributes}`);
  // Kafka leaves nothing behind the header of an emptied batch, whatever its codec.
  if (size === RECORDS_AT) return bytes.subarray(RECORDS_AT, RECORDS_AT);
  return decompress(codec, bytes.subarray(RECORDS_AT, size), options);
}

/**
 * Decodes the batch at the start of `bytes`. Does not verify the CRC: see verifyCrc and checkBatch.
 *
 * @throws MalformedError, and of its family DecompressionLimitError, for anything that is not a well-formed batch
 */
export function decodeBatch(bytes: Uint8Array, options: DecodeOptions): LogRecord[] {
  const header = readBatchHeader(bytes);
  return decodeRecords(batchBody(bytes, header, options), header);
}

/** Decodes the records of a batch from its decompressed body. */
export function decodeRecords(body: Uint8Array, header: BatchHeader): LogRecord[] {
  const cursor = new RecordCursor(body, header.recordCount);
  const appendTime = timestampTypeOf(header.attributes) === 'append';
  const records: LogRecord[] = [];
  while (cursor.next()) {
    const offset = header.baseOffset + cursor.offsetDelta;
    const timestamp = appendTime ? header.maxTimestamp : header.baseTimestamp + cursor.timestampDelta;
    if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(timestamp)) {
      throw new MalformedError(`record ${cursor.index}: offset or timestamp out of range`);
    }
    records.push({ offset, timestamp, key: cursor.key, value: cursor.value, headers: cursor.headers() });
  }
  return records;
}

/**
 * Walks the records of a decompressed body without building objects: what compaction, key checks and index lookups need.
 * Every length is checked before it is used; `next` throws MalformedError when the bytes do not follow the format, or
 * when they are not exactly as many records as announced.
 */
export class RecordCursor {
  readonly recordCount: number;
  /** Of the current record, from 0; -1 before the first. */
  index = -1;
  timestampDelta = 0;
  offsetDelta = 0;
  key: Uint8Array | null = null;
  value: Uint8Array | null = null;
  headerCount = 0;
  /** Where the current record starts in the body, its length field included, and where it ends. */
  start = 0;
  end = 0;
  readonly #reader: Reader;
  #headersAt = 0;

  constructor(body: Uint8Array, recordCount: number) {
    if (recordCount < 0 || recordCount > body.length / RECORD_BYTES_MIN) {
      throw new MalformedError(`${recordCount} records in ${body.length} bytes`);
    }
    this.recordCount = recordCount;
    this.#reader = new Reader(body);
  }

  /** Steps to the next record. False behind the last one. */
  next(): boolean {
    const reader = this.#reader;
    if (this.index + 1 >= this.recordCount) {
      if (reader.remaining > 0) throw new MalformedError(`${reader.remaining} bytes behind the last record`);
      return false;
    }
    this.index++;
    this.start = reader.position;
    const length = reader.varint();
    if (length > reader.remaining) throw new TruncatedError(length, reader.remaining);
    // A length too small shows at the end, where the fields have to have used it up.
    this.end = reader.position + length;
    reader.skip(1);
    this.timestampDelta = reader.varlong();
    this.offsetDelta = reader.varint();
    this.key = readNullableBytes(reader);
    this.value = readNullableBytes(reader);
    this.headerCount = reader.varint();
    if (this.headerCount < 0 || this.headerCount > reader.remaining / RECORD_HEADER_BYTES_MIN) {
      throw new MalformedError(
        `record ${this.index}: ${this.headerCount} headers in ${reader.remaining} bytes`,
      );
    }
    this.#headersAt = reader.position;
    for (let header = 0; header < this.headerCount; header++) {
      reader.skip(reader.varint());
      const valueLength = reader.varint();
      if (valueLength > 0) reader.skip(valueLength);
    }
    if (reader.position !== this.end)
      throw new MalformedError(`record ${this.index}: length ${length} is wrong`);
    return true;
  }

  /** Of the current record; decoded on demand. */
  headers(): RecordHeader[] {
    if (this.headerCount === 0) return [];
    const reader = new Reader(this.#reader.buffer, this.#headersAt, this.end);
    const headers: RecordHeader[] = [];
    for (let header = 0; header < this.headerCount; header++) {
      headers.push({ key: reader.string(reader.varint()), value: readNullableBytes(reader) });
    }
    return headers;
  }
}

/** Kafka takes every negative length for null, not -1 alone. */
function readNullableBytes(reader: Reader): Uint8Array | null {
  const length = reader.varint();
  return length < 0 ? null : reader.bytes(length);
}
