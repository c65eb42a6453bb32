import { DiskError, type DiskErrorCode } from '../../packages/broker/src/platform/disk.ts';

export function diskError(code: DiskErrorCode, operation: string, path: string, detail: string): DiskError {
  return new DiskError({ code, operation, path, detail });
}
