/** Small texts from outside that may change at any time, such as key sets. */
export interface Documents {
  /** Reads a `file:` or `https:` URL as UTF-8. Rejects with {@link DocumentError}. */
  read(url: string, options: ReadDocumentOptions): Promise<string>;
}

export interface ReadDocumentOptions {
  readonly bytesMax: number;
  readonly timeoutMs: number;
  /** A PEM file with the authorities to trust for https; default: those that Node trusts. */
  readonly trustedFile?: string | undefined;
}

/** It could not be read, for the reason in the message, which names the URL. */
export class DocumentError extends Error {
  override readonly name = 'DocumentError';
}
