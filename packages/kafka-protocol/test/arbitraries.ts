import * as fc from 'fast-check';

import { includes, type Message, type Type } from '@polylog/kafka-protocol';

type Value = fc.Arbitrary<unknown>;

/** Short enough to reach every branch of a message, long enough for two-byte varints now and then. */
const ELEMENTS_MAX = 3;
const BYTES_MAX = 200;

const utf8 = fc.string({ unit: 'binary', maxLength: 20 });

function scalar(kind: string): Value {
  switch (kind) {
    case 'boolean':
      return fc.boolean();
    case 'int8':
      return fc.integer({ min: -0x80, max: 0x7f });
    case 'int16':
      return fc.integer({ min: -0x8000, max: 0x7fff });
    case 'int32':
      return fc.integer();
    case 'int64':
      return fc.maxSafeInteger();
    case 'int64big':
      return fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
    case 'float64':
      return fc.double();
    case 'string':
      return fc.oneof(utf8, fc.string({ minLength: 100, maxLength: 300 }));
    case 'bytes':
    case 'records':
      return fc.uint8Array({ maxLength: BYTES_MAX });
    case 'uuid':
      return fc
        .uint8Array({ minLength: 16, maxLength: 16 })
        .map((bytes) => Buffer.from(bytes).toString('base64url'));
    default:
      throw new Error(`no arbitrary for ${kind}`);
  }
}

/** Values of a type in one version, whole: fields that the version lacks have their defaults, as decoding gives them. */
export function valuesOf(type: Type<unknown, never>, version: number): Value {
  const { shape } = type;
  switch (shape.kind) {
    case 'nullable':
      return includes(shape.versions, version)
        ? fc.option(valuesOf(shape.inner, version), { nil: null, freq: 3 })
        : valuesOf(shape.inner, version);
    case 'array':
      return fc.array(valuesOf(shape.element, version), { maxLength: ELEMENTS_MAX });
    case 'struct': {
      const fields: Record<string, Value> = {};
      for (const [name, field] of Object.entries(shape.fields)) {
        fields[name] = includes(field.versions, version)
          ? fc.oneof({ weight: 5, arbitrary: valuesOf(field.type, version) }, absent(field, version))
          : fc.constant(field.default);
      }
      return fc.record(fields, { noNullPrototype: true });
    }
    default:
      return scalar(shape.kind);
  }
}

/** The default, where the version can carry it: a null default of a nullable field in a version without null cannot. */
function absent(field: { type: Type<unknown, never>; default: unknown }, version: number): Value {
  if (field.default === null && !allowsNull(field.type, version)) return valuesOf(field.type, version);
  return fc.constant(field.default);
}

function allowsNull({ shape }: Type<unknown, never>, version: number): boolean {
  return shape.kind === 'nullable' && includes(shape.versions, version);
}

export function bodies<T, I>(message: Message<T, I>, version: number): fc.Arbitrary<I> {
  return valuesOf(message.type, version) as fc.Arbitrary<I>;
}
