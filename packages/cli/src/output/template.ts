import { InvalidArgumentError } from 'commander';
import { unescape } from '../values.ts';
import type { ConsumedRecord } from './record-json.ts';

/** What stands for one record: bytes as they are, or text. */
type Part = (record: ConsumedRecord) => Uint8Array | string;

type BytesForm = 'text' | 'hex' | 'base64' | 'json';

const PLACEHOLDER = /\{(?<name>[a-z]+)(?:\.(?<header>[^{}:]+))?(?::(?<form>[a-z0-9]+))?\}/g;

const SCALARS: Readonly<Record<string, (record: ConsumedRecord) => string>> = {
  topic: ({ topic }) => topic,
  partition: ({ partition }) => String(partition),
  offset: ({ offset }) => String(offset),
  timestamp: ({ timestamp }) => String(timestamp),
  time: ({ timestamp }) => (timestamp < 0 ? '-' : new Date(timestamp).toISOString()),
  keysize: ({ key }) => String(key?.length ?? -1),
  valuesize: ({ value }) => String(value?.length ?? -1),
};

/**
 * `{offset} {key} {header.source} {value:hex}\n`: fields in braces, escapes as in {@link unescape}, all else as it stands.
 *
 * @param nullText stands for a key, value or header that is null or absent
 * @throws InvalidArgumentError for a field or form that does not exist
 */
export function compileTemplate(template: string, nullText: string): (record: ConsumedRecord) => Uint8Array {
  const parts: Part[] = [];
  let end = 0;
  const text = (from: string): void => {
    const plain = unescape(from);
    if (plain !== '') parts.push(() => plain);
  };
  for (const match of template.matchAll(PLACEHOLDER)) {
    text(template.slice(end, match.index));
    end = match.index + match[0].length;
    const { name = '', header, form } = match.groups ?? {};
    parts.push(compileField({ name, header, form, whole: match[0] }, nullText));
  }
  text(template.slice(end));
  return (record) =>
    Buffer.concat(
      parts.map((part) => {
        const value = part(record);
        return typeof value === 'string' ? Buffer.from(value) : value;
      }),
    );
}

interface Field {
  readonly name: string;
  readonly header: string | undefined;
  readonly form: string | undefined;
  readonly whole: string;
}

function compileField({ name, header, form = 'text', whole }: Field, nullText: string): Part {
  const scalar = SCALARS[name];
  if (scalar !== undefined && header === undefined && form === 'text') return scalar;
  const read = name === 'headers' ? undefined : bytesReader(name, header);
  if (name === 'headers' && header === undefined && form === 'text')
    return (record) => headersText(record, nullText);
  if (read === undefined || !isBytesForm(form)) {
    throw new InvalidArgumentError(
      `${whole} is not a field: there are {topic} {partition} {offset} {timestamp} {time} {key} {value} {headers} ` +
        '{header.NAME} {keysize} {valuesize}, and {key:hex}, {value:base64}, {value:json}.',
    );
  }
  return (record) => {
    const bytes = read(record);
    return bytes === null ? (form === 'json' ? 'null' : nullText) : formatted(bytes, form);
  };
}

function isBytesForm(form: string): form is BytesForm {
  return ['text', 'hex', 'base64', 'json'].includes(form);
}

function bytesReader(
  name: string,
  header: string | undefined,
): ((record: ConsumedRecord) => Uint8Array | null) | undefined {
  if (name === 'header' && header !== undefined) {
    return ({ headers }) => headers.findLast(({ key }) => key === header)?.value ?? null;
  }
  if (header !== undefined) return undefined;
  if (name === 'key') return ({ key }) => key;
  if (name === 'value') return ({ value }) => value;
  return undefined;
}

/** `a=1,b=2`. */
function headersText({ headers }: ConsumedRecord, nullText: string): string {
  return headers
    .map(({ key, value }) => `${key}=${value === null ? nullText : Buffer.from(value).toString('utf8')}`)
    .join(',');
}

function formatted(bytes: Uint8Array, form: BytesForm): Uint8Array | string {
  switch (form) {
    case 'text':
      return bytes;
    case 'hex':
      return Buffer.from(bytes).toString('hex');
    case 'base64':
      return Buffer.from(bytes).toString('base64');
    case 'json':
      return JSON.stringify(Buffer.from(bytes).toString('utf8'));
  }
}
