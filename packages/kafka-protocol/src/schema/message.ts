import { Writer, type Reader } from '@polylog/bytes';

import { resetElementBudget } from './array.ts';
import { EncodeError, UnsupportedVersionError } from './errors.ts';
import { SpanRecorder, type Span } from './spans.ts';
import { resetLongestName } from './strings.ts';
import { struct, type Decoded, type Encodable, type Fields } from './struct.ts';
import { compile, type Codec, type Type } from './type.ts';

/** One direction of an API: a request or a response, in all its versions. */
export interface Message<out T, in I> {
  /** As Kafka calls it, for example `ProduceRequest`. */
  readonly name: string;
  readonly type: Type<T, I>;
  readonly versionMin: number;
  readonly versionMax: number;
  /** The first version with compact lengths and tag buffers (KIP-482), or null if none has them. */
  readonly flexibleSince: number | null;
  /**
   * Reads the body; trailing bytes stay unread. Byte fields are views of the reader's buffer. Throws MalformedError for
   * what a peer got wrong (TruncatedError included), {@link UnsupportedVersionError} for a version out of range.
   */
  readonly decode: (reader: Reader, version: number) => T;
  /** Writes the body. Throws {@link EncodeError} for a value that the version cannot carry. */
  readonly encode: (writer: Writer, version: number, value: I) => void;
}

/** A pair of messages under one key. */
export interface Api<out Q = unknown, in QI = never, out S = unknown, in SI = never> {
  readonly key: number;
  readonly name: string;
  readonly versionMin: number;
  readonly versionMax: number;
  /** As in both of its messages. */
  readonly flexibleSince: number | null;
  readonly request: Message<Q, QI>;
  readonly response: Message<S, SI>;
}

/** What a request or response decodes to, from `typeof api.request`. */
export type MessageOf<M> = M extends Message<infer T, infer _I> ? T : never;
/** What a request or response is encoded from. */
export type InitOf<M> = M extends Message<infer _T, infer I> ? I : never;

export interface ApiDefinition<Q extends Fields, S extends Fields> {
  readonly key: number;
  readonly name: string;
  /** First and last version. */
  readonly versions: readonly [min: number, max: number];
  readonly flexibleSince: number | null;
  readonly request: Q;
  readonly response: S;
}

export function isFlexible({ flexibleSince }: Pick<Api, 'flexibleSince'>, version: number): boolean {
  return flexibleSince !== null && version >= flexibleSince;
}

function defineMessage<F extends Fields>(
  name: string,
  fields: F,
  definition: Pick<ApiDefinition<F, F>, 'versions' | 'flexibleSince'>,
): Message<Decoded<F>, Encodable<F>> {
  const [versionMin, versionMax] = definition.versions;
  const type = struct(fields);
  const codecs: Codec<Decoded<F>, Encodable<F>>[] = [];
  // Versions are compiled when first met: most are never seen, and a broker starts in a fraction of a second.
  function codecOf(version: number): Codec<Decoded<F>, Encodable<F>> {
    const index = version - versionMin;
    const known = codecs[index];
    if (known !== undefined) return known;
    if (!(version >= versionMin && version <= versionMax && Number.isInteger(version))) {
      throw new UnsupportedVersionError(name, version, versionMin, versionMax);
    }
    const flexible = isFlexible(definition, version);
    const codec = compile(type, { version, flexible, nullable: false, spans: null });
    codecs[index] = codec;
    return codec;
  }
  return {
    name,
    type,
    versionMin,
    versionMax,
    flexibleSince: definition.flexibleSince,
    decode(reader, version) {
      resetElementBudget();
      resetLongestName();
      return codecOf(version).decode(reader);
    },
    encode(writer, version, value) {
      try {
        codecOf(version).encode(writer, value);
      } catch (error) {
        throw error instanceof EncodeError ? error.within(`${name} v${version}`) : error;
      }
    },
  };
}

/** Defines an API. Its fields carry Kafka's names, first letter in lower case. */
export function api<const Q extends Fields, const S extends Fields>(
  definition: ApiDefinition<Q, S>,
): Api<Decoded<Q>, Encodable<Q>, Decoded<S>, Encodable<S>> {
  const { key, name, versions, flexibleSince } = definition;
  return {
    key,
    name,
    versionMin: versions[0],
    versionMax: versions[1],
    flexibleSince,
    request: defineMessage(`${name}Request`, definition.request, definition),
    response: defineMessage(`${name}Response`, definition.response, definition),
  };
}

/** Encodes a body and says where each of its values, lengths and tags lies. Slow: for fuzzers and dump tools. */
export function encodeWithSpans<T, I>(
  message: Message<T, I>,
  version: number,
  value: I,
): { bytes: Uint8Array; spans: Span[] } {
  const spans = new SpanRecorder();
  const codec = compile(message.type, {
    version,
    flexible: isFlexible(message, version),
    nullable: false,
    spans,
  });
  const writer = new Writer();
  codec.encode(writer, value);
  return { bytes: writer.finish(), spans: spans.take() };
}
