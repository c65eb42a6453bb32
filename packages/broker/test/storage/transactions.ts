import {
  buildBatch,
  buildEndTransactionBatch,
  decodeBatch,
  endTransactionOf,
  isControl,
  isTransactional,
  patchLeaderEpoch,
  readBatchHeader,
} from '@polylog/record';
import type { AbortedTransaction, Log, ProducerSnapshotEntry } from '../../src/storage/types.ts';
import { type FoundRecord, text } from './keyed.ts';
import { readAll } from './helpers.ts';

interface Ended extends AbortedTransaction {
  readonly aborted: boolean;
}

/** Writes transactions to a log, as a partition would, and knows which of them were aborted. */
export class TransactionWriter {
  log: Log;
  readonly ended: Ended[] = [];
  readonly #open = new Map<number, number>();
  readonly #lastOffsets = new Map<number, number>();
  readonly #sequences = new Map<number, number>();

  constructor(log: Log) {
    this.log = log;
    this.#attach();
  }

  /** The log was opened anew, or was cut: what is at or above its end is gone. */
  moveTo(log: Log): void {
    this.log = log;
    const { endOffset } = log;
    for (const one of this.ended.filter(({ lastOffset }) => lastOffset >= endOffset))
      if (one.firstOffset < endOffset) this.#open.set(one.producerId, one.firstOffset);
    const kept = this.ended.filter(({ lastOffset }) => lastOffset < endOffset);
    this.ended.splice(0, this.ended.length, ...kept);
    for (const [producerId, firstOffset] of this.#open)
      if (firstOffset >= endOffset) this.#open.delete(producerId);
    this.#attach();
  }

  #attach(): void {
    this.log.snapshotSource = () => this.snapshot();
  }

  snapshot(): ProducerSnapshotEntry[] {
    return Array.from(this.#lastOffsets, ([producerId, lastOffset]) => ({
      producerId,
      producerEpoch: 0,
      lastSequence: (this.#sequences.get(producerId) ?? 0) - 1,
      lastOffset,
      offsetDelta: 0,
      timestamp: 0,
      coordinatorEpoch: 0,
      currentTxnFirstOffset: this.#open.get(producerId) ?? -1,
    }));
  }

  append(producerId: number, records: readonly { key: string; value: string | null }[]): void {
    const baseOffset = this.log.endOffset;
    const sequence = this.#sequences.get(producerId) ?? 0;
    const batch = buildBatch({
      baseOffset,
      leaderEpoch: 0,
      transactional: true,
      producerId,
      producerEpoch: 0,
      baseSequence: sequence,
      records: records.map(({ key, value }) => ({
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        timestamp: 1000,
      })),
    });
    this.log.append([batch], 0);
    if (!this.#open.has(producerId)) this.#open.set(producerId, baseOffset);
    this.#sequences.set(producerId, sequence + records.length);
    this.#lastOffsets.set(producerId, this.log.endOffset - 1);
  }

  end(producerId: number, result: 'commit' | 'abort'): void {
    const lastOffset = this.log.endOffset;
    const marker = buildEndTransactionBatch(
      { type: result, coordinatorEpoch: 0 },
      { baseOffset: lastOffset, timestamp: 1000, producerId, producerEpoch: 0 },
    );
    patchLeaderEpoch(marker, 0, 0);
    const firstOffset = this.#open.get(producerId);
    if (firstOffset === undefined) {
      this.log.append([marker], 0);
      return;
    }
    const others = [...this.#open].filter(([other]) => other !== producerId);
    const lastStableOffset = Math.min(lastOffset + 1, ...others.map(([, first]) => first));
    const transaction = { producerId, firstOffset, lastOffset, lastStableOffset };
    // A roll in between asks for the state before it.
    this.log.append([marker], 0, result === 'abort' ? [transaction] : []);
    this.#open.delete(producerId);
    this.ended.push({ ...transaction, aborted: result === 'abort' });
  }

  get lastStableOffset(): number {
    return Math.min(this.log.endOffset, ...this.#open.values());
  }

  /** Those with something in the range, in the order of their markers. */
  abortedIn(fromOffset: number, toOffset: number): AbortedTransaction[] {
    return this.ended
      .filter((one) => one.aborted && one.firstOffset < toOffset && one.lastOffset >= fromOffset)
      .map(({ producerId, firstOffset, lastOffset, lastStableOffset }) => ({
        producerId,
        firstOffset,
        lastOffset,
        lastStableOffset,
      }));
  }
}

/** What a consumer makes of the log that reads what is committed, by the list of aborted transactions and the markers, as Kafka's does. */
export function readCommitted(log: Log, from: number, lastStableOffset: number): FoundRecord[] {
  const found: FoundRecord[] = [];
  const aborted = log
    .abortedTransactions(from, lastStableOffset)
    .toSorted((a, b) => a.firstOffset - b.firstOffset);
  const skipped = new Set<number>();
  for (const { bytes } of readAll(log, from)) {
    const header = readBatchHeader(bytes);
    const lastOffset = header.baseOffset + header.lastOffsetDelta;
    if (lastOffset >= lastStableOffset) break;
    while (aborted.length > 0 && aborted[0]!.firstOffset <= lastOffset)
      skipped.add(aborted.shift()!.producerId);
    if (isControl(header.attributes)) {
      if (endTransactionOf(bytes, header)?.type === 'abort') skipped.delete(header.producerId);
      continue;
    }
    if (isTransactional(header.attributes) && skipped.has(header.producerId)) continue;
    for (const { offset, key, value, timestamp } of decodeBatch(bytes, { maxBytes: 1e6 }))
      if (offset >= from) found.push({ offset, key: text(key), value: text(value), timestamp });
  }
  return found;
}
