import { MalformedError, type Reader, type Writer } from '@polylog/bytes';

import { EncodeError } from './errors.ts';
import type { CompileContext } from './type.ts';

/**
 * ```
 * classic    int16 (strings) or int32 (bytes, arrays): n, -1 = null
 * flexible   unsigned varint:                          n + 1, 0 = null
 * ```
 * Reading yields -1 for null where the context allows it, and throws MalformedError where it does not.
 */
export interface LengthCodec {
  readonly bytesMin: number;
  readonly read: (reader: Reader) => number;
  /** `length` -1 writes null. */
  readonly write: (writer: Writer, length: number) => void;
}

/** What a varint plus one can hold stays below what any frame may carry: the largest int32. */
const LENGTH_MAX = 0x7fff_ffff;

function malformed(length: number): MalformedError {
  return new MalformedError(length === -1 ? 'null where a value is required' : `negative length ${length}`);
}

function compact(nullable: boolean): LengthCodec {
  const min = nullable ? -1 : 0;
  return {
    bytesMin: 1,
    read(reader) {
      const length = reader.uvarint() - 1;
      if (length < min) throw malformed(length);
      if (length > LENGTH_MAX) throw new MalformedError(`length ${length} exceeds 32 bits`);
      return length;
    },
    write: (writer, length) => writer.uvarint(length + 1),
  };
}

function classic16(nullable: boolean): LengthCodec {
  const min = nullable ? -1 : 0;
  return {
    bytesMin: 2,
    read(reader) {
      const length = reader.int16();
      if (length < min) throw malformed(length);
      return length;
    },
    write: (writer, length) => writer.int16(length),
  };
}

function classic32(nullable: boolean): LengthCodec {
  const min = nullable ? -1 : 0;
  return {
    bytesMin: 4,
    read(reader) {
      const length = reader.int32();
      if (length < min) throw malformed(length);
      return length;
    },
    write: (writer, length) => writer.int32(length),
  };
}

/** The length prefix of a value; the width of the classic form depends on the type. */
export function lengthCodec(context: CompileContext, classicBits: 16 | 32): LengthCodec {
  const { flexible, nullable, spans } = context;
  const codec = flexible ? compact(nullable) : classicBits === 16 ? classic16(nullable) : classic32(nullable);
  if (spans === null) return codec;
  const type = flexible ? 'compact length' : `int${classicBits} length`;
  return {
    ...codec,
    write: (writer, length) => spans.record(writer, type, () => codec.write(writer, length)),
  };
}

/** The error for a null that the version cannot express. */
export function unexpectedNull(): EncodeError {
  return new EncodeError('null is not allowed in this version');
}
