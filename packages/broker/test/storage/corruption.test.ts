import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Log } from '../../src/storage/types.ts';
import { appendBatch, newLog, openStore, temporaryFolder } from './helpers.ts';

const BATCHES = 40;

function flipBit(file: string, at: number): void {
  const bytes = readFileSync(file);
  bytes[at] = bytes[at]! ^ 0x10;
  writeFileSync(file, bytes);
}

function kindAt(log: Log, offset: number): string {
  const outcome = log.read({ offset, endOffset: log.endOffset, bytesMax: 100_000, atLeastOneBatch: true });
  if (outcome.kind === 'records') outcome.slice.release();
  return outcome.kind;
}

/** Which bytes of a batch to hit: the records (CRC), the length, the base offset, the magic. */
const PLACES = { records: 90, length: 11, 'base offset': 7, magic: 16, 'length, large': 8 };

describe('damage below the recovery point', () => {
  for (const [place, at] of Object.entries(PLACES)) {
    for (const clean of [true, false]) {
      it(`in the ${place} is refused and the rest is served, after a ${clean ? 'clean stop' : 'crash'}`, async (t) => {
        const folder = temporaryFolder();
        const opened = await openStore(folder.path);
        const log = newLog(opened.store, { indexIntervalBytes: 500 });
        const positions: number[] = [];
        for (let index = 0, position = 0; index < BATCHES; index++) {
          positions.push(position);
          position += appendBatch(log, { records: 1 }).length;
        }
        await opened.store.close();
        const partition = join(folder.path, 'orders-0');
        const file = join(
          partition,
          readdirSync(partition).find((name) => name.endsWith('.log'))!,
        );
        flipBit(file, positions[20]! + at);
        if (!clean) writeFileSync(join(folder.path, '.polylog_cleanshutdown'), 'torn');
        const size = readFileSync(file).length;

        const again = await openStore(folder.path);
        t.after(async () => {
          await again.store.close();
          folder.remove();
        });
        const reopened = again.store.get('orders', 0)!;
        assert.equal(reopened.endOffset, BATCHES);
        for (let offset = 0; offset < BATCHES; offset++)
          assert.equal(kindAt(reopened, offset), offset === 20 ? 'corrupt' : 'records', `offset ${offset}`);
        assert.equal(readFileSync(file).length, size, 'nothing is truncated');
        assert.ok(again.logger.errors.length > 0, 'it is said loudly');
        appendBatch(reopened);
        assert.equal(kindAt(reopened, BATCHES), 'records');
      });
    }
  }
});
