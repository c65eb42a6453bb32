import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import kafkajs from 'kafkajs';
import { Broker } from 'polylog';
import { PolylogCli } from './clients/polylog.ts';

const { ConfigResourceTypes, Kafka, logLevel, Partitioners } = kafkajs;

describe('Settings that are changed while the broker runs', () => {
  let data: string;
  let broker: Broker;
  const levels: string[] = [];
  const logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
    child: () => logger,
    setLevel: (level: string) => void levels.push(level),
  };
  const start = async (): Promise<void> => {
    broker = await Broker.start({ data, logger });
  };
  before(async () => {
    data = await mkdtemp(path.join(tmpdir(), 'polylog-dynamic-'));
    await start();
  });
  after(async () => {
    await broker.stop();
    await rm(data, { recursive: true, force: true });
  });

  const set = (...args: string[]) => new PolylogCli(broker.kafkaAddress).ok(['config', 'set', ...args]);
  const unset = (...args: string[]) => new PolylogCli(broker.kafkaAddress).ok(['config', 'unset', ...args]);

  /** Sends a kilobyte; undefined if it was taken. */
  async function refusal(topic: string): Promise<string | undefined> {
    const client = new Kafka({
      brokers: [broker.kafkaAddress],
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
    });
    const producer = client.producer({ createPartitioner: Partitioners.DefaultPartitioner });
    await producer.connect();
    try {
      await producer.send({ topic, messages: [{ value: 'x'.repeat(1000) }] });
      return undefined;
    } catch (error) {
      return (error as Error).message;
    } finally {
      await producer.disconnect();
    }
  }

  test('hold at once for every topic that does not set them, and after a restart', async () => {
    const cli = new PolylogCli(broker.kafkaAddress);
    await cli.ok(['topic', 'create', 'plain']);
    await cli.ok(['topic', 'create', 'own', '--config', 'max.message.bytes=5000']);
    assert.equal(await refusal('plain'), undefined);
    await set('broker', 'all', 'message.max.bytes=500');
    assert.match((await refusal('plain')) ?? '', /larger than the max message size|too large/i);
    assert.equal(await refusal('own'), undefined);
    await broker.stop();
    await start();
    assert.match((await refusal('plain')) ?? '', /larger than the max message size|too large/i);
    assert.equal(await refusal('own'), undefined);
    await unset('broker', 'all', 'message.max.bytes');
    assert.equal(await refusal('plain'), undefined);
  });

  test('bound connections from the next one on', async () => {
    const client = new Kafka({
      brokers: [broker.kafkaAddress],
      logLevel: logLevel.NOTHING,
      retry: { retries: 0 },
    });
    const admins = [client.admin(), client.admin()];
    const [first, second] = admins as [(typeof admins)[0], (typeof admins)[0]];
    await first.connect();
    // This command's own connection is the second.
    await set('broker', '1', 'max.connections.per.ip=1');
    await assert.rejects(second.connect());
    await first.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.BROKER, name: '1', configEntries: [] }],
    });
    await second.connect();
    for (const admin of admins) await admin.disconnect();
  });

  test('tell the log its level, at the next start too', async () => {
    await set('broker', 'all', 'log-level=debug');
    assert.equal(levels.at(-1), 'debug');
    await broker.stop();
    await start();
    assert.equal(levels.at(-1), 'debug');
    await unset('broker', 'all', 'log-level');
    assert.equal(levels.at(-1), 'warn');
  });
});
