import assert from 'node:assert/strict';
import { createServer, type Server, type Socket } from 'node:net';
import process from 'node:process';
import { after, before, describe, test } from 'node:test';

import { offsetFetch } from '@polylog/kafka-protocol';

import { Broker } from '../packages/broker/src/index.ts';

import { countRecords, createTopic } from './generator/admin.ts';
import { askOnce } from './generator/exchange.ts';
import { Histogram } from './generator/histogram.ts';
import type { Job, RunLimits, Target } from './generator/job.ts';
import { fanOutGroup, runJob } from './generator/run-job.ts';
import { fetchFrame, prepareBatch, produceFrame } from './generator/requests.ts';

const MEASURE_MS_MAX = 10_000;
const REQUESTS = 300;
const WINDOW = 10;

function limits(requestsMax: number): RunLimits {
  return { warmupMs: 1, measureMs: MEASURE_MS_MAX, requestsMax, bytesMax: Number.MAX_SAFE_INTEGER };
}

describe('the generator against a broker', () => {
  let broker: Broker;
  let target: Target;
  before(async () => {
    broker = await Broker.start({ http: false });
    const [host = '', port = ''] = broker.kafkaAddress.split(':');
    target = { host, port: Number(port), pid: process.pid };
  });
  after(() => broker.stop());

  async function topicOf(name: string, partitions = 1): Promise<string> {
    await createTopic(target, { name, partitions, config: { flush: 'os' } });
    return name;
  }

  test('what it counts as acknowledged is what the log holds, over connections and partitions', async () => {
    const topic = await topicOf('spread', 3);
    const batch = { batchBytes: 4096, recordBytes: 500 };
    const size = { target, topic, partitions: 3, connections: 4, window: WINDOW, batch };
    const result = await runJob({ kind: 'produce', ...size, limits: limits(REQUESTS) });
    assert.equal(result.figures.requests, REQUESTS);
    assert.equal(result.recordsPerRequest, 7);
    assert.ok(result.requestsTotal >= REQUESTS);
    assert.equal(await countRecords(target, topic, 3), result.requestsTotal * 7);
    assert.equal(result.figures.bytes, REQUESTS * prepareBatch(batch, Date.now()).bytes.length);
  });

  test('a fetch run reads whole batches from the start, and begins anew at the end', async () => {
    const topic = await topicOf('read');
    const batch = { batchBytes: 4096, recordBytes: 500 };
    const one = { partitions: 1, connections: 1, window: 1 };
    const fill: Job = { kind: 'produce', target, topic, batch, ...one, limits: limits(20) };
    const { requestsTotal: batchCount } = await runJob(fill);
    const reading = { batchCount, connections: 2, responseBytes: 3 * 4096 };
    const result = await runJob({
      kind: 'fetch',
      target,
      topic,
      batch,
      ...reading,
      limits: limits(REQUESTS),
    });
    assert.equal(result.figures.requests, REQUESTS);
    const batchBytes = prepareBatch(batch, Date.now()).bytes.length;
    assert.equal(result.figures.bytes % batchBytes, 0);
    assert.ok(result.figures.bytes > REQUESTS * batchBytes, 'responses hold more than one batch');
  });

  test('the latency run receives each message once', async () => {
    const topic = await topicOf('steady');
    const batch = { batchBytes: 0, recordBytes: 100 };
    const job: Job = { kind: 'latency', target, topic, batch, messagesPerSecond: 1000, limits: limits(100) };
    const { figures } = await runJob(job);
    assert.equal(figures.requests, 100);
    const { p50Ms = NaN, p99Ms = NaN, p999Ms = NaN } = figures;
    assert.ok(p50Ms > 0 && p50Ms <= p99Ms && p99Ms <= p999Ms);
  });

  test('readers of a fan-out are members of groups, which commit what they have received and leave', async () => {
    const topic = await topicOf('fanned');
    const batch = { batchBytes: 4096, recordBytes: 500 };
    const job: Job = { kind: 'fan-out', target, topic, batch, consumers: 3, limits: limits(REQUESTS) };
    const { figures, bytesTotal } = await runJob(job);
    assert.equal(figures.requests, REQUESTS);
    const { bytes, recordCount } = prepareBatch(batch, Date.now());
    let committed = 0;
    for (let index = 0; index < 3; index++)
      committed += await committedOffset(fanOutGroup(topic, index), topic);
    assert.equal((committed / recordCount) * bytes.length, bytesTotal);
    assert.ok(committed > 0);
  });

  async function committedOffset(groupId: string, topic: string): Promise<number> {
    const groups = [{ groupId, topics: [{ name: topic, partitionIndexes: [0] }] }];
    const { groups: answered } = await askOnce(target, offsetFetch, 8, { groups, requireStable: false });
    const [group] = answered;
    assert.equal(group!.errorCode, 0);
    return group!.topics[0]!.partitions[0]!.committedOffset;
  }

  test('a run with an error has no figures', async () => {
    const topic = await topicOf('narrow', 1);
    const batch = { batchBytes: 0, recordBytes: 100 };
    const size = { target, topic, partitions: 2, connections: 1, window: 2, batch };
    await assert.rejects(
      runJob({ kind: 'produce', ...size, limits: limits(REQUESTS) }),
      /UNKNOWN_TOPIC_OR_PARTITION/,
    );
  });
});

describe('the generator against a broken broker', () => {
  let server: Server;
  after(() => server.close());

  test('a lost connection fails the run', async () => {
    server = createServer((socket: Socket) => socket.once('data', () => socket.destroy()));
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    const size = { partitions: 1, connections: 1, window: 1, batch: { batchBytes: 0, recordBytes: 10 } };
    const target = { host: '127.0.0.1', port, pid: undefined };
    const job: Job = { kind: 'produce', target, topic: 'gone', ...size, limits: limits(1) };
    await assert.rejects(runJob(job), /closed the connection|ECONNRESET/);
  });
});

test('frames differ by partition and offset only, so that a ring can hold them', () => {
  const { bytes } = prepareBatch({ batchBytes: 1024, recordBytes: 100 }, 0);
  assert.ok(bytes.length <= 1024 && bytes.length > 900);
  assert.equal(produceFrame('t', 0, bytes).length, produceFrame('t', 99_999, bytes).length);
  const shape = { topic: 't', partition: 0, bytesMax: 1, minBytes: 1, maxWaitMs: 1 };
  const { frame, fetchOffsetAt } = fetchFrame(shape);
  assert.equal(frame.readBigInt64BE(fetchOffsetAt), 0n);
});

test('quantiles are within a sixty-fourth of the true ones', () => {
  const histogram = new Histogram();
  for (let us = 1; us <= 100_000; us++) histogram.add(us);
  for (const part of [0.001, 0.5, 0.99, 0.999, 1]) {
    const exact = part * 100_000;
    assert.ok(Math.abs(histogram.quantileUs(part) - exact) <= exact / 64 + 1, `${part}`);
  }
  assert.equal(new Histogram().quantileUs(0.5), 0);
});
