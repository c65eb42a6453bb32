import type { AbortedTransaction, ProducerSnapshotEntry } from '../../packages/broker/src/storage/types.ts';
import {
  buildEndTransactionBatch,
  endTransactionOf,
  isTransactional,
  readBatchHeader,
} from '../../packages/record/src/index.ts';
import type { ModelBatch } from './model-log.ts';

/** What the batches of a log say about transactions, worked out anew from the first one. */
export interface ModelTransactions {
  /** First offsets by producer id. */
  readonly open: ReadonlyMap<number, number>;
  /** In the order of their markers. */
  readonly aborted: readonly AbortedTransaction[];
  /** All that have ended, likewise. */
  readonly ended: readonly { readonly firstOffset: number; readonly markerOffset: number }[];
}

/** Where the last stable offset must be. */
export function lastStableOffsetOf({ open, ended }: ModelTransactions, highWatermark: number): number {
  const unreplicated = ended.filter(({ markerOffset }) => markerOffset >= highWatermark);
  return Math.min(highWatermark, ...open.values(), ...unreplicated.map(({ firstOffset }) => firstOffset));
}

export function transactionsOf(
  batches: readonly Pick<ModelBatch, 'bytes' | 'baseOffset' | 'endOffset'>[],
): ModelTransactions {
  const open = new Map<number, number>();
  const aborted: AbortedTransaction[] = [];
  const ended: { firstOffset: number; markerOffset: number }[] = [];
  for (const { bytes, baseOffset, endOffset } of batches) {
    const header = readBatchHeader(bytes);
    const { producerId } = header;
    const marker = endTransactionOf(bytes, header);
    const firstOffset = open.get(producerId);
    if (marker === undefined) {
      if (isTransactional(header.attributes) && firstOffset === undefined) open.set(producerId, baseOffset);
      continue;
    }
    open.delete(producerId);
    if (firstOffset === undefined) continue;
    ended.push({ firstOffset, markerOffset: endOffset - 1 });
    if (marker.type === 'commit') continue;
    const lastStableOffset = Math.min(endOffset, ...open.values());
    aborted.push({ producerId, firstOffset, lastOffset: endOffset - 1, lastStableOffset });
  }
  return { open, aborted, ended };
}

/** A producer snapshot, of which storage needs the open transactions only. */
export function snapshotOf({ open }: ModelTransactions): ProducerSnapshotEntry[] {
  return Array.from(open, ([producerId, currentTxnFirstOffset]) => ({
    producerId,
    producerEpoch: 0,
    lastSequence: 0,
    lastOffset: currentTxnFirstOffset,
    offsetDelta: 0,
    timestamp: 0,
    coordinatorEpoch: 0,
    currentTxnFirstOffset,
  }));
}

/** A marker with the offset and the epoch that it has in the log. */
export function markerAt(options: {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly producerId: number;
  readonly type: 'commit' | 'abort';
}): Uint8Array {
  const { type, ...at } = options;
  return buildEndTransactionBatch({ type, coordinatorEpoch: 0 }, { ...at, producerEpoch: 0, timestamp: 1 });
}
