import type { AppendResult } from '../../packages/broker/src/replication/types.ts';
import { readBatchHeader, sizeInBytes } from '../../packages/record/src/index.ts';
import { type PartitionHistory, Violation } from '../invariants/history.ts';
import { takeBytes } from '../storage/slices.ts';
import type { SimRandom } from '../platform/random.ts';
import { lastStableOffsetOf, transactionsOf } from '../storage/model-transactions.ts';
import { batchOf } from '../workload/values.ts';
import type { ClusterBroker } from './broker.ts';

const RECORDS_MAX = 3;
const READ_BYTES = 64 * 1024;

/** How a request gets to a broker; undefined: no answer came, and it may have been heard or not. */
export type Ask = (
  handle: (broker: ClusterBroker, reply: (result: AppendResult) => void) => void,
) => Promise<AppendResult | undefined>;

/**
 * A transactional producer of a replicated partition with its coordinator, as simple as can be: after anything but a success it raises its epoch. What
 * matters here is what leaders and followers make of its batches and markers.
 */
export class ClusterTransactor {
  readonly #producerId: number;
  readonly #history: PartitionHistory;
  readonly #random: SimRandom;
  readonly #nextValue: () => number;
  readonly #count: (path: string) => void;
  #epoch = 0;
  #sequence = 0;
  #isBusy = false;

  constructor(options: {
    readonly producerId: number;
    readonly history: PartitionHistory;
    readonly random: SimRandom;
    readonly nextValue: () => number;
    readonly count: (path: string) => void;
  }) {
    this.#producerId = options.producerId;
    this.#history = options.history;
    this.#random = options.random;
    this.#nextValue = options.nextValue;
    this.#count = options.count;
  }

  get idle(): boolean {
    return !this.#isBusy;
  }

  async step(ask: Ask): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      if (this.#random.chance(0.3)) await this.end(ask);
      else await this.#append(ask);
    } finally {
      this.#isBusy = false;
    }
  }

  async #append(ask: Ask): Promise<void> {
    const values = Array.from({ length: this.#random.between(1, RECORDS_MAX) }, this.#nextValue);
    for (const value of values) this.#history.sent(value);
    const producer = {
      producerId: this.#producerId,
      producerEpoch: this.#epoch,
      baseSequence: this.#sequence,
    };
    const batch = batchOf(values, { valueBytes: 40, timestamp: 1, transactional: true, ...producer });
    const result = await ask((broker, reply) => {
      const { partition } = broker;
      const verification = partition.startVerification(producer, false, 0);
      if (typeof verification === 'string') return reply({ error: verification, message: '' });
      const options = { requiredAcks: -1, nowMs: 0, origin: 'client', verification } as const;
      partition.append(batch.slice(), options, reply);
    });
    if (result?.error === undefined && result !== undefined) {
      this.#count('transaction.append');
      this.#sequence += values.length;
      values.forEach((value, index) => this.#history.acknowledged(value, result.baseOffset + index, true));
      return;
    }
    for (const value of values) this.#history.unknown(value);
    this.#startOver();
  }

  /** Ends its transaction, if it has one. */
  async end(ask: Ask): Promise<void> {
    const result = this.#random.chance(0.5) ? 'commit' : 'abort';
    const marker = {
      producerId: this.#producerId,
      producerEpoch: this.#epoch,
      result,
      coordinatorEpoch: 0,
      transactionVersion: 1,
    } as const;
    const answer = await ask((broker, reply) => broker.partition.appendMarker(marker, 0, reply));
    if (answer?.error === undefined && answer !== undefined) this.#count(`transaction.${result}`);
    else this.#startOver();
  }

  #startOver(): void {
    this.#epoch++;
    this.#sequence = 0;
  }
}

/** A leader's last stable offset, and any replica's index of aborted transactions, must be what its log says. */
export function checkTransactions(broker: ClusterBroker, count: (path: string) => void): void {
  const { partition } = broker;
  const { highWatermark, logStartOffset, logEndOffset } = partition;
  let batches: ReturnType<typeof batchesOf>;
  try {
    batches = batchesOf(broker);
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'DiskError') throw error;
    return;
  }
  const transactions = transactionsOf(batches);
  const aborted = partition.abortedTransactions(logStartOffset, logEndOffset);
  if (JSON.stringify(aborted) !== JSON.stringify(transactions.aborted))
    throw new Violation(
      'aborted-index',
      `broker ${broker.id}: ${JSON.stringify(aborted)} instead of ${JSON.stringify(transactions.aborted)}`,
    );
  if (!partition.isLeader) return;
  count('transaction.compared');
  const expected = lastStableOffsetOf(transactions, highWatermark);
  // Where it was loaded a moment ago, and the HW is still below what it knows, it may say less.
  const isCautious = partition.lastStableOffset === logStartOffset && highWatermark < logEndOffset;
  if (partition.lastStableOffset !== expected && !isCautious)
    throw new Violation(
      'lso',
      `broker ${broker.id}: ${partition.lastStableOffset} instead of ${expected}, HW ${highWatermark}, end ${logEndOffset}`,
    );
}

function batchesOf({ partition }: ClusterBroker): {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly endOffset: number;
}[] {
  const { log } = partition;
  const batches = [];
  for (let offset = log.startOffset; offset < log.endOffset;) {
    const outcome = log.read({
      offset,
      endOffset: log.endOffset,
      bytesMax: READ_BYTES,
      atLeastOneBatch: true,
    });
    if (outcome.kind !== 'records') throw new Violation('unreadable', `${outcome.kind} at ${offset}`);
    const bytes = takeBytes(outcome.slice);
    for (let at = 0; at < bytes.length;) {
      const header = readBatchHeader(bytes, at);
      offset = header.baseOffset + header.lastOffsetDelta + 1;
      const end = at + sizeInBytes(header);
      batches.push({ bytes: bytes.subarray(at, end), baseOffset: header.baseOffset, endOffset: offset });
      at = end;
    }
  }
  return batches;
}
