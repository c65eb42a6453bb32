import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apis } from '@polylog/kafka-protocol';

import { resolveConfig } from '../../../src/config/load.ts';
import { kafkaLimitsOf } from '../../../src/frontends/kafka/limits.ts';
import { startKafkaFrontend } from '../../../src/frontends/kafka/server.ts';
import { NodeNetwork } from '../../../src/platform/node/network.ts';
import { ReceivePool } from '../../../src/platform/node/receive-buffer.ts';
import { createNodePlatform } from '../../../src/platform/node/index.ts';
import { backend, batchOf, fetchBody, produceBody, TestBroker, TestClient, TestMetrics } from './harness.ts';

const MIB = 1024 * 1024;

for (const receive of ['pooled', 'plain'] as const) {
  test(`over TCP, with ${receive} receive buffers that are poisoned on release`, async () => {
    const node = createNodePlatform({ logger: { level: 'error' } });
    const pool = new ReceivePool({ poison: true });
    const network = new NodeNetwork({ loop: node.loop, logger: node.logger, pool, receive });
    const platform = { ...node, network };
    const broker = new TestBroker(platform);
    const topic = broker.add('t', { partitions: 2, configs: { 'max.message.bytes': String(4 * MIB) } });
    const frontend = await startKafkaFrontend({
      listeners: [
        { name: 'kafka', host: '127.0.0.1', port: 0, connectionsMax: 10, connectionsPerAddressMax: 10 },
      ],
      limits: kafkaLimitsOf(resolveConfig([]).settings),
      platform,
    });
    frontend.serve(backend(broker, new TestMetrics()));
    const clients = [0, 1].map(() => TestClient.connect(node.network, frontend.addresses.get('kafka')!.port));
    const sizes = [1, 100, 70_000, 5, 2 * MIB, 300, 1_000_000, 10];
    for (const [partition, connecting] of clients.entries()) {
      const client = await connecting;
      const answers = sizes.map((size) => {
        const timestamp = node.clock.nowMs();
        const records = batchOf([String(partition).repeat(size)], { timestamp });
        return client.send(apis.produce, 9, produceBody('t', records, { partition, timeoutMs: 20_000 }));
      });
      for (const { responses } of await Promise.all(answers)) {
        assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0);
      }
      const stored = Buffer.concat(topic.logs[partition]!.batches.map(({ bytes }) => bytes));
      const { responses } = await client.call(
        apis.fetch,
        12,
        fetchBody([{ topic: 't', partition, offset: 0, bytesMax: 50 * MIB }]),
      );
      assert.ok(Buffer.from(responses[0]!.partitions[0]!.records!).equals(stored));
      assert.equal(
        stored.length,
        sizes.reduce((sum, size) => sum + batchOf(['x'.repeat(size)]).length, 0),
      );
    }
    await frontend.close();
    for (const client of clients) (await client).connection.destroy();
    await node.compute.close();
  });
}
