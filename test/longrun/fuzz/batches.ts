import { compress, type Codec } from '@polylog/bytes';
import {
  ATTRIBUTES_AT,
  BASE_OFFSET_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH_AT,
  BATCH_OVERHEAD_BYTES,
  buildBatch,
  CRC_AT,
  LAST_OFFSET_DELTA_AT,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PARTITION_LEADER_EPOCH_AT,
  patchCrc,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  RECORDS_AT,
  type NewRecord,
} from '@polylog/record';

import { boundary, flipBits } from './bytes.ts';
import type { SeededRandom } from './random.ts';

const CODECS: readonly Codec[] = ['none', 'none', 'gzip', 'snappy', 'lz4', 'zstd'];
const RECORDS_MAX = 4;
const VALUE_BYTES_MAX = 120;
/** A producer id leaves state behind for a day, so that only a few are used. */
const PRODUCER_IDS_MAX = 8;
const TIMESTAMP_MS = 1_700_000_000_000;

/** Each field of the batch header, and how many bytes it has. */
const HEADER_FIELDS = [
  [BASE_OFFSET_AT, 8],
  [BATCH_LENGTH_AT, 4],
  [PARTITION_LEADER_EPOCH_AT, 4],
  [MAGIC_AT, 1],
  [CRC_AT, 4],
  [ATTRIBUTES_AT, 2],
  [LAST_OFFSET_DELTA_AT, 4],
  [BASE_TIMESTAMP_AT, 8],
  [MAX_TIMESTAMP_AT, 8],
  [PRODUCER_ID_AT, 8],
  [PRODUCER_EPOCH_AT, 2],
  [BASE_SEQUENCE_AT, 4],
  [RECORD_COUNT_AT, 4],
] as const;

function makeRecord(random: SeededRandom): NewRecord {
  return {
    key: random.chance(0.2) ? null : random.bytes(random.int(0, 8)),
    value: random.chance(0.1) ? null : random.bytes(random.int(0, VALUE_BYTES_MAX)),
    headers: random.chance(0.8) ? [] : [{ key: 'h', value: random.chance(0.5) ? null : random.bytes(3) }],
    timestamp: random.chance(0.2) ? -1 : TIMESTAMP_MS + random.int(0, 1000),
  };
}

/** A batch that a producer might send. */
export function makeBatch(random: SeededRandom): Uint8Array {
  const records = Array.from({ length: random.int(1, RECORDS_MAX) }, () => makeRecord(random));
  const idempotent = random.chance(0.3)
    ? {
        producerId: random.int(0, PRODUCER_IDS_MAX - 1),
        producerEpoch: 0,
        baseSequence: random.int(0, 20),
      }
    : {};
  return buildBatch({ codec: random.pick(CODECS), records, ...idempotent });
}

/**
 * A batch with one to three faults in its header's fields, its records, or both. Mostly its length and CRC are right all the same, or
 * nothing behind that check would ever be reached.
 */
export function mutateBatch(batch: Uint8Array, random: SeededRandom): Uint8Array {
  let bytes: Uint8Array = Buffer.from(batch);
  for (let faults = random.int(1, 3); faults > 0; faults--) {
    if (random.chance(0.5)) bytes = mutateRecords(bytes, random);
    else {
      const [at, size] = random.pick(HEADER_FIELDS);
      const value = boundary(size, random);
      // Random producer ids would fill the table of producers, which is not what is tested here.
      if (at === PRODUCER_ID_AT && random.chance(0.9)) continue;
      bytes.set(value, at);
    }
  }
  if (bytes.length < BATCH_HEADER_BYTES || random.chance(0.1)) return bytes;
  if (random.chance(0.9))
    Buffer.from(bytes.buffer, bytes.byteOffset).writeInt32BE(
      bytes.length - BATCH_OVERHEAD_BYTES,
      BATCH_LENGTH_AT,
    );
  const length = Buffer.from(bytes.buffer, bytes.byteOffset).readInt32BE(BATCH_LENGTH_AT);
  const fits =
    length >= BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES && length + BATCH_OVERHEAD_BYTES <= bytes.length;
  if (fits) patchCrc(bytes);
  return bytes;
}

function mutateRecords(batch: Uint8Array, random: SeededRandom): Uint8Array {
  const header = batch.subarray(0, Math.min(RECORDS_AT, batch.length));
  const records = batch.subarray(header.length);
  switch (random.int(0, 5)) {
    case 0:
      return Buffer.concat([header, flipBits(records, random)]);
    case 1:
      return Buffer.concat([header, records.subarray(0, random.int(0, records.length))]);
    case 2:
      return Buffer.concat([header, records, random.bytes(random.int(1, 20))]);
    case 3:
      return Buffer.concat([header, records, records]);
    case 4:
      // Well-formed compression around records that are not.
      return compressedGarbage(header, random);
    default:
      return Buffer.concat([header, random.bytes(records.length)]);
  }
}

function compressedGarbage(header: Uint8Array, random: SeededRandom): Uint8Array {
  const id = random.int(1, 4);
  const codec = (['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const)[id]!;
  const body = random.chance(0.3) ? new Uint8Array(random.int(0, 100_000)) : random.bytes(random.int(0, 200));
  const bytes = Buffer.concat([header, compress(codec, body)]);
  if (bytes.length > ATTRIBUTES_AT + 1) bytes[ATTRIBUTES_AT + 1] = (bytes[ATTRIBUTES_AT + 1]! & ~7) | id;
  return bytes;
}
