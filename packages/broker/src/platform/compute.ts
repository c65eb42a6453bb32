/**
 * Work that is too long for the event loop. A batch is read when the method is called and may change afterwards; results come in
 * any order, so whoever needs the order of the calls keeps it. Each promise rejects with the error of the function
 * that it stands for (of the family MalformedError), or with {@link ComputeError}.
 */
export interface Compute {
  /**
   * A copy of the batch with its records compressed anew, or the log-append time set, or both: `rewriteBatch` of
   * @polylog/record.
   */
  rewriteBatch(batch: Uint8Array, options: RewriteOptions): Promise<Uint8Array>;
  /** Full validation of a batch's records, which may mean decompressing them: `checkRecords` of @polylog/record. */
  checkRecords(batch: Uint8Array, options: CheckRecordsOptions): Promise<RecordsVerdict>;
  /** What is under way rejects. */
  close(): Promise<void>;
}

export interface RewriteOptions {
  /** Default: the batch's own. */
  readonly codec?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly level?: number;
  readonly logAppendTimeMs?: number;
  /** Output limit of the decompression. */
  readonly bytesMax: number;
}

export interface CheckRecordsOptions {
  readonly requireKeys: boolean;
  /** Bounds of each record's create time, in milliseconds since the epoch; none by default. */
  readonly timestampMin?: number;
  readonly timestampMax?: number;
  /** Output limit of the decompression. */
  readonly bytesMax: number;
}

export type RecordsVerdict =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: 'malformed' | 'too-large' | 'missing-key' | 'timestamp';
      /** Positions within the batch, from 0, of the records that the reason is about. */
      readonly failedIndexes: readonly number[];
      readonly message: string;
    };

/** `BUSY`: too much waits already, try later. `CRASHED`: the worker died over this job or beside it. `CLOSED`: after close. */
export type ComputeErrorCode = 'BUSY' | 'CRASHED' | 'CLOSED';

export class ComputeError extends Error {
  override readonly name = 'ComputeError';
  readonly code: ComputeErrorCode;

  constructor(code: ComputeErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
