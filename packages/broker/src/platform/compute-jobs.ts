import { checkRecords, rewriteBatch, type RecordsCheck } from '@polylog/record';
import type { CheckRecordsOptions, RecordsVerdict, RewriteOptions } from './compute.ts';

/** The jobs of Compute as plain functions: what its implementations run, in place or elsewhere. */
export function rewriteBatchNow(batch: Uint8Array, options: RewriteOptions): Uint8Array {
  const { bytesMax, ...rest } = options;
  return rewriteBatch(batch, { maxBytes: bytesMax, ...rest });
}

export function checkRecordsNow(batch: Uint8Array, options: CheckRecordsOptions): RecordsVerdict {
  const { bytesMax, ...rest } = options;
  const check = checkRecords(batch, { maxBytes: bytesMax, ...rest });
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

const VERDICTS = [
  ['bad_offset_delta', 'malformed', 'the offsets within the batch have gaps'],
  ['timestamp_out_of_range', 'timestamp', "a record's timestamp is too far from the broker's time"],
  ['missing_key', 'missing-key', 'a compacted topic takes records with keys only'],
] as const;

/** One reason for the batch, the gravest, and the records that it is about. */
function verdictOf({ errors }: Extract<RecordsCheck, { result: 'invalid_records' }>): RecordsVerdict {
  for (const [fault, reason, message] of VERDICTS) {
    const failedIndexes = errors.filter((error) => error.fault === fault).map((error) => error.recordIndex);
    if (failedIndexes.length > 0) return { ok: false, reason, failedIndexes, message };
  }
  throw new Error('records are invalid for no reason');
}
