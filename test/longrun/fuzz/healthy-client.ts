// A worker: a producer and a consumer at a steady rate, each on its own connection, that measure how long an
// acknowledgement and a delivery take, and check that all arrives, once, in order and unchanged.
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

import { buildBatch, decodeBatch, forEachBatch } from '@polylog/record';
import { apis } from '@polylog/kafka-protocol';

import { KafkaClient } from './client.ts';

export interface HealthyWorkerData {
  readonly port: number;
  readonly topic: string;
}

/** Quantiles in ms since the last report. */
export interface HealthyReport {
  readonly sent: number;
  readonly received: number;
  readonly ack: Quantiles;
  readonly delivery: Quantiles;
  /** Acknowledgements of batches that are too large for one read of the socket. */
  readonly largeAck: Quantiles;
  /** What went wrong, ever. */
  readonly faults: readonly string[];
}

export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const INTERVAL_MS = 10;
const SMALL_BYTES = 100;
const LARGE_BYTES = 300_000;
/** Every so many-th record is a large one. */
const LARGE_EVERY = 50;
const FETCH_BYTES_MAX = 4 * 1024 * 1024;
const PRODUCE_VERSION = 9;
const FETCH_VERSION = 12;
const ACK_MS_MAX = 30_000;
const DECODED_BYTES_MAX = 16 * 1024 * 1024;
const FAULTS_MAX = 20;

const { port, topic } = workerData as HealthyWorkerData;
const faults: string[] = [];
const sentAtMs: number[] = [];
let received = 0;
let acks: number[] = [];
let largeAcks: number[] = [];
let deliveries: number[] = [];
let stopping = false;

function fault(text: string): void {
  if (faults.length < FAULTS_MAX) faults.push(text);
}

/** What record `index` has to hold: its number, then bytes that follow from it. */
function valueOf(index: number): Buffer {
  const value = Buffer.alloc(
    index % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE_BYTES : SMALL_BYTES,
    index & 0xff,
  );
  value.writeUInt32BE(index);
  return value;
}

async function produceOne(client: KafkaClient, index: number): Promise<void> {
  const value = valueOf(index);
  const records = buildBatch({ records: [{ key: null, value, timestamp: Date.now() }] });
  const startedMs = performance.now();
  const answer = await client.request(apis.produce, PRODUCE_VERSION, {
    acks: -1,
    timeoutMs: ACK_MS_MAX,
    topicData: [{ name: topic, partitionData: [{ index: 0, records }] }],
  });
  const elapsedMs = performance.now() - startedMs;
  (value.length === LARGE_BYTES ? largeAcks : acks).push(elapsedMs);
  const result = answer.responses[0]?.partitionResponses[0];
  if (result?.errorCode !== 0 || result.baseOffset !== index) {
    fault(`record ${index} was answered error ${result?.errorCode}, offset ${result?.baseOffset}`);
  }
}

async function produce(): Promise<void> {
  const client = await KafkaClient.open(port);
  const underWay = new Set<Promise<void>>();
  for (let index = 0; !stopping; index++) {
    sentAtMs[index] = performance.now();
    const one = produceOne(client, index)
      .catch((error: unknown) => fault(`record ${index}: ${String(error)}`))
      .finally(() => underWay.delete(one));
    underWay.add(one);
    await sleep(INTERVAL_MS);
  }
  await Promise.all(underWay);
  client.close();
}

async function consume(): Promise<void> {
  const client = await KafkaClient.open(port);
  while (!stopping || received < sentAtMs.length) {
    const answer = await client.request(apis.fetch, FETCH_VERSION, {
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: FETCH_BYTES_MAX,
      topics: [
        {
          topic,
          partitions: [{ partition: 0, fetchOffset: received, partitionMaxBytes: FETCH_BYTES_MAX }],
        },
      ],
    });
    const partition = answer.responses[0]?.partitions[0];
    if (partition?.errorCode !== 0) {
      fault(`a fetch was answered error ${answer.errorCode} / ${partition?.errorCode}`);
      return;
    }
    check(partition.records ?? new Uint8Array(0));
  }
  client.close();
}

function check(bytes: Uint8Array): void {
  const nowMs = performance.now();
  forEachBatch(bytes, 0, bytes.length, (_header, at, size) => {
    for (const { offset, value } of decodeBatch(bytes.subarray(at, at + size), {
      maxBytes: DECODED_BYTES_MAX,
    })) {
      if (offset !== received) fault(`offset ${offset} in place of ${received}`);
      if (value === null || !valueOf(offset).equals(value)) fault(`record ${offset} was changed`);
      deliveries.push(nowMs - sentAtMs[offset]!);
      received = offset + 1;
    }
  });
}

function quantilesOf(values: readonly number[]): Quantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? NaN };
}

function report(): void {
  const message: HealthyReport = {
    sent: sentAtMs.length,
    received,
    ack: quantilesOf(acks),
    delivery: quantilesOf(deliveries),
    largeAck: quantilesOf(largeAcks),
    faults,
  };
  acks = [];
  largeAcks = [];
  deliveries = [];
  parentPort!.postMessage(message);
}

const running = Promise.all([produce(), consume()]).catch((error: unknown) => fault(String(error)));
parentPort!.on('message', (command: 'report' | 'stop') => {
  if (command === 'report') {
    report();
    return;
  }
  stopping = true;
  void running.then(() => {
    report();
    parentPort!.close();
  });
});
