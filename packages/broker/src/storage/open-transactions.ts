import { type BatchHeader, type EndTransactionMarker, isControl, isTransactional } from '@polylog/record';
import type { AbortedTransaction, ProducerSnapshotEntry } from './types.ts';

/** Which transactions are open at a place of a log, as its batches before that tell: for who makes the index of aborted ones anew. */
export class OpenTransactions {
  /** First offsets by producer id; in the order in which the transactions began. */
  readonly #firstOffsets: Map<number, number>;

  constructor(firstOffsets: Iterable<readonly [producerId: number, firstOffset: number]> = []) {
    this.#firstOffsets = new Map(firstOffsets);
  }

  /** Those at the offset of a producer snapshot. */
  static of(snapshot: readonly ProducerSnapshotEntry[]): OpenTransactions {
    const open = snapshot.filter(({ currentTxnFirstOffset }) => currentTxnFirstOffset >= 0);
    open.sort((a, b) => a.currentTxnFirstOffset - b.currentTxnFirstOffset);
    return new OpenTransactions(
      open.map(({ producerId, currentTxnFirstOffset }) => [producerId, currentTxnFirstOffset] as const),
    );
  }

  copy(): OpenTransactions {
    return new OpenTransactions(this.#firstOffsets);
  }

  /** Steps over a batch; `marker` is what a control batch says. Returns the transaction that it aborts. */
  step(header: BatchHeader, marker: EndTransactionMarker | undefined): AbortedTransaction | undefined {
    const { producerId, baseOffset, attributes } = header;
    const open = this.#firstOffsets;
    if (!isControl(attributes)) {
      if (isTransactional(attributes) && !open.has(producerId)) open.set(producerId, baseOffset);
      return undefined;
    }
    const firstOffset = marker && open.get(producerId);
    if (firstOffset === undefined) return undefined;
    open.delete(producerId);
    const lastOffset = baseOffset + header.lastOffsetDelta;
    if (marker?.type !== 'abort') return undefined;
    return { producerId, firstOffset, lastOffset, lastStableOffset: this.#first ?? lastOffset + 1 };
  }

  /** The first offset of the one that began first. */
  get #first(): number | undefined {
    for (const firstOffset of this.#firstOffsets.values()) return firstOffset;
    return undefined;
  }
}

/** Whether a batch says anything about transactions. */
export function concernsTransactions({ attributes, producerId }: BatchHeader): boolean {
  return producerId >= 0 && isTransactional(attributes);
}
