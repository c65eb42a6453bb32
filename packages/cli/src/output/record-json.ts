import { isUtf8 } from 'node:buffer';
import type { LogRecord, NewRecord, RecordHeader } from '@polylog/record';
import { CliError } from '../errors.ts';

/** A record with where it stands. */
export interface ConsumedRecord extends LogRecord {
  readonly topic: string;
  readonly partition: number;
}

/**
 * One line of JSON, without a newline: topic, partition, offset, timestamp (ms), key, value, headers. Bytes that are not UTF-8
 * stand as base64 in `keyBase64` and `valueBase64` instead of `key` and `value`.
 */
export function recordToJson(record: ConsumedRecord): string {
  return JSON.stringify({
    topic: record.topic,
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    ...bytesField('key', record.key),
    ...bytesField('value', record.value),
    headers: record.headers.map(({ key, value }) => ({ name: key, ...bytesField('value', value) })),
  });
}

function bytesField(name: string, bytes: Uint8Array | null): Record<string, string | null> {
  if (bytes === null) return { [name]: null };
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(bytes)
    ? { [name]: buffer.toString('utf8') }
    : { [`${name}Base64`]: buffer.toString('base64') };
}

/**
 * What {@link recordToJson} wrote, as a record to send: key, value, headers and timestamp; topic, partition and offset are up to
 * where it goes. Fields may be missing.
 *
 * @param where for the error, such as `line 3`
 * @throws CliError
 */
export function recordFromJson(text: string, where: string): NewRecord {
  const refuse = (detail: string): CliError => new CliError(`${where}: ${detail}`, { code: 'BAD_INPUT' });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw refuse(`not JSON: ${(error as Error).message}`);
  }
  if (!isObject(parsed)) throw refuse('not a JSON object');
  const { timestamp = Date.now(), headers = [] } = parsed;
  if (typeof timestamp !== 'number' || !Number.isSafeInteger(timestamp)) {
    throw refuse('"timestamp" is not a whole number of milliseconds');
  }
  if (!Array.isArray(headers)) throw refuse('"headers" is not a list');
  return {
    key: readBytes(parsed, 'key', refuse),
    value: readBytes(parsed, 'value', refuse),
    timestamp,
    headers: headers.map((header: unknown): RecordHeader => {
      if (!isObject(header) || typeof header['name'] !== 'string') throw refuse('a header has no "name"');
      return { key: header['name'], value: readBytes(header, 'value', refuse) };
    }),
  };
}

function readBytes(
  object: Record<string, unknown>,
  name: string,
  refuse: (detail: string) => CliError,
): Uint8Array | null {
  const base64 = object[`${name}Base64`];
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64');
  const text = object[name];
  if (text === undefined || text === null) return null;
  if (typeof text !== 'string') throw refuse(`"${name}" is neither a text nor null`);
  return Buffer.from(text);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
