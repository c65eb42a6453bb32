import { MalformedError, Writer, type Reader } from '@polylog/bytes';

import { EncodeError, located } from './errors.ts';
import type { SpanRecorder } from './spans.ts';
import { ALL_VERSIONS, compile, includes } from './type.ts';
import type { Codec, CompileContext, FieldShape, Type, Versions } from './type.ts';

/** One field of a struct. `R` says at the type level whether a caller has to give a value. */
export interface Field<out T, in I, R extends boolean> extends FieldShape {
  readonly type: Type<T, I>;
  readonly required: R;
}

export interface FieldOptions<T> {
  /** Kafka's default, or null where it has none but a null says "nothing". */
  readonly default?: T;
  /** A value other than the default may be dropped by versions that lack the field. */
  readonly ignorable?: boolean;
}

/** A field's versions together with its tag. */
export interface Tagged {
  readonly tag: number;
  readonly versions: Versions;
}

/** An optional field in the tag buffer of flexible versions (KIP-482): absent from the bytes while it has its default. */
export function tagged(tag: number, versions: Versions = ALL_VERSIONS): Tagged {
  return { tag, versions };
}

/**
 * A field that every version has and every caller gives; or, with versions, a tag or a default, one that may be left
 * out when encoding.
 */
export function field<T, I>(type: Type<T, I>): Field<T, I, true>;
export function field<T, I>(type: Type<T, I>, options: FieldOptions<NoInfer<T>>): Field<T, I, false>;
export function field<T, I>(
  type: Type<T, I>,
  presence: Versions | Tagged,
  options?: FieldOptions<NoInfer<T>>,
): Field<T, I, false>;
export function field<T, I>(
  type: Type<T, I>,
  second?: Versions | Tagged | FieldOptions<T>,
  third?: FieldOptions<T>,
): Field<T, I, boolean> {
  const presence = second !== undefined && ('min' in second || 'tag' in second) ? second : undefined;
  const options = presence === undefined ? (second as FieldOptions<T> | undefined) : third;
  return {
    type,
    versions: presence === undefined ? ALL_VERSIONS : 'tag' in presence ? presence.versions : presence,
    tag: presence !== undefined && 'tag' in presence ? presence.tag : null,
    default: options?.default === undefined ? type.zero : options.default,
    ignorable: options?.ignorable ?? false,
    required: second === undefined,
  };
}

export type Fields = Readonly<Record<string, Field<unknown, never, boolean>>>;

/** What a struct decodes to: every field, whatever the version. */
export type Decoded<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Field<infer T, infer _I, boolean> ? T : never;
};

type RequiredKeys<F extends Fields> = { [K in keyof F]: F[K]['required'] extends true ? K : never }[keyof F];
type InputOf<F> = F extends Field<infer _T, infer I, boolean> ? I : never;

/** What a struct is encoded from: fields that have a default may be left out, or be undefined. */
export type Encodable<F extends Fields> = { [K in RequiredKeys<F>]: InputOf<F[K]> } & {
  [K in Exclude<keyof F, RequiredKeys<F>>]?: InputOf<F[K]> | undefined;
};

type Row = Record<string, unknown>;
type Setter = (row: Row, reader: Reader) => void;
type Putter = (writer: Writer, row: Readonly<Row>) => void;

/** Whether a value equals the default, fields that were left out included. Defaults hold only empty arrays and bytes. */
function isDefault(value: unknown, standard: unknown): boolean {
  if (value === standard || value === undefined) return true;
  if (typeof value !== 'object' || typeof standard !== 'object' || value === null || standard === null) {
    return Object.is(value, standard);
  }
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length === 0;
  for (const name of Object.keys(standard)) {
    if (!isDefault((value as Row)[name], (standard as Row)[name])) return false;
  }
  return true;
}

function valueOf(row: Readonly<Row>, name: string, shape: FieldShape): never {
  let value = row[name];
  if (value === undefined) {
    if (shape.required) throw new EncodeError('missing');
    value = shape.default;
  }
  // The cast meets the codec that was compiled from the same field.
  return value as never;
}

function setter(name: string, codec: Codec<unknown, never>): Setter {
  const { decode } = codec;
  return (row, reader) => {
    row[name] = decode(reader);
  };
}

function putter(
  name: string,
  shape: FieldShape,
  codec: Codec<unknown, never>,
  spans: SpanRecorder | null,
): Putter {
  const { encode } = codec;
  if (spans !== null) {
    return (writer, row) => spans.within(name, () => encode(writer, valueOf(row, name, shape)));
  }
  return (writer, row) => encode(writer, valueOf(row, name, shape));
}

/** Checks instead of writing: for the fields that this version lacks. */
function absentee(name: string, shape: FieldShape, version: number): Putter {
  const standard = shape.default;
  return (_writer, row) => {
    if (!isDefault(row[name], standard))
      throw new EncodeError(`version ${version} has no such field`, [name]);
  };
}

interface TaggedField {
  readonly name: string;
  readonly tag: number;
  readonly shape: FieldShape;
  readonly codec: Codec<unknown, never>;
}

/**
 * ```
 * tag buffer   uvarint count, then per field: uvarint tag, uvarint size, value
 * ```
 */
function tagReader(tags: readonly TaggedField[]): Setter {
  return (row, reader) => {
    for (let count = reader.uvarint(); count > 0; count--) {
      const tag = reader.uvarint();
      const size = reader.uvarint();
      const known = tags.find((candidate) => candidate.tag === tag);
      if (known === undefined) {
        reader.skip(size);
        continue;
      }
      const end = reader.position + size;
      row[known.name] = known.codec.decode(reader);
      if (reader.position !== end)
        throw new MalformedError(`tagged field ${tag} does not have its ${size} bytes`);
    }
  };
}

function tagWriter(tags: readonly TaggedField[], spans: SpanRecorder | null): Putter {
  return (writer, row) => {
    let count = 0;
    for (const { name, shape } of tags) if (!isDefault(row[name], shape.default)) count++;
    if (spans === null) writer.uvarint(count);
    else spans.record(writer, 'tag count', () => writer.uvarint(count));
    if (count === 0) return;
    for (const entry of tags) {
      if (isDefault(row[entry.name], entry.shape.default)) continue;
      if (spans === null) writeTagged(writer, entry, row);
      else spans.within(entry.name, () => writeTaggedSpanned(writer, entry, row, spans));
    }
  };
}

function writeTagged(writer: Writer, { name, tag, codec }: TaggedField, row: Readonly<Row>): void {
  const value = new Writer();
  try {
    codec.encode(value, row[name] as never);
  } catch (error) {
    throw located(error, name);
  }
  writer.uvarint(tag);
  writer.uvarint(value.length);
  for (const chunk of value.chunks()) writer.bytes(chunk);
}

function writeTaggedSpanned(
  writer: Writer,
  { name, tag, codec }: TaggedField,
  row: Readonly<Row>,
  spans: SpanRecorder,
): void {
  const value = new Writer();
  spans.nested(
    () => codec.encode(value, row[name] as never),
    () => {
      spans.record(writer, 'tag', () => writer.uvarint(tag));
      spans.record(writer, 'tag size', () => writer.uvarint(value.length));
      return writer.length;
    },
  );
  for (const chunk of value.chunks()) writer.bytes(chunk);
}

interface StructParts {
  readonly bytesMin: number;
  readonly template: Row;
  readonly setters: readonly Setter[];
  readonly putters: readonly Putter[];
  readonly putterNames: readonly string[];
}

/** Sorts the fields of one version into what reads, what writes and what checks. */
function parts(fields: Fields, context: CompileContext): StructParts {
  const { version, flexible, spans } = context;
  const template: Row = {};
  const setters: Setter[] = [];
  const putters: Putter[] = [];
  const putterNames: string[] = [];
  const tags: TaggedField[] = [];
  let bytesMin = 0;
  for (const [name, shape] of Object.entries(fields)) {
    template[name] = shape.default;
    if (!includes(shape.versions, version) || (shape.tag !== null && !flexible)) {
      if (!shape.ignorable) {
        putters.push(absentee(name, shape, version));
        putterNames.push('');
      }
      continue;
    }
    const codec = compile(shape.type, { ...context, nullable: false });
    if (shape.tag !== null) {
      tags.push({ name, tag: shape.tag, shape, codec });
      continue;
    }
    bytesMin += codec.bytesMin;
    setters.push(setter(name, codec));
    putters.push(putter(name, shape, codec, spans));
    putterNames.push(name);
  }
  if (flexible) {
    bytesMin += 1;
    tags.sort((a, b) => a.tag - b.tag);
    setters.push(tagReader(tags));
    putters.push(tagWriter(tags, spans));
    putterNames.push('');
  }
  return { bytesMin, template, setters, putters, putterNames };
}

/** Null, where it is allowed, is a leading -1 in an int8; a value follows a 1. */
const STRUCT_NULL = -1;
const STRUCT_PRESENT = 1;

function compileStruct<F extends Fields>(
  fields: F,
  context: CompileContext,
): Codec<Decoded<F>, Encodable<F>> {
  const { bytesMin, template, setters, putters, putterNames } = parts(fields, context);
  function decode(reader: Reader): Decoded<F> {
    // A copy of the template has all fields in one hidden class, whatever the version. Where many classes meet, as
    // here, Object.assign takes half the time of a spread.
    const row: Row = Object.assign({}, template);
    for (let index = 0; index < setters.length; index++) setters[index]!(row, reader);
    return row as Decoded<F>;
  }
  function encode(writer: Writer, value: Encodable<F>): void {
    if (typeof value !== 'object' || value === null)
      throw new EncodeError(`${String(value)} is not a struct`);
    let index = 0;
    try {
      for (; index < putters.length; index++) putters[index]!(writer, value);
    } catch (error) {
      throw putterNames[index] === '' ? error : located(error, putterNames[index]!);
    }
  }
  if (!context.nullable) return { bytesMin, decode, encode };
  const { spans } = context;
  const writePresence = (writer: Writer, value: number): void => {
    if (spans === null) writer.int8(value);
    else spans.record(writer, 'presence', () => writer.int8(value));
  };
  return {
    bytesMin: 1,
    decode(reader) {
      // Kafka takes every negative byte for null and every other one for a value.
      if (reader.int8() < 0) return null as unknown as Decoded<F>;
      return decode(reader);
    },
    encode(writer, value: Encodable<F> | null) {
      writePresence(writer, value === null ? STRUCT_NULL : STRUCT_PRESENT);
      if (value !== null) encode(writer, value);
    },
  };
}

export function struct<F extends Fields>(fields: F): Type<Decoded<F>, Encodable<F>> {
  const zero: Row = {};
  for (const [name, shape] of Object.entries(fields)) zero[name] = shape.default;
  return {
    shape: { kind: 'struct', fields },
    zero: Object.freeze(zero) as Decoded<F>,
    compile: (context) => compileStruct(fields, context),
  };
}

/** Null is a value too, in the versions named. Elsewhere a null from a peer is malformed, and from a caller an error. */
export function nullable<T, I>(
  inner: Type<T, I>,
  versions: Versions = ALL_VERSIONS,
): Type<T | null, I | null> {
  return {
    shape: { kind: 'nullable', versions, inner },
    zero: inner.zero,
    compile: (context) =>
      compile(inner, { ...context, nullable: includes(versions, context.version) }) as Codec<
        T | null,
        I | null
      >,
  };
}
