import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runKill9 } from './longrun/kill9.ts';
import { requirePeer } from './peers/peers.ts';

const { skip } = await requirePeer('python3-confluent-kafka', 'java', 'kafka-jars');

describe('kill -9 under load (the long run is npm run chaos:kill9)', { skip }, () => {
  const data = mkdtempSync(path.join(tmpdir(), 'polylog-kill9-'));
  after(() => rmSync(data, { recursive: true, force: true }));

  test('nothing acknowledged is lost, nothing is doubled, and Kafka can read every file', async () => {
    const report = await runKill9({ rounds: 2, recoveryKills: 1, seed: 1, data });
    assert.deepEqual(report.violations, []);
    assert.deepEqual(report.dump.complaints, []);
    assert.equal(report.stopCode, 0);
    assert.ok(report.kills >= 3 && report.killsInRecovery >= 1);
    assert.ok(report.acknowledgementsPerRoundMin >= 1_000);
    assert.ok(report.dump.logs >= 40 && report.dump.indexes >= 40 && report.dump.batches > 0);
  });
});
