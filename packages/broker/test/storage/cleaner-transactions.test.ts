import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { endTransactionOf, hasDeleteHorizon, readBatchHeader } from '@polylog/record';
import fc from 'fast-check';
import { LOCK_ENTRY } from '../../src/platform/disk.ts';
import { verifyLog } from '../../src/storage/verify.ts';
import type { Log } from '../../src/storage/types.ts';
import { makeDurable, newLog, type Opened, openStore, readAll, temporaryFolder } from './helpers.ts';
import { appendKeyed, COMPACTED, COMPACTION, headersOf, recordsOf } from './keyed.ts';
import { readCommitted, TransactionWriter } from './transactions.ts';

let folder: ReturnType<typeof temporaryFolder>;
let opened: Opened;
let log: Log;
let writer: TransactionWriter;

async function open(): Promise<void> {
  folder = temporaryFolder();
  opened = await openStore(folder.path, { logConfig: COMPACTED });
  log = newLog(opened.store, COMPACTED);
  attach();
}

function attach(): void {
  writer = new TransactionWriter(log);
  log.cleaningBound = () => writer.lastStableOffset;
}

beforeEach(open);

afterEach(async () => {
  await opened.store.close();
  folder.remove();
});

/** Two large records: what comes before them is not in the active segment any more. */
async function closeSegment(): Promise<void> {
  for (let round = 0; round < 2; round++) appendKeyed(log, [{ key: 'filler', value: 'x'.repeat(1900) }]);
  await makeDurable(opened.store, log);
  await opened.store.checkpoint();
}

async function clean(): Promise<void> {
  let over = false;
  const pass = opened.store.cleaningPass().finally(() => (over = true));
  while (!over) {
    opened.timers.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pass;
  assert.deepEqual(opened.logger.errors, []);
  assert.deepEqual(verifyLog(log), []);
}

async function reopen(how: 'kill' | 'stop'): Promise<void> {
  await makeDurable(opened.store, log);
  const next = how === 'kill' ? temporaryFolder() : folder;
  // Removed files are just going.
  const filter = (source: string): boolean =>
    path.basename(source) !== LOCK_ENTRY && !source.endsWith('.deleted');
  if (how === 'kill') cpSync(folder.path, next.path, { recursive: true, filter });
  await opened.store.close();
  if (how === 'kill') folder.remove();
  folder = next;
  opened = await openStore(folder.path, { logConfig: COMPACTED });
  log = opened.store.get('orders', 0)!;
  writer.moveTo(log);
  log.cleaningBound = () => writer.lastStableOffset;
}

/** `key=value@offset`, and for markers `commit@offset` and `abort@offset`; `+` marks a delete horizon. Without fillers. */
function contents(): string {
  const parts: string[] = [];
  for (const { bytes, baseOffset } of readAll(log)) {
    const header = readBatchHeader(bytes);
    const marker = endTransactionOf(bytes, header);
    if (marker !== undefined)
      parts.push(`${marker.type}@${baseOffset}${hasDeleteHorizon(header.attributes) ? '+' : ''}`);
    else if (header.recordCount === 0 && header.producerId >= 0) parts.push(`empty@${baseOffset}`);
  }
  const records = recordsOf(log)
    .filter(({ key, value }) => key !== 'filler' && value !== null && (value?.length ?? 0) < 50)
    .filter(
      ({ offset }) =>
        !headersOf(log).some((header) => header.baseOffset === offset && (header.attributes & 0x20) !== 0),
    )
    .map(({ key, value, offset }) => `${key}=${value}@${offset}`);
  return [...parts, ...records]
    .toSorted((a, b) => Number(/@(\d+)/.exec(a)![1]) - Number(/@(\d+)/.exec(b)![1]))
    .join(' ');
}

describe('the cleaning of transactions', () => {
  it('drops the records of aborted ones, though no later record has their keys, and keeps the last committed ones', async () => {
    writer.append(1, [{ key: 'a', value: '1' }]);
    writer.append(2, [{ key: 'a', value: 'never' }]);
    writer.append(2, [{ key: 'b', value: 'never' }]);
    writer.append(1, [{ key: 'c', value: '1' }]);
    writer.end(1, 'commit');
    writer.end(2, 'abort');
    writer.append(1, [{ key: 'c', value: '2' }]);
    writer.end(1, 'commit');
    writer.append(2, [{ key: 'd', value: '1' }]);
    writer.end(2, 'commit');
    await closeSegment();
    await clean();
    assert.equal(contents(), 'a=1@0 commit@4 abort@5 c=2@6 commit@7 d=1@8 commit@9');
  });

  it('keeps a marker, and its entry, while batches were there, then for delete.retention.ms', async () => {
    writer.append(1, [{ key: 'a', value: 'never' }]);
    writer.end(1, 'abort');
    writer.append(1, [{ key: 'a', value: '1' }]);
    writer.end(1, 'commit');
    await closeSegment();
    await clean();
    assert.equal(contents(), 'abort@1 a=1@2 commit@3');
    assert.deepEqual(log.abortedTransactions(0, 4), writer.abortedIn(0, 4));
    await closeSegment();
    await clean();
    assert.equal(contents(), 'abort@1+ a=1@2 commit@3');
    assert.deepEqual(log.abortedTransactions(0, 4), []);
    opened.clock.ms += COMPACTION.deleteRetentionMs - 1;
    await closeSegment();
    await clean();
    assert.equal(contents(), 'abort@1+ a=1@2 commit@3');
    opened.clock.ms += 1;
    await closeSegment();
    await clean();
    assert.equal(contents(), 'a=1@2 commit@3');
  });

  it('keeps the last batch of a producer, without its records, and with it the marker', async () => {
    writer.append(1, [{ key: 'a', value: 'never' }]);
    writer.end(1, 'abort');
    for (let round = 0; round < 3; round++) {
      opened.clock.ms += 2 * COMPACTION.deleteRetentionMs;
      await closeSegment();
      await clean();
      assert.equal(contents(), 'empty@0 abort@1');
    }
    const { baseSequence, producerId } = headersOf(log)[0]!;
    assert.deepEqual([producerId, baseSequence], [1, 0]);
  });

  it('knows of markers that lie behind the segments that are cleaned', async () => {
    writer.append(1, [{ key: 'a', value: 'never' }]);
    writer.append(1, [{ key: 'b', value: 'never' }]);
    await closeSegment();
    writer.end(1, 'abort');
    await makeDurable(opened.store, log);
    await clean();
    assert.equal(opened.store.cleaning.passes, 1);
    assert.equal(contents(), 'empty@1 abort@4');
    assert.deepEqual(
      readCommitted(log, 0, log.endOffset).filter(({ key }) => key !== 'filler'),
      [],
    );
  });

  it('leaves transactions alone that have not ended', async () => {
    writer.append(1, [{ key: 'a', value: '1' }]);
    await closeSegment();
    await clean();
    assert.equal(opened.store.cleaning.passes, 0);
    writer.end(1, 'abort');
    await closeSegment();
    await clean();
    assert.equal(contents(), 'empty@0 abort@3');
  });

  it('keeps the marker that tells the epoch of a producer which has written nothing in it', async () => {
    log.snapshotSource = () => [
      {
        producerId: 1,
        producerEpoch: 0,
        lastSequence: -1,
        lastOffset: -1,
        offsetDelta: 0,
        timestamp: 0,
        coordinatorEpoch: 0,
        currentTxnFirstOffset: -1,
      },
    ];
    writer.end(1, 'commit');
    for (let round = 0; round < 3; round++) {
      opened.clock.ms += 2 * COMPACTION.deleteRetentionMs;
      await closeSegment();
      await clean();
      assert.equal(contents(), 'commit@0');
    }
  });

  it('hides an old value by a committed tombstone, and not by an aborted one', async () => {
    writer.append(1, [{ key: 'a', value: '1' }]);
    writer.append(1, [{ key: 'b', value: '1' }]);
    writer.end(1, 'commit');
    writer.append(1, [{ key: 'a', value: null }]);
    writer.end(1, 'commit');
    writer.append(1, [{ key: 'b', value: null }]);
    writer.end(1, 'abort');
    await closeSegment();
    await clean();
    assert.equal(contents(), 'b=1@1 commit@2 commit@4 empty@5 abort@6');
  });

  it('shows a consumer the same state of all keys as before, whatever was cleaned, killed and stopped', async () => {
    const producers = fc.integer({ min: 1, max: 4 });
    const keys = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const steps = fc.array(
      fc.oneof(
        {
          weight: 10,
          arbitrary: fc.record({ append: producers, key: keys, tombstone: fc.integer({ min: 0, max: 5 }) }),
        },
        { weight: 5, arbitrary: fc.record({ end: producers, abort: fc.boolean() }) },
        { weight: 2, arbitrary: fc.constant('clean' as const) },
        { weight: 1, arbitrary: fc.constant('kill' as const) },
        { weight: 1, arbitrary: fc.constant('stop' as const) },
      ),
      { minLength: 20, maxLength: 70, size: 'max' },
    );
    await fc.assert(
      fc
        .asyncProperty(steps, async (all) => {
          let values = 0;
          /** In the order of their offsets: what is committed later may be older. */
          const offsets = new Map<string, { offset: number; value: string | null }>();
          const pending: { producerId: number; key: string; value: string | null; offset: number }[] = [];
          for (const step of all) {
            if (step === 'clean') {
              await closeSegment();
              opened.clock.ms += COMPACTION.deleteRetentionMs;
              await clean();
            } else if (step === 'kill' || step === 'stop') {
              await reopen(step);
            } else if ('append' in step) {
              const value = step.tombstone === 0 ? null : `v${values++}`;
              pending.push({ producerId: step.append, key: step.key, value, offset: log.endOffset });
              writer.append(step.append, [{ key: step.key, value }]);
            } else {
              writer.end(step.end, step.abort ? 'abort' : 'commit');
              for (const one of pending.filter(({ producerId }) => producerId === step.end)) {
                pending.splice(pending.indexOf(one), 1);
                const known = offsets.get(one.key);
                if (!step.abort && (known === undefined || known.offset < one.offset))
                  offsets.set(one.key, one);
              }
            }
          }
          for (const producerId of [1, 2, 3, 4]) writer.end(producerId, 'abort');
          const seen = new Map<string, string | null>();
          for (const { key, value } of readCommitted(log, log.startOffset, log.endOffset))
            if (key !== null && key !== 'filler') seen.set(key, value);
          const states = (of: Map<string, string | null>): string[] =>
            Array.from(of, ([key, value]) => `${key}=${value}`)
              .filter((state) => !state.endsWith('=null'))
              .toSorted();
          const expected = new Map([...offsets].map(([key, { value }]) => [key, value] as const));
          assert.deepEqual(states(seen), states(expected));
        })
        .beforeEach(async () => {
          await opened.store.close();
          folder.remove();
          await open();
          writer.append(9, [{ key: 'z', value: 'z' }]);
          writer.end(9, 'abort');
        }),
      { numRuns: 4, interruptAfterTimeLimit: 20_000 },
    );
  });
});
