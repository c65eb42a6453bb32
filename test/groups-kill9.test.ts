import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runKill9Groups } from './longrun/kill9-groups.ts';
import { requirePeer } from './peers/peers.ts';

const { skip } = await requirePeer('python3-confluent-kafka');

describe('kill -9 during rebalances and commits (the long run is npm run chaos:groups)', { skip }, () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-kill9-groups-'));
  after(() => rmSync(data, { recursive: true, force: true }));

  test('no acknowledged commit is lost, and everything is consumed', async (t) => {
    const report = await runKill9Groups({ rounds: 2, seed: 1, data, clients: ['librdkafka', 'kafkajs'] });
    const { violations, unconsumed, stopCode, ...figures } = report;
    t.diagnostic(JSON.stringify(figures));
    assert.deepEqual(violations, []);
    assert.equal(unconsumed, '');
    assert.equal(stopCode, 0);
    assert.ok(figures.commitsAcknowledged >= 400 && figures.answersCompared >= 20);
    assert.ok(figures.produced > 0 && figures.consumed >= figures.produced);
  });
});
