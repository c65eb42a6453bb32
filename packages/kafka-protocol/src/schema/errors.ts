/**
 * A value cannot be put on the wire in the version asked for: out of its type's range, null where the version has no
 * null, or set in a field that the version lacks. It is a mistake of the caller, never of the peer.
 */
export class EncodeError extends Error {
  override readonly name: string = 'EncodeError';
  /** Field names from the message down to the value, arrays with their index. */
  readonly path: readonly string[];
  readonly #reason: string;

  constructor(reason: string, path: readonly string[] = []) {
    super(path.length === 0 ? reason : `${path.join('.')}: ${reason}`);
    this.#reason = reason;
    this.path = path;
  }

  within(segment: string): EncodeError {
    return new EncodeError(this.#reason, [segment, ...this.path]);
  }
}

/** Adds the field in which an error arose; anything but an {@link EncodeError} passes unchanged. */
export function located(error: unknown, segment: string): unknown {
  return error instanceof EncodeError ? error.within(segment) : error;
}

/** The schema has no such version of the message. */
export class UnsupportedVersionError extends Error {
  override readonly name: string = 'UnsupportedVersionError';

  constructor(message: string, version: number, min: number, max: number) {
    super(`${message} has versions ${min} to ${max}, not ${version}`);
  }
}
