import { produce, type ProduceRequest, type ProduceResponseInit } from '@polylog/kafka-protocol';
import { BATCH_HEADER_BYTES, isTransactional, readBatchHeader } from '@polylog/record';

import { Bag, type BagEntry } from '../../../bag.ts';
import type { ErrorName } from '../../../errors.ts';
import { type Lookup, lookUpById, lookUpByName } from '../../../topics/lookup.ts';
import { NOT_TRANSACTIONAL, produceBatch, type ProduceResult } from '../../../topics/produce.ts';
import {
  TransactionalWrites,
  type TransactionalWrite,
  type VerificationOptions,
} from '../../../topics/transactional-writes.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type Exchange, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { leaderHints, leaderOf } from '../leader-hints.ts';

/**
 * Produce v3-v13, advertised as v0-v13 (KAFKA-18659: old librdkafka takes a higher minimum for a missing API).
 *
 * - Topics by name until v12, by id from v13 (KIP-516). One batch of format v2 per partition; zstd from v7 (KIP-110).
 * - acks 0 has no response; an error in it closes the connection, which is all that the client can notice.
 * - acks -1 waits for the high watermark, at most `timeoutMs`: then 7 REQUEST_TIMED_OUT, and the batch stays.
 * - Idempotent batches go through (KIP-98); refused batches name their records (KIP-467) where those were read.
 * - NOT_LEADER_OR_FOLLOWER names the leader and its address from v10 (KIP-951).
 * - Batches of transactions are appended once the coordinator has agreed (KIP-890): to v11 the client has added the partition itself, from v12
 *   on the broker does. Meanwhile the connection's further requests wait. One request has one producer id, or it is
 *   INVALID_PRODUCER_ID_MAPPING; without a transactional id such a batch is TRANSACTIONAL_ID_AUTHORIZATION_FAILED.
 */
export function produceHandler(services: KafkaServices): KafkaHandler {
  const { transactions: verifier, clock, timers } = services;
  const parts: ProduceParts = {
    services,
    deadlines: new ProduceDeadlines(services),
    transactional: new TransactionalWrites({ verifier, clock, timers }),
  };
  return defineHandler({
    api: produce,
    versions: [3, 13],
    advertisedMin: 0,
    keepsBytes: true,
    isProduce: true,
    handle(request, exchange) {
      const { acks } = request;
      if (acks !== -1 && acks !== 0 && acks !== 1) {
        return failureOf(request, errorCodeOf('INVALID_REQUIRED_ACKS'), `acks ${acks}`);
      }
      new PendingProduce(parts, exchange, request, acks).start();
      return undefined;
    },
    failure: failureOf,
  });
}

/** What all requests share. */
interface ProduceParts {
  readonly services: KafkaServices;
  readonly deadlines: ProduceDeadlines;
  readonly transactional: TransactionalWrites;
}

type TopicResponse = ProduceResponseInit['responses'][number];
type PartitionResponse = TopicResponse['partitionResponses'][number];
interface TopicAnswer {
  readonly name: string;
  readonly topicId: string;
  readonly partitionResponses: PartitionResponse[];
}
type TopicData = ProduceRequest['topicData'][number];
type PartitionData = TopicData['partitionData'][number];

function failureOf(request: ProduceRequest, errorCode: number, errorMessage: string): ProduceResponseInit {
  return {
    responses: request.topicData.map(({ name, topicId, partitionData }) => ({
      name,
      topicId,
      partitionResponses: partitionData.map(({ index }) => ({
        index,
        errorCode,
        baseOffset: -1,
        errorMessage,
      })),
    })),
  };
}

/** A request between its parsing and the last of its partitions' results. */
class PendingProduce implements BagEntry {
  /** Among those whose deadline is watched. */
  bagIndex = -1;
  /** When the client wants its answer, with acks -1. */
  readonly deadlineMs: number;
  readonly #services: KafkaServices;
  readonly #parts: ProduceParts;
  readonly #exchange: Exchange<ProduceResponseInit>;
  /** Until it has been walked through: then only its answer waits, and the bytes it was parsed from may be freed. */
  #request: ProduceRequest | undefined;
  readonly #acks: -1 | 0 | 1;
  readonly #nowMs: number;
  readonly #responses: TopicAnswer[] = [];
  /** Partitions without a result; one more while the request is still being walked through. */
  #left = 1;
  #error: ErrorName | undefined;
  #over = false;
  /** Of a request with a transactional id: what was found about its batches. */
  #verified: ReadonlyMap<PartitionData, number | ErrorName> | undefined;

  constructor(
    parts: ProduceParts,
    exchange: Exchange<ProduceResponseInit>,
    request: ProduceRequest,
    acks: -1 | 0 | 1,
  ) {
    const { services } = parts;
    this.#services = services;
    this.#parts = parts;
    this.#exchange = exchange;
    this.#request = request;
    this.#acks = acks;
    this.#nowMs = services.clock.nowMs();
    this.deadlineMs = acks === -1 ? services.clock.monotonicMs() + Math.max(0, request.timeoutMs) : 0;
  }

  get #topicData(): readonly TopicData[] {
    if (this.#request === undefined) throw new Error('the request has been walked through');
    return this.#request.topicData;
  }

  start(): void {
    const transactionalId = this.#request?.transactionalId ?? null;
    if (transactionalId === null) this.#walk();
    else this.#startTransactional(transactionalId);
  }

  // Transactions

  #startTransactional(transactionalId: string): void {
    const writes = new Map<PartitionData, TransactionalWrite>();
    for (const topic of this.#topicData) {
      for (const data of topic.partitionData) {
        const write = transactionalWriteOf(this.#lookUp(topic, data), data);
        if (write !== undefined) writes.set(data, write);
      }
    }
    const all = [...writes.values()];
    if (all.some((write) => !isOfSameProducer(write, all[0]!))) {
      this.#refuseAll('INVALID_PRODUCER_ID_MAPPING', 'batches of more than one producer in one transaction');
      return;
    }
    const verified = this.#parts.transactional.verify(all, this.#verificationOptions(transactionalId));
    if (verified instanceof Promise) {
      const waiting = verified.then((found) => this.#verifiedAs(writes, found));
      this.#continueSlowly(waiting, 0, 0);
      return;
    }
    this.#verifiedAs(writes, verified);
    this.#walk();
  }

  #verificationOptions(transactionalId: string): VerificationOptions {
    const { version } = this.#exchange;
    return {
      transactionalId,
      mode: version >= 12 ? 'add' : 'verify',
      knowsAbortable: version >= 11,
      timeoutMs: this.#request?.timeoutMs ?? 0,
    };
  }

  #verifiedAs(
    writes: ReadonlyMap<PartitionData, TransactionalWrite>,
    found: ReadonlyMap<TransactionalWrite, number | ErrorName>,
  ): void {
    const verified = new Map<PartitionData, number | ErrorName>();
    for (const [data, write] of writes) verified.set(data, found.get(write) ?? 'INVALID_TXN_STATE');
    this.#verified = verified;
  }

  /** Of a partition that was not here when the coordinator was asked nothing is known. */
  #verificationOf(data: PartitionData): number | ErrorName {
    if (this.#verified === undefined) return NOT_TRANSACTIONAL;
    return this.#verified.get(data) ?? 'NOT_LEADER_OR_FOLLOWER';
  }

  #refuseAll(error: ErrorName, message: string): void {
    for (const topic of this.#topicData) {
      const answer = this.#responseOf(topic);
      for (const { index } of topic.partitionData) {
        const response: PartitionResponse = { index, errorCode: NONE, baseOffset: -1 };
        answer.partitionResponses.push(response);
        this.#refuse(response, answer, { error, message });
      }
    }
    this.#walked();
  }

  // The way through the request

  #walk(): void {
    const topicData = this.#topicData;
    for (let topicIndex = 0; topicIndex < topicData.length; topicIndex++) {
      const topic = topicData[topicIndex]!;
      const response = this.#responseOf(topic);
      const { partitionData } = topic;
      for (let index = 0; index < partitionData.length; index++) {
        const slow = this.#produce(response, partitionData[index]!);
        if (slow === undefined) continue;
        this.#continueSlowly(slow, topicIndex, index + 1);
        return;
      }
    }
    this.#walked();
  }

  /** The rest of the request keeps its order behind a batch that left the turn, and so do the connection's next requests. */
  #continueSlowly(slow: Promise<void>, topicIndex: number, partitionIndex: number): void {
    const release = this.#exchange.holdFurtherRequests();
    this.#walkSlowly(slow, topicIndex, partitionIndex).then(
      () => {
        release();
        this.#walked();
      },
      (error: unknown) => {
        release();
        this.#services.logger.error({ error }, 'a produce request met a bug');
        this.#exchange.closeConnection('internal error');
      },
    );
  }

  async #walkSlowly(slow: Promise<void>, topicIndex: number, partitionIndex: number): Promise<void> {
    await slow;
    const topicData = this.#topicData;
    for (let topicAt = topicIndex; topicAt < topicData.length; topicAt++) {
      const topic = topicData[topicAt]!;
      const response = this.#responses[topicAt] ?? this.#responseOf(topic);
      const { partitionData } = topic;
      for (let index = topicAt === topicIndex ? partitionIndex : 0; index < partitionData.length; index++) {
        // One after the other is the point
        await this.#produce(response, partitionData[index]!);
      }
    }
  }

  #lookUp(
    { name, topicId }: { readonly name: string; readonly topicId: string },
    { index }: PartitionData,
  ): Lookup {
    const { partitions } = this.#services;
    return this.#exchange.version >= 13
      ? lookUpById(partitions, topicId, index)
      : lookUpByName(partitions, name, index);
  }

  #responseOf({ name, topicId }: TopicData): TopicAnswer {
    const response: TopicAnswer = { name, topicId, partitionResponses: [] };
    this.#responses.push(response);
    return response;
  }

  /** What waits for the result holds on to `topic` and not to the request, whose bytes are not counted any more by then. */
  #produce(topic: TopicAnswer, data: PartitionData): Promise<void> | undefined {
    const { partitions, metrics, compute } = this.#services;
    const found = this.#lookUp(topic, data);
    const response: PartitionResponse = { index: data.index, errorCode: NONE, baseOffset: -1 };
    topic.partitionResponses.push(response);
    if (found.error !== undefined) {
      this.#refuse(response, topic, { error: found.error, message: 'the partition is not here' });
      return undefined;
    }
    const { partition } = found;
    const settings = partitions.settings(partition.topic);
    if (settings === undefined) throw new Error(`no settings for the hosted topic ${partition.topic}`);
    if (!partition.isLeader) {
      this.#refuse(response, topic, { error: 'NOT_LEADER_OR_FOLLOWER', message: 'another broker leads it' });
      return undefined;
    }
    if (partitions.image.topicByName(partition.topic)?.kind === 'internal') {
      this.#refuse(response, topic, { error: 'INVALID_TOPIC_EXCEPTION', message: 'an internal topic' });
      return undefined;
    }
    if (data.records === null || data.records.length === 0) {
      this.#refuse(response, topic, { error: 'INVALID_RECORD', message: 'no record batch' });
      return undefined;
    }
    this.#left++;
    return produceBatch(
      {
        partition,
        settings,
        counters: metrics.topic(partition.topic),
        records: data.records,
        requiredAcks: this.#acks,
        nowMs: this.#nowMs,
        zstdAllowed: this.#exchange.version >= 7,
        verification: this.#verificationOf(data),
      },
      compute,
      (result) => {
        if (result.error === undefined) {
          response.baseOffset = result.baseOffset;
          response.logAppendTimeMs = result.logAppendTimeMs;
          response.logStartOffset = result.logStartOffset;
        } else {
          this.#refuse(response, topic, result);
        }
        this.#settle();
      },
    );
  }

  #refuse(
    response: PartitionResponse,
    topic: TopicAnswer,
    result: Extract<ProduceResult, { message: string }>,
  ): void {
    response.errorCode = errorCodeOf(result.error);
    response.errorMessage = result.message;
    if (result.failedRecords !== undefined) {
      response.recordErrors = result.failedRecords.map((batchIndex) => ({
        batchIndex,
        batchIndexErrorMessage: result.message,
      }));
    }
    if (result.error === 'NOT_LEADER_OR_FOLLOWER' && this.#exchange.version >= 10) {
      const leader = leaderOf(this.#services.partitions.image, topic, response.index);
      if (leader !== undefined) response.currentLeader = leader;
    }
    this.#error ??= result.error;
  }

  #walked(): void {
    this.#request = undefined;
    if (this.#left > 1 && this.#acks === -1) this.#parts.deadlines.add(this);
    this.#settle();
  }

  #settle(): void {
    if (--this.#left > 0) return;
    this.#parts.deadlines.delete(this);
    this.#finish();
  }

  /** Time is up: what has no result is answered REQUEST_TIMED_OUT. Results that come later are dropped. */
  expire(): void {
    for (const { partitionResponses } of this.#responses) {
      for (const response of partitionResponses) {
        if (response.errorCode !== NONE || response.baseOffset >= 0) continue;
        response.errorCode = errorCodeOf('REQUEST_TIMED_OUT');
        response.errorMessage = 'the in-sync replicas did not confirm in time';
      }
    }
    this.#finish();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    const exchange = this.#exchange;
    if (this.#acks === 0) {
      // Nobody reads an answer, but a closed connection makes the client look again.
      if (this.#error !== undefined) exchange.closeConnection(`a request with acks=0 failed: ${this.#error}`);
      else exchange.respondNothing();
      return;
    }
    exchange.respond({
      responses: this.#responses,
      ...leaderHints(
        this.#services,
        exchange.connection.listener,
        exchange.version >= 10,
        this.#responses,
        (topic) => topic.partitionResponses,
      ),
    });
  }
}

/** The batch, as far as its header can be read: all else about it is checked when it is appended. */
function transactionalWriteOf(
  { partition }: Lookup,
  { records }: PartitionData,
): TransactionalWrite | undefined {
  if (partition?.isLeader !== true || records === null || records.length < BATCH_HEADER_BYTES)
    return undefined;
  const { attributes, producerId, producerEpoch, baseSequence } = readBatchHeader(records);
  if (!isTransactional(attributes) || producerId < 0) return undefined;
  return { partition, producerId, producerEpoch, baseSequence };
}

function isOfSameProducer(left: TransactionalWrite, right: TransactionalWrite): boolean {
  return left.producerId === right.producerId && left.producerEpoch === right.producerEpoch;
}

const DEADLINE_STEP_MS = 100;

/** Requests with acks -1 that wait. Most are answered within a turn or two: one timer for all costs them nearly nothing. */
class ProduceDeadlines {
  readonly #services: KafkaServices;
  readonly #waiting = new Bag<PendingProduce>();
  #armed = false;

  constructor(services: KafkaServices) {
    this.#services = services;
  }

  add(pending: PendingProduce): void {
    this.#waiting.add(pending);
    if (!this.#armed) this.#arm();
  }

  delete(pending: PendingProduce): void {
    this.#waiting.delete(pending);
  }

  readonly #look = (): void => {
    this.#armed = false;
    const nowMs = this.#services.clock.monotonicMs();
    const overdue = this.#waiting.entries.filter((pending) => pending.deadlineMs <= nowMs);
    for (const pending of overdue) if (this.#waiting.delete(pending)) pending.expire();
    if (this.#waiting.size > 0) this.#arm();
  };

  #arm(): void {
    this.#armed = true;
    this.#services.timers.after(DEADLINE_STEP_MS, this.#look);
  }
}
