import { MalformedError, utf8Length } from '@polylog/bytes';

import { EncodeError } from './errors.ts';
import { lengthCodec, unexpectedNull } from './lengths.ts';
import type { Codec, CompileContext, Type } from './type.ts';

/** An int16 length in classic versions; flexible ones keep the limit. */
const STRING_BYTES_MAX = 0x7fff;

function compileString(context: CompileContext): Codec<string> {
  const length = lengthCodec(context, 16);
  const { nullable } = context;
  return {
    bytesMin: length.bytesMin,
    decode(reader) {
      const bytes = length.read(reader);
      // Only a context that allows null yields -1; `nullable` then has widened the type.
      if (bytes === -1) return null as unknown as string;
      if (bytes > STRING_BYTES_MAX) throw new MalformedError(`string of ${bytes} bytes`);
      return reader.string(bytes);
    },
    encode(writer, value: string | null) {
      if (value === null) {
        if (!nullable) throw unexpectedNull();
        length.write(writer, -1);
        return;
      }
      if (typeof value !== 'string') throw new EncodeError(`${String(value)} is not a string`);
      const bytes = utf8Length(value);
      if (bytes > STRING_BYTES_MAX)
        throw new EncodeError(`string of ${bytes} bytes, at most ${STRING_BYTES_MAX}`);
      length.write(writer, bytes);
      writer.string(value, bytes);
    },
  };
}

function compileBytes(context: CompileContext): Codec<Uint8Array> {
  const length = lengthCodec(context, 32);
  const { nullable } = context;
  return {
    bytesMin: length.bytesMin,
    decode(reader) {
      const bytes = length.read(reader);
      if (bytes === -1) return null as unknown as Uint8Array;
      return reader.bytes(bytes);
    },
    encode(writer, value: Uint8Array | null) {
      if (value === null) {
        if (!nullable) throw unexpectedNull();
        length.write(writer, -1);
        return;
      }
      if (!(value instanceof Uint8Array)) throw new EncodeError(`${String(value)} is not a byte array`);
      length.write(writer, value.length);
      writer.bytes(value);
    },
  };
}

const NO_BYTES = new Uint8Array(0);

/** UTF-8, at most 32,767 bytes. */
export const string: Type<string> = { shape: { kind: 'string' }, zero: '', compile: compileString };

/** Decodes to a view of the frame, which lives as long as the frame's buffer does. */
export const bytes: Type<Uint8Array> = { shape: { kind: 'bytes' }, zero: NO_BYTES, compile: compileBytes };

/** Record batches as they stand: a view, opaque to this package. */
export const records: Type<Uint8Array> = {
  shape: { kind: 'records' },
  zero: NO_BYTES,
  compile: compileBytes,
};
