import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';

import type { AdminServer } from './admin/server.ts';
import { Controller } from './cluster/controller.ts';
import { ProducerIdBlocks } from './cluster/producer-id-blocks.ts';
import { register, startPartitions, type Registration } from './cluster/registration.ts';
import { ImageTracker } from './cluster/tracker.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { Address } from './config/definition.ts';
import { resolveConfig, type RawSetting } from './config/load.ts';
import { claimDataFolder } from './config/meta-properties.ts';
import { parseTopicSettings } from './config/topic-config.ts';
import { startKafkaFrontend, type KafkaFrontend } from './frontends/kafka/server.ts';
import { CLUSTER_LOG_ID, LocalMetadataStore } from './metadata/local/store.ts';
import { BrokerMetrics } from './metrics/registry.ts';
import { createNodePlatform } from './platform/node/index.ts';
import type { Logger, Platform } from './platform/index.ts';
import { LocalPartition, TurnScheduler } from './replication/index.ts';
import { openLogStore } from './storage/log-store.ts';
import type { LogStore } from './storage/types.ts';
import { PartitionRegistry } from './topics/hosted-partitions.ts';
import { BrokerTopicAdmin } from './topics/topic-admin.ts';

export interface BrokerOptions {
  /** The folder with the data. Without it a temporary one, which `stop` removes. */
  readonly data?: string;
  /** `HOST:PORT` of the Kafka listener; port 0, the default, takes a free one on 127.0.0.1. */
  readonly kafka?: string;
  /** `HOST:PORT` of the HTTP listener; port 0, the default, takes a free one on 127.0.0.1. `false`: none. */
  readonly http?: string | false;
  readonly nodeId?: number;
  /** Default `warn`, unless there is a `logger`. */
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where log messages go instead of JSON lines on stderr. */
  readonly logger?: Logger;
  /** Any settings by their names, as in a configuration file: `{ 'num.partitions': 3 }`. */
  readonly config?: Readonly<Record<string, string | number | boolean>>;
}

const NO_ADDRESS = '127.0.0.1:0';
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
const LISTENER = 'kafka';
const NANOSECONDS_PER_SECOND = 1e9;
const EVENT_LOOP_RESOLUTION_MS = 20;
const KEEP_ALIVE_MS = 1000;

/** A broker in this process. */
export class Broker {
  /** `host:port` at which Kafka clients connect. */
  readonly kafkaAddress: string;
  /** `host:port` of the HTTP API; undefined if there is none. */
  readonly httpAddress: string | undefined;
  readonly dataDirectory: string;
  /** Resolves with the error if the broker can no longer keep its promises, such as after a failed sync: it then has to be started anew. */
  readonly failed: Promise<Error>;
  readonly #stop: () => Promise<void>;
  #stopping: Promise<void> | undefined;

  private constructor(fields: {
    kafkaAddress: string;
    httpAddress: string | undefined;
    dataDirectory: string;
    failed: Promise<Error>;
    stop: () => Promise<void>;
  }) {
    this.kafkaAddress = fields.kafkaAddress;
    this.httpAddress = fields.httpAddress;
    this.dataDirectory = fields.dataDirectory;
    this.failed = fields.failed;
    this.#stop = fields.stop;
  }

  /**
   * Starts a broker and resolves when clients can use it. Rejects with ConfigError, DataFolderError, DiskError (`LOCKED`: another broker has the
   * folder) or NetworkError (`EADDRINUSE`).
   */
  static async start(options: BrokerOptions = {}): Promise<Broker> {
    const temporary = options.data === undefined ? await mkdtemp(path.join(tmpdir(), 'polylog-')) : undefined;
    try {
      const config = resolveConfig(settingsOf(options, options.data ?? temporary!));
      return await Broker.run(config, {
        ...(options.logger === undefined ? {} : { logger: options.logger }),
        http: options.http !== false,
        ...(temporary === undefined ? {} : { temporaryDirectory: temporary }),
      });
    } catch (error) {
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  /** Starts a broker from a complete configuration. */
  static async run(
    config: BrokerConfig,
    options: {
      readonly logger?: Logger;
      readonly http: boolean;
      readonly temporaryDirectory?: string;
      /** Called when Kafka clients can connect, a little before HTTP clients can. */
      readonly onKafkaReady?: (address: string) => void;
    },
  ): Promise<Broker> {
    const { settings } = config;
    const platform = createNodePlatform({ logger: { level: settings['log-level'] } });
    const logger = options.logger ?? platform.logger;
    const engine = await Engine.start({ ...platform, logger }, config);
    options.onKafkaReady?.(engine.kafkaAddress);
    let admin: AdminServer | undefined;
    try {
      if (options.http) admin = await startAdmin(engine, settings.http, logger);
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return new Broker({
      kafkaAddress: engine.kafkaAddress,
      httpAddress: admin === undefined ? undefined : addressOf(admin),
      dataDirectory: engine.dataDirectory,
      failed: engine.failed,
      stop: async () => {
        engine.stopping();
        await admin?.close();
        await engine.stop();
        if (options.temporaryDirectory !== undefined) {
          await rm(options.temporaryDirectory, { recursive: true, force: true });
        }
      },
    });
  }

  /** Answers what is under way, closes all connections and files, and leaves the folder so that the next start is quick. Idempotent. */
  stop(): Promise<void> {
    if (this.#stopping === undefined) {
      // With its listeners closed nothing else keeps the process alive until the last file is.
      const keepAlive = setInterval(() => undefined, KEEP_ALIVE_MS);
      this.#stopping = this.#stop().finally(() => clearInterval(keepAlive));
    }
    return this.#stopping;
  }
}

/** Everything of a broker but its HTTP API. */
class Engine {
  readonly kafkaAddress: string;
  readonly dataDirectory: string;
  readonly metrics: BrokerMetrics;
  readonly failed: Promise<Error>;
  readonly #parts: EngineParts;
  #unreadyBecause: string | undefined;

  private constructor(parts: EngineParts) {
    this.#parts = parts;
    this.kafkaAddress = addressOf(parts.frontend);
    this.dataDirectory = parts.logs.dataDirectory;
    this.metrics = parts.metrics;
    this.failed = new Promise((resolve) => {
      parts.logs.onFatal = (error) => {
        this.#unreadyBecause = 'the storage failed';
        parts.metadata.abort(error);
        resolve(error);
      };
    });
  }

  static async start(platform: Platform, config: BrokerConfig): Promise<Engine> {
    const dataDirectory = path.resolve(config.settings.data);
    // Bound before the recovery, so that a taken port is known at once.
    const frontend = await listen(platform, config);
    let logs: LogStore | undefined;
    try {
      logs = await openLogs(platform, config, dataDirectory);
      return new Engine(await assemble(platform, config, frontend, logs));
    } catch (error) {
      await frontend.close();
      await logs?.close();
      await platform.compute.close();
      throw error;
    }
  }

  readonly readiness = (): string | undefined =>
    this.#unreadyBecause ?? (this.#parts.logs.diskFull ? 'the disk is almost full' : undefined);

  /** From now on it says that it is not ready. */
  stopping(): void {
    this.#unreadyBecause ??= 'the broker is stopping';
  }

  async stop(): Promise<void> {
    const { frontend, partitions, tracker, registration, metadata, logs, compute, disposeMetrics } =
      this.#parts;
    this.stopping();
    await frontend.close();
    await partitions.close();
    tracker.close();
    await registration.lease.revoke();
    await metadata.close();
    await logs.close();
    await compute.close();
    disposeMetrics();
  }
}

interface EngineParts {
  readonly frontend: KafkaFrontend;
  readonly logs: LogStore;
  readonly metadata: LocalMetadataStore;
  readonly registration: Registration;
  readonly tracker: ImageTracker;
  readonly partitions: PartitionRegistry;
  readonly metrics: BrokerMetrics;
  readonly compute: Platform['compute'];
  readonly disposeMetrics: () => void;
}

async function listen(platform: Platform, { settings }: BrokerConfig): Promise<KafkaFrontend> {
  return startKafkaFrontend({
    listener: LISTENER,
    host: settings.kafka.host,
    port: settings.kafka.port,
    connectionsMax: settings['max.connections'],
    connectionsPerAddressMax: settings['max.connections.per.ip'],
    platform,
    limits: {
      requestBytesMax: settings['socket.request.max.bytes'],
      requestBytesInFlightMax: settings['queued.max.request.bytes'],
      requestsInFlightPerConnectionMax: settings['connection.requests.max'],
      responseBytesInFlightMax: settings['queued.max.response.bytes'],
      parseBytesPerTurnMax: settings['connection.turn.bytes'],
      idleMs: settings['connections.max.idle.ms'],
      handshakeMs: settings['connection.handshake.timeout.ms'],
      fetchResponseBytesMax: settings['fetch.max.bytes'],
      fetchSessionsMax: settings['max.incremental.fetch.session.cache.slots'],
    },
  });
}

async function openLogs(
  platform: Platform,
  { settings, topicDefaults }: BrokerConfig,
  dataDirectory: string,
): Promise<LogStore> {
  const { disk, clock, timers, logger } = platform;
  // What a log is configured with until the image tells its topic's settings, a moment later.
  const { log } = parseTopicSettings(new Map(), topicDefaults);
  return openLogStore({
    disk,
    clock,
    timers,
    logger,
    dataDirectory,
    config: {
      openFilesMax: settings['files.open.max'],
      hotBytes: settings['hot.bytes'],
      journalFileBytes: settings['journal.file.bytes'],
      journalFilesMax: settings['journal.files.max'],
      journalBatchBytesMax: settings['journal.batch.max.bytes'],
      checkpointMs: settings['log.flush.offset.checkpoint.interval.ms'],
      retentionCheckMs: settings['log.retention.check.interval.ms'],
      freeSpaceReserveBytes: settings['disk.reserve.bytes'],
    },
    logConfigOf: () => log,
    onLocked: () => claimDataFolder(disk, dataDirectory, settings['node.id']),
  });
}

async function assemble(
  platform: Platform,
  config: BrokerConfig,
  frontend: KafkaFrontend,
  logs: LogStore,
): Promise<EngineParts> {
  const { clock, loop, logger, compute } = platform;
  const { settings, topicDefaults } = config;
  const brokerId = settings['node.id'];
  const metadata = await LocalMetadataStore.open({ logs, clock, loop, logger });
  const registration = await enter(platform, config, metadata, frontend);
  const { brokerEpoch } = registration;
  const tracker = await ImageTracker.open({ store: metadata, logger });
  const revision = await startPartitions({
    store: metadata,
    image: tracker.image,
    brokerId,
    brokerEpoch,
    retained: logs.recovery.kind !== 'power-loss',
    minInsyncReplicas: ({ overrides }) => parseTopicSettings(overrides, topicDefaults).minInsyncReplicas,
  });
  await tracker.reached(revision);
  const metrics = new BrokerMetrics();
  const partitions = hostPartitions(platform, config, { logs, tracker, metrics, brokerEpoch });
  const controller = makeController(platform, config, metadata, tracker);
  const orphans = tracker.orphans();
  if (orphans.length > 0) await controller.removePartitionKeys(orphans);
  const disposeMetrics = describeProcess(metrics, partitions, logs);
  frontend.serve({
    brokerId,
    partitions,
    admin: new BrokerTopicAdmin({
      controller,
      partitions,
      topicDefaults,
      deletionAllowed: settings['delete.topic.enable'],
    }),
    producerIds: new ProducerIdBlocks(metadata),
    metrics,
    autoCreateTopics: settings['auto.create.topics.enable'],
    config,
    dataFolder: {
      path: logs.dataDirectory,
      sizeOf: (kafkaName, partition) => logs.get(kafkaName, partition)?.sizeBytes,
      freeSpace: () => platform.disk.freeSpace(logs.dataDirectory),
    },
  });
  return {
    frontend,
    logs,
    metadata,
    registration,
    tracker,
    partitions,
    metrics,
    compute,
    disposeMetrics,
  };
}

function hostPartitions(
  { clock, timers, loop, logger }: Platform,
  { settings, topicDefaults }: BrokerConfig,
  parts: {
    readonly logs: LogStore;
    readonly tracker: ImageTracker;
    readonly metrics: BrokerMetrics;
    readonly brokerEpoch: number;
  },
): PartitionRegistry {
  const { logs, tracker, metrics, brokerEpoch } = parts;
  const brokerId = settings['node.id'];
  const turns = new TurnScheduler({ loop, clock, store: logs });
  return new PartitionRegistry({
    brokerId,
    logs,
    tracker,
    topicDefaults,
    logger,
    reservedLogs: new Set([CLUSTER_LOG_ID.topic]),
    makePartition: ({ log, settings: { minInsyncReplicas } }) =>
      new LocalPartition({
        log,
        brokerId,
        brokerEpoch,
        turns,
        clock,
        timers,
        logger,
        minInsyncReplicas,
        replicaLagTimeMaxMs: settings['replica.lag.time.max.ms'],
        producerIdExpirationMs: settings['producer.id.expiration.ms'],
      }),
    onTopicRemoved: (kafkaName) => metrics.removeTopic(kafkaName),
  });
}

function makeController(
  { random }: Platform,
  { settings }: BrokerConfig,
  store: LocalMetadataStore,
  tracker: ImageTracker,
): Controller {
  return new Controller({
    store,
    tracker,
    random,
    defaults: {
      partitions: settings['num.partitions'],
      replicationFactor: settings['default.replication.factor'],
    },
    limits: {
      topicPartitionsMax: settings['topic.partitions.max'],
      clusterPartitionsMax: settings['cluster.partitions.max'],
    },
  });
}

async function enter(
  { random, logger }: Platform,
  { settings }: BrokerConfig,
  store: LocalMetadataStore,
  frontend: KafkaFrontend,
): Promise<Registration> {
  const advertised = settings['advertised.kafka'];
  const isWildcard = WILDCARDS.has(settings.kafka.host);
  if (advertised === undefined && isWildcard) {
    logger.warn({}, 'Clients are told 127.0.0.1: set advertised.kafka for those on other machines');
  }
  // An address and not a name: `localhost` may resolve to ::1, where nothing listens.
  const host = isWildcard ? '127.0.0.1' : settings.kafka.host;
  const endpoint = advertised ?? { host, port: frontend.port };
  return register({
    store,
    random,
    brokerId: settings['node.id'],
    record: {
      rack: settings['broker.rack'] ?? null,
      host: hostname(),
      endpoints: { [LISTENER]: endpoint },
    },
  });
}

async function startAdmin(engine: Engine, { host, port }: Address, logger: Logger): Promise<AdminServer> {
  const { startAdminServer } = await import('./admin/server.ts');
  const { metrics, readiness } = engine;
  return startAdminServer({ host, port, metrics, readiness, logger });
}

/** Returns what ends the measuring. */
function describeProcess(metrics: BrokerMetrics, partitions: PartitionRegistry, logs: LogStore): () => void {
  const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
  delay.enable();
  const gauge = (name: string, help: string, read: () => number): void => metrics.gauge({ name, help, read });
  gauge('partitions', 'Partitions that this broker holds', () => partitions.hostedCount);
  gauge('topics', 'Topics of the cluster', () => partitions.image.topicCount);
  gauge('disk_full', '1 while writes are refused for want of space', () => (logs.diskFull ? 1 : 0));
  const quantiles = { p50: 50, p99: 99, p999: 99.9 } as const;
  for (const [name, percentile] of Object.entries(quantiles)) {
    gauge(`event_loop_delay_${name}_seconds`, `Delay of the event loop since the start, ${name}`, () =>
      delay.count === 0 ? 0 : delay.percentile(percentile) / NANOSECONDS_PER_SECOND,
    );
  }
  gauge('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  gauge('process_heap_used_bytes', 'Used heap', () => process.memoryUsage().heapUsed);
  metrics.counter({
    name: 'process_cpu_seconds_total',
    help: 'CPU time, user and system',
    read: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  });
  return () => delay.disable();
}

function settingsOf(options: BrokerOptions, data: string): RawSetting[] {
  const setting = (name: string, text: string): RawSetting => ({
    name,
    text,
    source: 'option',
    where: `option ${name}`,
  });
  return [
    setting('log-level', options.logLevel ?? 'warn'),
    ...Object.entries(options.config ?? {}).map(([name, value]) => setting(name, String(value))),
    setting('data', data),
    setting('kafka', options.kafka ?? NO_ADDRESS),
    setting('http', options.http === undefined || options.http === false ? NO_ADDRESS : options.http),
    ...(options.nodeId === undefined ? [] : [setting('node.id', String(options.nodeId))]),
  ];
}

function addressOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
