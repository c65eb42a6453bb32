export * from './errors.ts';
export { Reader } from './reader.ts';
export { Writer, utf8Length } from './writer.ts';
