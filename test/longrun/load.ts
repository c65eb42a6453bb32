/** Stock producers that keep writing while the broker dies and comes back, and remember what was acknowledged. */
import { once } from 'node:events';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import kafkajs from 'kafkajs';
import { DEBIAN_PYTHON } from '../peers/peers.ts';
import { start } from '../peers/process.ts';
import type { Acknowledged } from './history.ts';

const { Kafka, logLevel } = kafkajs;

/** Large enough to roll segments of 1 MiB in a run of minutes. */
const VALUE_BYTES = 1000;
export const RECORDS_PER_BATCH = 5;
const PAUSE_MS = 40;
const LIBRDKAFKA_RECORDS_PER_SECOND = 2_000;

export interface Load {
  readonly name: string;
  readonly idempotent: boolean;
  readonly acknowledged: readonly Acknowledged[];
  wasSent(value: string): boolean;
  /** Stops after what is under way is answered. The broker must be running. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly address: string;
  readonly topic: string;
  readonly partitions: number;
  /** KafkaJS: between two batches of a partition. */
  readonly pauseMs?: number;
}

function valueOf(number: number): string {
  return `${number}:`.padEnd(VALUE_BYTES, 'x');
}

/** KafkaJS, acks=all, without idempotence: a retry may store a record twice, but never loses an acknowledged one. */
export async function startKafkaJsLoad({
  address,
  topic,
  partitions,
  pauseMs = PAUSE_MS,
}: LoadOptions): Promise<Load> {
  const client = new Kafka({
    clientId: 'kill9',
    brokers: [address],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 1_000,
    requestTimeout: 10_000,
    retry: { initialRetryTime: 20, maxRetryTime: 200, retries: 200 },
  });
  const producer = client.producer();
  await producer.connect();
  const acknowledged: Acknowledged[] = [];
  let sent = 0;
  let stopping = false;
  async function writeTo(partition: number): Promise<void> {
    while (!stopping) {
      const values = Array.from({ length: RECORDS_PER_BATCH }, () => valueOf(sent++));
      try {
        const [result] = await producer.send({
          topic,
          acks: -1,
          messages: values.map((value) => ({ partition, value })),
        });
        const base = Number(result?.baseOffset);
        for (const [index, value] of values.entries())
          acknowledged.push({ partition, offset: base + index, value });
      } catch (error) {
        // The broker was away for longer than the client's patience: whether these were stored is not known.
        if (!(error instanceof Error) || !error.name.startsWith('KafkaJS')) throw error;
      }
      await sleep(pauseMs);
    }
  }
  const writers = Array.from({ length: partitions }, (_, partition) => writeTo(partition));
  return {
    name: 'KafkaJS',
    idempotent: false,
    acknowledged,
    wasSent: (value) => isValue(value, sent),
    async stop() {
      stopping = true;
      await Promise.all(writers);
      await producer.disconnect();
    },
  };
}

/** librdkafka, idempotent, in a process of its own: it may neither lose nor repeat a record, however often it retries. */
export function startLibrdkafkaLoad({ address, topic, partitions }: LoadOptions): Load {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'librdkafka_load.py');
  const numbers = [partitions, LIBRDKAFKA_RECORDS_PER_SECOND, VALUE_BYTES].map(String);
  const child = start(DEBIAN_PYTHON, [script, address, topic, ...numbers], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const acknowledged: Acknowledged[] = [];
  const failures: string[] = [];
  let sent = Number.MAX_SAFE_INTEGER;
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const [word, first, second, third] = line.split(' ');
      if (word === 'ack') {
        acknowledged.push({
          partition: Number(first),
          offset: Number(second),
          value: valueOf(Number(third)),
        });
      } else if (word === 'sent') sent = Number(first);
      else failures.push(line);
    }
  });
  const closed = once(child, 'close');
  return {
    name: 'librdkafka, idempotent',
    idempotent: true,
    acknowledged,
    wasSent: (value) => isValue(value, sent),
    async stop() {
      child.stdin?.end();
      await closed;
      if (failures.length > 0 || child.exitCode !== 0) {
        throw new Error(
          `librdkafka ended with ${child.exitCode}; it gave up on:\n${failures.slice(0, 10).join('\n')}`,
        );
      }
    },
  };
}

function isValue(value: string, sent: number): boolean {
  const number = Number.parseInt(value, 10);
  return number >= 0 && number < sent && value === valueOf(number);
}
