import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openLogStore } from '../../packages/broker/src/storage/log-store.ts';
import type { Log, LogStore } from '../../packages/broker/src/storage/types.ts';
import { verifyLog } from '../../packages/broker/src/storage/verify.ts';
import { TransactionWriter } from '../../packages/broker/test/storage/transactions.ts';
import { buildBatch, decodeBatch, readBatchHeader, sizeInBytes } from '../../packages/record/src/index.ts';
import type { CrashKind } from '../platform/disk.ts';
import { SimWorld } from '../platform/world.ts';
import { takeBytes } from './slices.ts';
import { COMPACTED_CONFIG } from '../workload/compacted-log.ts';

const TOPIC_ID = 'c3RvcmFnZS10b3BpYy1pZA';
const RECORDS = 30;
const KEYS = 5;
/** What a loss of power takes is chance. */
const RUNS_PER_OPERATION = { process: 1, power: 3 } as const;
/** Of one cleaning of this log there are fewer: the last rounds are not struck at all. */
const OPERATIONS_MAX = 125;

const config = {
  ...COMPACTED_CONFIG,
  segmentBytes: 2000,
  compaction: { ...COMPACTED_CONFIG.compaction!, minDirtyRatio: 0 },
};

function open(world: SimWorld): Promise<LogStore> {
  const platform = world.node('n').boot();
  const opening = openLogStore({
    ...platform,
    dataDirectory: '/data',
    config: { freeSpaceReserveBytes: 0, checkpointMs: 1e6, cleanerBackoffMs: 1e6, retentionCheckMs: 1e6 },
    logConfigOf: () => config,
  });
  return world.settle(opening);
}

function recordsOf(log: Log): Map<number, string> {
  const found = new Map<number, string>();
  for (let offset = 0; offset < log.endOffset;) {
    const outcome = log.read({ offset, endOffset: log.endOffset, bytesMax: 1, atLeastOneBatch: true });
    if (outcome.kind !== 'records') throw new Error(`${outcome.kind} at ${offset}`);
    const bytes = takeBytes(outcome.slice);
    const header = readBatchHeader(bytes);
    assert.equal(sizeInBytes(header), bytes.length);
    assert.equal(header.baseOffset, offset, 'a hole');
    for (const record of decodeBatch(bytes, { maxBytes: 1e6 }))
      found.set(record.offset, Buffer.from(record.key!).toString());
    offset = header.baseOffset + header.lastOffsetDelta + 1;
  }
  return found;
}

for (const kind of ['process', 'power'] as const satisfies readonly CrashKind[]) {
  it(`a crash (${kind}) within any disk operation of a cleaning leaves the log whole, cleaned or not`, async () => {
    let struck = 0;
    for (let run = 0; run < RUNS_PER_OPERATION[kind] * OPERATIONS_MAX; run++) {
      const operation = 1 + (run % OPERATIONS_MAX);
      const world = new SimWorld({ seed: run });
      const store = await open(world);
      const log = store.create({ topic: 'p', topicId: TOPIC_ID, partition: 0 }, config);
      log.cleaningBound = () => log.durableOffset;
      for (let offset = 0; offset < RECORDS; offset++) {
        const key = Buffer.from(`k${offset % KEYS}`);
        log.append(
          [
            buildBatch({
              baseOffset: offset,
              leaderEpoch: 0,
              records: [{ key, value: new Uint8Array(200), timestamp: 1 }],
            }),
          ],
          1,
        );
      }
      store.flushTurn();
      await world.settle(store.checkpoint());
      const node = world.node('n');
      node.disk.killAtOperation(operation, kind);
      const pass = store.cleaningPass();
      pass.catch(() => undefined);
      await world.advance(1000);
      const isStruck = !node.isUp;
      if (isStruck) struck++;
      node.disk.disarmKill();
      if (node.isUp) node.crash({ kind });
      const after = await open(world);
      const recovered = after.get('p', 0)!;
      assert.equal(recovered.endOffset, RECORDS);
      const found = recordsOf(recovered);
      for (let offset = RECORDS - KEYS; offset < RECORDS; offset++)
        assert.equal(found.get(offset), `k${offset % KEYS}`, `operation ${operation}: lost ${offset}`);
      assert.deepEqual(verifyLog(recovered), [], `operation ${operation}`);
      // It goes on from there.
      recovered.cleaningBound = () => recovered.durableOffset;
      await world.settle(after.cleaningPass());
      assert.equal(after.cleaning.failures, 0);
      assert.ok(recordsOf(recovered).size < 0.6 * RECORDS);
      assert.deepEqual(verifyLog(recovered), []);
      node.crash({ kind: 'process' });
    }
    assert.ok(
      struck > 20 && struck < RUNS_PER_OPERATION[kind] * OPERATIONS_MAX,
      `${struck} operations of a cleaning were struck`,
    );
  });
}

for (const [names, losesEntry] of [
  ['of indexes of aborted transactions', /\.txnindex/],
  ['of the other indexes', /^\d+\.(?:time)?index$/],
] as const) {
  it(`a loss of power that takes names ${names}, within any disk operation of a cleaning, takes no aborted transaction`, async () => {
    let struck = 0;
    for (let operation = 1; operation <= 60; operation++) {
      const world = new SimWorld({ seed: operation });
      const store = await open(world);
      const log = store.create({ topic: 'p', topicId: TOPIC_ID, partition: 0 }, config);
      log.cleaningBound = () => log.durableOffset;
      const transactions = new TransactionWriter(log);
      // The header stays, since it is that of the last batch of its producer.
      transactions.append(7, [{ key: 'aborted', value: 'v' }]);
      transactions.end(7, 'abort');
      for (let number = 0; number < RECORDS; number++) {
        const records = [{ key: Buffer.from(`k${number % KEYS}`), value: new Uint8Array(200), timestamp: 1 }];
        log.append([buildBatch({ baseOffset: log.endOffset, leaderEpoch: 0, records })], 1);
      }
      const { endOffset } = log;
      const before = log.abortedTransactions(0, endOffset);
      assert.equal(before.length, 1);
      store.flushTurn();
      await world.settle(store.checkpoint());
      const node = world.node('n');
      node.disk.losesEntry = (name) => losesEntry.test(name);
      node.disk.killAtOperation(operation, 'power');
      store.cleaningPass().catch(() => undefined);
      await world.advance(1000);
      if (!node.isUp) struck++;
      node.disk.disarmKill();
      if (node.isUp) node.crash({ kind: 'power' });
      const recovered = (await open(world)).get('p', 0)!;
      assert.deepEqual(recovered.abortedTransactions(0, endOffset), before, `operation ${operation}`);
      node.crash({ kind: 'process' });
    }
    assert.ok(struck > 20, `${struck} operations of a cleaning were struck`);
  });
}
