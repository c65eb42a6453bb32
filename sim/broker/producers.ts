import { initProducerId, produce, type ProduceResponse } from '@polylog/kafka-protocol';
import { Violation } from '../invariants/history.ts';
import { batchOf } from '../workload/values.ts';
import { Client, errorName } from './clients.ts';
import { ConnectionLost, type KafkaConnection } from './connection.ts';
import type { PartitionView } from './model.ts';

const RECORDS_MAX = 4;
const VALUE_BYTES_CHOICES = [8, 8, 40, 200, 700];
const VALUE_BYTES_LARGE = 6000;
const IN_FLIGHT_MAX = 5;
const PAUSE_MS_MAX = 12;
const TIMEOUT_MS_CHOICES = [1, 200, 5000, 30_000, 30_000, 30_000];
const IDS_SINCE = 13;

/** Errors that say for certain that nothing of the batch is in the log, nor will be. */
const CERTAIN = new Set([
  'CORRUPT_MESSAGE',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'NOT_LEADER_OR_FOLLOWER',
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
]);

type Result = ProduceResponse['responses'][number]['partitionResponses'][number];

interface Batch {
  readonly view: PartitionView;
  readonly values: readonly number[];
  readonly records: Uint8Array;
}

abstract class Producer extends Client {
  /** Sends the batches in one request; the results come in their order. Undefined: acks was 0. */
  protected async produce(
    connection: KafkaConnection,
    batches: readonly Batch[],
    acks: -1 | 0 | 1,
  ): Promise<Result[] | undefined> {
    const version = this.version(produce);
    for (const { values } of batches) if (version < IDS_SINCE) this.host.model.sentByName(values);
    const topics = new Map<string, { name: string; topicId: string; partitionData: object[] }>();
    for (const { view, records } of batches) {
      const { name, id } = view.topic;
      const topic = topics.get(id) ?? { name, topicId: id, partitionData: [] };
      topics.set(id, topic);
      topic.partitionData.push({ index: view.index, records });
    }
    const request = {
      acks,
      timeoutMs: this.random.pick(TIMEOUT_MS_CHOICES),
      topicData: [...topics.values()] as never,
    };
    this.host.operation();
    if (acks === 0) {
      connection.tell(produce, version, request);
      return undefined;
    }
    const names = batches.map(({ view }) =>
      this.host.model.names.find((one) => one.name === view.topic.name)!,
    );
    const changes = names.map((name) => name.changes);
    const { responses } = await connection.request(produce, version, request);
    const results = batches.map(({ view }) => {
      const { id, name } = view.topic;
      const topic = responses.find((one) => (version < IDS_SINCE ? one.name === name : one.topicId === id));
      const result = topic?.partitionResponses.find(({ index }) => index === view.index);
      if (result === undefined) throw new Violation('protocol', `no result for ${view.history.name}`);
      return result;
    });
    // By name, over a change of what the name means: nobody knows whose answer it is.
    const ambiguous = names.some((name, index) => version < IDS_SINCE && name.changes !== changes[index]);
    if (!ambiguous) return results;
    this.count('produce.ambiguous');
    throw new ConnectionLost('the name changed its meaning');
  }

  protected nowMs(): number {
    return Math.floor(this.host.world.startMs + this.host.world.nowMs);
  }
}

/** Sends each value once and never again; several requests at a time, each for some partitions. */
export class PlainProducer extends Producer {
  #inFlight = 0;

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    if (this.host.draining() || this.host.model.targets().length === 0) return;
    if (this.#inFlight >= IN_FLIGHT_MAX) return;
    const connection = await this.connection();
    // While it connected, a topic may have been replaced by one of its name.
    const targets = this.host.model.targets();
    if (targets.length === 0) return;
    const chosen = new Set(
      Array.from({ length: this.random.between(1, 3) }, () => this.random.pick(targets)),
    );
    this.#inFlight++;
    this.#send(connection, [...chosen])
      .catch(this.host.fail)
      .finally(() => this.#inFlight--);
  }

  async #send(connection: KafkaConnection, views: readonly PartitionView[]): Promise<void> {
    const { model } = this.host;
    const acks = this.random.pick([-1, -1, 1, 1, 0] as const);
    const bad = this.random.chance(0.04);
    const large = this.random.chance(0.04);
    const batches = views.map((view) => {
      const values = model.newValues(view, this.random.between(1, RECORDS_MAX));
      const valueBytes = large ? VALUE_BYTES_LARGE : this.random.pick(VALUE_BYTES_CHOICES);
      const records = batchOf(values, { valueBytes, timestamp: this.nowMs() });
      if (bad) records[records.length - 1]! ^= 0x5a;
      return { view, values, records };
    });
    const boot = this.host.boot();
    const sentAt = this.host.world.nowMs;
    const generations = views.map((view) => view.generation);
    let results: Result[] | undefined;
    try {
      results = await this.produce(connection, batches, acks);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
    for (const [index, batch] of batches.entries()) {
      if (batch.view.generation !== generations[index]) continue;
      const result = results?.[index];
      if (result === undefined) for (const value of batch.values) batch.view.history.unknown(value);
      else this.#answered(batch, result, { acks, bad, boot, sentAt });
    }
  }

  #answered(
    { view, values }: Batch,
    result: Result,
    sent: { acks: number; bad: boolean; boot: number; sentAt: number },
  ): void {
    if (result.errorCode === 0) {
      if (sent.bad) throw new Violation('bad-crc', `${view.history.name} took a damaged batch`);
      this.count(`ack.acks=${sent.acks}`);
      this.host.model.settled(values);
      values.forEach((value, index) => view.history.acknowledged(value, result.baseOffset + index, true));
      view.accepted(sent.boot, sent.sentAt);
      return;
    }
    const error = this.refused(produce, result.errorCode);
    if (error.startsWith('UNKNOWN_TOPIC')) this.missing(view, 'produce');
    if (CERTAIN.has(error)) for (const value of values) view.history.failed(value);
    else if (error === 'KAFKA_STORAGE_ERROR') view.suspect(values, sent.boot, sent.sentAt);
    else for (const value of values) view.history.unknown(value);
  }
}

interface Entry {
  readonly values: readonly number[];
  readonly sequence: number;
  readonly valueBytes: number;
  readonly timestamp: number;
  /** Requests with it that may be answered yet. */
  underWay: number;
  attempts: number;
  /** The broker's run in which it was first sent. */
  firstBoot: number;
  due: boolean;
}

/** Retries with the same sequence until it knows: each of its values must stand in the log exactly once. */
export class IdempotentProducer extends Producer {
  #producerId = -1;
  #view: PartitionView | undefined;
  #generation = 0;
  #queue: Entry[] = [];
  #nextSequence = 0;
  /** Its first batch was acknowledged. */
  #begun = false;
  /** Requests that are under way; after a refusal nothing is sent before all are answered, as clients do. */
  #underWay = 0;
  #refused = false;

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  protected async step(): Promise<void> {
    await this.sleep(this.random.fraction() * PAUSE_MS_MAX);
    const view = this.#view;
    if (view === undefined || view.topic.state === 'gone' || view.generation !== this.#generation) {
      if (!this.host.draining()) await this.#begin();
      else if (view !== undefined) this.#abandon();
      return;
    }
    // One for all that this step sends: what is sent later must not arrive earlier.
    const connection = await this.connection();
    if (this.#view !== view) return;
    if (this.#refused && this.#underWay > 0) return;
    this.#refused = false;
    const mayCreate = !this.host.draining() && this.#queue.length < IN_FLIGHT_MAX;
    if (mayCreate && this.random.chance(0.7)) this.#create(view);
    // A log that has nothing of a producer takes any sequence as its first, as in Kafka: until then one at a time keeps the order.
    const sendable = this.#begun ? this.#queue : this.#queue.slice(0, 1);
    for (const entry of sendable) if (entry.due) this.#attempt(connection, entry, view);
    // As after a request that timed out: the same again, while the first is under way.
    const again = this.#queue.find((entry) => entry.underWay > 0);
    if (again !== undefined && this.random.chance(0.1)) {
      this.count('producer.repeat');
      this.#attempt(connection, again, view);
    }
    // For other partitions it goes on with other ids.
    if (this.#queue.length === 0 && this.random.chance(0.02)) this.#abandon();
  }

  async #begin(): Promise<void> {
    this.#abandon();
    const targets = this.host.model.targets();
    if (targets.length === 0) return;
    const named = this.#producerId >= 0 && this.random.chance(0.5);
    const version = this.version(initProducerId, named ? 3 : 0);
    const answer = await this.ask(initProducerId, version, {
      transactionalId: null,
      transactionTimeoutMs: 0,
      ...(named ? { producerId: this.#producerId, producerEpoch: 0 } : {}),
    });
    if (answer.errorCode !== 0) {
      this.refused(initProducerId, answer.errorCode);
      return;
    }
    this.host.model.newProducerId(answer.producerId);
    this.count('producer.id');
    this.#producerId = answer.producerId;
    this.#view = this.random.pick(targets);
    this.#generation = this.#view.generation;
    this.#nextSequence = 0;
    this.#begun = false;
  }

  #abandon(): void {
    for (const { values } of this.#queue) for (const value of values) this.#view!.history.unknown(value);
    this.#queue = [];
    this.#view = undefined;
    this.#refused = false;
  }

  #create(view: PartitionView): void {
    const values = this.host.model.newValues(view, this.random.between(1, RECORDS_MAX));
    this.#queue.push({
      values,
      sequence: this.#nextSequence,
      valueBytes: this.random.pick(VALUE_BYTES_CHOICES),
      timestamp: this.nowMs(),
      underWay: 0,
      attempts: 0,
      firstBoot: 0,
      due: true,
    });
    this.#nextSequence += values.length;
  }

  #attempt(connection: KafkaConnection, entry: Entry, view: PartitionView): void {
    entry.due = false;
    if (entry.attempts === 0) entry.firstBoot = this.host.boot();
    entry.underWay++;
    if (entry.attempts++ > 0) this.count('producer.retry');
    const records = batchOf(entry.values, {
      valueBytes: entry.valueBytes,
      timestamp: entry.timestamp,
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence: entry.sequence,
    });
    this.note(`sends ${view.history.name} ${this.#producerId}:${entry.sequence}+${entry.values.length}`);
    const alone = this.#underWay === 0 && this.#queue[0] === entry;
    this.#underWay++;
    const sent = { view, boot: this.host.boot(), sentAt: this.host.world.nowMs, alone };
    this.#produceOne(entry, sent, () =>
      this.produce(connection, [{ view, values: entry.values, records }], -1),
    ).catch(this.host.fail);
  }

  async #produceOne(
    entry: Entry,
    sent: {
      readonly view: PartitionView;
      readonly boot: number;
      readonly sentAt: number;
      readonly alone: boolean;
    },
    produceBatch: () => Promise<Result[] | undefined>,
  ): Promise<void> {
    const { view } = sent;
    let result: Result | undefined;
    try {
      result = (await produceBatch())![0]!;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
    }
    this.#underWay--;
    entry.underWay--;
    const outcome = result === undefined ? 'nothing' : `${errorName(result.errorCode)} ${result.baseOffset}`;
    this.note(`hears ${outcome} of ${view.history.name} ${entry.sequence}`);
    if (!this.#queue.includes(entry) || view.generation !== this.#generation) return;
    if (result?.errorCode === 0) this.#acknowledged(entry, view, result.baseOffset, sent);
    else {
      if (result !== undefined) this.#notAcknowledged(entry, view, result, sent.alone);
      entry.due = entry.underWay === 0;
      this.#refused = true;
    }
  }

  #acknowledged(
    entry: Entry,
    view: PartitionView,
    baseOffset: number,
    sent: { readonly boot: number; readonly sentAt: number },
  ): void {
    this.count(entry.attempts > 1 ? 'ack.after-retry' : 'ack.idempotent');
    if (entry.attempts === 1) this.host.model.settled(entry.values);
    entry.values.forEach((value, index) => view.history.acknowledged(value, baseOffset + index, true));
    // The answer to a repetition says nothing about what the log takes now.
    if (entry.attempts === 1) view.accepted(sent.boot, sent.sentAt);
    this.#queue = this.#queue.filter((other) => other !== entry);
    this.#begun = true;
  }

  #notAcknowledged(entry: Entry, view: PartitionView, result: Result, alone: boolean): void {
    const error = this.refused(produce, result.errorCode);
    if (error.startsWith('UNKNOWN_TOPIC')) {
      this.missing(view, 'idempotent produce');
      this.#abandon();
      return;
    }
    // Behind one that was refused this is to be expected; the first in line must fit.
    const outOfSequence = error === 'OUT_OF_ORDER_SEQUENCE_NUMBER' || error === 'DUPLICATE_SEQUENCE_NUMBER';
    if (outOfSequence && alone && entry.firstBoot !== this.host.boot()) {
      // A snapshot of producers holds their last batch only, as Kafka's: what stands before it is not recognised after a start.
      this.count('producer.sequence-forgotten');
      this.#abandon();
      return;
    }
    if ((outOfSequence && alone) || error === 'INVALID_PRODUCER_EPOCH' || error === 'UNKNOWN_PRODUCER_ID') {
      throw new Violation(
        'sequence',
        `${view.history.name} refuses producer ${this.#producerId} its next batch, ${entry.sequence} after ${entry.attempts} attempts: ${error} ${result.errorMessage}`,
      );
    }
  }
}
