import type { Span } from '@polylog/kafka-protocol';

import { mutateBatch } from './batches.ts';
import { boundary, flipBits, splice, varint } from './bytes.ts';
import type { SeededRandom } from './random.ts';

/** An encoded body and where its parts are. */
export interface Spanned {
  readonly bytes: Uint8Array;
  readonly spans: readonly Span[];
}

const VARINT_TYPES: ReadonlySet<string> = new Set(['compact length', 'tag count', 'tag', 'tag size']);
const VALUE_TYPES: ReadonlySet<string> = new Set([
  'boolean',
  'int8',
  'int16',
  'int32',
  'int64',
  'int64big',
  'float64',
  'string',
  'uuid',
]);
const GARBAGE_BYTES_MAX = 40;

/** The body with one fault at one of its fields; `other` is a body of any kind to take foreign parts from. */
export function mutateOnce(body: Spanned, other: Spanned, random: SeededRandom): Uint8Array {
  const { bytes, spans } = body;
  if (spans.length === 0) return random.bytes(random.int(0, GARBAGE_BYTES_MAX));
  const structural = random.chance(0.4);
  let span = random.pick(spans);
  // A number or a string at its edge mostly still decodes, and so gets further than a broken length.
  for (let tries = 0; !structural && !VALUE_TYPES.has(span.type) && tries < 4; tries++)
    span = random.pick(spans);
  const { start, end } = span;
  const part = bytes.subarray(start, end);
  if (!structural || random.chance(0.4)) return splice(bytes, start, end, replaced(span, part, random));
  switch (random.int(0, 7)) {
    case 0:
      return bytes.subarray(0, random.chance(0.5) ? start : end);
    case 1:
      return splice(bytes, bytes.length, bytes.length, random.bytes(random.int(1, GARBAGE_BYTES_MAX)));
    case 2:
      return flipBits(bytes, random);
    case 3:
      return splice(bytes, start, end, new Uint8Array(0));
    case 4:
      return splice(bytes, start, start, part);
    case 5:
      return splice(bytes, start, start, random.bytes(random.int(1, 4)));
    case 6:
      return swapped(bytes, span, random.pick(spans));
    default: {
      if (other.spans.length === 0) return flipBits(bytes, random);
      const foreign = random.pick(other.spans);
      return splice(bytes, start, end, other.bytes.subarray(foreign.start, foreign.end));
    }
  }
}

/** Another value of the span's type, at the edge of it. */
function replaced(span: Span, part: Uint8Array, random: SeededRandom): Uint8Array {
  if (VARINT_TYPES.has(span.type)) return varint(random);
  switch (span.type) {
    case 'string':
    case 'bytes':
    case 'records':
      return flipBits(part, random);
    case 'array':
    case 'struct':
      return random.bytes(random.int(0, GARBAGE_BYTES_MAX));
    default:
      return part.length === 0 ? random.bytes(1) : boundary(part.length, random);
  }
}

function swapped(bytes: Uint8Array, one: Span, two: Span): Uint8Array {
  const [first, second] = one.start <= two.start ? [one, two] : [two, one];
  // One inside of the other: the inner one alone takes the outer one's place.
  if (first.end > second.start) {
    return splice(bytes, first.start, first.end, bytes.subarray(second.start, second.end));
  }
  return Buffer.concat([
    bytes.subarray(0, first.start),
    bytes.subarray(second.start, second.end),
    bytes.subarray(first.end, second.start),
    bytes.subarray(first.start, first.end),
    bytes.subarray(second.end),
  ]);
}

/** The value with every record batch in it damaged: lengths around it stay right. */
export function withMutatedBatches(value: unknown, random: SeededRandom): unknown {
  if (value instanceof Uint8Array) return mutateBatch(value, random);
  if (Array.isArray(value)) return value.map((element) => withMutatedBatches(element, random));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, withMutatedBatches(member, random)]),
  );
}
