export * from './errors.ts';
export * from './compression.ts';
export { NAME_BYTES_MAX } from './names.ts';
export { crc32c, crc32cRange } from './crc32c.ts';
export { Reader } from './reader.ts';
export { Writer, utf8Length } from './writer.ts';
