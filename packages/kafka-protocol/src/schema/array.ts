import { MalformedError, TruncatedError } from '@polylog/bytes';

import { EncodeError, located } from './errors.ts';
import { lengthCodec, unexpectedNull } from './lengths.ts';
import { compile, type Codec, type CompileContext, type Type } from './type.ts';

/**
 * Elements of all arrays of one message. An element of two bytes can become an object of eighty, so that a large frame
 * of them would exhaust the heap though each length is true. A request about every partition of a large cluster stays
 * far below.
 */
export const MESSAGE_ELEMENTS_MAX = 1_000_000;

/** Decoding never yields, so one count serves all messages; each starts it anew. */
let elementsLeft = MESSAGE_ELEMENTS_MAX;

/** Elements of all arrays of the message that was decoded last. */
export function decodedElements(): number {
  return MESSAGE_ELEMENTS_MAX - elementsLeft;
}

export function resetElementBudget(): void {
  elementsLeft = MESSAGE_ELEMENTS_MAX;
}

function compileArray<T, I>(element: Type<T, I>, context: CompileContext): Codec<readonly T[], readonly I[]> {
  const length = lengthCodec(context, 32);
  const { nullable, spans } = context;
  const codec = compile(element, { ...context, nullable: false });
  const { bytesMin, decode } = codec;
  // Otherwise four bytes could ask for two billion elements. Kafka has no such array.
  if (bytesMin === 0) throw new Error('an array element must take at least one byte');
  const encode = spans === null ? codec.encode : spannedElement(codec, spans);
  return {
    bytesMin: length.bytesMin,
    decode(reader) {
      const count = length.read(reader);
      if (count === -1) return null as unknown as T[];
      if (count * bytesMin > reader.remaining) throw new TruncatedError(count * bytesMin, reader.remaining);
      elementsLeft -= count;
      if (elementsLeft < 0) throw new MalformedError(`more than ${MESSAGE_ELEMENTS_MAX} array elements`);
      // Most arrays have one element; one that grows makes room for seventeen.
      if (count === 1) return [decode(reader)];
      const elements: T[] = [];
      for (let index = 0; index < count; index++) elements.push(decode(reader));
      return elements;
    },
    encode(writer, values: readonly I[] | null) {
      if (values === null) {
        if (!nullable) throw unexpectedNull();
        length.write(writer, -1);
        return;
      }
      if (!Array.isArray(values)) throw new EncodeError(`${String(values)} is not an array`);
      length.write(writer, values.length);
      let index = 0;
      try {
        for (; index < values.length; index++) encode(writer, values[index], index);
      } catch (error) {
        throw located(error, String(index));
      }
    },
  };
}

type ElementEncoder<I> = (writer: Parameters<Codec<unknown>['encode']>[0], value: I, index: number) => void;

function spannedElement<T, I>(
  codec: Codec<T, I>,
  spans: NonNullable<CompileContext['spans']>,
): ElementEncoder<I> {
  return (writer, value, index) => spans.within(String(index), () => codec.encode(writer, value));
}

export function array<T, I>(element: Type<T, I>): Type<readonly T[], readonly I[]> {
  return {
    shape: { kind: 'array', element },
    zero: Object.freeze([]),
    compile: (context) => compileArray(element, context),
  };
}
