/** The brokers that tests run against, one per kind, with the configuration by which the suite finds them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerProcess } from '../../longrun/broker-process.ts';
import { ApacheKafka } from '../../peers/kafka.ts';
import { freePorts } from '../../peers/ports.ts';
import { runOk } from '../../peers/process.ts';
import { Certificates } from './certificates.ts';
import type { TestGroup } from './catalogue.ts';
import { Distance } from './distance.ts';
import { TokenIssuer } from './token-issuer.ts';

export type ClusterKind = TestGroup['scenario'] | 'tls' | 'scram' | 'oauthbearer';

/** Those that skip themselves unless the clients have to say who they are, or to encrypt. */
const SECURED: Readonly<Record<string, ClusterKind>> = {
  '0097': 'tls',
  '0126': 'oauthbearer',
  '0135': 'scram',
  '0142': 'scram',
};

/** As the suite's own automation sets up a cluster, but with one broker. Some tests make ACLs. */
const COMMON_SETTINGS = {
  'num.partitions': '4',
  'allow.everyone.if.no.acl.found': 'true',
};
/** What the suite's own automation gives to the tests' time limits. */
const TIMEOUT_MULTIPLIER = '2';
const USER = { name: 'suite', password: 'password-of-the-suite' };
const SCRAM = 'SCRAM-SHA-256';
/** Short, since 0142 waits for several re-authentications. */
const REAUTHENTICATION_MS = '8000';

/**
 * Keeps a race of librdkafka's out of 0097, which asks how a refused certificate is reported: as an error of TLS, but as one of the
 * transport if the certificate comes while librdkafka is still in its first call for the connection, SSL_connect. That waits for nothing,
 * so over a network no answer comes in time. On the loopback Polylog answers a ClientHello after 1 to 3 ms, Apache Kafka after 13 and
 * more; with either the test fails when the client's thread loses its processor for as long.
 */
const TLS_LATENCY_MS = 20;

/** How a kind differs from one open listener that makes topics. */
interface Setup {
  readonly mode: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT';
  readonly settings: Readonly<Record<string, string>>;
  readonly client: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly issuer?: TokenIssuer;
  /** How far away the broker is; undefined: as near as it gets. */
  readonly latencyMs?: number;
}

export function kindOf({ number, scenario }: TestGroup): ClusterKind {
  return SECURED[number] ?? scenario;
}

/** What the suite needs of a broker that runs. */
interface RunningBroker {
  readonly isRunning: boolean;
  /** The end of what it has printed. */
  readonly output: string;
  stop(): Promise<unknown>;
}

export interface ClusterOptions {
  /** An empty one. */
  readonly folder: string;
  readonly kafkaHome: string;
}

export class SuiteCluster {
  readonly broker: RunningBroker;
  /** What tests take from the environment, under the names that the suite's own automation uses. */
  readonly environment: Readonly<Record<string, string>>;
  readonly #issuer: TokenIssuer | undefined;
  readonly #distance: Distance | undefined;

  private constructor(
    broker: RunningBroker,
    environment: Record<string, string>,
    {
      issuer,
      distance,
    }: { readonly issuer: TokenIssuer | undefined; readonly distance: Distance | undefined },
  ) {
    this.broker = broker;
    this.environment = environment;
    this.#issuer = issuer;
    this.#distance = distance;
  }

  static async start(kind: ClusterKind, { folder, kafkaHome }: ClusterOptions): Promise<SuiteCluster> {
    const setup = await setUp(kind, folder);
    const [adminPort, port] = await freePorts(2);
    const [admin, address] = [`127.0.0.1:${adminPort}`, `127.0.0.1:${port}`];
    const listeners =
      setup.mode === 'PLAINTEXT'
        ? `PLAINTEXT://${address}`
        : `PLAINTEXT://${admin},${setup.mode}://${address}`;
    const settings = {
      ...COMMON_SETTINGS,
      'authorization.enabled': 'true',
      ...setup.settings,
      listeners,
    };
    const broker = await BrokerProcess.create({ data: path.join(folder, 'data'), settings });
    await broker.start();
    if (kind === 'scram') await addUser(path.join(kafkaHome, 'bin/kafka-configs.sh'), admin);
    return SuiteCluster.#with(broker, address, { setup, folder, kafkaHome });
  }

  /** Apache Kafka itself, to see whether a test fails there too. */
  static async startApacheKafka(kind: ClusterKind, options: ClusterOptions): Promise<SuiteCluster> {
    if (kind === 'scram' || kind === 'oauthbearer') {
      throw new Error('Apache Kafka is set up without SASL here');
    }
    const setup = await setUp(kind, options.folder);
    const [port] = await freePorts(1);
    const address = `127.0.0.1:${port}`;
    const isPlain = setup.mode === 'PLAINTEXT';
    const kafka = await ApacheKafka.start({
      listeners: isPlain ? [] : [`${setup.mode}://${address}`],
      settings: {
        ...COMMON_SETTINGS,
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
        ...setup.settings,
      },
    });
    const broker = { isRunning: true, output: '', stop: () => kafka.stop() };
    return SuiteCluster.#with(broker, isPlain ? kafka.kafkaAddress : address, { setup, ...options });
  }

  static async #with(
    broker: RunningBroker,
    address: string,
    { setup, ...options }: ClusterOptions & { readonly setup: Setup },
  ): Promise<SuiteCluster> {
    const { latencyMs, issuer } = setup;
    const distance = latencyMs === undefined ? undefined : await Distance.to(address, () => sleep(latencyMs));
    const environment = environmentFor(distance?.address ?? address, setup, options);
    return new SuiteCluster(broker, environment, { issuer, distance });
  }

  async stop(): Promise<void> {
    await this.#distance?.close();
    await this.broker.stop();
    await this.#issuer?.stop();
  }
}

/** Writes test.conf as well. */
function environmentFor(
  address: string,
  { mode, client, environment }: Setup,
  { folder, kafkaHome }: ClusterOptions,
): Record<string, string> {
  const testConf = path.join(folder, 'test.conf');
  const lines = Object.entries({
    'test.timeout.multiplier': TIMEOUT_MULTIPLIER,
    'bootstrap.servers': address,
    ...(mode === 'PLAINTEXT' ? {} : { 'security.protocol': mode }),
    ...client,
  }).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(testConf, lines.join(''));
  return {
    RDKAFKA_TEST_CONF: testConf,
    KAFKA_PATH: kafkaHome,
    BROKERS: address,
    BROKER_ADDRESS_1: address,
    ...environment,
  };
}

async function setUp(kind: ClusterKind, folder: string): Promise<Setup> {
  const open = { mode: 'PLAINTEXT', settings: {}, client: {}, environment: {} } as const;
  switch (kind) {
    case 'default':
      return open;
    case 'noautocreate':
      return { ...open, settings: { 'auto.create.topics.enable': 'false' } };
    case 'tls': {
      const certificates = await Certificates.create(folder);
      const { brokerSettings, clientSettings, environment } = certificates;
      const [settings, client] = [brokerSettings, clientSettings];
      return { mode: 'SSL', settings, client, environment, latencyMs: TLS_LATENCY_MS };
    }
    case 'scram': {
      const settings = { 'sasl.enabled.mechanisms': SCRAM, 'connections.max.reauth.ms': REAUTHENTICATION_MS };
      const { name, password } = USER;
      const client = { 'sasl.mechanism': SCRAM, 'sasl.username': name, 'sasl.password': password };
      return { mode: 'SASL_PLAINTEXT', settings, client, environment: {} };
    }
    case 'oauthbearer': {
      const issuer = await TokenIssuer.start(folder);
      const { brokerSettings, clientSettings, environment } = issuer;
      const settings = { ...brokerSettings, 'sasl.enabled.mechanisms': 'OAUTHBEARER' };
      return { mode: 'SASL_PLAINTEXT', settings, client: clientSettings, environment, issuer };
    }
    default:
      return kind satisfies never;
  }
}

async function addUser(configsTool: string, address: string): Promise<void> {
  const user = ['--entity-type', 'users', '--entity-name', USER.name];
  const credentials = ['--add-config', `${SCRAM}=[iterations=4096,password=${USER.password}]`];
  await runOk(configsTool, ['--bootstrap-server', address, '--alter', ...user, ...credentials]);
}
