import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readBatchHeader } from '@polylog/record';
import { verifyLog } from '../../src/storage/verify.ts';
import type { Log } from '../../src/storage/types.ts';
import { assertSameBatches, batchAt, newLog, openStore, readAll, temporaryFolder } from './helpers.ts';

type Command =
  | {
      readonly kind: 'append';
      readonly records: readonly number[];
      readonly valueBytes: number;
      readonly newEpoch: boolean;
    }
  | { readonly kind: 'truncate'; readonly part: number }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'read'; readonly part: number; readonly bytesMax: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      records: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
      valueBytes: fc.constantFrom(1, 40, 400, 3000),
      newEpoch: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('truncate' as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'checkpoint' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      part: fc.double({ min: 0, max: 1, noNaN: true }),
      bytesMax: fc.integer({ min: 1, max: 9000 }),
    }),
  },
);

interface ModelBatch {
  readonly baseOffset: number;
  readonly endOffset: number;
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

/** What a read from the offset must give: whole batches within the limits, at least one. */
function expectedRead(
  batches: readonly ModelBatch[],
  offset: number,
  endOffset: number,
  bytesMax: number,
): Uint8Array[] {
  const found: Uint8Array[] = [];
  let bytes = 0;
  for (const batch of batches) {
    if (batch.endOffset <= offset) continue;
    if (batch.endOffset > endOffset) break;
    if (found.length > 0 && bytes + batch.bytes.length > bytesMax) break;
    found.push(batch.bytes);
    bytes += batch.bytes.length;
  }
  return found;
}

function checkRead(log: Log, batches: readonly ModelBatch[], offset: number, bytesMax: number): void {
  const endOffset = Math.max(offset, log.endOffset - (bytesMax % 3));
  const outcome = log.read({ offset, endOffset, bytesMax, atLeastOneBatch: true });
  assert.equal(outcome.kind, 'records');
  if (outcome.kind !== 'records') return;
  const bytes = new Uint8Array(outcome.slice.bytes);
  outcome.slice.readInto(bytes, 0);
  outcome.slice.release();
  const expected = Buffer.concat(expectedRead(batches, offset, endOffset, bytesMax));
  // A slice lies in one segment, so that it may be shorter; but only by whole batches, and never empty.
  assert.ok(bytes.length > 0 || expected.length === 0, 'nothing was read');
  assert.ok(expected.subarray(0, bytes.length).equals(bytes), `other bytes from ${offset}`);
  const next = batches.find((batch) => batch.endOffset > offset);
  if (next !== undefined && bytes.length > 0)
    assert.equal(readBatchHeader(bytes).baseOffset, next.baseOffset);
}

describe('a log against a list of batches', () => {
  it('agrees after any sequence of appends, truncations, checkpoints and restarts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(command, { maxLength: 40 }),
        fc.constantFrom('fsync', 'os'),
        async (commands, flush) => {
          const folder = temporaryFolder();
          const logConfig = {
            flush,
            segmentBytes: 4000,
            indexIntervalBytes: 300,
            segmentIndexBytes: 160,
          } as const;
          const config = { openFilesMax: 4, journalBatchBytesMax: 2000, hotBytes: 2000 };
          let opened = await openStore(folder.path, { logConfig, config });
          let log: Log = newLog(opened.store, logConfig);
          let batches: ModelBatch[] = [];
          let epoch = 0;
          try {
            for (const step of commands) {
              if (step.kind === 'append') {
                if (step.newEpoch) epoch++;
                let offset = log.endOffset;
                const added = step.records.map((records) => {
                  const bytes = batchAt(offset, {
                    records,
                    valueBytes: step.valueBytes,
                    epoch,
                    fill: batches.length,
                  });
                  const batch = { baseOffset: offset, endOffset: offset + records, epoch, bytes };
                  offset += records;
                  return batch;
                });
                log.append(
                  added.map(({ bytes }) => bytes),
                  1_700_000_000_000,
                );
                batches.push(...added);
                opened.store.flushTurn();
              } else if (step.kind === 'truncate') {
                const at = batches[Math.floor(step.part * batches.length)];
                if (at !== undefined) {
                  log.truncate(at.baseOffset);
                  batches = batches.filter((batch) => batch.endOffset <= at.baseOffset);
                }
              } else if (step.kind === 'reopen') {
                await opened.store.close();
                opened = await openStore(folder.path, { logConfig, config });
                log = opened.store.get('orders', 0) ?? newLog(opened.store, logConfig);
              } else if (step.kind === 'checkpoint') {
                await opened.store.checkpoint();
              } else checkRead(log, batches, Math.floor(step.part * log.endOffset), step.bytesMax);
              assert.equal(log.endOffset, batches.at(-1)?.endOffset ?? 0);
            }
            assertSameBatches(
              readAll(log, 0, 700),
              batches.map(({ bytes }) => bytes),
            );
            for (const batch of batches) assert.equal(log.epochs.epochAt(batch.baseOffset), batch.epoch);
            assert.deepEqual(verifyLog(log), []);
          } finally {
            await opened.store.close();
            folder.remove();
          }
        },
      ),
      { numRuns: 60 },
    );
  });
});
