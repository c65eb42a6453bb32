import {
  codecOfId,
  compress,
  type Codec,
  idOfCodec,
  MalformedError,
  utf8Length,
  Writer,
} from '@polylog/bytes';
import {
  BATCH_HEADER_BYTES,
  BATCH_OVERHEAD_BYTES,
  batchAttributes,
  CODEC_MASK,
  codecIdOf,
  MAGIC_V2,
  NO_LEADER_EPOCH,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  patchCrc,
  patchLogAppendTime,
  readBatchHeader,
  RECORDS_AT,
  sizeInBytes,
  writeBatchHeader,
} from './batch-header.ts';
import { batchBody, type RecordHeader } from './record.ts';

/** A record to be written. */
export interface NewRecord {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
  /** ms since the epoch, -1: none. A batch with log-append time keeps it in its bytes, and readers see the append time. */
  readonly timestamp: number;
}

export interface BatchOptions {
  /** Of the first record; 0, which is what producers send, if left out. */
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly codec?: Codec;
  /** See compress in `@polylog/bytes`. */
  readonly level?: number;
  /** Makes it a batch with log-append time: all records were written then (ms since the epoch). */
  readonly logAppendTimeMs?: number;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  readonly control?: boolean;
  /** KIP-534: ms since the epoch from which on compaction may drop this batch's tombstones and markers. */
  readonly deleteHorizonMs?: number;
}

/** Encodes records one by one, and at the end the batch around them. */
export class BatchBuilder {
  readonly #options: BatchOptions;
  readonly #body = new Writer();
  #baseTimestamp: number;
  #maxTimestamp = NO_TIMESTAMP;
  #recordCount = 0;
  #lastOffsetDelta = -1;

  constructor(options: BatchOptions = {}) {
    this.#options = options;
    this.#baseTimestamp = options.deleteHorizonMs ?? NO_TIMESTAMP;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Bytes of the batch so far, before compression. */
  get uncompressedBytes(): number {
    return BATCH_HEADER_BYTES + this.#body.length;
  }

  /**
   * Adds a record; keys and values of 4 KiB and more are not copied before {@link BatchBuilder.build}, and must not change
   * until then. Offset deltas grow by one; compaction, which leaves gaps, passes its own, ascending ones.
   */
  append(record: NewRecord, offsetDelta: number = this.#lastOffsetDelta + 1): void {
    if (offsetDelta <= this.#lastOffsetDelta)
      throw new RangeError(`offset delta ${offsetDelta} does not ascend`);
    const { timestamp } = record;
    if (this.#recordCount === 0 && this.#options.deleteHorizonMs === undefined)
      this.#baseTimestamp = timestamp;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
    writeRecord(this.#body, record, offsetDelta, timestamp - this.#baseTimestamp);
    this.#recordCount++;
    this.#lastOffsetDelta = offsetDelta;
  }

  /**
   * The finished batch, CRC included. The builder must not be used afterwards.
   *
   * @param lastOffsetDelta when the batch covers offsets behind its last record, as compaction leaves it
   */
  build(lastOffsetDelta: number = this.#lastOffsetDelta): Uint8Array {
    if (lastOffsetDelta < Math.max(this.#lastOffsetDelta, 0)) {
      throw new RangeError(
        `last offset delta ${lastOffsetDelta} below ${this.#lastOffsetDelta}, or no records`,
      );
    }
    const options = this.#options;
    const codec = this.#recordCount === 0 ? 'none' : (options.codec ?? 'none');
    const chunks =
      codec === 'none' ? this.#body.chunks() : [compress(codec, this.#body.finish(), options.level)];
    let size = BATCH_HEADER_BYTES;
    for (const chunk of chunks) size += chunk.length;
    const bytes = Buffer.allocUnsafe(size);
    writeBatchHeader(bytes, 0, {
      baseOffset: options.baseOffset ?? 0,
      batchLength: size - BATCH_OVERHEAD_BYTES,
      partitionLeaderEpoch: options.leaderEpoch ?? NO_LEADER_EPOCH,
      magic: MAGIC_V2,
      crc: 0,
      attributes: batchAttributes({
        codecId: idOfCodec(codec),
        timestampType: options.logAppendTimeMs !== undefined ? 'append' : 'create',
        transactional: options.transactional ?? false,
        control: options.control ?? false,
        deleteHorizon: options.deleteHorizonMs !== undefined,
      }),
      lastOffsetDelta,
      baseTimestamp: this.#baseTimestamp,
      maxTimestamp: options.logAppendTimeMs ?? this.#maxTimestamp,
      producerId: options.producerId ?? NO_PRODUCER_ID,
      producerEpoch: options.producerEpoch ?? NO_PRODUCER_EPOCH,
      baseSequence: options.baseSequence ?? NO_SEQUENCE,
      recordCount: this.#recordCount,
    });
    let at = RECORDS_AT;
    for (const chunk of chunks) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    patchCrc(bytes);
    return bytes;
  }
}

/** A whole batch from its records; at least one. */
export function buildBatch(options: BatchOptions & { readonly records: readonly NewRecord[] }): Uint8Array {
  const builder = new BatchBuilder(options);
  for (const record of options.records) builder.append(record);
  return builder.build();
}

export interface RewriteOptions {
  /** Largest decompressed size, in bytes. */
  readonly maxBytes: number;
  /** The codec of the result; that of the batch if left out. */
  readonly codec?: Codec;
  readonly level?: number;
  /** See patchLogAppendTime. */
  readonly logAppendTimeMs?: number;
}

/**
 * The slow path of a topic whose compression.type differs from what the producer sent: a copy of the batch at the start of
 * `bytes`, its records compressed anew, CRC and length adjusted, all else as it was. The records themselves are not looked at.
 *
 * @throws MalformedError, and of its family DecompressionLimitError
 */
export function rewriteBatch(bytes: Uint8Array, options: RewriteOptions): Uint8Array {
  const header = readBatchHeader(bytes);
  const body = batchBody(bytes, header, options);
  const oldCodec = codecOfId(codecIdOf(header.attributes));
  const codec = options.codec ?? oldCodec;
  if (codec === undefined) throw new MalformedError('unknown codec');
  const section =
    codec === oldCodec && options.level === undefined
      ? bytes.subarray(RECORDS_AT, sizeInBytes(header))
      : body.length === 0
        ? body
        : compress(codec, body, options.level);
  const copy = Buffer.allocUnsafe(BATCH_HEADER_BYTES + section.length);
  header.batchLength = copy.length - BATCH_OVERHEAD_BYTES;
  header.attributes = (header.attributes & ~CODEC_MASK) | idOfCodec(codec);
  writeBatchHeader(copy, 0, header);
  copy.set(section, RECORDS_AT);
  if (options.logAppendTimeMs === undefined) patchCrc(copy);
  else patchLogAppendTime(copy, 0, options.logAppendTimeMs);
  return copy;
}

function writeRecord(writer: Writer, record: NewRecord, offsetDelta: number, timestampDelta: number): void {
  const { key, value } = record;
  const headers = record.headers ?? [];
  let size =
    1 +
    varlongBytes(timestampDelta) +
    varintBytes(offsetDelta) +
    nullableBytesSize(key) +
    nullableBytesSize(value) +
    varintBytes(headers.length);
  for (const header of headers) {
    const keyBytes = utf8Length(header.key);
    size += varintBytes(keyBytes) + keyBytes + nullableBytesSize(header.value);
  }
  writer.varint(size);
  writer.int8(0);
  writer.varlong(timestampDelta);
  writer.varint(offsetDelta);
  writeNullableBytes(writer, key);
  writeNullableBytes(writer, value);
  writer.varint(headers.length);
  for (const header of headers) {
    const keyBytes = utf8Length(header.key);
    writer.varint(keyBytes);
    writer.string(header.key, keyBytes);
    writeNullableBytes(writer, header.value);
  }
}

function writeNullableBytes(writer: Writer, value: Uint8Array | null): void {
  if (value === null) {
    writer.varint(-1);
    return;
  }
  writer.varint(value.length);
  writer.bytes(value);
}

function nullableBytesSize(value: Uint8Array | null): number {
  return value === null ? 1 : varintBytes(value.length) + value.length;
}

/** Bytes of a zigzag varint. */
function varintBytes(value: number): number {
  const raw = ((value << 1) ^ (value >> 31)) >>> 0;
  return raw < 0x80 ? 1 : raw < 0x4000 ? 2 : raw < 0x20_0000 ? 3 : raw < 0x1000_0000 ? 4 : 5;
}

/** Bytes of a zigzag varlong of a safe integer. */
function varlongBytes(value: number): number {
  // Zigzag doubles the magnitude: seven bits a byte, of which the first has six for it.
  let rest = value < 0 ? -(value + 1) : value;
  let bytes = 1;
  for (rest = Math.floor(rest / 0x40); rest > 0; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}
