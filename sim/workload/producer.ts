import type { AppendResult } from '../../packages/broker/src/replication/types.ts';
import type { PartitionHistory } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import { batchOf } from './values.ts';

export type Acks = -1 | 0 | 1;

/** How a producer hands over a batch; `done` gets the answer, or undefined when none will come: the outcome is unknown. */
export type SendBatch = (
  batch: Uint8Array,
  acks: Acks,
  done: (result: AppendResult | undefined) => void,
) => void;

export interface ProducerHost {
  readonly history: PartitionHistory;
  readonly random: SimRandom;
  readonly nextValue: () => number;
  readonly nowMs: () => number;
  readonly count: (path: string) => void;
  /** Whether an acknowledgement of this level promises that the record stays. */
  readonly binding: (acks: Acks) => boolean;
  /** Whether a KAFKA_STORAGE_ERROR that came just now means that nothing was kept; not so once the log is offline. */
  readonly storageErrorIsCertain: () => boolean;
}

const RECORDS_MAX = 4;
const VALUE_BYTES_CHOICES = [8, 8, 40, 200, 700];
const IN_FLIGHT_MAX = 5;

/** Errors after which nothing of the batch is in the log, nor will be. */
const CERTAIN_FAILURES = new Set([
  'NOT_ENOUGH_REPLICAS',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_RECORD',
]);

/** Sends each value once and never again. */
export class PlainProducer {
  readonly #host: ProducerHost;

  constructor(host: ProducerHost) {
    this.#host = host;
  }

  send(acks: Acks, sendBatch: SendBatch): void {
    const { history, random, nowMs, count } = this.#host;
    const values = Array.from({ length: random.between(1, RECORDS_MAX) }, () => this.#host.nextValue());
    for (const value of values) history.sent(value);
    const batch = batchOf(values, { valueBytes: random.pick(VALUE_BYTES_CHOICES), timestamp: nowMs() });
    const binding = acks !== 0 && this.#host.binding(acks);
    sendBatch(batch, acks, (result) => {
      if (result === undefined) {
        for (const value of values) history.unknown(value);
        return;
      }
      if (result.error === undefined) {
        count(`ack.acks=${acks}`);
        values.forEach((value, index) => history.acknowledged(value, result.baseOffset + index, binding));
        return;
      }
      count(`refused.${result.error}`);
      // A refusal by storage says that the turn was rolled back: nothing may ever be read of it.
      const byStorage = result.error === 'KAFKA_STORAGE_ERROR' && this.#host.storageErrorIsCertain();
      for (const value of values) {
        if (byStorage) history.rolledBack(value);
        else if (CERTAIN_FAILURES.has(result.error)) history.failed(value);
        else history.unknown(value);
      }
    });
  }
}

interface InFlight {
  readonly values: readonly number[];
  readonly sequence: number;
  readonly valueBytes: number;
  readonly timestamp: number;
  state: 'unsent' | 'sent';
  /** The latest attempt: earlier ones' answers are void. */
  attempt: number;
  attempts: number;
}

/** Retries until it knows: each of its values must stand in the log exactly once. */
export class IdempotentProducer {
  readonly #host: ProducerHost;
  readonly #producerId: number;
  #epoch = 0;
  #nextSequence = 0;
  #queue: InFlight[] = [];
  #attempts = 0;

  constructor(host: ProducerHost, producerId: number) {
    this.#host = host;
    this.#producerId = producerId;
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  /** Makes a new batch if there is room, and sends what is not on its way. */
  send(sendBatch: SendBatch, options: { readonly create: boolean }): void {
    if (options.create && this.#queue.length < IN_FLIGHT_MAX) this.#create();
    for (const entry of this.#queue) if (entry.state === 'unsent') this.#attempt(entry, sendBatch);
  }

  /** Sends a batch that is on its way once more, as a client does whose request has timed out. */
  repeat(sendBatch: SendBatch): void {
    const entry = this.#queue.find((one) => one.state === 'sent');
    if (entry === undefined) return;
    this.#host.count('producer.repeat');
    this.#attempt(entry, sendBatch);
  }

  /** All connections broke: nothing that was sent will be answered. */
  disconnected(): void {
    for (const entry of this.#queue) {
      entry.state = 'unsent';
      entry.attempt = -1;
    }
  }

  #create(): void {
    const { history, random, nextValue, nowMs } = this.#host;
    const values = Array.from({ length: random.between(1, RECORDS_MAX) }, nextValue);
    for (const value of values) history.sent(value);
    this.#queue.push({
      values,
      sequence: this.#nextSequence,
      valueBytes: random.pick(VALUE_BYTES_CHOICES),
      timestamp: nowMs(),
      state: 'unsent',
      attempt: -1,
      attempts: 0,
    });
    this.#nextSequence += values.length;
  }

  #attempt(entry: InFlight, sendBatch: SendBatch): void {
    const attempt = ++this.#attempts;
    entry.state = 'sent';
    entry.attempt = attempt;
    if (entry.attempts++ > 0) this.#host.count('producer.retry');
    const batch = batchOf(entry.values, {
      valueBytes: entry.valueBytes,
      timestamp: entry.timestamp,
      producerId: this.#producerId,
      producerEpoch: this.#epoch,
      baseSequence: entry.sequence,
    });
    sendBatch(batch, -1, (result) => this.#answered(entry, attempt, result));
  }

  #answered(entry: InFlight, attempt: number, result: AppendResult | undefined): void {
    const { history, count } = this.#host;
    if (!this.#queue.includes(entry)) return;
    if (result?.error === undefined && result !== undefined) {
      // Also the answer to an earlier attempt says where the batch is.
      count(entry.attempts > 1 ? 'ack.after-retry' : 'ack.idempotent');
      entry.values.forEach((value, index) =>
        history.acknowledged(value, result.baseOffset + index, this.#host.binding(-1)),
      );
      this.#queue = this.#queue.filter((other) => other !== entry);
      return;
    }
    if (entry.attempt !== attempt) return;
    entry.state = 'unsent';
    if (result === undefined) return;
    count(`refused.${result.error}`);
    const first = this.#queue[0] === entry;
    const hopeless =
      result.error === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || result.error === 'INVALID_PRODUCER_EPOCH';
    // Out of order behind one that is not acknowledged yet is to be expected; the first in line cannot be helped.
    if (hopeless && first) this.#startOver();
  }

  /** What a client does whose sequence was refused for good: the outcome of what was in flight is unknown, the next epoch starts at 0. */
  #startOver(): void {
    this.#host.count('producer.new-epoch');
    for (const entry of this.#queue) for (const value of entry.values) this.#host.history.unknown(value);
    this.#queue = [];
    this.#epoch++;
    this.#nextSequence = 0;
  }
}
