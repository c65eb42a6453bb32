import { checkRecords, rewriteBatch, type RecordsCheck } from '@polylog/record';
import type { CheckRecordsOptions, RecordsVerdict, RewriteOptions } from './compute.ts';

/** The jobs of Compute as plain functions: what its implementations run, in place or elsewhere. */
export function rewriteBatchNow(batch: Uint8Array, options: RewriteOptions): Uint8Array {
  const { bytesMax, ...rest } = options;
  return rewriteBatch(batch, { maxBytes: bytesMax, ...rest });
}

export function checkRecordsNow(batch: Uint8Array, options: CheckRecordsOptions): RecordsVerdict {
  const check = checkRecords(batch, { maxBytes: options.bytesMax, requireKeys: options.requireKeys });
  switch (check.result) {
    case 'ok':
      return { ok: true };
    case 'invalid_records':
      return verdictOf(check);
    case 'too_large': {
      const message = `the records expand beyond ${options.bytesMax} bytes`;
      return { ok: false, reason: 'too-large', failedIndexes: [], message };
    }
    case 'malformed':
      return { ok: false, reason: 'malformed', failedIndexes: [], message: check.reason };
  }
}

/** A batch with a wrong record is malformed, whatever else it lacks. */
function verdictOf({ errors }: Extract<RecordsCheck, { result: 'invalid_records' }>): RecordsVerdict {
  const wrong = errors.filter(({ fault }) => fault !== 'missing_key');
  const failedIndexes = (wrong.length > 0 ? wrong : errors).map(({ recordIndex }) => recordIndex);
  return wrong.length > 0
    ? { ok: false, reason: 'malformed', failedIndexes, message: 'the offsets within the batch have gaps' }
    : {
        ok: false,
        reason: 'missing-key',
        failedIndexes,
        message: 'a compacted topic takes records with keys only',
      };
}
