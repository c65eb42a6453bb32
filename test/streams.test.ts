import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { runChaosStreams } from './longrun/chaos-streams.ts';
import { WORD_COUNT_PEERS } from './longrun/word-count-run.ts';
import { requirePeer } from './peers/peers.ts';

const { skip } = await requirePeer(...WORD_COUNT_PEERS);

describe('Kafka Streams with exactly_once_v2 (the long run is npm run chaos:streams)', { skip }, () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'polylog-streams-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('counts each word as often as it was given', async (t) => {
    const { violations, violationsAgain, ...figures } = await runChaosStreams({
      rounds: 1,
      seed: 1,
      folder,
      killsMax: 0,
      feedMs: 1_500,
    });
    t.diagnostic(JSON.stringify(figures));
    assert.deepEqual(violations, []);
    assert.deepEqual(violationsAgain, []);
    assert.deepEqual(figures.died, {});
    assert.ok(figures.words > 100 && figures.stopped);
  });
});
