import { MalformedError, utf8Length } from '@polylog/bytes';

import { EncodeError } from './errors.ts';
import { lengthCodec, unexpectedNull } from './lengths.ts';
import type { Codec, CompileContext, Type } from './type.ts';

/** An int16 length in classic versions; flexible ones keep the limit. */
const STRING_BYTES_MAX = 0x7fff;

/** Decoding never yields, so one figure serves all messages; each starts it anew. */
let longestNameBytes = 0;

/** Of the {@link string}s of the message that was decoded last. */
export function longestDecodedName(): number {
  return longestNameBytes;
}

export function resetLongestName(): void {
  longestNameBytes = 0;
}

function compileString(context: CompileContext, counts: boolean): Codec<string> {
  const length = lengthCodec(context, 16);
  const { nullable } = context;
  return {
    bytesMin: length.bytesMin,
    decode(reader) {
      const bytes = length.read(reader);
      // Only a context that allows null yields -1; `nullable` then has widened the type.
      if (bytes === -1) return null as unknown as string;
      if (bytes > STRING_BYTES_MAX) throw new MalformedError(`string of ${bytes} bytes`);
      if (counts && bytes > longestNameBytes) longestNameBytes = bytes;
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

/** A name, an id, or what else tables may be keyed by: UTF-8, at most 32,767 bytes. {@link longestDecodedName} counts it. */
export const string: Type<string> = {
  shape: { kind: 'string' },
  zero: '',
  compile: (context) => compileString(context, true),
};

/** The same where it is no such thing, and is rightly long at times: values, expressions, remarks. */
export const text: Type<string> = {
  shape: { kind: 'string' },
  zero: '',
  compile: (context) => compileString(context, false),
};

/** Decodes to a view of the frame, which lives as long as the frame's buffer does. */
export const bytes: Type<Uint8Array> = { shape: { kind: 'bytes' }, zero: NO_BYTES, compile: compileBytes };

/** Record batches as they stand: a view, opaque to this package. */
export const records: Type<Uint8Array> = {
  shape: { kind: 'records' },
  zero: NO_BYTES,
  compile: compileBytes,
};
