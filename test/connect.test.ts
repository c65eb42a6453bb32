import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runChaosConnect } from './longrun/chaos-connect.ts';
import { CONNECT_PEERS } from './longrun/connect-worker.ts';
import { requirePeer } from './peers/peers.ts';

const { skip } = await requirePeer(...CONNECT_PEERS);

describe(
  'Kafka Connect with an exactly-once source (the long run is npm run chaos:connect)',
  { skip },
  () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'polylog-connect-'));
    after(() => rmSync(folder, { recursive: true, force: true }));

    test('carries the lines of a file through a topic into another file', async (t) => {
      const { violations, ...figures } = await runChaosConnect({
        rounds: 1,
        seed: 1,
        folder,
        killsMax: 0,
        feedMs: 1_500,
      });
      t.diagnostic(JSON.stringify(figures));
      assert.deepEqual(violations, []);
      assert.ok(figures.lines > 50);
      assert.equal(figures.repeatedInSink, 0);
      assert.equal(figures.taskRestarts, 0);
    });
  },
);
