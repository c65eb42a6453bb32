import { Reader } from '@polylog/bytes';
import {
  apis,
  decodeResponse,
  encodeRequest,
  type Api,
  type InitOf,
  type MessageOf,
} from '@polylog/kafka-protocol';
import { buildBatch, type BatchOptions } from '@polylog/record';

import { SortedMap } from '../../../src/cluster/sorted-map.ts';
import type { ClusterImage, TopicImage } from '../../../src/cluster/image.ts';
import { resolveConfig } from '../../../src/config/load.ts';
import { parseTopicSettings, type TopicSettings } from '../../../src/config/topic-config.ts';
import { BrokerError } from '../../../src/errors.ts';
import type { KafkaHandler } from '../../../src/frontends/kafka/handler.ts';
import { kafkaLimitsOf, type KafkaLimits } from '../../../src/frontends/kafka/limits.ts';
import {
  startKafkaFrontend,
  type KafkaBackend,
  type KafkaFrontend,
} from '../../../src/frontends/kafka/server.ts';
import {
  noConnections,
  type ApiMetrics,
  type ConnectionCounters,
  type Metrics,
  type TopicCounters,
} from '../../../src/metrics/types.ts';
import type { Connection, Network, Platform } from '../../../src/platform/index.ts';
import { LocalPartition, standaloneRecord, TurnScheduler } from '../../../src/replication/index.ts';
import type { Authenticator } from '../../../src/security/authenticator.ts';
import type { LogSlice, ReadOptions, ReadOutcome } from '../../../src/storage/types.ts';
import { TransactionMarkers } from '../../../src/topics/transaction-markers.ts';
import type { TransactionVerifier } from '../../../src/topics/transaction-verifier.ts';
import type { QuotaWindow } from '../../../src/quotas/rate.core.ts';
import type { Quotas } from '../../../src/quotas/service.ts';
import type { TransactionCoordinator } from '../../../src/transactions/types.ts';
import type { HostedPartitions, TopicAdmin } from '../../../src/topics/types.ts';
import { SimWorld } from '../../../../../sim/platform/world.ts';
import { testQuotas } from '../../support/quotas.ts';
import { FakeLog } from '../../replication/fake-log.ts';

export const PORT = 9092;
export const BROKER_ID = 7;
export const LEADER_EPOCH = 3;

/** A log in memory that honours read limits, counts the slices that are out, and is durable at once. */
export class MemoryLog extends FakeLog {
  slicesOut = 0;
  /** What slices say of themselves, and whether reading them fails. */
  hot = true;
  readError: Error | undefined;
  override readonly id: { topic: string; topicId: string; partition: number };

  constructor(topic: string, topicId: string, partition: number) {
    super();
    this.id = { topic, topicId, partition };
  }

  override append(...[batches, nowMs, aborted]: Parameters<FakeLog['append']>): void {
    // Copies: Buffer's slice would share memory with what is released after the turn.
    super.append(
      batches.map((batch) => new Uint8Array(batch)),
      nowMs,
      aborted,
    );
    this.durableOffset = this.endOffset;
  }

  override read(options: ReadOptions): ReadOutcome {
    if (options.offset < this.startOffset || options.offset > this.endOffset) return { kind: 'out-of-range' };
    const picked: Uint8Array[] = [];
    let bytes = 0;
    let endOffset = options.offset;
    for (const batch of this.batches) {
      const end = batch.header.baseOffset + batch.header.lastOffsetDelta + 1;
      if (end <= options.offset) continue;
      if (end > options.endOffset) break;
      const fits = bytes + batch.bytes.length <= options.bytesMax;
      if (!fits && !(options.atLeastOneBatch && picked.length === 0)) break;
      picked.push(batch.bytes);
      bytes += batch.bytes.length;
      endOffset = end;
    }
    return { kind: 'records', slice: this.#slice(Buffer.concat(picked), endOffset) };
  }

  #slice(all: Buffer, endOffset: number): LogSlice {
    this.slicesOut++;
    let released = false;
    const fill = (target: Uint8Array, at: number): void => {
      if (released) throw new Error('read after release');
      if (this.readError !== undefined) throw this.readError;
      target.set(all.subarray(at, at + target.length));
    };
    return {
      bytes: all.length,
      endOffset,
      hot: this.hot,
      readInto: fill,
      readIntoAsync: async (target, at) => {
        await Promise.resolve();
        fill(target, at);
      },
      release: () => {
        if (released) throw new Error('released twice');
        released = true;
        this.slicesOut--;
      },
    };
  }
}

interface TestTopic {
  readonly image: TopicImage;
  readonly settings: TopicSettings;
  readonly partitions: LocalPartition[];
  readonly logs: MemoryLog[];
}

/** Topics over memory logs: enough of a broker for the front end. */
export class TestBroker implements HostedPartitions, TopicAdmin {
  readonly platform: Platform;
  readonly turns: TurnScheduler;
  readonly quotas: Quotas;
  readonly topics = new Map<string, TestTopic>();
  readonly created: string[] = [];
  #version = 1;
  diskFull = false;

  constructor(platform: Platform, options: { readonly quotaWindow?: QuotaWindow | undefined } = {}) {
    this.platform = platform;
    this.quotas = testQuotas(platform.clock, options.quotaWindow);
    const isFull = (): boolean => this.diskFull;
    const store = {
      flushTurn: () => undefined,
      get diskFull() {
        return isFull();
      },
    };
    this.turns = new TurnScheduler({ loop: platform.loop, clock: platform.clock, store });
  }

  add(
    name: string,
    options: {
      partitions?: number;
      configs?: Record<string, string>;
      kind?: 'topic' | 'internal';
      elsewhere?: boolean;
    } = {},
  ): TestTopic {
    const id = this.platform.random.uuid();
    const overrides = new Map(Object.entries(options.configs ?? {}));
    const count = options.partitions ?? 1;
    const logs = Array.from({ length: count }, (_, index) => new MemoryLog(name, id, index));
    const partitions = logs.map((log) => this.#lead(log));
    const leader = options.elsewhere === true ? 8 : BROKER_ID;
    const image: TopicImage = {
      id,
      namespace: 'default',
      kind: options.kind ?? 'topic',
      name,
      kafkaName: name,
      overrides,
      partitions: partitions.map(() => ({
        leader,
        leaderEpoch: LEADER_EPOCH,
        partitionEpoch: 1,
        replicas: [leader],
        isr: [leader],
        elr: [],
        record: standaloneRecord({
          brokerId: leader,
          brokerEpoch: 1,
          leaderEpoch: LEADER_EPOCH,
          partitionEpoch: 1,
        }),
      })),
    };
    const settings = parseTopicSettings(overrides, new Map());
    const topic = { image, settings, partitions: options.elsewhere === true ? [] : partitions, logs };
    this.topics.set(name, topic);
    this.#version++;
    return topic;
  }

  #lead(log: MemoryLog): LocalPartition {
    const { clock, timers, logger } = this.platform;
    const partition = new LocalPartition({
      log,
      brokerId: BROKER_ID,
      brokerEpoch: 1,
      turns: this.turns,
      clock,
      timers,
      logger,
      minInsyncReplicas: 1,
    });
    partition.applyRecord(
      standaloneRecord({ brokerId: BROKER_ID, brokerEpoch: 1, leaderEpoch: LEADER_EPOCH, partitionEpoch: 1 }),
    );
    return partition;
  }

  get image(): ClusterImage {
    const { topics } = this;
    const endpoint = { host: '127.0.0.1', port: PORT };
    const broker = (id: number) => ({
      id,
      epoch: 1,
      rack: undefined,
      host: 'localhost',
      endpoints: new Map([['kafka', endpoint]]),
    });
    return {
      clusterId: 'test-cluster',
      version: this.#version,
      controllerId: BROKER_ID,
      brokers: new Map([BROKER_ID, 8].map((id) => [id, broker(id)])),
      topicByName: (name) => topics.get(name)?.image,
      topicById: (id) => [...topics.values()].find(({ image }) => image.id === id)?.image,
      topics: () => [...topics.values()].map(({ image }) => image),
      topicsFrom: () => [],
      section: () => SortedMap.empty<unknown>(),
      topicCount: topics.size,
      partitionCount: 0,
    };
  }

  get(name: string, index: number) {
    return this.topics.get(name)?.partitions[index];
  }

  getById(id: string, index: number) {
    const topic = [...this.topics.values()].find(({ image }) => image.id === id);
    return topic?.partitions[index];
  }

  settings(name: string): TopicSettings | undefined {
    return this.topics.get(name)?.settings;
  }

  async autoCreateTopic(name: string): Promise<void> {
    if (name === 'refused') throw new BrokerError('POLICY_VIOLATION', 'not this one');
    this.created.push(name);
    this.add(name);
  }

  createTopic(): never {
    throw new Error('not used here');
  }
  deleteTopic(): never {
    throw new Error('not used here');
  }
  createPartitions(): never {
    throw new Error('not used here');
  }
  alterTopicConfig(): never {
    throw new Error('not used here');
  }
}

export class TestMetrics implements Metrics {
  readonly topics = new Map<string, TopicCounters>();
  readonly apis = new Map<string, ApiMetrics & { count: number }>();
  readonly counts = noConnections();
  /** What gauges show, by their names. */
  readonly measures = new Map<string, () => number>();

  topic(name: string): TopicCounters {
    let counters = this.topics.get(name);
    if (counters === undefined) {
      counters = {
        bytesIn: 0,
        bytesOut: 0,
        messagesIn: 0,
        produceRequests: 0,
        fetchRequests: 0,
        failedProduceRequests: 0,
        failedFetchRequests: 0,
      };
      this.topics.set(name, counters);
    }
    return counters;
  }
  removeTopic(): void {}
  api(_frontend: string, api: string): ApiMetrics {
    const metrics = { count: 0, errors: 0, observe: () => void metrics.count++ };
    this.apis.set(api, metrics);
    return metrics;
  }
  connections(): ConnectionCounters {
    return this.counts;
  }
  gauge({ name, read }: { readonly name: string; readonly read: () => number }): void {
    this.measures.set(name, read);
  }
  counter(): void {}
  gauges(): void {}
  counters(): void {}
  histogram(): void {}
  render(): never {
    throw new Error('not used here');
  }
}

export interface World {
  readonly sim: SimWorld;
  readonly platform: Platform;
  readonly broker: TestBroker;
  readonly metrics: TestMetrics;
  readonly frontend: KafkaFrontend;
  readonly warnings: string[];
  readonly errors: string[];
  connect(): Promise<TestClient>;
}

/** A front end and clients in one simulated world: virtual time, and released receive buffers are poisoned. */
export async function world(
  options: {
    seed?: number;
    limits?: Partial<KafkaLimits>;
    handlers?: readonly KafkaHandler[];
    serve?: boolean;
    quotaWindow?: QuotaWindow;
    transactions?: TransactionVerifier;
    /** The listener asks for SASL. */
    sasl?: { authenticator: (platform: Platform) => Authenticator; reauthenticateMs?: number };
  } = {},
): Promise<World> {
  const sim = new SimWorld({ seed: options.seed ?? 1 });
  const booted = sim.node('broker').boot();
  const warnings: string[] = [];
  const errors: string[] = [];
  const logger: Platform['logger'] = {
    debug: () => undefined,
    info: () => undefined,
    warn: (fields, message) => void warnings.push(`${message}: ${JSON.stringify(fields)}`),
    error: (fields, message) => void errors.push(`${message}: ${String(fields['error'])}`),
    child: () => logger,
  };
  const platform: Platform = { ...booted, logger };
  const broker = new TestBroker(platform, { quotaWindow: options.quotaWindow });
  const metrics = new TestMetrics();
  const frontend = await sim.settle(
    startKafkaFrontend({
      listeners: [
        {
          name: 'kafka',
          host: '127.0.0.1',
          port: PORT,
          connectionsMax: 100,
          connectionsPerAddressMax: 100,
          sasl: options.sasl && { reauthenticateMs: options.sasl.reauthenticateMs ?? 0 },
        },
      ],
      platform,
      limits: { ...kafkaLimitsOf(resolveConfig([]).settings), ...options.limits },
    }),
  );
  const { transactions } = options;
  const authenticators = new Map(
    options.sasl === undefined ? [] : [['kafka', options.sasl.authenticator(platform)]],
  );
  const served: KafkaBackend = {
    ...backend(broker, metrics),
    // No other request of these tests asks the coordinator.
    transactions: transactions as TransactionCoordinator,
    authenticators,
    failedAuthenticationDelayMs: 100,
  };
  if (options.serve !== false) frontend.serve(served, options.handlers);
  const connect = (): Promise<TestClient> =>
    sim.settle(TestClient.connect(platform.network, PORT).then((client) => client.using(sim)));
  return { sim, platform, broker, metrics, frontend, warnings, errors, connect };
}

export function backend(broker: TestBroker, metrics: Metrics): KafkaBackend {
  const rest: Pick<
    KafkaBackend,
    'brokerId' | 'partitions' | 'admin' | 'metrics' | 'autoCreateTopics' | 'quotas' | 'markers'
  > = {
    brokerId: BROKER_ID,
    quotas: broker.quotas,
    partitions: broker,
    admin: broker,
    markers: new TransactionMarkers({ partitions: broker, clock: broker.platform.clock }),
    metrics,
    autoCreateTopics: true,
  };
  // What the admin handlers need beyond it is not met in these tests.
  return rest as KafkaBackend;
}

interface Waiting {
  readonly api: Api;
  readonly version: number;
  readonly correlationId: number;
  readonly resolve: (body: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A client that checks that responses come in the order of its requests. */
export class TestClient {
  readonly connection: Connection;
  #received: Buffer = Buffer.alloc(0);
  readonly #waiting: Waiting[] = [];
  #correlationId = 0;
  #sim: SimWorld | undefined;
  /** Bytes received, all told. */
  receivedBytes = 0;
  isClosed = false;
  /** For tests that write raw frames. */
  takesAnything = false;
  onFrame: (frame: Buffer) => void = () => undefined;

  static async connect(network: Network, port: number): Promise<TestClient> {
    const connection = await network.connect({ host: '127.0.0.1', port, timeoutMs: 5000 });
    return new TestClient(connection);
  }

  constructor(connection: Connection) {
    this.connection = connection;
    connection.start({
      data: (chunk, release) => {
        this.receivedBytes += chunk.length;
        this.#received = Buffer.concat([this.#received, chunk]);
        release();
        this.#parse();
      },
      drained: () => undefined,
      closed: () => {
        this.isClosed = true;
        for (const { reject } of this.#waiting.splice(0)) reject(new Error('connection closed'));
      },
    });
  }

  using(sim: SimWorld): this {
    this.#sim = sim;
    return this;
  }

  /** Sends and does not wait. The promise has a catch of its own: a test may leave it alone. */
  send<A extends AnyApi>(
    api: A,
    version: number,
    body: InitOf<A['request']>,
    clientId: string | null = 'test',
  ): Promise<MessageOf<A['response']>> {
    const correlationId = ++this.#correlationId;
    const chunks = encodeRequest(api as never, version, correlationId, clientId, body as never);
    this.connection.write(chunks.map((chunk) => Buffer.from(chunk)));
    const response = new Promise<unknown>((resolve, reject) => {
      this.#waiting.push({ api, version, correlationId, resolve, reject });
    });
    response.catch(() => undefined);
    return response as Promise<MessageOf<A['response']>>;
  }

  /** Sends, and runs the world until the response is there. */
  call<A extends AnyApi>(
    api: A,
    version: number,
    body: InitOf<A['request']>,
  ): Promise<MessageOf<A['response']>> {
    const response = this.send(api, version, body);
    return this.#sim === undefined ? response : this.#sim.settle(response);
  }

  /** A produce request with acks=0: nothing will come back. */
  sendWithoutResponse(version: number, body: InitOf<typeof apis.produce.request>): void {
    const chunks = encodeRequest(
      apis.produce as never,
      version,
      ++this.#correlationId,
      'test',
      body as never,
    );
    this.connection.write(chunks.map((chunk) => Buffer.from(chunk)));
  }

  raw(bytes: Uint8Array): void {
    this.connection.write([bytes]);
  }

  get unanswered(): number {
    return this.#waiting.length;
  }

  #parse(): void {
    while (this.#received.length >= 4) {
      const length = this.#received.readInt32BE(0);
      if (this.#received.length < 4 + length) return;
      const frame = this.#received.subarray(4, 4 + length);
      this.#received = this.#received.subarray(4 + length);
      const next = this.#waiting.shift();
      if (next === undefined) {
        if (this.takesAnything) {
          this.onFrame(frame);
          continue;
        }
        throw new Error('a response that nobody asked for');
      }
      const reader = new Reader(frame);
      const { correlationId, body } = decodeResponse(next.api as never, next.version, reader);
      if (correlationId !== next.correlationId) {
        throw new Error(`response ${correlationId} instead of ${next.correlationId}`);
      }
      if (reader.remaining > 0) throw new Error(`${reader.remaining} bytes too many in the response`);
      next.resolve(body);
    }
  }
}

type AnyApi = (typeof apis)[keyof typeof apis];

export const NOW_MS = 1_767_225_600_000;

/** One batch with these values. */
export function batchOf(
  values: readonly string[],
  options: BatchOptions & { keys?: boolean; timestamp?: number } = {},
) {
  const { keys, timestamp, ...rest } = options;
  return buildBatch({
    ...rest,
    records: values.map((value) => ({
      key: keys === true ? Buffer.from(`key of ${value}`) : null,
      value: Buffer.from(value),
      timestamp: timestamp ?? NOW_MS,
    })),
  });
}

export function produceBody(
  topic: string,
  records: Uint8Array | null,
  options: {
    acks?: number;
    partition?: number;
    topicId?: string;
    timeoutMs?: number;
    transactionalId?: string;
  } = {},
): InitOf<typeof apis.produce.request> {
  return {
    transactionalId: options.transactionalId ?? null,
    acks: options.acks ?? -1,
    timeoutMs: options.timeoutMs ?? 1000,
    topicData: [
      {
        name: topic,
        ...(options.topicId === undefined ? {} : { topicId: options.topicId }),
        partitionData: [{ index: options.partition ?? 0, records }],
      },
    ],
  };
}

export function fetchBody(
  partitions: readonly {
    topic: string;
    topicId?: string;
    partition?: number;
    offset: number;
    bytesMax?: number;
  }[],
  options: Partial<InitOf<typeof apis.fetch.request>> = {},
): InitOf<typeof apis.fetch.request> {
  return {
    maxWaitMs: 500,
    minBytes: 1,
    topics: partitions.map(({ topic, topicId, partition, offset, bytesMax }) => ({
      topic,
      ...(topicId === undefined ? {} : { topicId }),
      partitions: [
        { partition: partition ?? 0, fetchOffset: offset, partitionMaxBytes: bytesMax ?? 1 << 20 },
      ],
    })),
    forgottenTopicsData: [],
    ...options,
  };
}
