import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { GroupRun } from './clients/group-run.ts';
import { BrokerProcess } from './longrun/broker-process.ts';
import { runKill9Groups } from './longrun/kill9-groups.ts';
import { requirePeer } from './peers/peers.ts';

const { skip } = await requirePeer('python3-confluent-kafka');

describe('kill -9 during rebalances and commits (the long run is npm run chaos:groups)', { skip }, () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-kill9-groups-'));
  after(() => rmSync(data, { recursive: true, force: true }));

  test('no acknowledged commit is lost, and everything is consumed', async (t) => {
    const chaos = path.join(data, 'chaos');
    const report = await runKill9Groups({
      rounds: 2,
      seed: 1,
      data: chaos,
      clients: ['librdkafka', 'kafkajs'],
    });
    const { violations, unconsumed, stopCode, ...figures } = report;
    t.diagnostic(JSON.stringify(figures));
    assert.deepEqual(violations, []);
    assert.equal(unconsumed, '');
    assert.equal(stopCode, 0);
    assert.ok(figures.commitsAcknowledged >= 400 && figures.answersCompared >= 20);
    assert.ok(figures.produced > 0 && figures.consumed >= figures.produced);
  });

  test('members go on in their generation after the broker was killed', async () => {
    const broker = await BrokerProcess.create({ data: path.join(data, 'stable') });
    await broker.start();
    const run = await GroupRun.start({
      address: broker.kafkaAddress,
      groupId: 'stable',
      partitions: 4,
      assignor: 'roundrobin',
      sessionTimeoutMs: 20_000,
    });
    try {
      const names = (['librdkafka', 'kafkajs'] as const).map((kind) => run.join(kind));
      const earlier = await run.stable();
      for (const name of names) await run.consumes(name);
      await broker.kill();
      await broker.start();
      for (const name of names) await run.consumes(name);
      assert.deepEqual(await run.stable(), earlier);
      await run.finish();
    } finally {
      await run.dispose();
      await broker.kill();
    }
  });
});
