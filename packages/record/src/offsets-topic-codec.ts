import { MalformedError, type Reader, utf8Length, type Writer } from '@polylog/bytes';

/*
 * What the records of `__consumer_offsets` are made of: Kafka's strings, bytes and arrays in both encodings, the one with int16 and int32
 * lengths and the compact one of KIP-482 (length + 1 as an unsigned varint, 0: null; structures end in tagged fields).
 */
const UUID_BYTES = 16;
/** Of unpadded base64url. */
const UUID_CHARS = 22;

export function writeString(writer: Writer, value: string, flexible = false): void {
  const length = utf8Length(value);
  if (flexible) writer.uvarint(length + 1);
  else writer.int16(length);
  writer.string(value, length);
}

export function writeNullableString(writer: Writer, value: string | null, flexible = false): void {
  if (value !== null) writeString(writer, value, flexible);
  else if (flexible) writer.uvarint(0);
  else writer.int16(-1);
}

export function writeBytes(writer: Writer, value: Uint8Array, flexible = false): void {
  if (flexible) writer.uvarint(value.length + 1);
  else writer.int32(value.length);
  writer.bytes(value);
}

/** 22 characters of base64url. */
export function writeUuid(writer: Writer, value: string): void {
  const bytes = Buffer.from(value, 'base64url');
  if (value.length !== UUID_CHARS || bytes.length !== UUID_BYTES) throw new Error(`${value} is not a UUID`);
  writer.bytes(bytes);
}

/** A compact array that is not null. */
export function writeArray<T>(writer: Writer, items: readonly T[], write: (item: T) => void): void {
  writer.uvarint(items.length + 1);
  for (const item of items) write(item);
}

export function writeNoTags(writer: Writer): void {
  writer.uvarint(0);
}

export function readString(reader: Reader, flexible = false): string {
  const value = readNullableString(reader, flexible);
  if (value === null) throw new MalformedError('a string is null that must not be');
  return value;
}

export function readNullableString(reader: Reader, flexible: boolean): string | null {
  const length = flexible ? reader.uvarint() - 1 : reader.int16();
  return length < 0 ? null : reader.string(length);
}

/** A copy. */
export function readBytes(reader: Reader, flexible: boolean): Uint8Array {
  const length = flexible ? reader.uvarint() - 1 : reader.int32();
  if (length < 0) throw new MalformedError('bytes are null that must not be');
  return new Uint8Array(reader.bytes(length));
}

export function readUuid(reader: Reader): string {
  const bytes = reader.bytes(UUID_BYTES);
  return Buffer.from(bytes.buffer, bytes.byteOffset, UUID_BYTES).toString('base64url');
}

/** A compact array; one element takes `bytesMin` at least, which bounds what a damaged count makes us allocate. */
export function readArray<T>(reader: Reader, bytesMin: number, read: () => T): T[] {
  const count = reader.uvarint() - 1;
  if (count < 0 || count > reader.remaining / bytesMin) {
    throw new MalformedError(`${count} elements in ${reader.remaining} bytes`);
  }
  const items: T[] = [];
  for (let index = 0; index < count; index++) items.push(read());
  return items;
}

/** `known` reads the field of a tag that it knows, and returns whether it did; all others are passed over. */
export function readTags(reader: Reader, known?: (tag: number) => boolean): void {
  for (let tags = reader.uvarint(); tags > 0; tags--) {
    const tag = reader.uvarint();
    const bytes = reader.uvarint();
    const end = reader.position + bytes;
    if (known?.(tag) === true) {
      if (reader.position !== end)
        throw new MalformedError(`tagged field ${tag} does not have ${bytes} bytes`);
    } else reader.skip(bytes);
  }
}
