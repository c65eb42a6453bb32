import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { NodeDisk } from '../../src/platform/node/disk.ts';
import type { DiskFile } from '../../src/platform/disk.ts';
import type { LogStore } from '../../src/storage/types.ts';
import { appendBatch, makeDurable, newLog, openStore, readAll, temporaryFolder } from './helpers.ts';

const LOGS = 40;

/** Notes the syncs of files and folders of logs: those that keep the event loop waiting, and how many others run at once. */
class CountingDisk extends NodeDisk {
  blocking = 0;
  readonly synced: string[] = [];
  runningMax = 0;
  #running = 0;

  override open(path: string, mode: 'read' | 'write' | 'create'): DiskFile {
    const file = super.open(path, mode);
    if (!isOfLog(path)) return file;
    const { datasync, datasyncAsync } = file;
    file.datasync = () => {
      this.blocking++;
      datasync.call(file);
    };
    file.datasyncAsync = () => this.#count(path, datasyncAsync.call(file));
    return file;
  }

  override syncDirectory(path: string): void {
    if (isOfLog(path)) this.blocking++;
    super.syncDirectory(path);
  }

  override syncDirectoryAsync(path: string): Promise<void> {
    return this.#count(path, super.syncDirectoryAsync(path));
  }

  async #count(path: string, sync: Promise<void>): Promise<void> {
    this.synced.push(path);
    this.runningMax = Math.max(this.runningMax, ++this.#running);
    await sync;
    this.#running--;
  }
}

function isOfLog(path: string): boolean {
  return path.includes('/orders-');
}

async function append(store: LogStore, partition: number): Promise<void> {
  const log = store.get('orders', partition)!;
  appendBatch(log);
  await makeDurable(store, log);
}

/** The folder as a kill leaves it. */
async function killed(
  t: TestContext,
  fill: (store: LogStore) => Promise<void>,
): Promise<{ store: LogStore; disk: CountingDisk }> {
  const folder = temporaryFolder();
  const copy = temporaryFolder();
  const { store } = await openStore(folder.path);
  for (let partition = 0; partition < LOGS; partition++) newLog(store, {}, 'orders', partition);
  await fill(store);
  cpSync(folder.path, copy.path, {
    recursive: true,
    filter: (path) => !path.includes('.lock'),
  });
  await store.close();
  const disk = new CountingDisk();
  const reopened = await openStore(copy.path, { disk });
  t.after(async () => {
    await reopened.store.close();
    folder.remove();
    copy.remove();
  });
  assert.notEqual(reopened.store.recovery.kind, 'clean');
  return { store: reopened.store, disk };
}

describe('the syncs of a recovery', () => {
  it('run side by side, off the event loop, four for a log that had no checkpoint', async (t) => {
    const { store, disk } = await killed(t, async (filled) => {
      for (let partition = 0; partition < LOGS; partition++) await append(filled, partition);
    });
    assert.equal(disk.blocking, 0);
    assert.ok(disk.runningMax > 1, `${disk.runningMax} at once`);
    // The segment, partition.metadata, the leader epochs and the folder.
    assert.equal(disk.synced.length, 4 * LOGS);
    for (let partition = 0; partition < LOGS; partition++)
      assert.equal(readAll(store.get('orders', partition)!).length, 1, `partition ${partition}`);
  });

  it('are for the logs that have records above their recovery point alone', async (t) => {
    const { store, disk } = await killed(t, async (filled) => {
      for (let partition = 0; partition < LOGS; partition++) await append(filled, partition);
      await filled.checkpoint();
      await append(filled, 7);
    });
    assert.equal(disk.blocking, 0);
    const folders = new Set(disk.synced.map((path) => /orders-\d+/.exec(path)![0]));
    assert.deepEqual([...folders], ['orders-7']);
    // What is older than the checkpoint is durable: the segment and its folder are left.
    assert.equal(disk.synced.length, 2);
    assert.equal(readAll(store.get('orders', 7)!).length, 2);
    assert.equal(store.get('orders', 8)!.endOffset, 1);
  });
});
