import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import kafkajs, { Kafka, logLevel } from 'kafkajs';
import { Broker } from 'polylog';

function clientOf(broker: Broker): Kafka {
  return new Kafka({ brokers: [broker.kafkaAddress], logLevel: logLevel.NOTHING, retry: { retries: 2 } });
}

async function withFolder(run: (data: string) => Promise<void>): Promise<void> {
  const data = await mkdtemp(path.join(tmpdir(), 'polylog-test-'));
  try {
    await run(data);
  } finally {
    await rm(data, { recursive: true, force: true });
  }
}

describe('An embedded broker', () => {
  it('starts without any option on free ports, and leaves nothing behind', async () => {
    const broker = await Broker.start();
    const other = await Broker.start({ http: false });
    assert.notEqual(broker.kafkaAddress, other.kafkaAddress);
    assert.equal(other.httpAddress, undefined);
    assert.ok(existsSync(broker.dataDirectory));
    await Promise.all([broker.stop(), broker.stop(), other.stop()]);
    await broker.stop();
    assert.ok(!existsSync(broker.dataDirectory));
    assert.ok(!existsSync(other.dataDirectory));
  });

  it('tells the clients of each listener the addresses of that listener', async () => {
    const broker = await Broker.start({
      http: false,
      config: {
        listeners: 'PLAINTEXT://127.0.0.1:0,OTHER://127.0.0.1:0',
        'listener.security.protocol.map': 'OTHER:PLAINTEXT',
      },
    });
    const addresses = [...broker.listenerAddresses];
    assert.deepEqual(
      addresses.map(([name]) => name),
      ['PLAINTEXT', 'OTHER'],
    );
    assert.equal(broker.kafkaAddress, addresses[0]![1]);
    assert.notEqual(addresses[0]![1], addresses[1]![1]);
    for (const [, address] of addresses) {
      const admin = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING }).admin();
      await admin.connect();
      const { brokers } = await admin.describeCluster();
      assert.deepEqual(
        brokers.map(({ host, port }) => `${host}:${port}`),
        [address],
      );
      await admin.disconnect();
    }
    await broker.stop();
  });

  it('serves health and metrics, and answers errors as JSON', async () => {
    const broker = await Broker.start();
    const get = async (url: string): Promise<{ status: number; body: string }> => {
      const response = await fetch(`http://${broker.httpAddress}${url}`);
      return { status: response.status, body: await response.text() };
    };
    assert.deepEqual(await get('/health/live'), { status: 200, body: '{"status":"live"}' });
    assert.deepEqual(await get('/health/ready'), { status: 200, body: '{"status":"ready"}' });
    const admin = clientOf(broker).admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 3 }] });
    await admin.disconnect();
    const { body } = await get('/metrics');
    assert.match(body, /^polylog_partitions 3$/m);
    assert.match(body, /^polylog_request_duration_seconds_count\{frontend="kafka",api="CreateTopics"\} 1$/m);
    assert.match(body, /^polylog_event_loop_delay_p99_seconds /m);
    const missing = await get('/nothing');
    assert.equal(missing.status, 404);
    assert.equal(JSON.parse(missing.body).error.code, 'NOT_FOUND');
    await broker.stop();
  });

  it('says that it is not ready, and why, while the disk is almost full', async (test) => {
    const broker = await Broker.start({ logLevel: 'silent', config: { 'disk.reserve.bytes': 2 ** 62 } });
    const producer = clientOf(broker).producer({ retry: { retries: 0 } });
    test.after(async () => {
      await producer.disconnect();
      await broker.stop();
    });
    await producer.connect();
    await assert.rejects(producer.send({ topic: 'orders', messages: [{ value: 'v' }] }), {
      message: /Disk error/,
    });
    const ready = await fetch(`http://${broker.httpAddress}/health/ready`);
    assert.equal(ready.status, 503);
    const { status, reason } = (await ready.json()) as { status: string; reason: string };
    assert.equal(status, 'unready');
    assert.match(
      reason,
      /^the disk is almost full: \d+ MiB are free, and writes are refused until \d+ MiB are/,
    );
    const live = await fetch(`http://${broker.httpAddress}/health/live`);
    assert.equal(live.status, 200);
    const metrics = await (await fetch(`http://${broker.httpAddress}/metrics`)).text();
    assert.match(metrics, /^polylog_disk_full 1$/m);
  });

  it('keeps topics, their configs and the cluster id over a restart', async () => {
    await withFolder(async (data) => {
      const seen: unknown[] = [];
      for (let life = 0; life < 3; life++) {
        const broker = await Broker.start({ data, http: false, config: { 'num.partitions': 4 } });
        const admin = clientOf(broker).admin();
        await admin.connect();
        if (life === 0) {
          await admin.createTopics({
            topics: [{ topic: 'orders', configEntries: [{ name: 'retention.ms', value: '77' }] }],
          });
        }
        const { clusterId, brokers } = await admin.describeCluster();
        const { topics } = await admin.fetchTopicMetadata({ topics: ['orders'] });
        const { resources } = await admin.describeConfigs({
          includeSynonyms: false,
          resources: [
            { type: kafkajs.ConfigResourceTypes.TOPIC, name: 'orders', configNames: ['retention.ms'] },
          ],
        });
        assert.equal(`${brokers[0]!.host}:${brokers[0]!.port}`, broker.kafkaAddress);
        const leaders = topics[0]!.partitions.map(({ leader }) => leader);
        seen.push([clusterId, leaders, resources[0]!.configEntries[0]!.configValue]);
        await admin.disconnect();
        await broker.stop();
        assert.ok(existsSync(data), 'a folder that was given stays');
      }
      assert.deepEqual(seen[1], seen[0]);
      assert.deepEqual(seen[2], seen[0]);
      assert.deepEqual((seen[0] as unknown[]).slice(1), [[1, 1, 1, 1], '77']);
    });
  });

  it('has a whole backup in the copy of its folder that was made while it was stopped', async () => {
    await withFolder(async (folder) => {
      const [data, copy] = [path.join(folder, 'data'), path.join(folder, 'copy')];
      const first = await Broker.start({ data, http: false });
      const producer = clientOf(first).producer();
      await producer.connect();
      await producer.send({ topic: 'orders', messages: [{ value: 'one' }, { value: 'two' }] });
      await producer.disconnect();
      const committed = { groupId: 'billing', topic: 'orders', partitions: [{ partition: 0, offset: '1' }] };
      const admin = clientOf(first).admin();
      await admin.connect();
      await admin.setOffsets(committed);
      await admin.disconnect();
      await first.stop();
      await cp(data, copy, { recursive: true, preserveTimestamps: true });
      await rm(data, { recursive: true });
      const restored = await Broker.start({ data: copy, http: false });
      const reader = clientOf(restored).admin();
      try {
        await reader.connect();
        const offsets = await reader.fetchTopicOffsets('orders');
        assert.deepEqual(
          offsets.map(({ low, high }) => [low, high]),
          [['0', '2']],
        );
        const [group] = await reader.fetchOffsets({ groupId: 'billing', topics: ['orders'] });
        assert.equal(group!.partitions[0]!.offset, '1');
      } finally {
        await reader.disconnect();
        await restored.stop();
      }
    });
  });

  it('refuses what it cannot start with, and frees what it had taken', async () => {
    await withFolder(async (data) => {
      const broker = await Broker.start({ data, http: false });
      await assert.rejects(Broker.start({ data, http: false }), { name: 'DiskError', code: 'LOCKED' });
      await assert.rejects(Broker.start({ kafka: broker.kafkaAddress }), { code: 'EADDRINUSE' });
      await assert.rejects(Broker.start({ config: { 'num.partitons': 1 } }), {
        name: 'ConfigError',
        message: /did you mean num\.partitions\?/,
      });
      const { kafkaAddress } = broker;
      await broker.stop();
      await assert.rejects(Broker.start({ data, nodeId: 2, http: false }), { name: 'DataFolderError' });
      await assert.rejects(Broker.start({ data, http: 'nowhere.invalid:1', kafka: kafkaAddress }));
      const again = await Broker.start({ data, http: false, kafka: kafkaAddress });
      await again.stop();
    });
  });

  it('starts a thousand partitions quickly', async () => {
    await withFolder(async (data) => {
      const first = await Broker.start({ data, http: false });
      const admin = clientOf(first).admin();
      await admin.connect();
      await admin.createTopics({ topics: [{ topic: 'many', numPartitions: 1000 }] });
      await admin.disconnect();
      await first.stop();
      const startMs = performance.now();
      const second = await Broker.start({ data, http: false });
      const tookMs = performance.now() - startMs;
      await second.stop();
      assert.ok(tookMs < 2000, `${tookMs.toFixed(0)} ms`);
    });
  });
});
