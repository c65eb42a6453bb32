import { DiskError, type DiskErrorCode } from '../disk.ts';

const CODES: Readonly<Record<string, DiskErrorCode>> = {
  ENOENT: 'ENOENT',
  ENOSPC: 'ENOSPC',
  // A full quota asks for the same answer as a full disk.
  EDQUOT: 'ENOSPC',
  EIO: 'EIO',
  EMFILE: 'EMFILE',
  ENFILE: 'EMFILE',
  EACCES: 'EACCES',
  EPERM: 'EACCES',
  EEXIST: 'EEXIST',
  ENOTDIR: 'ENOTDIR',
};

/** The DiskError for what a call of node:fs threw or returned. */
export function diskErrorOf(cause: unknown, operation: string, path: string): DiskError {
  if (cause instanceof DiskError) return cause;
  const error = cause as NodeJS.ErrnoException;
  const code = CODES[error.code ?? ''] ?? 'OTHER';
  return new DiskError({ code, operation, path, detail: error.message, cause });
}

/** Runs a synchronous call and turns what it throws into a DiskError. */
export function guarded<T>(operation: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw diskErrorOf(error, operation, path);
  }
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
