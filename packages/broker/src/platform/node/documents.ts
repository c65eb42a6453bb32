import { open, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { DocumentError, type Documents, type ReadDocumentOptions } from '../documents.ts';

const OK = 200;

/** Files and https, without redirects. */
export class NodeDocuments implements Documents {
  async read(url: string, options: ReadDocumentOptions): Promise<string> {
    try {
      return url.startsWith('file:')
        ? await readBounded(fileURLToPath(url), options.bytesMax)
        : await fetchText(url, options);
    } catch (error) {
      if (error instanceof DocumentError) throw error;
      throw new DocumentError(`cannot read ${url}: ${(error as Error).message}`, { cause: error });
    }
  }
}

async function readBounded(path: string, bytesMax: number): Promise<string> {
  const file = await open(path);
  try {
    const buffer = Buffer.alloc(bytesMax + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    if (bytesRead > bytesMax) throw new DocumentError(`${path} has more than ${bytesMax} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

async function fetchText(
  url: string,
  { bytesMax, timeoutMs, trustedFile }: ReadDocumentOptions,
): Promise<string> {
  // Brokers that fetch nothing need not load it.
  const { get } = await import('node:https');
  const ca = trustedFile === undefined ? {} : { ca: await readFile(trustedFile) };
  return new Promise((resolve, reject) => {
    const headers = { accept: 'application/json' };
    const signal = AbortSignal.timeout(timeoutMs);
    const refuse = (message: string): void => {
      reject(new DocumentError(`${url} ${message}`));
      request.destroy();
    };
    const request = get(url, { ...ca, headers, signal, agent: false }, (response) => {
      if (response.statusCode !== OK) {
        refuse(`answers with status ${response.statusCode}`);
        return;
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > bytesMax) refuse(`has more than ${bytesMax} bytes`);
      });
      // Of a promise only the first outcome counts: what was refused stays so.
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
      response.on('error', reject);
    });
    request.on('error', (error) => {
      if (signal.aborted) refuse(`did not answer within ${timeoutMs} ms`);
      else reject(error);
    });
  });
}
