/** Work that is too long for the event loop. Each promise rejects with the error of the function that it stands for. */
export interface Compute {
  /** Runs a self-contained batch job off the loop; see jobs in compute-jobs.ts of @polylog/record for what exists. */
  rewriteBatch(batch: Uint8Array, options: RewriteOptions): Promise<Uint8Array>;
  /** Full validation of a batch's records, which may mean decompressing them. */
  checkRecords(batch: Uint8Array, options: CheckRecordsOptions): Promise<RecordsVerdict>;
  close(): Promise<void>;
}

export interface RewriteOptions {
  readonly codec?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
  readonly level?: number;
  readonly logAppendTimeMs?: number;
  /** Output limit of the decompression. */
  readonly bytesMax: number;
}

export interface CheckRecordsOptions {
  readonly requireKeys: boolean;
  readonly bytesMax: number;
}

export type RecordsVerdict =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly reason: 'malformed' | 'too-large' | 'missing-key';
      readonly failedIndexes: readonly number[];
      readonly message: string;
    };
