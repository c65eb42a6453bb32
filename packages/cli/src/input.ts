import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { CliError } from './errors.ts';
import { EXIT } from './exit-codes.ts';

/** A longer line is refused: it would have to be held in memory as a whole. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;

/** A file as a stream, with a readable error if it cannot be opened. */
export function openInput(path: string): Readable {
  return createReadStream(path);
}

/**
 * The parts of a stream between delimiters, as views into what was read. A last part without a delimiter counts, if it is not
 * empty. Memory is bounded by the longest part. Ends when the signal is aborted.
 *
 * @throws CliError for a part above 64 MiB, or a file that cannot be read
 */
export async function* splitStream(
  stream: Readable,
  delimiter: Buffer,
  signal: AbortSignal,
): AsyncGenerator<Buffer[]> {
  const onAbort = (): void => void stream.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      const { parts, end } = split(bytes, delimiter);
      rest = bytes.subarray(end);
      if (rest.length > LINE_BYTES_MAX) throw new CliError('a line is longer than 64 MiB');
      if (parts.length > 0) yield parts;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw explained(error);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  if (rest.length > 0) yield [rest];
}

function split(bytes: Buffer, delimiter: Buffer): { readonly parts: Buffer[]; readonly end: number } {
  const parts: Buffer[] = [];
  let start = 0;
  for (let at = bytes.indexOf(delimiter); at >= 0; at = bytes.indexOf(delimiter, start)) {
    parts.push(bytes.subarray(start, at));
    start = at + delimiter.length;
  }
  return { parts, end: start };
}

function explained(error: unknown): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT')
    return new CliError(`no file ${path}`, { exitCode: EXIT.notFound, code, cause: error });
  if (code === 'EISDIR' || code === 'EACCES') {
    return new CliError(`cannot read ${path ?? 'the input'}: ${(error as Error).message}`, {
      code,
      cause: error,
    });
  }
  return error;
}

const SECRET_BYTES_MAX = 64 * 1024;

/** A short text of a file, or of standard input. Throws CliError. */
export async function readAll(stdin: Readable, path: string | undefined): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of (path === undefined ? stdin : openInput(path)) as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > SECRET_BYTES_MAX) throw new CliError('a password is not so long');
    }
  } catch (error) {
    throw explained(error);
  }
  return Buffer.concat(chunks).toString('utf8');
}
