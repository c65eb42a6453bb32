import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { verifyLog } from '../../src/storage/verify.ts';
import type { Log } from '../../src/storage/types.ts';
import { makeDurable, newLog, openStore, type Opened, temporaryFolder } from './helpers.ts';
import {
  COMPACTED,
  COMPACTION,
  type FoundRecord,
  keyedBatch,
  type Keyed,
  recordsOf,
  TIMESTAMP,
} from './keyed.ts';

const record = fc.record({
  key: fc.integer({ min: 0, max: 9 }).map((key) => `k${key}`),
  value: fc.option(fc.constantFrom('v', 'v'.repeat(40), 'v'.repeat(700)), { nil: null, freq: 4 }),
});

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      records: fc.array(record, { minLength: 1, maxLength: 8 }),
      codec: fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd'),
      newEpoch: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'clean' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(400, 1200) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
);

async function clean({ store, timers }: Opened): Promise<void> {
  await store.checkpoint();
  let over = false;
  const pass = store.cleaningPass().finally(() => (over = true));
  while (!over) {
    timers.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pass;
}

/** Everything that was written, against what is left of it. */
function check(log: Log, written: readonly FoundRecord[], epochs: readonly number[]): void {
  const found = recordsOf(log);
  const last = new Map<string | null, FoundRecord>();
  for (const one of written) last.set(one.key, one);
  for (const one of found) {
    assert.deepEqual(one, written[one.offset]);
    assert.ok(
      last.get(one.key)!.value !== null || found.some(({ offset }) => offset === last.get(one.key)!.offset),
    );
  }
  for (const one of last.values()) {
    const isFound = found.some(({ offset }) => offset === one.offset);
    assert.ok(isFound || one.value === null, `${one.key} was lost`);
  }
  assert.equal(log.endOffset, written.length);
  for (const [offset, epoch] of epochs.entries()) assert.equal(log.epochs.epochAt(offset), epoch);
  assert.deepEqual(verifyLog(log), []);
}

describe('a compacted log against all that was written to it', () => {
  it('keeps the last value of each key, and of a deleted key nothing without its tombstone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 16, max: 40 }),
        async (steps, slots) => {
          const folder = temporaryFolder();
          const options = { logConfig: COMPACTED, config: { cleanerDedupeBytes: 24 * slots } };
          let opened = await openStore(folder.path, options);
          let log = newLog(opened.store, {
            ...COMPACTED,
            compaction: { ...COMPACTION, deleteRetentionMs: 500 },
          });
          const written: FoundRecord[] = [];
          const epochs: number[] = [];
          let epoch = 0;
          let nowMs = opened.clock.ms;
          try {
            for (const one of steps) {
              if (one.kind === 'append') {
                if (one.newEpoch) epoch++;
                const records: Keyed[] = one.records.map((each, index) => ({
                  ...each,
                  timestamp: TIMESTAMP + written.length - index,
                }));
                log.append(
                  [keyedBatch(log.endOffset, records, { codec: one.codec, leaderEpoch: epoch })],
                  nowMs,
                );
                for (const { key, value, timestamp = 0 } of records) {
                  written.push({ offset: written.length, key, value, timestamp });
                  epochs.push(epoch);
                }
                await makeDurable(opened.store, log);
              } else if (one.kind === 'clean') await clean(opened);
              else if (one.kind === 'wait') nowMs += one.ms;
              else {
                await opened.store.close();
                opened = await openStore(folder.path, options);
                log = opened.store.get('orders', 0) ?? newLog(opened.store, COMPACTED);
                log.configure({ ...log.config, compaction: { ...COMPACTION, deleteRetentionMs: 500 } });
              }
              opened.clock.ms = nowMs;
              check(log, written, epochs);
            }
            assert.equal(opened.store.cleaning.uncleanableLogs, 0);
          } finally {
            await opened.store.close();
            folder.remove();
          }
        },
      ),
      { numRuns: 40 },
    );
  });
});
