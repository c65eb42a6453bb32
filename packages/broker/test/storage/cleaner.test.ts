import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { byUrgency, type Dirtiness } from '../../src/storage/cleaner/dirtiness.ts';
import { Pace } from '../../src/storage/cleaner/pace.ts';
import { noCounts } from '../../src/storage/cleaner/types.ts';
import { verifyLog } from '../../src/storage/verify.ts';
import type { Log, LogConfig } from '../../src/storage/types.ts';
import { makeDurable, newLog, openStore, type Opened, readAll, temporaryFolder } from './helpers.ts';
import {
  appendKeyed,
  COMPACTED,
  COMPACTION,
  headersOf,
  keyedBatch,
  recordsOf,
  summaryOf,
  TIMESTAMP,
} from './keyed.ts';

let folder: ReturnType<typeof temporaryFolder>;
let opened: Opened;

beforeEach(async () => {
  folder = temporaryFolder();
  opened = await openStore(folder.path);
});

afterEach(async () => {
  await opened.store.close();
  folder.remove();
});

/** Appends a batch and begins another segment behind it. */
async function closeSegment(log: Log): Promise<void> {
  appendKeyed(log, [{ key: 'filler', value: 'x'.repeat(1900) }]);
  appendKeyed(log, [{ key: 'filler', value: 'x'.repeat(1900) }]);
  await sync(log);
}

async function sync(log: Log): Promise<void> {
  await makeDurable(opened.store, log);
  await opened.store.checkpoint();
}

/** A cleaning runs on timers, which here run when they are told to. */
async function clean({ store, timers }: Opened = opened): Promise<void> {
  let over = false;
  const pass = store.cleaningPass().finally(() => (over = true));
  while (!over) {
    timers.advance(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await pass;
}

async function reopen(config: Partial<LogConfig> = COMPACTED): Promise<Log> {
  await opened.store.close();
  opened = await openStore(folder.path, { logConfig: config });
  return opened.store.get('orders', 0)!;
}

function withoutFiller(log: Log): string {
  return summaryOf(log)
    .replaceAll(/ ?filler=\S*/g, '')
    .trim();
}

describe('the log cleaner', () => {
  it('keeps the last record of each key, at its offset, and leaves no hole', async () => {
    const log = newLog(opened.store, COMPACTED);
    appendKeyed(log, [
      { key: 'a', value: '1' },
      { key: 'b', value: '1' },
    ]);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    appendKeyed(log, [
      { key: 'c', value: '1' },
      { key: 'a', value: '3' },
    ]);
    await closeSegment(log);
    const { endOffset } = log;
    await clean();
    assert.equal(withoutFiller(log), 'b=1@1 c=1@3 a=3@4');
    assert.equal(log.endOffset, endOffset);
    assert.deepEqual(verifyLog(log), []);
    assert.equal(opened.store.cleaning.passes, 1);
    assert.deepEqual(opened.logger.errors, []);
  });

  it('leaves the active segment alone', async () => {
    const log = newLog(opened.store, COMPACTED);
    appendKeyed(log, [{ key: 'a', value: '1' }]);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    await sync(log);
    await clean();
    assert.equal(summaryOf(log), 'a=1@0 a=2@1');
  });

  it('syncs what is due before it cleans it, and does not wait for the next checkpoint', async () => {
    const log = newLog(opened.store, COMPACTED);
    appendKeyed(log, [{ key: 'a', value: '1' }]);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    appendKeyed(log, [{ key: 'b', value: 'x'.repeat(1900) }]);
    appendKeyed(log, [{ key: 'b', value: 'x'.repeat(1900) }]);
    // Not durable yet: a checkpoint would not help.
    await clean();
    assert.equal(opened.store.cleaning.passes, 0);
    const checkpoints = opened.store.statistics().checkpoints.completed;
    await makeDurable(opened.store, log);
    await clean();
    assert.equal(opened.store.cleaning.passes, 1);
    assert.equal(opened.store.statistics().checkpoints.completed, checkpoints + 1);
    await clean();
    assert.equal(opened.store.statistics().checkpoints.completed, checkpoints + 1);
  });

  it('leaves alone what its owner says is not stable', async () => {
    const log = newLog(opened.store, COMPACTED);
    appendKeyed(log, [{ key: 'a', value: '1' }]);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    await closeSegment(log);
    // As after a start, before anybody has looked which transactions are open.
    log.cleaningBound = undefined;
    await clean();
    assert.equal(withoutFiller(log), 'a=1@0 a=2@1');
    log.cleaningBound = () => 1;
    await clean();
    assert.equal(withoutFiller(log), 'a=1@0 a=2@1');
    log.cleaningBound = () => log.endOffset;
    await clean();
    assert.equal(withoutFiller(log), 'a=2@1');
  });

  it('keeps a tombstone until its delete horizon, and then no record of the key', async () => {
    const log = newLog(opened.store, COMPACTED);
    appendKeyed(log, [{ key: 'a', value: '1' }]);
    appendKeyed(log, [
      { key: 'b', value: '1', timestamp: TIMESTAMP + 5 },
      { key: 'a', value: null, timestamp: TIMESTAMP + 7 },
    ]);
    await closeSegment(log);
    await clean();
    assert.equal(withoutFiller(log), 'b=1@1 a=-@2');
    const stamped = headersOf(log).find((header) => (header.attributes & 0x40) !== 0)!;
    assert.equal(stamped.baseTimestamp, opened.clock.ms + COMPACTION.deleteRetentionMs);
    // The records' own timestamps are as they were.
    assert.deepEqual(
      recordsOf(log)
        .slice(0, 2)
        .map(({ timestamp }) => timestamp - TIMESTAMP),
      [5, 7],
    );
    opened.clock.ms += COMPACTION.deleteRetentionMs - 1;
    await closeSegment(log);
    await clean();
    assert.equal(withoutFiller(log), 'b=1@1 a=-@2');
    opened.clock.ms += 1;
    await closeSegment(log);
    await clean();
    assert.equal(withoutFiller(log), 'b=1@1');
    assert.equal(recordsOf(log)[0]!.timestamp, TIMESTAMP + 5);
    assert.deepEqual(verifyLog(log), []);
  });

  it('makes one segment of adjacent small ones, and what was cleaned stays so after a restart', async () => {
    let log = newLog(opened.store, COMPACTED);
    for (let round = 0; round < 12; round++) {
      for (let key = 0; key < 4; key++)
        appendKeyed(log, [{ key: `k${key}`, value: `${round}`.padEnd(300, '.') }]);
    }
    await closeSegment(log);
    const segmentsBefore = readdirSync(`${folder.path}/orders-0`).filter((name) =>
      name.endsWith('.log'),
    ).length;
    await clean();
    await closeSegment(log);
    await clean();
    const before = summaryOf(log);
    const segments = readdirSync(`${folder.path}/orders-0`).filter((name) => name.endsWith('.log')).length;
    assert.ok(segments < segmentsBefore - 4, `${segmentsBefore} segments became ${segments}`);
    const checkpoint = readFileSync(`${folder.path}/cleaner-offset-checkpoint`, 'utf8');
    assert.match(checkpoint, /^0\n1\norders 0 \d+\n$/);
    log = await reopen();
    assert.equal(summaryOf(log), before);
    assert.deepEqual(verifyLog(log), []);
    await clean();
    assert.equal(opened.store.cleaning.passes, 0, 'nothing is dirty after a restart');
  });

  it('compacts batches of every codec', async () => {
    for (const [partition, codec] of (['gzip', 'snappy', 'lz4', 'zstd'] as const).entries()) {
      const log = newLog(opened.store, COMPACTED, 'orders', partition);
      const many = Array.from({ length: 20 }, (_, index) => ({ key: `k${index % 7}`, value: `${index}` }));
      appendKeyed(log, many, { codec });
      await closeSegment(log);
      await clean();
      assert.equal(
        withoutFiller(log),
        [13, 14, 15, 16, 17, 18, 19].map((index) => `k${index % 7}=${index}@${index}`).join(' '),
      );
      assert.equal(headersOf(log)[0]!.attributes & 7, ['gzip', 'snappy', 'lz4', 'zstd'].indexOf(codec) + 1);
      assert.deepEqual(verifyLog(log), []);
    }
  });

  it('keeps the header of the last batch of each producer', async () => {
    const log = newLog(opened.store, COMPACTED);
    const producer = { producerId: 7, producerEpoch: 2 };
    appendKeyed(log, [{ key: 'a', value: '1' }], { ...producer, baseSequence: 0 });
    appendKeyed(
      log,
      [
        { key: 'a', value: '2' },
        { key: 'b', value: '1' },
      ],
      { ...producer, baseSequence: 1 },
    );
    appendKeyed(log, [
      { key: 'a', value: '3' },
      { key: 'b', value: '2' },
    ]);
    log.snapshotSource = () => [
      {
        producerId: 7,
        producerEpoch: 2,
        lastSequence: 2,
        lastOffset: 2,
        offsetDelta: 1,
        timestamp: 0,
        coordinatorEpoch: -1,
        currentTxnFirstOffset: -1,
      },
    ];
    await closeSegment(log);
    await clean();
    assert.equal(withoutFiller(log), 'a=3@3 b=2@4');
    const [first, second] = headersOf(log);
    assert.deepEqual([first!.producerId, first!.baseOffset, first!.lastOffsetDelta], [-1, 0, 0]);
    assert.deepEqual(
      [
        second!.producerId,
        second!.producerEpoch,
        second!.baseSequence,
        second!.lastOffsetDelta,
        second!.recordCount,
      ],
      [7, 2, 1, 1, 0],
    );
  });

  it('splits what it removes where the leader epoch changes', async () => {
    const log = newLog(opened.store, COMPACTED);
    for (let epoch = 0; epoch < 3; epoch++) {
      for (let more = 0; more < 2; more++)
        appendKeyed(log, [{ key: 'a', value: 'x' }], { leaderEpoch: epoch });
    }
    appendKeyed(log, [{ key: 'a', value: 'y' }], { leaderEpoch: 3 });
    appendKeyed(log, [{ key: 'z', value: 'x'.repeat(1900) }], { leaderEpoch: 3 });
    appendKeyed(log, [{ key: 'z', value: 'x'.repeat(1900) }], { leaderEpoch: 3 });
    await sync(log);
    await clean();
    const shape = headersOf(log).map((header) => [
      header.baseOffset,
      header.lastOffsetDelta,
      header.partitionLeaderEpoch,
      header.recordCount,
    ]);
    assert.deepEqual(shape.slice(0, 4), [
      [0, 1, 0, 0],
      [2, 1, 1, 0],
      [4, 1, 2, 0],
      [6, 0, 3, 1],
    ]);
    for (let offset = 0; offset < 6; offset++)
      assert.equal(log.epochs.epochAt(offset), Math.floor(offset / 2));
  });

  it('waits for min.compaction.lag.ms, and does not wait beyond max.compaction.lag.ms', async () => {
    const lazy = { ...COMPACTION, minDirtyRatio: 1, minLagMs: 5000, maxLagMs: 60_000 };
    const log = newLog(opened.store, { ...COMPACTED, compaction: lazy });
    const timestamp = opened.clock.ms;
    appendKeyed(log, [{ key: 'a', value: '1', timestamp }]);
    appendKeyed(log, [{ key: 'a', value: '2', timestamp }]);
    await sync(log);
    opened.clock.ms += 60_000;
    await clean();
    assert.equal(opened.store.cleaning.passes, 0, 'it is exactly as late as it may be');
    opened.clock.ms += 1;
    // The first look makes a new active segment, the next one finds the old one.
    await clean();
    await clean();
    assert.equal(summaryOf(log), 'a=2@1');
    log.configure({ ...log.config, compaction: { ...lazy, minDirtyRatio: 0 } });
    appendKeyed(log, [{ key: 'a', value: '3', timestamp: opened.clock.ms }]);
    appendKeyed(log, [{ key: 'f', value: 'x'.repeat(1900), timestamp: opened.clock.ms }]);
    appendKeyed(log, [{ key: 'f', value: 'x'.repeat(1900), timestamp: opened.clock.ms }]);
    await sync(log);
    opened.clock.ms += 4999;
    await clean();
    assert.equal(opened.store.cleaning.passes, 1);
    opened.clock.ms += 1;
    await clean();
    assert.equal(opened.store.cleaning.passes, 2);
  });

  it('cleans only a log that is dirty enough', async () => {
    const log = newLog(opened.store, { ...COMPACTED, compaction: { ...COMPACTION, minDirtyRatio: 0.6 } });
    for (let more = 0; more < 4; more++) await closeSegment(log);
    await clean();
    assert.equal(opened.store.cleaning.passes, 1);
    for (let key = 0; key < 20; key++) appendKeyed(log, [{ key: `k${key}`, value: 'x'.repeat(1500) }]);
    await sync(log);
    await clean();
    assert.equal(opened.store.cleaning.passes, 2);
    for (let key = 0; key < 6; key++) appendKeyed(log, [{ key: `n${key}`, value: 'x'.repeat(1500) }]);
    await sync(log);
    await clean();
    assert.equal(opened.store.cleaning.passes, 2);
    assert.ok(opened.store.cleaning.dirtyRatioMax > 0 && opened.store.cleaning.dirtyRatioMax <= 0.6);
  });

  it('cleans what is late first, then what is dirtiest', () => {
    const log = newLog(opened.store, COMPACTED);
    const of = (ratio: number, lateMs: number): Dirtiness =>
      ({ log, segments: 1, dirtyFrom: 0, ratio, lateMs }) as unknown as Dirtiness;
    const sorted = [of(0.3, 0), of(0.9, 0), of(0.1, 5), of(0.2, 70)].sort(byUrgency);
    assert.deepEqual(
      sorted.map(({ ratio }) => ratio),
      [0.2, 0.1, 0.9, 0.3],
    );
  });

  it('keeps to the bytes per second that it may read and write', () => {
    const pace = new Pace(1000);
    const counts = { ...noCounts(), bytesRead: 300, bytesWritten: 200 };
    assert.equal(pace.pauseMs({ kind: 'progress', counts }), 500);
    assert.equal(pace.pauseMs({ kind: 'progress', counts: { ...counts, bytesRead: 400 } }), 100);
    assert.equal(new Pace(Infinity).pauseMs({ kind: 'progress', counts }), 0);
  });

  it('can be fetched by a follower, who then has the same offsets, epochs and records', async () => {
    const log = newLog(opened.store, COMPACTED);
    for (let epoch = 0; epoch < 4; epoch++) {
      for (let more = 0; more < 3; more++)
        appendKeyed(log, [{ key: `k${epoch % 2}`, value: 'x'.repeat(500) }], { leaderEpoch: epoch });
    }
    appendKeyed(log, [{ key: 'z', value: 'x'.repeat(1900) }], { leaderEpoch: 4 });
    appendKeyed(log, [{ key: 'z', value: 'x'.repeat(1900) }], { leaderEpoch: 4 });
    await sync(log);
    await clean();
    const follower = newLog(opened.store, COMPACTED, 'orders', 1);
    follower.append(
      readAll(log).map(({ bytes }) => bytes),
      TIMESTAMP,
    );
    assert.equal(follower.endOffset, log.endOffset);
    assert.equal(summaryOf(follower), summaryOf(log));
    assert.deepEqual(follower.epochs.entries, log.epochs.entries);
    assert.deepEqual(verifyLog(follower), []);
    await sync(follower);
    await clean();
    assert.equal(summaryOf(follower), summaryOf(log));
  });

  it('needs several cleanings when the table is too small for all keys', async () => {
    await opened.store.close();
    opened = await openStore(folder.path, { config: { cleanerDedupeBytes: 24 * 20 } });
    const log = newLog(opened.store, COMPACTED);
    for (let round = 0; round < 2; round++) {
      for (let key = 0; key < 50; key++) appendKeyed(log, [{ key: `k${key}`, value: `${round}` }]);
    }
    await closeSegment(log);
    await clean();
    assert.ok(opened.store.cleaning.passes > 2, `${opened.store.cleaning.passes}`);
    const expected = Array.from({ length: 50 }, (_, key) => `k${key}=1@${50 + key}`).join(' ');
    assert.equal(withoutFiller(log), expected);
  });

  it('takes a log out of cleaning whose bytes are damaged, and goes on with others', async () => {
    const log = newLog(opened.store, COMPACTED);
    const other = newLog(opened.store, COMPACTED, 'orders', 1);
    for (const one of [log, other]) {
      appendKeyed(one, [{ key: 'a', value: '1' }]);
      appendKeyed(one, [{ key: 'a', value: '2' }]);
      await closeSegment(one);
    }
    const { openSync, writeSync, closeSync } = await import('node:fs');
    const fd = openSync(`${folder.path}/orders-0/00000000000000000000.log`, 'r+');
    writeSync(fd, new Uint8Array([0xff]), 0, 1, 65);
    closeSync(fd);
    await clean();
    assert.equal(opened.store.cleaning.uncleanableLogs, 1);
    assert.equal(opened.store.cleaning.failures, 1);
    assert.equal(withoutFiller(other), 'a=2@1');
    assert.deepEqual(opened.logger.errors, [
      'A log could not be cleaned: it is left alone until the next start',
    ]);
    assert.ok(readdirSync(`${folder.path}/orders-0`).every((name) => !name.endsWith('.cleaned')));
  });

  it('keeps a batch that cannot be decoded', async () => {
    const log = newLog(opened.store, COMPACTED);
    const broken = keyedBatch(0, [{ key: 'a', value: '1' }], {});
    // Valid as a whole, but its records say that they are compressed.
    const { patchCrc } = await import('@polylog/record');
    broken[22] = 1;
    patchCrc(broken);
    log.append([broken], TIMESTAMP);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    appendKeyed(log, [{ key: 'a', value: '3' }]);
    await closeSegment(log);
    await clean();
    const counts = headersOf(log).map((header) => [header.baseOffset, header.recordCount]);
    assert.deepEqual(counts.slice(0, 3), [
      [0, 1],
      [1, 0],
      [2, 1],
    ]);
    assert.equal(opened.store.cleaning.undecodableBatches, 1);
  });

  it('cleans again from the start of what a truncation has taken', async () => {
    const log = newLog(opened.store, COMPACTED);
    for (let round = 0; round < 4; round++) {
      appendKeyed(log, [
        { key: 'a', value: `${round}` },
        { key: 'b', value: `${round}` },
      ]);
      await closeSegment(log);
    }
    await clean();
    log.truncate(5);
    appendKeyed(log, [{ key: 'a', value: null }]);
    await closeSegment(log);
    await clean();
    assert.doesNotMatch(withoutFiller(log), /a=\d/);
    assert.deepEqual(verifyLog(log), []);
    const reopened = await reopen();
    assert.deepEqual(verifyLog(reopened), []);
  });

  it('removes old segments as well where the policy is both compact and delete', async () => {
    const log = newLog(opened.store, { ...COMPACTED, deleteOldSegments: true, retentionMs: 10_000 });
    appendKeyed(log, [{ key: 'old', value: '1', timestamp: opened.clock.ms }]);
    appendKeyed(log, [{ key: 'a', value: 'x'.repeat(1900), timestamp: opened.clock.ms }]);
    opened.clock.ms += 8000;
    for (let more = 0; more < 3; more++)
      appendKeyed(log, [{ key: 'a', value: 'x'.repeat(1900), timestamp: opened.clock.ms }]);
    await sync(log);
    await clean();
    assert.match(summaryOf(log), /^old=1@0 a=/);
    opened.clock.ms += 4000;
    await opened.store.retentionPass(opened.clock.ms);
    assert.ok(log.startOffset > 0, 'nothing was removed');
    assert.doesNotMatch(summaryOf(log), /old/);
    assert.deepEqual(verifyLog(log), []);
    await closeSegment(log);
    await clean();
    assert.equal(opened.store.cleaning.uncleanableLogs, 0);
  });

  /** A log whose cleaning has begun and is not over; `finish` brings it to its end. */
  async function midway(): Promise<{ log: Log; finish: () => Promise<void> }> {
    await opened.store.close();
    // So slow that it pauses behind each segment.
    opened = await openStore(folder.path, { config: { cleanerBytesPerSecondMax: 1e5 } });
    const log = newLog(opened.store, COMPACTED);
    for (let round = 0; round < 30; round++)
      appendKeyed(log, [{ key: 'a', value: `${round}`.padEnd(900, '.') }]);
    await closeSegment(log);
    const { store, timers } = opened;
    let over = false;
    const pass = store.cleaningPass().finally(() => (over = true));
    timers.advance(0);
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(store.cleaning.isRunning);
    const finish = async (): Promise<void> => {
      while (!over) {
        timers.advance(1);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await pass;
      assert.equal(store.cleaning.failures, 0);
      assert.equal(store.cleaning.uncleanableLogs, 0);
    };
    return { log, finish };
  }

  function filesOf(partition = 0): string[] {
    return readdirSync(`${folder.path}/orders-${partition}`);
  }

  it('stops when the topic is no longer compacted, and begins again when it is', async () => {
    const { log, finish } = await midway();
    const { compaction, ...rest } = log.config;
    log.configure(rest);
    const before = summaryOf(log);
    await finish();
    assert.equal(summaryOf(log), before);
    assert.equal(opened.store.cleaning.passes, 0);
    assert.ok(filesOf().every((name) => !name.endsWith('.cleaned')));
    log.configure({ ...rest, compaction: compaction! });
    await clean();
    assert.equal(opened.store.cleaning.passes, 1);
    assert.equal(withoutFiller(log), `a=29${'.'.repeat(898)}@29`);
  });

  it('stops when the log is deleted, and leaves a new one of that name alone', async () => {
    const { log, finish } = await midway();
    const deletion = opened.store.delete(log);
    const fresh = newLog(opened.store, COMPACTED);
    appendKeyed(fresh, [{ key: 'new', value: '1' }]);
    await finish();
    await deletion;
    assert.equal(summaryOf(fresh), 'new=1@0');
    assert.ok(filesOf().every((name) => !name.endsWith('.cleaned')));
    await sync(fresh);
    const reopened = await reopen();
    assert.equal(summaryOf(reopened), 'new=1@0');
  });

  it('stops when the log is reset', async () => {
    const { log, finish } = await midway();
    log.reset(500);
    appendKeyed(log, [{ key: 'new', value: '1' }]);
    await finish();
    assert.equal(summaryOf(log), 'new=1@500');
    assert.equal(opened.store.cleaning.passes, 0);
    assert.deepEqual(verifyLog(log), []);
    assert.ok(filesOf().every((name) => !name.endsWith('.cleaned')));
  });

  it('goes on from what retention has left', async () => {
    const { log, finish } = await midway();
    log.advanceStartOffset(10);
    await opened.store.retentionPass(opened.clock.ms);
    await finish();
    assert.deepEqual(verifyLog(log), []);
    await clean();
    assert.equal(withoutFiller(log), `a=29${'.'.repeat(898)}@29`);
    assert.equal(log.startOffset, 10);
  });

  it('leaves no old files behind a clean stop', async () => {
    const log = newLog(opened.store, { ...COMPACTED, fileDeleteDelayMs: 60_000 });
    appendKeyed(log, [{ key: 'a', value: '1' }]);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    await closeSegment(log);
    await clean();
    assert.ok(filesOf().some((name) => name.endsWith('.deleted')));
    await reopen();
    assert.ok(filesOf().every((name) => !name.endsWith('.deleted')));
  });

  it('lets those who read old segments go on', async () => {
    const log = newLog(opened.store, COMPACTED);
    appendKeyed(log, [{ key: 'a', value: '1' }]);
    appendKeyed(log, [{ key: 'a', value: '2' }]);
    await closeSegment(log);
    const outcome = log.read({ offset: 0, endOffset: log.endOffset, bytesMax: 1e6, atLeastOneBatch: true });
    assert.equal(outcome.kind, 'records');
    if (outcome.kind !== 'records') return;
    const before = new Uint8Array(outcome.slice.bytes);
    outcome.slice.readInto(before, 0);
    await clean();
    opened.timers.advance(1);
    const after = new Uint8Array(outcome.slice.bytes);
    outcome.slice.readInto(after, 0);
    assert.deepEqual(after, before);
    outcome.slice.release();
  });

  it('skips empty batches at the start of what consumers read, if records follow', async () => {
    const log = newLog(opened.store, COMPACTED);
    for (let round = 0; round < 5; round++) {
      for (let more = 0; more < 5; more++) appendKeyed(log, [{ key: 'a', value: 'x'.repeat(300) }]);
    }
    await closeSegment(log);
    await clean();
    const read = (skipEmpty: boolean, endOffset = log.endOffset) => {
      const outcome = log.read({ offset: 0, endOffset, bytesMax: 1, atLeastOneBatch: true, skipEmpty });
      assert.equal(outcome.kind, 'records');
      if (outcome.kind !== 'records') throw new Error('unreachable');
      const bytes = new Uint8Array(outcome.slice.bytes);
      outcome.slice.readInto(bytes, 0);
      outcome.slice.release();
      return headerOf(bytes);
    };
    assert.deepEqual(read(false), [0, 0]);
    assert.deepEqual(read(true), [24, 1]);
    assert.deepEqual(read(true, 24), [0, 0], 'nothing but empty ones below the bound');
  });
});

function headerOf(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return [Number(view.getBigInt64(0)), view.getInt32(57)];
}
