import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as fc from 'fast-check';

import { MalformedError, Reader, Writer } from '@polylog/bytes';
import { encodeWithSpans, type Message } from '@polylog/kafka-protocol';

import { bodies } from './arbitraries.ts';
import { everyMessage } from './catalogue.ts';

const RUNS = { numRuns: 30 };

function encode<I>(message: Message<unknown, I>, version: number, value: I): Uint8Array {
  const writer = new Writer();
  message.encode(writer, version, value);
  return writer.finish();
}

/** Decodes, and lets pass only what a peer can be blamed for. Returns whether the bytes were accepted. */
function accepts(message: Message<unknown, never>, version: number, bytes: Uint8Array): boolean {
  try {
    message.decode(new Reader(bytes), version);
    return true;
  } catch (error) {
    if (error instanceof MalformedError) return false;
    throw error;
  }
}

for (const { title, message, version } of everyMessage) {
  test(`${title}: what is encoded decodes to the same value and leaves no byte`, () => {
    fc.assert(
      fc.property(bodies(message, version), (value) => {
        const reader = new Reader(encode(message, version, value));
        assert.deepEqual(plain(message.decode(reader, version)), plain(value));
        assert.equal(reader.remaining, 0);
      }),
      RUNS,
    );
  });

  test(`${title}: every proper prefix is refused as truncated or malformed`, () => {
    fc.assert(
      fc.property(bodies(message, version), (value) => {
        const bytes = encode(message, version, value);
        for (let length = 0; length < bytes.length; length++) {
          assert.equal(
            accepts(message, version, bytes.subarray(0, length)),
            false,
            `${length} of ${bytes.length}`,
          );
        }
      }),
      { numRuns: 5 },
    );
  });

  test(`${title}: changed bytes decode, or are refused as malformed`, () => {
    const mutation = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat({ max: 3 }));
    fc.assert(
      fc.property(
        bodies(message, version),
        fc.array(mutation, { minLength: 1, maxLength: 10 }),
        (value, mutations) => {
          const bytes = Uint8Array.from(encode(message, version, value));
          if (bytes.length === 0) return;
          for (const [at, byte, run] of mutations) {
            const start = at % bytes.length;
            bytes.fill(byte, start, start + 1 + run);
            accepts(message, version, bytes);
          }
        },
      ),
      RUNS,
    );
  });

  test(`${title}: the spans lie within the same bytes, and lengths and scalars cover all of them`, () => {
    fc.assert(
      fc.property(bodies(message, version), (value) => {
        const { bytes, spans } = encodeWithSpans(message, version, value);
        assert.deepEqual(Buffer.from(bytes), Buffer.from(encode(message, version, value)));
        const covered = new Uint8Array(bytes.length);
        for (const { start, end, type } of spans) {
          assert.ok(start >= 0 && start <= end && end <= bytes.length);
          if (type !== 'struct' && type !== 'array') covered.fill(1, start, end);
        }
        assert.ok(!covered.includes(0));
      }),
      { numRuns: 10 },
    );
  });
}

/** Byte views compare by their content, whatever their class. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, plain(field)]));
}
