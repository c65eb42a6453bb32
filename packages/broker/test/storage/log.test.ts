import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  appendBatch,
  assertSameBatches,
  makeDurable,
  newLog,
  openStore,
  readAll,
  temporaryFolder,
} from './helpers.ts';

describe('a log on the real disk', () => {
  it('gives back what was appended, before and after a clean stop', async (t) => {
    const folder = temporaryFolder();
    const { store } = await openStore(folder.path);
    const log = newLog(store, { segmentBytes: 20_000 });
    const written: Uint8Array[] = [];
    for (let index = 0; index < 300; index++) written.push(appendBatch(log, { records: 1 + (index % 3) }));
    await makeDurable(store, log);
    assert.equal(log.durableOffset, log.endOffset);
    assertSameBatches(readAll(log), written);
    const { endOffset } = log;
    await store.close();

    const again = await openStore(folder.path);
    t.after(async () => {
      await again.store.close();
      folder.remove();
    });
    const reopened = again.store.get('orders', 0)!;
    assert.equal(again.store.recovery.kind, 'clean');
    assert.equal(again.store.recovery.scannedBytes, 0);
    assert.equal(reopened.endOffset, endOffset);
    assertSameBatches(readAll(reopened), written);
    appendBatch(reopened);
    await makeDurable(again.store, reopened);
    assert.equal(readAll(reopened).length, 301);
  });
});
