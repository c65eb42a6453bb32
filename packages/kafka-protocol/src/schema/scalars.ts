import { EncodeError } from './errors.ts';
import type { Codec, ScalarKind, Type } from './type.ts';

function scalar<T>(kind: ScalarKind, zero: T, codec: Codec<T>): Type<T> {
  return { shape: { kind }, zero, compile: () => codec };
}

function outOfRange(kind: string, value: unknown): EncodeError {
  return new EncodeError(`${String(value)} is not ${kind === 'boolean' ? 'a' : 'an'} ${kind}`);
}

export const boolean: Type<boolean> = scalar<boolean>('boolean', false, {
  bytesMin: 1,
  decode: (reader) => reader.uint8() !== 0,
  encode(writer, value) {
    if (typeof value !== 'boolean') throw outOfRange('boolean', value);
    writer.uint8(value ? 1 : 0);
  },
});

export const int8: Type<number> = scalar('int8', 0, {
  bytesMin: 1,
  decode: (reader) => reader.int8(),
  encode(writer, value) {
    if ((value << 24) >> 24 !== value) throw outOfRange('int8', value);
    writer.int8(value);
  },
});

export const int16: Type<number> = scalar('int16', 0, {
  bytesMin: 2,
  decode: (reader) => reader.int16(),
  encode(writer, value) {
    if ((value << 16) >> 16 !== value) throw outOfRange('int16', value);
    writer.int16(value);
  },
});

export const int32: Type<number> = scalar('int32', 0, {
  bytesMin: 4,
  decode: (reader) => reader.int32(),
  encode(writer, value) {
    if ((value | 0) !== value) throw outOfRange('int32', value);
    writer.int32(value);
  },
});

/** Offsets, timestamps, producer ids: numbers, exact to 2^53; beyond that decoding throws MalformedError. */
export const int64: Type<number> = scalar('int64', 0, {
  bytesMin: 8,
  decode: (reader) => reader.int64(),
  encode(writer, value) {
    if (!Number.isSafeInteger(value)) throw outOfRange('int64', value);
    writer.int64(value);
  },
});

/** For the rare field that may hold any 64 bits. */
export const int64big: Type<bigint> = scalar('int64big', 0n, {
  bytesMin: 8,
  decode: (reader) => reader.int64big(),
  encode(writer, value) {
    if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) throw outOfRange('int64', value);
    writer.int64big(value);
  },
});

export const float64: Type<number> = scalar('float64', 0, {
  bytesMin: 8,
  decode: (reader) => reader.float64(),
  encode(writer, value) {
    if (typeof value !== 'number') throw outOfRange('float64', value);
    writer.float64(value);
  },
});
