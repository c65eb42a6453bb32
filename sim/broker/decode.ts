import { decodeBatch, readBatchHeader, sizeInBytes, verifyCrc } from '@polylog/record';
import { Violation } from '../invariants/history.ts';

const VALUE_BYTES_MAX = 1024 * 1024;

export interface ReadRecord {
  readonly offset: number;
  readonly timestamp: number;
  /** The number that the producer wrote. */
  readonly value: number;
}

/** What a Fetch returned: whole batches with good checksums whose values are padded as they were sent. */
export function decodeRecords(bytes: Uint8Array | null): ReadRecord[] {
  const found: ReadRecord[] = [];
  for (let at = 0; bytes !== null && at < bytes.length;) {
    const header = readBatchHeader(bytes, at);
    const end = at + sizeInBytes(header);
    if (end > bytes.length || !verifyCrc(bytes, at)) {
      throw new Violation('damaged', `a batch at ${header.baseOffset} was served cut or with a bad CRC`);
    }
    for (const record of decodeBatch(bytes.subarray(at, end), { maxBytes: VALUE_BYTES_MAX })) {
      const padded = record.value!;
      const value = new DataView(padded.buffer, padded.byteOffset).getFloat64(0);
      if (padded.subarray(8).some((byte) => byte !== (value & 0xff))) {
        throw new Violation('changed', `the record at ${record.offset} holds other bytes than were sent`);
      }
      found.push({ offset: record.offset, timestamp: record.timestamp, value });
    }
    at = end;
  }
  return found;
}
