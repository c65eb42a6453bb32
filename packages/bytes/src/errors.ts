/**
 * A peer, or a file, sent bytes that do not follow their format. Readers throw it; the front end that owns the
 * connection answers it, or closes that connection, and nobody else notices.
 */
export class MalformedError extends Error {
  override readonly name: string = 'MalformedError';
}

/** The bytes end before the value does. For a stream parser it means "wait for more", for a frame it is an error. */
export class TruncatedError extends MalformedError {
  override readonly name: string = 'TruncatedError';

  constructor(wanted: number, available: number) {
    super(`truncated: wanted ${wanted} bytes, ${available} left`);
  }
}

/**
 * Compressed bytes would expand beyond the caller's limit. Part of the malformed family: to a reader that set the limit,
 * such bytes are as unusable as broken ones, whether or not a larger limit would have taken them.
 */
export class DecompressionLimitError extends MalformedError {
  override readonly name: string = 'DecompressionLimitError';
  /** The limit that was exceeded, in bytes. */
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    super(`decompressed data exceeds ${maxBytes} bytes`);
    this.maxBytes = maxBytes;
  }
}
