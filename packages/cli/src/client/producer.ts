import { setTimeout as sleep } from 'node:timers/promises';
import type { Codec } from '@polylog/bytes';
import { initProducerId, kafkaErrors, produce } from '@polylog/kafka-protocol';
import { BatchBuilder, type NewRecord } from '@polylog/record';
import { CliError, isRetriable, protocolError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { isUnreachable, unreachable, type Cluster, type TopicInfo } from './cluster.ts';
import { describeConfigs, RESOURCE_TOPIC } from './configs.ts';
import { ConnectionError } from './connection.ts';
import { partitionOfKey } from './partitioner.ts';

/** A record waits so long for others of its partition. */
const LINGER_MS = 5;
const BATCH_BYTES = 512 * 1024;
/** All partitions together: beyond, everything is sent before more is taken. */
const BUFFERED_BYTES_MAX = 32 * 1024 * 1024;
const RETRY_PAUSE_MS = 100;
/** A topic that does not appear within this time is not being created. */
const CREATION_PATIENCE_MS = 2000;
/** Topics by name up to here, by id from v13. */
const PRODUCE_VERSION_MAX = 12;
/** A batch's header, and what its length field and those of its fields may take. */
const RECORD_OVERHEAD_BYTES = 128;

export interface ProducerOptions {
  /** 0: not acknowledged, 1: by the leader, -1: by all replicas in sync. */
  readonly acks: 0 | 1 | -1;
  readonly codec: Codec;
  /** Retries do not make duplicates. Needs acks -1. */
  readonly idempotent: boolean;
  /** All records go there, instead of by their keys. */
  readonly partition?: number | undefined;
}

export interface PartitionReport {
  readonly partition: number;
  readonly records: number;
  /** Null with acks 0. */
  readonly firstOffset: number | null;
  readonly lastOffset: number | null;
}

/** What is under way to one partition: one batch that is filled, one that is sent. */
class Lane {
  readonly partition: number;
  builder: BatchBuilder | undefined;
  inFlight: Promise<void> | undefined;
  /** Its linger time is over, but a batch was in flight. */
  isDue = false;
  nextSequence = 0;
  records = 0;
  firstOffset: number | null = null;
  lastOffset: number | null = null;

  constructor(partition: number) {
    this.partition = partition;
  }
}

/**
 * Sends records to one topic, in batches, in order within each partition. Memory is bounded: {@link TopicProducer.append}
 * makes its caller wait while a partition has one batch in flight and another one full.
 */
export class TopicProducer {
  readonly #cluster: Cluster;
  readonly #options: ProducerOptions;
  readonly #lanes: Lane[];
  readonly #batchBytes: number;
  readonly #producer: { readonly id: number; readonly epoch: number } | undefined;
  #topic: TopicInfo;
  #timer: NodeJS.Timeout | undefined;
  #sticky: number;
  #failure: Error | undefined;
  #buffered = 0;

  private constructor(
    cluster: Cluster,
    topic: TopicInfo,
    options: ProducerOptions,
    limits: { readonly batchBytes: number; readonly producer: { id: number; epoch: number } | undefined },
  ) {
    this.#cluster = cluster;
    this.#options = options;
    this.#topic = topic;
    this.#lanes = topic.partitions.map(({ partition }) => new Lane(partition));
    this.#batchBytes = limits.batchBytes;
    this.#producer = limits.producer;
    this.#sticky = Math.floor(Math.random() * this.#lanes.length);
  }

  /** Throws CliError if there is no such topic or partition. The topic may be created by the broker, if it does that. */
  static async open(cluster: Cluster, topicName: string, options: ProducerOptions): Promise<TopicProducer> {
    const topic = await topicToWrite(cluster, topicName);
    const { partition } = options;
    if (partition !== undefined && partition >= topic.partitions.length) {
      throw new CliError(
        `topic ${topicName} has no partition ${partition}: it has ${topic.partitions.length}`,
        {
          code: 'UNKNOWN_TOPIC_OR_PARTITION',
          exitCode: EXIT.notFound,
        },
      );
    }
    const { configs } = await describeConfigs(cluster, { type: RESOURCE_TOPIC, name: topicName });
    const messageBytesMax = Number(
      configs.find(({ name }) => name === 'max.message.bytes')?.value ?? BATCH_BYTES,
    );
    const batchBytes = Math.min(BATCH_BYTES, messageBytesMax);
    const producer = options.idempotent ? await newProducerId(cluster) : undefined;
    return new TopicProducer(cluster, topic, options, { batchBytes, producer });
  }

  /** Takes a record; wait for the promise, if there is one, before the next. Throws what went wrong with earlier ones. */
  append(record: NewRecord): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const lane = this.#laneFor(record.key);
    const bytes = RECORD_OVERHEAD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0);
    const { builder } = lane;
    if (builder !== undefined && builder.uncompressedBytes + bytes > this.#batchBytes) {
      return this.#ship(lane).then(() => this.append(record));
    }
    this.#add(lane, record, bytes);
    if (this.#buffered > BUFFERED_BYTES_MAX) return this.flush();
    return undefined;
  }

  /** Resolves when all is acknowledged. Throws CliError. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await Promise.all(
      this.#lanes.map(async (lane) => {
        await this.#ship(lane);
        await lane.inFlight;
      }),
    );
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Partitions that got records. */
  report(): PartitionReport[] {
    return this.#lanes
      .filter(({ records }) => records > 0)
      .map(({ partition, records, firstOffset, lastOffset }) => ({
        partition,
        records,
        firstOffset,
        lastOffset,
      }));
  }

  #laneFor(key: Uint8Array | null): Lane {
    if (this.#options.partition !== undefined) return this.#lanes[this.#options.partition]!;
    if (key !== null) return this.#lanes[partitionOfKey(key, this.#lanes.length)]!;
    return this.#lanes[this.#sticky]!;
  }

  #add(lane: Lane, record: NewRecord, bytes: number): void {
    const { codec } = this.#options;
    const producer = this.#producer;
    lane.builder ??= new BatchBuilder(
      producer === undefined
        ? { codec }
        : { codec, producerId: producer.id, producerEpoch: producer.epoch, baseSequence: lane.nextSequence },
    );
    lane.builder.append(record);
    this.#buffered += bytes;
    this.#timer ??= setTimeout(() => this.#onLinger(), LINGER_MS);
  }

  #onLinger(): void {
    this.#timer = undefined;
    for (const lane of this.#lanes) {
      if (lane.inFlight === undefined) this.#dispatch(lane);
      else lane.isDue = true;
    }
  }

  /** Puts the lane's batch on its way as soon as the one before it is acknowledged. */
  async #ship(lane: Lane): Promise<void> {
    while (lane.inFlight !== undefined) await lane.inFlight;
    this.#dispatch(lane);
  }

  #dispatch(lane: Lane): void {
    const { builder } = lane;
    lane.isDue = false;
    if (builder === undefined || this.#failure !== undefined) return;
    lane.builder = undefined;
    const { recordCount, uncompressedBytes } = builder;
    lane.nextSequence = (lane.nextSequence + recordCount) % 0x8000_0000;
    // Records without keys go on to the next partition with each batch.
    if (lane.partition === this.#sticky) this.#sticky = (this.#sticky + 1) % this.#lanes.length;
    lane.inFlight = this.#deliver(lane, builder.build(), recordCount)
      .catch((error: Error) => {
        this.#failure ??= error;
      })
      .then(() => {
        lane.inFlight = undefined;
        this.#buffered = Math.max(
          0,
          this.#buffered - uncompressedBytes - recordCount * RECORD_OVERHEAD_BYTES,
        );
        if (lane.isDue) this.#dispatch(lane);
      });
  }

  async #deliver(lane: Lane, batch: Uint8Array, recordCount: number): Promise<void> {
    const endMs = performance.now() + this.#cluster.timeoutMs;
    while (true) {
      const failure = await this.#attempt(lane, batch, recordCount);
      if (failure === undefined) return;
      if (performance.now() > endMs) throw failure;
      await sleep(RETRY_PAUSE_MS);
      await this.#findLeaders();
    }
  }

  /** Leaves things as they are while no broker answers: the next attempt fails too, until the time is over. */
  async #findLeaders(): Promise<void> {
    try {
      this.#topic = await this.#cluster.topic(this.#topic.name);
    } catch (error) {
      if (!isUnreachable(error)) throw error;
    }
  }

  /** Undefined if the batch has arrived, else why it may be tried again. Throws CliError if it may not. */
  async #attempt(lane: Lane, batch: Uint8Array, recordCount: number): Promise<CliError | undefined> {
    const { acks } = this.#options;
    const what = `partition ${this.#topic.name}-${lane.partition}`;
    const leader = this.#topic.partitions[lane.partition]?.leader ?? -1;
    if (leader < 0) return protocolError(kafkaErrors.LEADER_NOT_AVAILABLE.code, what);
    const body = {
      acks,
      timeoutMs: this.#cluster.timeoutMs,
      topicData: [{ name: this.#topic.name, partitionData: [{ index: lane.partition, records: batch }] }],
    };
    let answer;
    try {
      const connection = await this.#cluster.connection(leader);
      if (acks === 0) {
        await connection.send(produce, body, PRODUCE_VERSION_MAX);
        lane.records += recordCount;
        return undefined;
      }
      const options = { versionMax: PRODUCE_VERSION_MAX, timeoutMs: this.#cluster.timeoutMs };
      answer = await connection.request(produce, body, options);
    } catch (error) {
      if (error instanceof ConnectionError) return unreachable([error]);
      throw error;
    }
    const { errorCode, errorMessage, baseOffset } = answer.responses[0]!.partitionResponses[0]!;
    if (errorCode !== 0 && errorCode !== kafkaErrors.DUPLICATE_SEQUENCE_NUMBER.code) {
      const failure = protocolError(errorCode, what, errorMessage);
      if (isRetriable(errorCode)) return failure;
      throw failure;
    }
    lane.records += recordCount;
    if (baseOffset >= 0) {
      lane.firstOffset ??= baseOffset;
      lane.lastOffset = baseOffset + recordCount - 1;
    }
    return undefined;
  }
}

/** The broker may create the topic, and may do so in the background, as Apache Kafka does. */
async function topicToWrite(cluster: Cluster, name: string): Promise<TopicInfo> {
  const endMs = performance.now() + Math.min(CREATION_PATIENCE_MS, cluster.timeoutMs);
  while (performance.now() < endMs) {
    const { topics } = await cluster.metadata([name], { create: true });
    const [topic] = topics;
    if (topic === undefined || !isRetriable(topic.errorCode)) break;
    await sleep(RETRY_PAUSE_MS);
  }
  return cluster.topic(name);
}

async function newProducerId(cluster: Cluster): Promise<{ id: number; epoch: number }> {
  const endMs = performance.now() + cluster.timeoutMs;
  while (true) {
    const answer = await cluster.request(initProducerId, { transactionalId: null, transactionTimeoutMs: 0 });
    if (answer.errorCode === 0) return { id: answer.producerId, epoch: answer.producerEpoch };
    if (!isRetriable(answer.errorCode) || performance.now() > endMs) {
      throw protocolError(answer.errorCode, 'cannot get a producer id');
    }
    await sleep(RETRY_PAUSE_MS);
  }
}
