import { DecompressionLimitError, MalformedError } from '@polylog/bytes';
import { checkRecordsNow, rewriteBatchNow } from '../compute-jobs.ts';
import type { CheckRecordsOptions, RecordsVerdict, RewriteOptions } from '../compute.ts';

/** What the loop asks its worker. The batch is a copy that was moved there. */
export type Job =
  | { readonly kind: 'rewriteBatch'; readonly batch: Uint8Array; readonly options: RewriteOptions }
  | { readonly kind: 'checkRecords'; readonly batch: Uint8Array; readonly options: CheckRecordsOptions };

export type JobResult = Uint8Array | RecordsVerdict;

export interface JobRequest {
  readonly id: number;
  readonly job: Job;
}

export interface JobAnswer {
  readonly id: number;
  readonly outcome: { readonly result: JobResult } | { readonly error: PlainError };
}

/** An error without its class, which does not cross threads. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly maxBytes?: number;
}

export function runJob(job: Job): JobResult {
  return job.kind === 'rewriteBatch'
    ? rewriteBatchNow(job.batch, job.options)
    : checkRecordsNow(job.batch, job.options);
}

export function plainError(error: unknown): PlainError {
  if (error instanceof DecompressionLimitError)
    return { name: error.name, message: error.message, maxBytes: error.maxBytes };
  if (error instanceof Error) return { name: error.name, message: error.message };
  return { name: 'Error', message: String(error) };
}

/** The error again. What is not of the malformed family is a bug in the job, and comes back as a plain Error. */
export function errorOf({ name, message, maxBytes }: PlainError): Error {
  if (maxBytes !== undefined) return new DecompressionLimitError(maxBytes);
  const isMalformed = name === 'MalformedError' || name === 'TruncatedError';
  return isMalformed ? new MalformedError(message) : new Error(`${name}: ${message}`);
}
