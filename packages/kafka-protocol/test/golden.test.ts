import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Reader } from '@polylog/bytes';
import {
  apis,
  decodeRequestHeader,
  decodeResponse,
  encodeRequest,
  encodeResponse,
  FRAME_LENGTH_BYTES,
  type Api,
  type FieldShape,
  type Type,
} from '@polylog/kafka-protocol';

import { everyMessage } from './catalogue.ts';

/*
 * golden/<api>.jsonl holds what Kafka's Java client writes: a line that names the producer, then one line for each
 * direction and value, with the bytes of header and body for every version that can carry just this value. Two kinds of
 * value per version: all fields set to something unlikely, with nulls and non-ASCII text in second elements; and all
 * empty, null or zero with no tagged field. Byte fields are in hex.
 */
interface Producer {
  readonly producer: string;
  readonly api: string;
  readonly correlationId: number;
  readonly clientId: string;
}
interface Row {
  readonly direction: 'request' | 'response';
  readonly value: Record<string, unknown>;
  readonly hex: Readonly<Record<string, string>>;
}

const folder = new URL('golden/', import.meta.url);
const seen = new Set<string>();

function parse(file: string): { producer: Producer; rows: Row[] } {
  const [first, ...rest] = readFileSync(new URL(file, folder), 'utf8').trimEnd().split('\n');
  return { producer: JSON.parse(first!) as Producer, rows: rest.map((line) => JSON.parse(line) as Row) };
}

/** Turns the hex of byte fields into bytes, by the schema. */
function fromJson(type: Type<unknown, never>, json: unknown): unknown {
  const { shape } = type;
  if (json === null) return null;
  switch (shape.kind) {
    case 'nullable':
      return fromJson(shape.inner, json);
    case 'array':
      return (json as unknown[]).map((element) => fromJson(shape.element, element));
    case 'struct':
      return Object.fromEntries(
        Object.entries(json as object).map(([name, value]) => [
          name,
          fromJson(fieldOf(shape.fields, name).type, value),
        ]),
      );
    case 'bytes':
    case 'records':
      return Buffer.from(json as string, 'hex');
    default:
      return json;
  }
}

function fieldOf(fields: Readonly<Record<string, FieldShape>>, name: string): FieldShape {
  const field = fields[name];
  assert.ok(field !== undefined, `Kafka has a field ${name} that the schema lacks`);
  return field;
}

/** Adds the defaults of the fields that Kafka's value does not mention, since the version does not have them. */
function withDefaults(type: Type<unknown, never>, value: unknown): unknown {
  const { shape } = type;
  if (value === null) return null;
  switch (shape.kind) {
    case 'nullable':
      return withDefaults(shape.inner, value);
    case 'array':
      return (value as unknown[]).map((element) => withDefaults(shape.element, element));
    case 'struct': {
      const given = value as Record<string, unknown>;
      return Object.fromEntries(
        Object.entries(shape.fields).map(([name, field]) => [
          name,
          name in given ? withDefaults(field.type, given[name]) : field.default,
        ]),
      );
    }
    default:
      return value;
  }
}

for (const file of readdirSync(folder)) {
  const { producer, rows } = parse(file);
  const api = (Object.values(apis) as Api[]).find((candidate) => candidate.name === producer.api)!;
  const { correlationId, clientId } = producer;
  for (const { direction, value, hex } of rows) {
    for (const [versionText, text] of Object.entries(hex)) {
      const version = Number(versionText);
      const golden = Buffer.from(text, 'hex');
      const { name, type } = api[direction];
      seen.add(`${name} v${version}`);

      test(`${name} v${version} decodes as ${producer.producer} wrote it`, () => {
        const expected = withDefaults(type, fromJson(type, value));
        const reader = new Reader(golden);
        if (direction === 'request') {
          const header = decodeRequestHeader(reader);
          assert.deepEqual(header, { apiKey: api.key, apiVersion: version, correlationId, clientId, api });
          assert.deepEqual(api.request.decode(reader, version), expected);
        } else {
          assert.deepEqual(decodeResponse(api, version, reader), { correlationId, body: expected });
        }
        assert.equal(reader.remaining, 0);
      });

      test(`${name} v${version} encodes to the bytes of ${producer.producer}`, () => {
        const body = fromJson(type, value) as never;
        const chunks =
          direction === 'request'
            ? encodeRequest(api, version, correlationId, clientId, body)
            : encodeResponse(api, version, correlationId, body);
        const frame = Buffer.concat(chunks);
        assert.equal(frame.readInt32BE(), golden.length);
        assert.equal(frame.toString('hex', FRAME_LENGTH_BYTES), text);
      });
    }
  }
}

test('golden bytes exist for every version of every message', () => {
  assert.deepEqual([...seen].sort(), everyMessage.map(({ title }) => title).sort());
});
