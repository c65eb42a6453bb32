/** The brokers that tests run against, one per scenario, with the configuration by which the suite finds them. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { BrokerProcess } from '../../longrun/broker-process.ts';
import type { SuiteTest } from './catalogue.ts';

/** As the suite's own automation sets up a cluster, but with one broker. Some tests make ACLs. */
const COMMON_SETTINGS = {
  'num.partitions': '4',
  'authorization.enabled': 'true',
  'allow.everyone.if.no.acl.found': 'true',
};
const SETTINGS: Readonly<Record<SuiteTest['scenario'], Readonly<Record<string, string>>>> = {
  default: { ...COMMON_SETTINGS, 'auto.create.topics.enable': 'true' },
  noautocreate: { ...COMMON_SETTINGS, 'auto.create.topics.enable': 'false' },
};

/** What the suite's own automation gives to the tests' time limits. */
const TIMEOUT_MULTIPLIER = 2;

export class SuiteCluster {
  readonly broker: BrokerProcess;
  readonly testConf: string;

  private constructor(broker: BrokerProcess, testConf: string) {
    this.broker = broker;
    this.testConf = testConf;
  }

  static async start(scenario: SuiteTest['scenario'], folder: string): Promise<SuiteCluster> {
    mkdirSync(folder, { recursive: true });
    const broker = await BrokerProcess.create({
      data: path.join(folder, 'data'),
      settings: SETTINGS[scenario],
    });
    await broker.start();
    const testConf = path.join(folder, 'test.conf');
    writeFileSync(
      testConf,
      [`test.timeout.multiplier=${TIMEOUT_MULTIPLIER}`, `bootstrap.servers=${broker.kafkaAddress}`, ''].join(
        '\n',
      ),
    );
    return new SuiteCluster(broker, testConf);
  }

  /** What tests take from the environment, under the names that the suite's own automation uses. */
  environment(kafkaHome: string): Record<string, string> {
    return {
      RDKAFKA_TEST_CONF: this.testConf,
      KAFKA_PATH: kafkaHome,
      BROKERS: this.broker.kafkaAddress,
      BROKER_ADDRESS_1: this.broker.kafkaAddress,
    };
  }
}
