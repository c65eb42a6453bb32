import { MalformedError } from '@polylog/bytes';
import { buildBatch, decodeBatch, type LogRecord, type RecordHeader } from '@polylog/record';

/*
 * The log `__cluster`: one batch per transaction, so that it is whole or absent, and its revision is its base offset + 1.
 *
 *   record   key      the metadata key
 *            value    the metadata value, UTF-8; null: the key was deleted
 *            headers  `lease`            id of the lease that the key is bound to, if any
 *                     `mod`, `created`   decimal: this record changes nothing, it restates the key with these revisions, so that
 *                                        the records before can be dropped
 */
export interface MetadataRecord {
  readonly key: string;
  readonly value: string | null;
  readonly lease?: string;
  readonly restated?: { readonly modRevision: number; readonly createRevision: number };
}

/** A transaction or a part of a restatement is never larger decoded: it is written uncompressed. */
const BATCH_BYTES_MAX = 0x7fff_ffff;
const LEADER_EPOCH = 0;

const utf8 = new TextDecoder('utf-8');

export function encodeTransaction(
  records: readonly MetadataRecord[],
  baseOffset: number,
  nowMs: number,
): Uint8Array {
  return buildBatch({
    baseOffset,
    leaderEpoch: LEADER_EPOCH,
    records: records.map((record) => ({
      key: Buffer.from(record.key),
      value: record.value === null ? null : Buffer.from(record.value),
      headers: headersOf(record),
      timestamp: nowMs,
    })),
  });
}

export function decodeTransaction(batch: Uint8Array): MetadataRecord[] {
  return decodeBatch(batch, { maxBytes: BATCH_BYTES_MAX }).map(recordOf);
}

function recordOf({ key: keyBytes, value: valueBytes, headers }: LogRecord): MetadataRecord {
  if (keyBytes === null) throw new MalformedError('a metadata record without a key');
  const key = utf8.decode(keyBytes);
  const value = valueBytes === null ? null : utf8.decode(valueBytes);
  const lease = headerText(headers, 'lease');
  const mod = headerText(headers, 'mod');
  const created = headerText(headers, 'created');
  const base: MetadataRecord = lease === undefined ? { key, value } : { key, value, lease };
  if (mod === undefined || created === undefined) return base;
  return { ...base, restated: { modRevision: Number(mod), createRevision: Number(created) } };
}

function headersOf({ lease, restated }: MetadataRecord): RecordHeader[] {
  const headers: RecordHeader[] = [];
  if (lease !== undefined) headers.push({ key: 'lease', value: Buffer.from(lease) });
  if (restated !== undefined) {
    headers.push({ key: 'mod', value: Buffer.from(String(restated.modRevision)) });
    headers.push({ key: 'created', value: Buffer.from(String(restated.createRevision)) });
  }
  return headers;
}

function headerText(headers: readonly RecordHeader[], key: string): string | undefined {
  const header = headers.find((candidate) => candidate.key === key);
  return header === undefined || header.value === null ? undefined : utf8.decode(header.value);
}
