import type { Reader, Writer } from '@polylog/bytes';

import type { SpanRecorder } from './spans.ts';

/** What a type becomes for one version of one message: small closures without any decision left about versions. */
export interface Codec<T, I = T> {
  /** No encoded value is shorter. An array's length is checked against it before anything is allocated. */
  readonly bytesMin: number;
  readonly decode: (reader: Reader) => T;
  readonly encode: (writer: Writer, value: I) => void;
}

export interface CompileContext {
  readonly version: number;
  /** KIP-482: compact lengths, and a tag buffer at the end of each struct. */
  readonly flexible: boolean;
  /** Whether null may stand in the place of the value that is compiled. */
  readonly nullable: boolean;
  /** Set only to learn where each value lies in the encoded bytes. */
  readonly spans: SpanRecorder | null;
}

export type ScalarKind = 'boolean' | 'int8' | 'int16' | 'int32' | 'int64' | 'int64big' | 'float64';

/** The schema as data, for whoever derives values from it: test generators, fuzzers, dump tools. */
export type Shape =
  | { readonly kind: ScalarKind | 'string' | 'bytes' | 'records' | 'uuid' }
  | { readonly kind: 'nullable'; readonly versions: Versions; readonly inner: Type<unknown, never> }
  | { readonly kind: 'array'; readonly element: Type<unknown, never> }
  | { readonly kind: 'struct'; readonly fields: Readonly<Record<string, FieldShape>> };

export interface FieldShape {
  readonly type: Type<unknown, never>;
  readonly versions: Versions;
  /** A tagged field of flexible versions (KIP-482); null for a field at its place in the struct. */
  readonly tag: number | null;
  /** Stands in for the value where a version lacks the field, or a caller leaves it out. */
  readonly default: unknown;
  /** Whether a value other than the default is silently dropped by versions that lack the field. */
  readonly ignorable: boolean;
  /** Whether a caller has to give the value. */
  readonly required: boolean;
}

/** Inclusive. */
export interface Versions {
  readonly min: number;
  readonly max: number;
}

/**
 * A wire type. `T` is what decoding yields, `I` what encoding accepts: the same, but that fields with a default may be
 * left out.
 */
export interface Type<out T, in I = T> {
  readonly shape: Shape;
  /** The default of a field that names none. Shared, so frozen where it is an object. */
  readonly zero: T;
  /** Called through {@link compile} only, which adds the recording of spans. */
  readonly compile: (context: CompileContext) => Codec<T, I>;
}

export function compile<T, I>(type: Type<T, I>, context: CompileContext): Codec<T, I> {
  const codec = type.compile(context);
  const { spans } = context;
  if (spans === null || type.shape.kind === 'nullable') return codec;
  const { kind } = type.shape;
  return {
    ...codec,
    encode: (writer, value) => spans.record(writer, kind, () => codec.encode(writer, value)),
  };
}

export const ALL_VERSIONS: Versions = { min: 0, max: 0x7fff };

export function since(min: number): Versions {
  return { min, max: ALL_VERSIONS.max };
}

export function until(max: number): Versions {
  return { min: 0, max };
}

export function between(min: number, max: number): Versions {
  return { min, max };
}

export function includes(versions: Versions, version: number): boolean {
  return version >= versions.min && version <= versions.max;
}
