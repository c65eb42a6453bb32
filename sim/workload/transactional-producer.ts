import type { LocalPartition } from '../../packages/broker/src/replication/index.ts';
import type { AppendResult } from '../../packages/broker/src/replication/types.ts';
import { buildBatch } from '../../packages/record/src/index.ts';
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';

const BATCH_RECORDS_MAX = 3;
const VALUE_BYTES_CHOICES = [8, 8, 40, 200, 700];
const COORDINATOR_EPOCHS_MAX = 3;

/** Errors after which a producer gives up its transaction: repeating would not help. */
const HOPELESS = new Set(['INVALID_TXN_STATE', 'INVALID_PRODUCER_EPOCH', 'OUT_OF_ORDER_SEQUENCE_NUMBER']);

export interface Value {
  readonly value: number;
  readonly key: string;
  /** Undefined for records outside of transactions. */
  readonly transaction: Transaction | undefined;
  /** Once it is acknowledged. */
  offset: number | undefined;
}

/** A transaction as its coordinator knows it, which is never in doubt. */
export interface Transaction {
  readonly producerId: number;
  readonly epoch: number;
  readonly values: Value[];
  decision: 'commit' | 'abort' | undefined;
  /** Its marker may be written, and be in the log. */
  markerSent: boolean;
  /** A marker was sent whose answer did not come, or was an error: it may be in the log, and below the HW, before anybody knows. */
  markerInDoubt: boolean;
  /** Once the marker is acknowledged. */
  markerOffset: number | undefined;
}

export interface TransactionHost {
  readonly random: SimRandom;
  readonly count: (path: string) => void;
  readonly nowMs: () => number;
  /** Makes a value, of which the host takes note. */
  readonly newValue: (transaction: Transaction | undefined) => Value;
  readonly acknowledged: (value: Value, offset: number) => void;
  /** Calls back in a while, unless the broker dies before. */
  readonly later: (work: () => void) => void;
}

interface Pending {
  readonly values: readonly Value[];
  readonly sequence: number;
  readonly valueBytes: number;
  readonly timestamp: number;
  inFlight: boolean;
}

/**
 * One transactional producer and its coordinator: writes batches, one at a time and repeated until it knows, then decides, and has the marker written
 * until that is acknowledged. Version 2 raises the epoch with each marker.
 */
export class TransactionalProducer {
  readonly #host: TransactionHost;
  readonly #producerId: number;
  readonly #version: 1 | 2;
  #epoch = 0;
  #sequence = 0;
  #coordinatorEpoch = 0;
  #pending: Pending | undefined;
  #markerInFlight = false;
  /** Lives of the broker: answers of earlier ones do not come. */
  #generation = 0;
  transaction: Transaction | undefined;

  constructor(host: TransactionHost, producerId: number, version: 1 | 2) {
    this.#host = host;
    this.#producerId = producerId;
    this.#version = version;
  }

  get producerId(): number {
    return this.#producerId;
  }

  /** Whether all that it began has ended. */
  get idle(): boolean {
    return this.transaction === undefined;
  }

  /** All connections broke: nothing that was sent will be answered. */
  disconnected(): void {
    this.#generation++;
    if (this.#markerInFlight && this.transaction !== undefined) this.transaction.markerInDoubt = true;
    this.#markerInFlight = false;
    if (this.#pending !== undefined) this.#pending.inFlight = false;
    // A new coordinator takes over now and then, and fences the last one.
    if (this.#host.random.chance(1 / COORDINATOR_EPOCHS_MAX)) this.#coordinatorEpoch++;
  }

  step(partition: LocalPartition, options: { readonly begin: boolean }): void {
    const { random } = this.#host;
    const { transaction } = this;
    if (transaction === undefined) {
      if (!options.begin) return;
      const epoch = this.#epoch;
      const common = {
        producerId: this.#producerId,
        epoch,
        values: [],
        markerSent: false,
        markerInDoubt: false,
      };
      this.transaction = { ...common, decision: undefined, markerOffset: undefined };
      this.#append(partition, this.transaction);
    } else if (transaction.decision !== undefined) this.#end(partition, transaction);
    else if (this.#pending !== undefined) {
      // It timed out: the coordinator aborts it, whatever is on the way.
      if (!options.begin || random.chance(0.2)) transaction.decision = 'abort';
      else this.#send(partition, transaction, this.#pending);
    } else if (random.chance(0.35) || !options.begin) {
      transaction.decision = random.chance(0.5) ? 'commit' : 'abort';
      this.#end(partition, transaction);
    } else this.#append(partition, transaction);
  }

  #append(partition: LocalPartition, transaction: Transaction): void {
    const { random, newValue, nowMs } = this.#host;
    const values = Array.from({ length: random.between(1, BATCH_RECORDS_MAX) }, () => newValue(transaction));
    transaction.values.push(...values);
    const valueBytes = random.pick(VALUE_BYTES_CHOICES);
    this.#pending = { values, sequence: this.#sequence, valueBytes, timestamp: nowMs(), inFlight: false };
    this.#sequence += values.length;
    this.#send(partition, transaction, this.#pending);
  }

  #send(partition: LocalPartition, transaction: Transaction, pending: Pending): void {
    if (pending.inFlight) return;
    const { random, count, later, nowMs } = this.#host;
    const { epoch, producerId } = transaction;
    const producer = { producerId, producerEpoch: epoch, baseSequence: pending.sequence };
    const verification = partition.startVerification(producer, this.#version === 2, nowMs());
    if (typeof verification === 'string') {
      this.#answered(transaction, pending, { error: verification, message: '' });
      return;
    }
    pending.inFlight = true;
    const append = (): void => this.#write(partition, { transaction, pending, verification });
    if (verification === 0 || random.chance(0.5)) append();
    else {
      count('transaction.slow-verification');
      later(append);
    }
  }

  #write(
    partition: LocalPartition,
    what: { readonly transaction: Transaction; readonly pending: Pending; readonly verification: number },
  ): void {
    const { transaction, pending, verification } = what;
    const { nowMs, count } = this.#host;
    const generation = this.#generation;
    const batch = encodeValues(pending.values, {
      ...pending,
      producerId: transaction.producerId,
      producerEpoch: transaction.epoch,
    });
    const isLate = transaction.markerOffset !== undefined;
    if (isLate) count('transaction.write-behind-its-marker');
    const options = { requiredAcks: -1, nowMs: nowMs(), origin: 'client', verification } as const;
    partition.append(batch, options, (result) => {
      if (isLate && result.error === undefined && generation === this.#generation)
        throw new Violation('hanging-transaction', `${transaction.producerId} wrote behind its marker`);
      if (generation === this.#generation) this.#answered(transaction, pending, result);
    });
  }

  #answered(transaction: Transaction, pending: Pending, result: AppendResult): void {
    pending.inFlight = false;
    if (this.#pending !== pending) return;
    if (result.error === undefined) {
      this.#host.count('transaction.append');
      pending.values.forEach((value, index) => this.#host.acknowledged(value, result.baseOffset + index));
      this.#pending = undefined;
      return;
    }
    this.#host.count(`transaction.refused.${result.error}`);
    if (HOPELESS.has(result.error)) transaction.decision ??= 'abort';
  }

  #end(partition: LocalPartition, transaction: Transaction): void {
    if (this.#markerInFlight) return;
    const result = transaction.decision!;
    const { nowMs, count } = this.#host;
    const generation = this.#generation;
    const marker = {
      producerId: transaction.producerId,
      producerEpoch: transaction.epoch + (this.#version === 2 ? 1 : 0),
      result,
      coordinatorEpoch: this.#coordinatorEpoch,
      transactionVersion: this.#version,
    };
    this.#markerInFlight = true;
    transaction.markerSent = true;
    partition.appendMarker(marker, nowMs(), (answer) => {
      if (generation !== this.#generation) return;
      this.#markerInFlight = false;
      if (answer.error !== undefined) {
        transaction.markerInDoubt = true;
        count(`marker.refused.${answer.error}`);
        if (HOPELESS.has(answer.error) || answer.error === 'TRANSACTION_COORDINATOR_FENCED')
          throw new Violation('marker', `of ${transaction.producerId} refused: ${answer.error}`);
        return;
      }
      count(`transaction.${result}`);
      transaction.markerOffset ??= answer.baseOffset;
      this.#ended(transaction);
    });
  }

  #ended(transaction: Transaction): void {
    if (this.transaction !== transaction) return;
    // What was on its way when it was aborted leaves the sequence in doubt: a new epoch starts over.
    const startsOver = this.#version === 2 || this.#pending !== undefined;
    if (startsOver) {
      this.#epoch++;
      this.#sequence = 0;
    }
    this.#pending = undefined;
    this.transaction = undefined;
  }
}

/** A batch whose records carry their values' numbers, padded to `valueBytes`. */
export function encodeValues(
  values: readonly Value[],
  options: {
    readonly valueBytes: number;
    readonly timestamp: number;
    readonly producerId?: number;
    readonly producerEpoch?: number;
    readonly sequence?: number;
  },
): Uint8Array {
  const { producerId, producerEpoch, sequence, timestamp } = options;
  const producer =
    producerId === undefined || producerEpoch === undefined || sequence === undefined
      ? {}
      : { producerId, producerEpoch, baseSequence: sequence, transactional: true };
  return buildBatch({
    ...producer,
    records: values.map(({ value, key }) => ({
      key: Buffer.from(key),
      value: Buffer.from(String(value).padEnd(options.valueBytes, '.')),
      timestamp,
    })),
  });
}
