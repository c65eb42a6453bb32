// npm run figures
// Prints how long a start and a restart take and what an idle broker occupies, each with the machine, Node's version and
// the date. The broker runs from its sources, as `npm start` runs it, in a process of its own with a temporary folder.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

import { apis } from '@polylog/kafka-protocol';
import { buildBatch } from '@polylog/record';

import { commandOptions } from '../../scripts/options.ts';
import { BrokerProcess } from './fuzz/broker-process.ts';
import { KafkaClient } from './fuzz/client.ts';
import { createTopics } from './fuzz/setup.ts';

const STARTS = 5;
const RESTARTS = 3;
const TOPICS = 10;
const PARTITIONS_PER_TOPIC = 100;
const BATCHES_PER_PARTITION = 8;
const VALUE_BYTES = 8 * 1024;
/** Until timers have fired and V8 has settled. */
const IDLE_MS = 10_000;
const PRODUCE_VERSION = 9;
const METADATA_VERSION = 12;
const TIMEOUT_MS = 30_000;
const RETRY_MS = 5;

/** What the figures were taken on: they mean nothing without it. */
function describeMachine(): string {
  const cpus = os.cpus();
  const memoryGib = os.totalmem() / 2 ** 30;
  return [
    `${new Date().toISOString().slice(0, 10)}, node ${process.version}, ${os.type()} ${os.release()} ${os.arch()}`,
    `${cpus.length} x ${cpus[0]?.model ?? 'unknown processor'}, ${memoryGib.toFixed(1)} GiB, load ${os.loadavg()[0]!.toFixed(1)}`,
  ].join('; ');
}

function describeTimes(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  return `${median.toFixed(0)} ms (median of ${times.length}: ${sorted.map((time) => time.toFixed(0)).join(', ')})`;
}

function topicName(index: number): string {
  return `figures-${index}`;
}

/** Appends one batch to each partition of a topic; rejects unless all are acknowledged. */
async function produceToAll(
  client: KafkaClient,
  topic: string,
  partitions: number,
  valueBytes: number,
): Promise<void> {
  const value = new Uint8Array(valueBytes);
  const answer = await client.request(apis.produce, PRODUCE_VERSION, {
    acks: -1,
    timeoutMs: TIMEOUT_MS,
    topicData: [
      {
        name: topic,
        partitionData: Array.from({ length: partitions }, (_, index) => ({
          index,
          records: buildBatch({ records: [{ key: null, value, timestamp: Date.now() }] }),
        })),
      },
    ],
  });
  for (const { partitionResponses } of answer.responses) {
    for (const { index, errorCode } of partitionResponses) {
      if (errorCode !== 0) throw new Error(`${topic}-${index} was answered error ${errorCode}`);
    }
  }
}

/** A topic on first use, as a client without any other knowledge gets it. */
async function firstProduce(client: KafkaClient): Promise<void> {
  const deadlineMs = performance.now() + TIMEOUT_MS;
  for (;;) {
    const { topics } = await client.request(apis.metadata, METADATA_VERSION, { topics: [{ name: 'first' }] });
    if (topics[0]?.errorCode === 0) break;
    if (performance.now() > deadlineMs) throw new Error('the topic does not come');
    await sleep(RETRY_MS);
  }
  await produceToAll(client, 'first', 1, 10);
}

async function withClient<T>(broker: BrokerProcess, run: (client: KafkaClient) => Promise<T>): Promise<T> {
  const client = await KafkaClient.open(broker.port);
  try {
    return await run(client);
  } finally {
    client.close();
  }
}

async function describeIdle(broker: BrokerProcess): Promise<string> {
  await sleep(IDLE_MS);
  const { rssMib, peakMib } = await broker.resident();
  return `${rssMib.toFixed(0)} MiB (peak ${peakMib.toFixed(0)})`;
}

async function openFiles(broker: BrokerProcess): Promise<number> {
  return (await readdir(`/proc/${broker.child.pid}/fd`)).length;
}

async function measureStarts(): Promise<void> {
  const listening: number[] = [];
  const produced: number[] = [];
  for (let round = 0; round < STARTS; round++) {
    const startedMs = performance.now();
    const broker = await BrokerProcess.start();
    await withClient(broker, firstProduce);
    produced.push(performance.now() - startedMs);
    listening.push(broker.listeningAfterMs);
    await broker.remove();
  }
  console.log(`node to listening, empty folder: ${describeTimes(listening)}`);
  console.log(
    `node to the first acknowledged produce, topic created on first use: ${describeTimes(produced)}`,
  );
}

async function measureEmptyIdle(): Promise<void> {
  const broker = await BrokerProcess.start();
  console.log(`resident memory, idle, empty: ${await describeIdle(broker)}`);
  await broker.remove();
}

/** Fills the folder and returns the broker that did. */
async function fill(data: string): Promise<BrokerProcess> {
  const broker = await BrokerProcess.start({ data });
  await withClient(broker, async (client) => {
    for (let index = 0; index < TOPICS; index++) {
      await createTopics(client, [{ name: topicName(index), partitions: PARTITIONS_PER_TOPIC }]);
      for (let batch = 0; batch < BATCHES_PER_PARTITION; batch++)
        await produceToAll(client, topicName(index), PARTITIONS_PER_TOPIC, VALUE_BYTES);
    }
  });
  return broker;
}

async function appendEverywhere(broker: BrokerProcess): Promise<void> {
  await withClient(broker, async (client) => {
    for (let index = 0; index < TOPICS; index++)
      await produceToAll(client, topicName(index), PARTITIONS_PER_TOPIC, VALUE_BYTES);
  });
}

/** Times of starting on a folder that `end` left; between two starts each partition gets another batch. */
async function measureRestarts(
  first: BrokerProcess,
  what: string,
  end: (broker: BrokerProcess) => Promise<void>,
): Promise<BrokerProcess> {
  const listening: number[] = [];
  const produced: number[] = [];
  let files = 0;
  let broker = first;
  for (let round = 0; round < RESTARTS; round++) {
    await appendEverywhere(broker);
    await end(broker);
    const startedMs = performance.now();
    broker = await BrokerProcess.start({ data: broker.data });
    listening.push(broker.listeningAfterMs);
    files = await openFiles(broker);
    await withClient(broker, async (client) => produceToAll(client, topicName(0), 1, 10));
    produced.push(performance.now() - startedMs);
  }
  const partitions = TOPICS * PARTITIONS_PER_TOPIC;
  console.log(
    `restart ${what}, ${partitions} partitions with data, to listening: ${describeTimes(listening)}`,
  );
  console.log(
    `  to the first acknowledged produce: ${describeTimes(produced)}; ${files} descriptors open then`,
  );
  return broker;
}

commandOptions({
  command: 'figures',
  summary: 'Measures how long a start and a restart take, and what an idle broker occupies.',
  options: {},
});
console.log(describeMachine());
await measureStarts();
await measureEmptyIdle();
const data = await mkdtemp(path.join(os.tmpdir(), 'polylog-figures-'));
try {
  const filled = await fill(data);
  console.log(`resident memory, idle, 1000 partitions just written: ${await describeIdle(filled)}`);
  const restarted = await measureRestarts(filled, 'after a clean stop', async (broker) => broker.stop());
  console.log(`resident memory, idle, 1000 partitions after a restart: ${await describeIdle(restarted)}`);
  const killed = await measureRestarts(restarted, 'after kill -9', async (broker) => broker.kill());
  await killed.kill();
} finally {
  await rm(data, { recursive: true, force: true });
}
