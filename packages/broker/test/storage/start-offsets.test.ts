import assert from 'node:assert/strict';
import { cpSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { LOCK_ENTRY } from '../../src/platform/disk.ts';
import type { Log } from '../../src/storage/types.ts';
import { appendBatch, makeDurable, newLog, type Opened, openStore, temporaryFolder } from './helpers.ts';

describe('the start of a log', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let opened: Opened;
  let log: Log;

  beforeEach(async () => {
    folder = temporaryFolder();
    opened = await openStore(folder.path);
    log = newLog(opened.store);
    for (let more = 0; more < 20; more++) appendBatch(log);
    await makeDurable(opened.store, log);
    await opened.store.checkpoint();
  });

  afterEach(async () => {
    await opened.store.close();
    folder.remove();
  });

  /** Goes on with a copy of the files as they are now: what a kill leaves. */
  async function kill(): Promise<Log | undefined> {
    const copy = temporaryFolder();
    const filter = (source: string): boolean => path.basename(source) !== LOCK_ENTRY;
    cpSync(folder.path, copy.path, { recursive: true, filter });
    await opened.store.close();
    folder.remove();
    folder = copy;
    opened = await openStore(folder.path);
    return opened.store.get('orders', 0);
  }

  /** A write off the event loop is under way: its file is there, and waits for the disk. */
  async function begun(): Promise<void> {
    for (let turns = 0; turns < 100; turns++) {
      if (readdirSync(folder.path).some((name) => name.includes('.later'))) return;
      await Promise.resolve();
    }
    assert.fail('no write has begun');
  }

  const written = (): string =>
    readFileSync(path.join(folder.path, 'log-start-offset-checkpoint'), 'utf8').trim();

  it('is durable when it was persisted, and not before', async () => {
    log.advanceStartOffset(7);
    assert.equal(log.durableStartOffset, 0);
    const persisted = log.persistStart();
    log.advanceStartOffset(9);
    await Promise.all([persisted, log.persistStart()]);
    assert.equal(log.durableStartOffset, 9);
    assert.equal((await kill())!.startOffset, 9);
  });

  it('is not set back by a write that began before a checkpoint', async () => {
    log.advanceStartOffset(7);
    const persisted = log.persistStart();
    await begun();
    log.advanceStartOffset(11);
    await opened.store.retentionPass(0);
    assert.match(written(), /orders 0 11$/);
    await persisted;
    assert.match(written(), /orders 0 11$/);
    assert.equal((await kill())!.startOffset, 11);
  });

  it('is not found by a later log of the same name', async () => {
    log.advanceStartOffset(7);
    const persisted = log.persistStart();
    await begun();
    await Promise.all([persisted, opened.store.delete(log)]);
    const next = newLog(opened.store);
    appendBatch(next);
    await makeDurable(opened.store, next);
    const found = await kill();
    assert.deepEqual([found!.startOffset, found!.endOffset], [0, 1]);
  });
});
