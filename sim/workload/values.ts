import {
  buildBatch,
  type BatchHeader,
  emptyBatchHeader,
  endTransactionOf,
  isControl,
  readBatchHeaderInto,
  RECORDS_AT,
  verifyCrc,
} from '../../packages/record/src/index.ts';

const VALUE_BYTES_MIN = 8;

/** What a batch was found to hold. */
export interface DecodedBatch {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  /** Those below 0 are markers. */
  readonly values: readonly number[];
}

/** A batch whose records carry unique numbers, padded to `valueBytes`. */
export function batchOf(
  values: readonly number[],
  options: {
    readonly valueBytes: number;
    readonly timestamp: number;
    readonly producerId?: number;
    readonly producerEpoch?: number;
    readonly baseSequence?: number;
    readonly transactional?: boolean;
  },
): Uint8Array {
  const { valueBytes, timestamp, ...producer } = options;
  const records = values.map((value) => {
    const bytes = new Uint8Array(Math.max(VALUE_BYTES_MIN, valueBytes)).fill(value & 0xff);
    new DataView(bytes.buffer).setFloat64(0, value);
    return { key: null, value: bytes, timestamp };
  });
  return buildBatch({ ...producer, records });
}

/** Splits bytes into batches; throws on anything that no log may ever serve: a bad CRC, a cut batch, a padding that does not fit. */
export function decodeBatches(bytes: Uint8Array): DecodedBatch[] {
  const found: DecodedBatch[] = [];
  const header = emptyBatchHeader();
  for (let at = 0; at < bytes.length;) {
    if (!verifyCrc(bytes, at)) throw new Error(`a batch with a bad CRC was served, at byte ${at}`);
    readBatchHeaderInto(header, bytes, at);
    const end = at + 12 + header.batchLength;
    found.push({
      baseOffset: header.baseOffset,
      leaderEpoch: header.partitionLeaderEpoch,
      values: isControl(header.attributes)
        ? [markerValue(bytes.subarray(at, end), header)]
        : decodeValues(bytes, at + RECORDS_AT, header.recordCount),
    });
    at = end;
  }
  return found;
}

/** A marker has no value: a negative number stands for what it says. */
function markerValue(batch: Uint8Array, header: BatchHeader): number {
  return -2 * header.producerId - (endTransactionOf(batch, header)?.type === 'abort' ? 2 : 1);
}

function decodeValues(bytes: Uint8Array, start: number, count: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: number[] = [];
  let at = start;
  const varint = (): number => {
    let result = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (result >>> 1) ^ -(result & 1);
    }
  };
  for (let index = 0; index < count; index++) {
    const next = varint();
    const recordEnd = at + next;
    at++; // attributes
    varint(); // timestamp delta
    varint(); // offset delta
    varint(); // key length, always null
    varint(); // value length
    values.push(view.getFloat64(at));
    at = recordEnd;
  }
  return values;
}
