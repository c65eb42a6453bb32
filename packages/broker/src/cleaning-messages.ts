/** What the event loop and the thread in which logs are cleaned say to each other. */
import { DiskError, type DiskErrorCode } from './platform/disk.ts';
import {
  CleaningError,
  type CleaningErrorCode,
  type CleaningRequest,
  type CleaningResult,
  type CleaningStep,
} from './storage/cleaner/types.ts';

export interface CleaningOrder {
  readonly request: CleaningRequest;
  readonly bytesPerSecondMax: number;
  /** One int32 in shared memory: not 0 once the cleaning is to be given up. */
  readonly abort: Int32Array;
}

export type CleaningAnswer =
  | { readonly kind: 'step'; readonly step: CleaningStep }
  | { readonly kind: 'result'; readonly result: CleaningResult }
  | { readonly kind: 'error'; readonly error: PlainCleaningError };

/** An error without its class, which does not cross threads. */
interface PlainCleaningError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code?: string;
  readonly operation?: string;
  readonly path?: string;
}

export function plainCleaningError(error: unknown): PlainCleaningError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined };
  const { name, message, stack } = error;
  if (error instanceof CleaningError) return { name, message, stack, code: error.code };
  if (!(error instanceof DiskError)) return { name, message, stack };
  const { code, operation, path } = error;
  return { name, message, stack, code, operation, path };
}

/** The error again; what is neither of storage nor of the cleaner is a bug, and comes back as a plain Error. */
export function cleaningErrorOf({ name, message, stack, code, operation, path }: PlainCleaningError): Error {
  if (name === 'CleaningError') return new CleaningError(code as CleaningErrorCode, message);
  if (name === 'DiskError' && operation !== undefined && path !== undefined) {
    const detail = message.slice(`${operation} ${path}: `.length);
    return new DiskError({ code: code as DiskErrorCode, operation, path, detail });
  }
  return new Error(`${name}: ${message}`, { cause: stack });
}
