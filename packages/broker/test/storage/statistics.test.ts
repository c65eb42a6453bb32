import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { BrokerMetrics } from '../../src/metrics/registry.ts';
import { describeStorage } from '../../src/storage/metrics.ts';
import type { LogConfig, StorageConfig } from '../../src/storage/types.ts';
import { appendBatch, makeDurable, newLog, openStore, temporaryFolder, type Opened } from './helpers.ts';

const JOURNAL_BLOCK_BYTES = 4096;

async function opened(test: TestContext, config: Partial<StorageConfig> = {}): Promise<Opened> {
  const folder = temporaryFolder();
  const result = await openStore(folder.path, { config });
  test.after(async () => {
    await result.store.close();
    folder.remove();
  });
  return result;
}

describe('The statistics of a store', () => {
  it('count what the journal was given, and each round of the group commit', async (test) => {
    const { store } = await opened(test);
    const log = newLog(store);
    const before = store.statistics();
    for (let round = 0; round < 3; round++) {
      appendBatch(log);
      await makeDurable(store, log);
    }
    const { journal, commits, logs } = store.statistics();
    assert.equal(journal.rounds - before.journal.rounds, 3);
    assert.equal(journal.writtenBytes % JOURNAL_BLOCK_BYTES, 0);
    assert.ok(journal.writtenBytes >= logs.appendedBytes);
    assert.deepEqual([journal.files, journal.filesInUse, journal.roundsWithoutFile], [1, 1, 0]);
    assert.equal(
      commits.counts.reduce((sum, count) => sum + count, 0),
      3,
    );
    assert.equal(logs.bytes, log.sizeBytes);
    assert.equal(logs.segments, 1);
  });

  it('show a journal that is full, and a checkpoint that frees it', async (test) => {
    const { store } = await opened(test, {
      journalFileBytes: 2 * JOURNAL_BLOCK_BYTES,
      journalFilesMax: 2,
    });
    const log = newLog(store);
    // Each file holds one round, and the third finds none free: it starts a checkpoint by itself.
    for (let round = 0; round < 3; round++) {
      appendBatch(log);
      await makeDurable(store, log);
    }
    await store.checkpoint();
    const { journal, checkpoints } = store.statistics();
    assert.ok(journal.roundsWithoutFile + checkpoints.completed > 0);
    assert.ok(journal.files <= journal.filesMax);
    appendBatch(log);
    await store.checkpoint();
    const after = store.statistics();
    assert.ok(after.journal.filesInUse <= 1);
    assert.ok(after.checkpoints.completed > checkpoints.completed);
    assert.equal(after.checkpoints.lastMs, 1_700_000_000_000);
    assert.equal(after.checkpoints.failed, 0);
  });

  it('count segments that retention has removed, until their files are gone', async (test) => {
    const { store, timers, clock } = await opened(test);
    const config: Partial<LogConfig> = { segmentBytes: 1000, retentionMs: 1000, fileDeleteDelayMs: 500 };
    const log = newLog(store, config);
    for (let batch = 0; batch < 20; batch++) appendBatch(log, { valueBytes: 400 });
    await makeDurable(store, log);
    const { segments } = store.statistics().logs;
    assert.ok(segments > 5);
    await store.retentionPass(clock.nowMs() + 3_600_000);
    const { logs } = store.statistics();
    assert.equal(logs.segmentsRemoved, segments);
    assert.equal(logs.segmentsLeaving, segments);
    assert.equal(logs.bytes, 0);
    timers.advance(500);
    for (let wait = 0; wait < 100 && store.statistics().logs.segmentsLeaving > 0; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(store.statistics().logs.segmentsLeaving, 0);
  });

  it('know of damage once it was met', async (test) => {
    const folder = temporaryFolder();
    const first = await openStore(folder.path);
    const written = newLog(first.store);
    for (let batch = 0; batch < 3; batch++) appendBatch(written);
    await first.store.close();
    const partition = join(folder.path, 'orders-0');
    const file = join(
      partition,
      readdirSync(partition).find((name) => name.endsWith('.log'))!,
    );
    const bytes = readFileSync(file);
    bytes[90]! ^= 1;
    writeFileSync(file, bytes);
    const { store } = await openStore(folder.path);
    test.after(async () => {
      await store.close();
      folder.remove();
    });
    assert.equal(store.statistics().logs.damagedRanges, 0);
    const log = store.get('orders', 0)!;
    const read = { offset: 0, endOffset: 3, bytesMax: 1000, atLeastOneBatch: true };
    assert.equal(log.read(read).kind, 'corrupt');
    assert.equal(store.statistics().logs.damagedRanges, 1);
  });

  it('are gathered once for all numbers of a scrape', async (test) => {
    const { store } = await opened(test);
    let visits = 0;
    const statistics = store.statistics.bind(store);
    store.statistics = () => {
      visits++;
      return statistics();
    };
    const metrics = new BrokerMetrics();
    describeStorage(metrics, store);
    visits = 0;
    await metrics.render();
    assert.equal(visits, 1);
    await metrics.render();
    assert.equal(visits, 2);
  });
});
