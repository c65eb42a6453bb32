import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';

import type { AdminServer } from './admin/server.ts';
import { CleaningThread } from './cleaning-thread.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { Address } from './config/definition.ts';
import { canonicalName, resolveConfig, type RawSetting } from './config/load.ts';
import { usesTls } from './config/listeners.ts';
import { addressOf, Engine } from './engine.ts';
import { createNodePlatform } from './platform/node/index.ts';
import type { Logger } from './platform/index.ts';
import { describeProcess, descriptorsMax } from './process-metrics.ts';

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
const KEEP_ALIVE_MS = 1000;

/** A broker in this process. */
export class Broker {
  /** `host:port` at which Kafka clients connect; of the first listener, if there are several. */
  readonly kafkaAddress: string;
  /** `host:port` of each listener, by its name; the only one's is `kafka` unless the setting `listeners` names others. */
  readonly listenerAddresses: ReadonlyMap<string, string>;
  /** `host:port` of the HTTP API; undefined if there is none. */
  readonly httpAddress: string | undefined;
  readonly dataDirectory: string;
  /** Whether one of its listeners does. */
  readonly usesTls: boolean;
  /** Resolves with the error if the broker can no longer keep its promises, such as after a failed sync: it then has to be started anew. */
  readonly failed: Promise<Error>;
  readonly #stop: () => Promise<void>;
  readonly #renewCertificates: () => void;
  #stopping: Promise<void> | undefined;

  private constructor(fields: {
    kafkaAddress: string;
    listenerAddresses: ReadonlyMap<string, string>;
    httpAddress: string | undefined;
    dataDirectory: string;
    failed: Promise<Error>;
    stop: () => Promise<void>;
    usesTls: boolean;
    renewCertificates: () => void;
  }) {
    this.kafkaAddress = fields.kafkaAddress;
    this.listenerAddresses = fields.listenerAddresses;
    this.httpAddress = fields.httpAddress;
    this.dataDirectory = fields.dataDirectory;
    this.failed = fields.failed;
    this.#stop = fields.stop;
    this.usesTls = fields.usesTls;
    this.#renewCertificates = fields.renewCertificates;
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
    const machine = {
      dataDirectory: path.resolve(settings.data),
      hostname: hostname(),
      descriptorsMax: descriptorsMax(),
      cleaningRunner: new CleaningThread(),
    };
    const engine = await Engine.start({ ...platform, logger }, config, machine);
    const disposeMetrics = describeProcess(engine.metrics);
    options.onKafkaReady?.(engine.kafkaAddress);
    let admin: AdminServer | undefined;
    try {
      if (options.http) admin = await startAdmin(engine, settings.http, logger);
    } catch (error) {
      disposeMetrics();
      await engine.stop();
      throw error;
    }
    return new Broker({
      kafkaAddress: engine.kafkaAddress,
      listenerAddresses: engine.listenerAddresses,
      httpAddress: admin === undefined ? undefined : addressOf(admin),
      dataDirectory: engine.dataDirectory,
      failed: engine.failed,
      usesTls: config.listeners.some(({ security }) => usesTls(security)),
      renewCertificates: () => engine.renewCertificates(),
      stop: async () => {
        engine.stopping();
        await admin?.close();
        await engine.stop();
        disposeMetrics();
        if (options.temporaryDirectory !== undefined) {
          await rm(options.temporaryDirectory, { recursive: true, force: true });
        }
      },
    });
  }

  /** Reads the files of TLS certificates and keys again if they have changed, instead of when the time for it has come. */
  renewCertificates(): void {
    this.#renewCertificates();
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

async function startAdmin(engine: Engine, { host, port }: Address, logger: Logger): Promise<AdminServer> {
  const { startAdminServer } = await import('./admin/server.ts');
  const { metrics, readiness } = engine;
  return startAdminServer({ host, port, metrics, readiness, logger });
}

function settingsOf(options: BrokerOptions, data: string): RawSetting[] {
  const setting = (name: string, text: string): RawSetting => ({
    name,
    text,
    source: 'option',
    where: `option ${name}`,
  });
  const config = Object.entries(options.config ?? {});
  const namesListeners = config.some(([name]) => canonicalName(name) === 'listeners');
  return [
    setting('log-level', options.logLevel ?? 'warn'),
    ...config.map(([name, value]) => setting(name, String(value))),
    setting('data', data),
    ...(options.kafka === undefined && namesListeners ? [] : [setting('kafka', options.kafka ?? NO_ADDRESS)]),
    setting('http', options.http === undefined || options.http === false ? NO_ADDRESS : options.http),
    ...(options.nodeId === undefined ? [] : [setting('node.id', String(options.nodeId))]),
  ];
}
