import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { LOCK_ENTRY } from '../../src/platform/disk.ts';
import { encodeAborted } from '../../src/storage/aborted-index.ts';
import type { Log } from '../../src/storage/types.ts';
import { makeDurable, newLog, type Opened, openStore, temporaryFolder } from './helpers.ts';
import { TransactionWriter } from './transactions.ts';

const SMALL = { segmentBytes: 1200, indexIntervalBytes: 200 };

it('an entry has the bytes that Kafka gives it', () => {
  const bytes = new Uint8Array(34);
  encodeAborted({ producerId: 0x01020304, firstOffset: 5, lastOffset: 1234, lastStableOffset: 7 }, bytes, 0);
  const fields = ['0000', '0000000001020304', '0000000000000005', '00000000000004d2', '0000000000000007'];
  assert.equal(Buffer.from(bytes).toString('hex'), fields.join(''));
});

describe('the index of aborted transactions', () => {
  let folder: ReturnType<typeof temporaryFolder>;
  let opened: Opened;
  let log: Log;
  let writer: TransactionWriter;

  beforeEach(async () => {
    folder = temporaryFolder();
    opened = await openStore(folder.path);
    log = newLog(opened.store, SMALL);
    writer = new TransactionWriter(log);
  });

  afterEach(async () => {
    await opened.store.close();
    folder.remove();
  });

  const indexFiles = (): string[] =>
    readdirSync(`${folder.path}/orders-0`)
      .filter((name) => name.endsWith('.txnindex'))
      .toSorted();

  function fill(transactions: number): void {
    for (let round = 0; round < transactions; round++) {
      const producerId = 1 + (round % 3);
      writer.append(producerId, [{ key: `k${round}`, value: 'x'.repeat(100) }]);
      if (round % 4 !== 3) writer.end(producerId, round % 2 === 0 ? 'abort' : 'commit');
    }
  }

  function assertComplete(): void {
    const { endOffset } = log;
    for (let from = 0; from < endOffset; from++) {
      for (const to of [from + 1, from + 7, endOffset])
        assert.deepEqual(log.abortedTransactions(from, to), writer.abortedIn(from, to), `${from} to ${to}`);
    }
  }

  async function reopen(): Promise<void> {
    opened = await openStore(folder.path, { logConfig: SMALL });
    log = opened.store.get('orders', 0)!;
    writer.moveTo(log);
  }

  /** Goes on with a copy of the files as they are now: what a kill leaves. */
  async function kill(): Promise<void> {
    const copy = temporaryFolder();
    cpSync(folder.path, copy.path, {
      recursive: true,
      filter: (source) => path.basename(source) !== LOCK_ENTRY,
    });
    await opened.store.close();
    folder.remove();
    folder = copy;
    await reopen();
  }

  it('is found across segments, also by transactions whose marker lies in a later one', () => {
    fill(40);
    writer.append(9, [{ key: 'long', value: 'x' }]);
    fill(30);
    writer.end(9, 'abort');
    fill(3);
    assert.ok(indexFiles().length > 3);
    assertComplete();
  });

  it('makes no file for a segment without an abort', async () => {
    for (let round = 0; round < 20; round++) {
      writer.append(1, [{ key: 'k', value: 'x'.repeat(100) }]);
      writer.end(1, 'commit');
    }
    await makeDurable(opened.store, log);
    await opened.store.checkpoint();
    assert.deepEqual(indexFiles(), []);
  });

  it('is the same after a clean stop', async () => {
    fill(40);
    await makeDurable(opened.store, log);
    await opened.store.close();
    await reopen();
    assert.equal(opened.store.recovery.kind, 'clean');
    assertComplete();
    fill(10);
    assertComplete();
  });

  it('is made again after a kill, for what was written since the last checkpoint', async () => {
    fill(25);
    writer.append(9, [{ key: 'long', value: 'x' }]);
    await makeDurable(opened.store, log);
    await opened.store.checkpoint();
    fill(25);
    writer.end(9, 'abort');
    fill(5);
    await makeDurable(opened.store, log);
    await kill();
    assert.equal(opened.store.recovery.kind, 'process-crash');
    assertComplete();
    fill(10);
    assertComplete();
  });

  it('is made again from the log where a file of it is damaged', async () => {
    fill(40);
    await makeDurable(opened.store, log);
    await opened.store.checkpoint();
    truncateSync(`${folder.path}/orders-0/${indexFiles()[0]!}`, 33);
    await kill();
    assertComplete();
  });

  it('ends where a truncation cuts the log', async () => {
    fill(40);
    await makeDurable(opened.store, log);
    const before = log.abortedTransactions(0, log.endOffset);
    log.truncate(before.at(-3)!.lastOffset);
    writer.moveTo(log);
    assert.equal(log.abortedTransactions(0, log.endOffset).length, before.length - 3);
    assertComplete();
    fill(10);
    assertComplete();
    await makeDurable(opened.store, log);
    await kill();
    assertComplete();
  });

  it('goes with its segment', async () => {
    fill(40);
    await makeDurable(opened.store, log);
    await opened.store.checkpoint();
    const first = indexFiles()[0]!;
    log.advanceStartOffset(log.endOffset - 1);
    await opened.store.retentionPass(0);
    opened.timers.advance(1);
    await opened.store.close();
    assert.ok(!existsSync(`${folder.path}/orders-0/${first}`));
    await reopen();
    const { startOffset, endOffset } = log;
    assert.deepEqual(
      log.abortedTransactions(startOffset, endOffset),
      writer.abortedIn(startOffset, endOffset),
    );
  });

  it('takes nothing from a turn that could not be written', () => {
    fill(3);
    const before = log.abortedTransactions(0, log.endOffset);
    writer.append(5, [{ key: 'k', value: 'v' }]);
    const { endOffset } = log;
    const isMarker = {
      producerId: 5,
      firstOffset: endOffset - 1,
      lastOffset: endOffset,
      lastStableOffset: 0,
    };
    assert.throws(() => log.append([new Uint8Array(100)], 0, [isMarker]));
    assert.deepEqual(log.abortedTransactions(0, log.endOffset), before);
  });

  it('is the same whatever happens to the store, at any place', async () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 8, arbitrary: fc.record({ append: fc.integer({ min: 1, max: 4 }) }) },
        {
          weight: 5,
          arbitrary: fc.record({ end: fc.integer({ min: 1, max: 4 }), abort: fc.boolean() }),
        },
        { weight: 1, arbitrary: fc.constant('checkpoint' as const) },
        { weight: 1, arbitrary: fc.constant('kill' as const) },
        { weight: 1, arbitrary: fc.constant('stop' as const) },
        { weight: 1, arbitrary: fc.record({ cut: fc.double({ min: 0.5, max: 1, noNaN: true }) }) },
      ),
      { minLength: 20, maxLength: 60, size: 'max' },
    );
    await fc.assert(
      fc
        .asyncProperty(steps, async (all) => {
          for (const step of all) {
            if (step === 'checkpoint') {
              await makeDurable(opened.store, log);
              await opened.store.checkpoint();
            } else if (step === 'kill') {
              await makeDurable(opened.store, log);
              await kill();
            } else if (step === 'stop') {
              await makeDurable(opened.store, log);
              await opened.store.close();
              await reopen();
            } else if ('append' in step) {
              writer.append(step.append, [{ key: 'k', value: 'x'.repeat(150) }]);
            } else if ('end' in step) {
              writer.end(step.end, step.abort ? 'abort' : 'commit');
            } else {
              log.truncate(Math.max(1, Math.floor(log.endOffset * step.cut)));
              writer.moveTo(log);
            }
          }
          assertComplete();
        })
        .beforeEach(async () => {
          await opened.store.close();
          folder.remove();
          folder = temporaryFolder();
          opened = await openStore(folder.path, { logConfig: SMALL });
          log = newLog(opened.store, SMALL);
          writer = new TransactionWriter(log);
          // A log without records is not found again.
          writer.append(9, [{ key: 'k', value: 'v' }]);
          writer.end(9, 'commit');
        }),
      { numRuns: 8, interruptAfterTimeLimit: 20_000 },
    );
  });
});
