/**
 * What the end-to-end tests speak to: an embedded Polylog, or, with E2E_TARGET=apache-kafka, Apache Kafka itself, which tells
 * whether a failing scenario is wrong about the broker or about the client.
 */
import process from 'node:process';
import { Broker } from 'polylog';
import { ApacheKafka } from './peers/kafka.ts';
import { requirePeer } from './peers/peers.ts';

export interface Target {
  /** HOST:PORT */
  readonly kafkaAddress: string;
  readonly isApacheKafka: boolean;
  stop(): Promise<void>;
}

/**
 * A broker with an empty data folder; topics appear on first use.
 * @param settings broker settings by the names that Kafka and Polylog share
 */
export async function startTarget(settings: Readonly<Record<string, string>> = {}): Promise<Target> {
  if (process.env['E2E_TARGET'] !== 'apache-kafka') {
    const broker = await Broker.start({ config: settings });
    return { kafkaAddress: broker.kafkaAddress, isApacheKafka: false, stop: () => broker.stop() };
  }
  const { skip } = await requirePeer('java', 'kafka-jars', 'kcat');
  if (skip !== false) throw new Error(skip);
  const kafka = await ApacheKafka.start({ settings });
  return { kafkaAddress: kafka.kafkaAddress, isApacheKafka: true, stop: () => kafka.stop() };
}
