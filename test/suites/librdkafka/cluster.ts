/** The brokers that tests run against, one per kind, with the configuration by which the suite finds them. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { BrokerProcess } from '../../longrun/broker-process.ts';
import { ApacheKafka } from '../../peers/kafka.ts';
import { freePorts } from '../../peers/ports.ts';
import { runOk } from '../../peers/process.ts';
import { Certificates } from './certificates.ts';
import type { TestGroup } from './catalogue.ts';
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

/** How a kind differs from one open listener that makes topics. */
interface Setup {
  readonly mode: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT';
  readonly settings: Readonly<Record<string, string>>;
  readonly client: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
  readonly issuer?: TokenIssuer;
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

  private constructor(broker: RunningBroker, environment: Record<string, string>, issuer?: TokenIssuer) {
    this.broker = broker;
    this.environment = environment;
    this.#issuer = issuer;
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
    const client = {
      ...(setup.mode === 'PLAINTEXT' ? {} : { 'security.protocol': setup.mode }),
      ...setup.client,
    };
    const environment = { ...environmentFor(address, client, { folder, kafkaHome }), ...setup.environment };
    return new SuiteCluster(broker, environment, setup.issuer);
  }

  /** Apache Kafka itself, to see whether a test fails there too. */
  static async startApacheKafka(kind: ClusterKind, options: ClusterOptions): Promise<SuiteCluster> {
    const { mode, settings: specific } = await setUp(kind, options.folder);
    if (mode !== 'PLAINTEXT') throw new Error('Apache Kafka is set up with a plain listener only');
    const settings = {
      ...COMMON_SETTINGS,
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS',
      ...specific,
    };
    const kafka = await ApacheKafka.start({ settings });
    const broker = { isRunning: true, output: '', stop: () => kafka.stop() };
    return new SuiteCluster(broker, environmentFor(kafka.kafkaAddress, {}, options));
  }

  async stop(): Promise<void> {
    await this.broker.stop();
    await this.#issuer?.stop();
  }
}

/** Writes test.conf as well. */
function environmentFor(
  address: string,
  clientSettings: Readonly<Record<string, string>>,
  { folder, kafkaHome }: ClusterOptions,
): Record<string, string> {
  const testConf = path.join(folder, 'test.conf');
  const lines = Object.entries({
    'test.timeout.multiplier': TIMEOUT_MULTIPLIER,
    'bootstrap.servers': address,
    ...clientSettings,
  }).map(([name, value]) => `${name}=${value}\n`);
  writeFileSync(testConf, lines.join(''));
  return { RDKAFKA_TEST_CONF: testConf, KAFKA_PATH: kafkaHome, BROKERS: address, BROKER_ADDRESS_1: address };
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
      return { mode: 'SSL', settings: brokerSettings, client: clientSettings, environment };
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
