import type { LocalPartition } from '../../packages/broker/src/replication/index.ts';
import { takeBytes } from '../storage/slices.ts';
import { decodeBatches, type DecodedBatch } from './values.ts';

export type ReadResult =
  | { readonly batches: readonly DecodedBatch[]; readonly error: undefined }
  | { readonly error: string; readonly logStartOffset: number };

/** A fetch, from position to decoded values. With `endOffset` from the log itself, whatever the role and the high watermark. */
export function readFrom(
  partition: LocalPartition,
  offset: number,
  options: { readonly bytesMax: number; readonly endOffset?: number },
): ReadResult {
  const { bytesMax, endOffset } = options;
  const range = { offset, bytesMax, atLeastOneBatch: true };
  let slice;
  if (endOffset === undefined) {
    const outcome = partition.read({ ...range, isolation: 'read_uncommitted' });
    if (outcome.error !== undefined) return { error: outcome.error, logStartOffset: outcome.logStartOffset };
    slice = outcome.slice;
  } else {
    const outcome = partition.log.read({ ...range, endOffset });
    if (outcome.kind !== 'records') return { error: outcome.kind, logStartOffset: partition.logStartOffset };
    slice = outcome.slice;
  }
  return { batches: decodeBatches(takeBytes(slice)), error: undefined };
}
