import { Controller } from './cluster/controller.ts';
import { ProducerIdBlocks } from './cluster/producer-id-blocks.ts';
import { followDynamicSettings } from './cluster/dynamic-settings.ts';
import { register, startPartitions, type Registration } from './cluster/registration.ts';
import { SectionWriter } from './cluster/section-writer.ts';
import { ImageTracker } from './cluster/tracker.ts';
import type { BrokerConfig, BrokerSettings } from './config/broker-config.ts';
import type { Address } from './config/definition.ts';
import { LiveConfig } from './config/live-config.ts';
import { usesSasl, type ListenerConfig } from './config/listeners.ts';
import { claimDataFolder } from './config/meta-properties.ts';
import { cleanerLimitsOf, storageConfigOf } from './config/storage-config.ts';
import { parseTopicSettings, settingsInForce } from './config/topic-config.ts';
import { coordinateGroups, coordinateTransactions } from './coordinators.ts';
import { Slices } from './expressions/slices.ts';
import { kafkaLimitsOf } from './frontends/kafka/limits.ts';
import { startKafkaFrontend, type KafkaFrontend } from './frontends/kafka/server.ts';
import type { GroupService } from './groups/service.ts';
import type { SaslTerms } from './frontends/kafka/session-listener.ts';
import { CLUSTER_LOG_ID, LocalMetadataStore } from './metadata/local/store.ts';
import { BrokerMetrics } from './metrics/registry.ts';
import { OwnBrokerPort } from './peer/own-broker.ts';
import type { PeerPort } from './peer/types.ts';
import type { Logger, Platform } from './platform/index.ts';
import { followQuotas, type Quotas } from './quotas/service.ts';
import { LocalPartition, TurnScheduler } from './replication/index.ts';
import { Authorizer } from './security/authorizer.ts';
import { Denials } from './security/denials.ts';
import { authorizerSettingsOf } from './security/settings.ts';
import { openSecurity } from './security/service.ts';
import { mappingOf, tlsOptionsOf } from './security/tls-settings.ts';
import { describeCleaning } from './storage/cleaner/metrics.ts';
import type { CleaningRunner } from './storage/cleaner/types.ts';
import { openLogStore } from './storage/log-store.ts';
import { describeStorage } from './storage/metrics.ts';
import type { CleaningReport, LogStore, RecoveryReport } from './storage/types.ts';
import { PartitionRegistry } from './topics/hosted-partitions.ts';
import { describePartitions } from './topics/metrics.ts';
import { BrokerTopicAdmin } from './topics/topic-admin.ts';
import type { DataFolder } from './topics/types.ts';
import { TransactionMarkers } from './topics/transaction-markers.ts';
import type { TransactionService } from './transactions/service.ts';

/** As Kafka has it: what is open for so long beyond the longest time-out is not about to be ended. */
const TRANSACTION_LATENESS_MS = 5 * 60_000;

/** Whoever has an open transaction, and has written nothing since then, will not end it. */
function lateSince(clock: Platform['clock'], config: BrokerConfig): () => number {
  return () => clock.nowMs() - config.settings['transaction.max.timeout.ms'] - TRANSACTION_LATENESS_MS;
}

const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);
/** How long a start waits for groups and transactions: with very many of them clients are served before all are known. */
const COORDINATORS_LOAD_WAIT_MS_MAX = 1000;
const BYTES_PER_MIB = 1024 * 1024;

/** What the engine is told of the machine, beside the platform. */
export interface Machine {
  /** Absolute. */
  readonly dataDirectory: string;
  /** The machine's name: the failure domain over which replicas are spread. */
  readonly hostname: string;
  /** File descriptors that the process may have, where that is known. */
  readonly descriptorsMax?: number | undefined;
  /** Where compacted logs are cleaned; on the event loop, as in the simulator, if left out. */
  readonly cleaningRunner?: CleaningRunner;
}

/** Everything of a broker but its HTTP API, over any platform: the simulator runs it as it is. */
export class Engine {
  /** Of the first listener. */
  readonly kafkaAddress: string;
  /** `host:port` of each listener, by its name. */
  readonly listenerAddresses: ReadonlyMap<string, string>;
  readonly dataDirectory: string;
  readonly metrics: BrokerMetrics;
  /** What the start found on the disk. */
  readonly recovery: RecoveryReport;
  /** Resolves with the error if the broker can no longer keep its promises; it then has to be started anew. */
  readonly failed: Promise<Error>;
  readonly #parts: EngineParts;
  #unreadyBecause: string | undefined;
  #groupsLoaded = false;
  #transactionsLoaded = false;

  private constructor(parts: EngineParts) {
    this.#parts = parts;
    this.listenerAddresses = new Map(
      [...parts.frontend.addresses].map(([name, address]) => [name, addressOf(address)]),
    );
    this.kafkaAddress = [...this.listenerAddresses.values()][0]!;
    this.dataDirectory = parts.logs.dataDirectory;
    this.metrics = parts.metrics;
    this.recovery = parts.logs.recovery;
    this.failed = new Promise((resolve) => {
      parts.logs.onFatal = (error) => {
        this.#unreadyBecause = `the storage failed (${error.message}): the broker has to be started anew`;
        parts.metadata.abort(error);
        resolve(error);
      };
    });
  }

  /** Resolves when clients are served; rejects as `Broker.start` does, with everything closed. */
  static async start(platform: Platform, started: BrokerConfig, machine: Machine): Promise<Engine> {
    const config = new LiveConfig(started);
    // Bound before the recovery, so that a taken port is known at once.
    const frontend = await listen(platform, config);
    let logs: LogStore | undefined;
    try {
      logs = await openLogs(platform, config, machine);
      const engine = new Engine(await assemble(platform, config, machine, frontend, logs));
      // As a rule it takes milliseconds, and spares the first clients an answer that not all of them repeat.
      const { groups, transactions } = engine.#parts;
      await Promise.all([
        groups.loaded(COORDINATORS_LOAD_WAIT_MS_MAX),
        transactions.loaded(COORDINATORS_LOAD_WAIT_MS_MAX),
      ]);
      return engine;
    } catch (error) {
      await frontend.close();
      await logs?.close();
      await platform.compute.close();
      throw error;
    }
  }

  readonly readiness = (): string | undefined => {
    if (this.#unreadyBecause !== undefined) return this.#unreadyBecause;
    return this.#parts.logs.diskFull ? diskFullReason(this.#parts.logs) : this.#loadingReason();
  };

  /** After a start only: later loads concern single partitions, and one that fails for ever must not keep the rest from clients. */
  #loadingReason(): string | undefined {
    const { groups, transactions } = this.#parts;
    this.#groupsLoaded ||= isLoaded(groups);
    if (!this.#groupsLoaded) {
      return `consumer groups are being loaded: ${groups.loadingCount} partitions of __consumer_offsets are left`;
    }
    this.#transactionsLoaded ||= isLoaded(transactions);
    return this.#transactionsLoaded
      ? undefined
      : `transactions are being loaded: ${transactions.loadingCount} partitions of __transaction_state are left`;
  }

  /** What the log cleaner has done since the start. */
  get cleaning(): CleaningReport {
    return this.#parts.logs.cleaning;
  }

  /** Reads the files of TLS certificates again if they have changed. */
  renewCertificates(): void {
    this.#parts.frontend.renewCertificates();
  }

  /** From now on it says that it is not ready. */
  stopping(): void {
    this.#unreadyBecause ??= 'the broker is stopping';
  }

  async stop(): Promise<void> {
    const { frontend, groups, transactions, partitions, tracker, registration, metadata, logs, compute } =
      this.#parts;
    this.stopping();
    await frontend.close();
    groups.close();
    transactions.close();
    await partitions.close();
    tracker.close();
    await registration.lease.revoke();
    await metadata.close();
    await logs.close();
    await compute.close();
  }
}

interface EngineParts {
  readonly frontend: KafkaFrontend;
  readonly logs: LogStore;
  readonly metadata: LocalMetadataStore;
  readonly registration: Registration;
  readonly tracker: ImageTracker;
  readonly partitions: PartitionRegistry;
  readonly groups: GroupService;
  readonly transactions: TransactionService;
  /** How the coordinators of this broker reach the leaders of partitions. */
  readonly peers: PeerPort;
  readonly metrics: BrokerMetrics;
  readonly compute: Platform['compute'];
}

async function listen(platform: Platform, config: LiveConfig): Promise<KafkaFrontend> {
  const { settings, listeners } = config;
  return startKafkaFrontend({
    listeners: listeners.map((listener) => ({
      name: listener.name,
      host: listener.address.host,
      port: listener.address.port,
      tls: tlsOptionsOf(listener),
      principalOf: mappingOf(listener),
      sasl: saslTermsOf(listener),
      get connectionsMax() {
        return config.settings['max.connections'];
      },
      get connectionsPerAddressMax() {
        return config.settings['max.connections.per.ip'];
      },
    })),
    platform,
    limits: kafkaLimitsOf(settings),
  });
}

async function openLogs(
  platform: Platform,
  { settings, topicDefaults }: BrokerConfig,
  { dataDirectory, descriptorsMax, cleaningRunner }: Machine,
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
    config: storageConfigOf(settings, descriptorsMax),
    ...(cleaningRunner === undefined ? {} : { cleaningRunner }),
    logConfigOf: () => log,
    onLocked: () => claimDataFolder(disk, dataDirectory, settings['node.id']),
  });
}

async function assemble(
  platform: Platform,
  config: LiveConfig,
  machine: Machine,
  frontend: KafkaFrontend,
  logs: LogStore,
): Promise<EngineParts> {
  const { clock, loop, logger, compute } = platform;
  const { settings } = config;
  const brokerId = settings['node.id'];
  const metadata = await LocalMetadataStore.open({ logs, clock, loop, logger });
  const registration = await enter(platform, config, machine, metadata, frontend);
  const { brokerEpoch } = registration;
  const retained = logs.recovery.kind !== 'power-loss';
  const tracker = await followCluster(platform, config, { metadata, brokerEpoch, retained });
  const metrics = new BrokerMetrics();
  const partitions = hostPartitions(platform, config, { logs, tracker, metrics, brokerEpoch });
  partitions.startHousekeeping();
  const controller = makeController(platform, config, metadata, tracker);
  const orphans = tracker.orphans();
  if (orphans.length > 0) await controller.removePartitionKeys(orphans);
  describeLogs(metrics, logs);
  describePartitions(metrics, partitions, { brokerId, lateSinceMs: lateSince(clock, config) });
  const markers = new TransactionMarkers({ partitions, clock });
  const peers = new OwnBrokerPort({ brokerId, markers });
  const admin = new BrokerTopicAdmin({
    controller,
    partitions,
    config,
    deletionAllowed: settings['delete.topic.enable'],
  });
  const slices = new Slices(platform, { stepsPerSlice: config.stepsPerTurn?.expressions });
  const parts = { partitions, admin, tracker, metrics, slices };
  const producerIds = new ProducerIdBlocks(metadata);
  const transactions = coordinateTransactions(platform, config, { ...parts, peers, producerIds });
  const groups = coordinateGroups(platform, config, { ...parts, markers, verifier: transactions });
  const quotas = followQuotas({ clock, tracker, settings, metrics });
  followSettings(config, { partitions, logs, quotas, logger });
  const sections = new SectionWriter({ store: metadata, tracker });
  frontend.serve({
    ...(await openSecurity(platform, config, { tracker, sections, metrics })),
    brokerId,
    partitions,
    admin,
    authorizer: authorize(platform, config, { tracker, metrics }),
    sections,
    quotas,
    groups,
    transactions,
    markers,
    producerIds,
    metrics,
    autoCreateTopics: settings['auto.create.topics.enable'],
    config,
    dataFolder: dataFolderOf(platform, logs),
  });
  return {
    frontend,
    logs,
    metadata,
    registration,
    tracker,
    partitions,
    groups,
    transactions,
    peers,
    metrics,
    compute,
  };
}

function describeLogs(metrics: BrokerMetrics, logs: LogStore): void {
  describeStorage(metrics, logs);
  describeCleaning(metrics, logs);
}

/** The image, when it says that this start leads and follows its partitions. */
async function followCluster(
  { logger }: Platform,
  config: LiveConfig,
  parts: {
    readonly metadata: LocalMetadataStore;
    readonly brokerEpoch: number;
    /** Whether all that was written before this start is there. */
    readonly retained: boolean;
  },
): Promise<ImageTracker> {
  const { metadata, brokerEpoch, retained } = parts;
  const brokerId = config.settings['node.id'];
  const tracker = await ImageTracker.open({ store: metadata, logger });
  followDynamicSettings({ config, tracker, brokerId, logger });
  const revision = await startPartitions({
    store: metadata,
    image: tracker.image,
    brokerId,
    brokerEpoch,
    retained,
    minInsyncReplicas: ({ overrides }) =>
      settingsInForce(overrides, config.topicDefaults, () => undefined).minInsyncReplicas,
  });
  await tracker.reached(revision);
  return tracker;
}

function authorize(
  { clock, logger }: Platform,
  { settings }: BrokerConfig,
  { tracker, metrics }: { readonly tracker: ImageTracker; readonly metrics: BrokerMetrics },
): Authorizer | undefined {
  const denials = new Denials(clock, logger);
  denials.describe(metrics);
  const rules = authorizerSettingsOf(settings);
  if (rules === undefined) return undefined;
  return new Authorizer({ ...rules, denials, section: () => tracker.image.section('acls/') });
}

function dataFolderOf({ disk }: Platform, logs: LogStore): DataFolder {
  return {
    path: logs.dataDirectory,
    sizeOf: (kafkaName, partition) => logs.get(kafkaName, partition)?.sizeBytes,
    freeSpace: () => disk.freeSpace(logs.dataDirectory),
  };
}

/** Settings may change while the broker runs, and may have been changed when it ran before. */
function followSettings(
  config: LiveConfig,
  parts: {
    readonly partitions: PartitionRegistry;
    readonly logs: LogStore;
    readonly quotas: Quotas;
    readonly logger: Logger;
  },
): void {
  applySettings(config.settings, parts);
  config.onChange((before) => {
    if (config.topicDefaults !== before.topicDefaults) parts.partitions.defaultsChanged();
    applySettings(config.settings, parts);
  });
}

/** Tells what changes at run time to those who do not read it whenever they need it. */
function applySettings(
  settings: BrokerSettings,
  parts: { readonly logs: LogStore; readonly quotas: Quotas; readonly logger: Logger },
): void {
  const { logs, quotas, logger } = parts;
  logger.setLevel?.(settings['log-level']);
  logs.configureCleaner(cleanerLimitsOf(settings));
  quotas.connections.broker = settings['max.connection.creation.rate'];
}

function hostPartitions(
  { clock, timers, loop, logger }: Platform,
  config: LiveConfig,
  parts: {
    readonly logs: LogStore;
    readonly tracker: ImageTracker;
    readonly metrics: BrokerMetrics;
    readonly brokerEpoch: number;
  },
): PartitionRegistry {
  const { logs, tracker, metrics, brokerEpoch } = parts;
  const { settings } = config;
  const brokerId = settings['node.id'];
  const turns = new TurnScheduler({ loop, clock, store: logs });
  return new PartitionRegistry({
    brokerId,
    logs,
    tracker,
    config,
    logger,
    timers,
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
        get producerIdExpirationMs() {
          return config.settings['producer.id.expiration.ms'];
        },
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
  { settings, listeners }: BrokerConfig,
  { hostname }: Machine,
  store: LocalMetadataStore,
  frontend: KafkaFrontend,
): Promise<Registration> {
  const endpoints = Object.fromEntries(
    listeners.map((listener) => [
      listener.name,
      endpointOf(listener, frontend.addresses.get(listener.name)!.port, logger),
    ]),
  );
  return register({
    store,
    random,
    brokerId: settings['node.id'],
    record: {
      rack: settings['broker.rack'] ?? null,
      host: hostname,
      endpoints,
    },
  });
}

function saslTermsOf({ security, settings }: ListenerConfig): SaslTerms | undefined {
  return usesSasl(security) ? { reauthenticateMs: settings['connections.max.reauth.ms'] } : undefined;
}

/** What clients of a listener are told. */
function endpointOf({ name, address, advertised }: ListenerConfig, port: number, logger: Logger): Address {
  if (advertised !== undefined) return advertised;
  const isWildcard = WILDCARDS.has(address.host);
  if (isWildcard) {
    logger.warn(
      { listener: name },
      'Clients are told 127.0.0.1: set advertised.kafka, or advertised.listeners, for those on other machines',
    );
  }
  // An address and not a name: `localhost` may resolve to ::1, where nothing listens.
  return { host: isWildcard ? '127.0.0.1' : address.host, port };
}

function isLoaded({ loadingCount, shardCounters }: GroupService | TransactionService): boolean {
  return loadingCount === 0 || shardCounters.loadFailures > 0;
}

function diskFullReason(logs: LogStore): string {
  const { freeBytes, releaseBytes } = logs.statistics().space;
  const mib = (bytes: number): string => `${Math.round(bytes / BYTES_PER_MIB)} MiB`;
  return (
    `the disk is almost full: ${mib(freeBytes)} are free, and writes are refused until ` +
    `${mib(releaseBytes)} are (twice disk.reserve.bytes); reads go on`
  );
}

export function addressOf({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
