import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AppendResult } from '../../src/replication/types.ts';
import { FakeLog } from './fake-log.ts';
import { batch, bench } from './helpers.ts';

const ok = (baseOffset: number): AppendResult => ({ error: undefined, baseOffset, logStartOffset: 0 });
const errorOf = (place: { result: AppendResult | undefined }): string | undefined => place.result?.error;

describe('a standalone partition', () => {
  it('writes all batches of a turn with one append and starts one group commit', () => {
    const b = bench();
    const flushes = b.store.flushes;
    const first = b.append(batch({ records: 2 }));
    const second = b.append(batch({ records: 3 }));
    assert.equal(b.log.appends, 0);
    assert.equal(b.partition.logEndOffset, 0);
    b.loop.turn();
    assert.equal(b.log.appends, 1);
    assert.equal(b.store.flushes, flushes + 1);
    assert.equal(first.result, undefined);
    b.log.sync(2);
    assert.deepEqual(first.result, ok(0));
    assert.equal(second.result, undefined);
    assert.equal(b.partition.highWatermark, 2);
    b.log.sync();
    assert.deepEqual(second.result, ok(2));
  });

  it('stamps offset and leader epoch into the bytes', () => {
    const b = bench();
    b.append(batch({}));
    b.append(batch({}));
    b.loop.turn();
    assert.deepEqual(
      b.log.batches.map(({ header }) => [header.baseOffset, header.partitionLeaderEpoch]),
      [
        [0, 3],
        [1, 3],
      ],
    );
  });

  it('acknowledges acks=0 after the write, acks=1 and all after durability', () => {
    const b = bench();
    const places = ([0, 1, -1] as const).map((acks) => b.append(batch({}), acks));
    b.loop.turn();
    assert.deepEqual(
      places.map((place) => place.result !== undefined),
      [true, false, false],
    );
    b.log.sync();
    assert.ok(places.every((place) => place.result?.error === undefined && place.result !== undefined));
  });

  it('takes back a turn whose write failed, producer state included', () => {
    const b = bench();
    const before = b.append(batch({ producerId: 7, sequence: 0 }));
    b.loop.turn();
    const failing = b.append(batch({ producerId: 7, sequence: 1 }));
    const stranger = b.append(batch({ producerId: 8, sequence: 0 }));
    const duplicateOfFailing = b.append(batch({ producerId: 7, sequence: 1 }));
    b.log.failNext = 'cut';
    b.loop.turn();
    for (const place of [failing, stranger, duplicateOfFailing]) {
      assert.equal(errorOf(place), 'KAFKA_STORAGE_ERROR');
    }
    assert.equal(before.result, undefined);
    assert.equal(b.partition.producerCount, 1);
    const retry = b.append(batch({ producerId: 7, sequence: 1 }));
    b.loop.turn();
    b.log.sync();
    assert.deepEqual(before.result, ok(0));
    assert.deepEqual(retry.result, ok(1));
    assert.equal(b.log.endOffset, 2);
  });

  it('goes offline when the partial write could not be cut', () => {
    const b = bench();
    const failing = b.append(batch({}));
    b.log.failNext = 'offline';
    b.loop.turn();
    assert.equal(errorOf(failing), 'KAFKA_STORAGE_ERROR');
    const next = b.append(batch({}));
    b.loop.turn();
    assert.equal(errorOf(next), 'KAFKA_STORAGE_ERROR');
    assert.equal(b.partition.isLeader, false);
  });

  it('refuses before it writes when the disk is full, and recovers', () => {
    const b = bench();
    b.store.diskFull = true;
    const refused = b.append(batch({}));
    b.loop.turn();
    assert.equal(errorOf(refused), 'KAFKA_STORAGE_ERROR');
    assert.equal(b.log.appends, 0);
    b.store.diskFull = false;
    const taken = b.append(batch({}));
    b.loop.turn();
    b.log.sync();
    assert.deepEqual(taken.result, ok(0));
  });

  it('wakes subscribers once per turn in which the high watermark moved, also those that subscribe again', () => {
    const b = bench();
    let wakes = 0;
    let unsubscribe: () => void = () => undefined;
    const wake = (): void => {
      wakes++;
      unsubscribe();
      unsubscribe = b.partition.subscribe(wake);
    };
    unsubscribe = b.partition.subscribe(wake);
    b.append(batch({}));
    b.append(batch({}));
    b.loop.turn();
    assert.equal(wakes, 0);
    b.log.sync(1);
    b.log.sync(2);
    b.loop.turn();
    assert.equal(wakes, 1);
    b.loop.turn();
    assert.equal(wakes, 1);
  });

  it('hides what is not below the high watermark', () => {
    const b = bench();
    b.append(batch({ records: 3 }));
    b.loop.turn();
    const read = (isolation: 'read_uncommitted' | 'log_end', offset: number) => {
      const outcome = b.partition.read({ offset, bytesMax: 1000, atLeastOneBatch: true, isolation });
      return outcome.error ?? outcome.slice.bytes;
    };
    assert.equal(read('read_uncommitted', 0), 0);
    assert.equal(read('log_end', 0), 62);
    assert.equal(read('read_uncommitted', 3), 0);
    assert.equal(read('read_uncommitted', 4), 'OFFSET_OUT_OF_RANGE');
    b.log.sync();
    assert.equal(read('read_uncommitted', 2), 62);
  });

  it('answers waiting appends when it is closed', () => {
    const b = bench();
    const written = b.append(batch({}));
    b.loop.turn();
    const reserved = b.append(batch({}));
    b.partition.close();
    b.loop.turn();
    assert.equal(errorOf(written), 'NOT_LEADER_OR_FOLLOWER');
    assert.equal(errorOf(reserved), 'NOT_LEADER_OR_FOLLOWER');
    assert.equal(b.log.endOffset, 1);
  });

  it('snapshots the state of exactly the roll, also between two batches of a turn', () => {
    const b = bench();
    b.append(batch({ producerId: 7, sequence: 0 }));
    b.loop.turn();
    b.log.rollAt = 3;
    b.append(batch({ producerId: 7, sequence: 1 }));
    b.append(batch({ producerId: 8, sequence: 0 }));
    b.append(batch({ producerId: 7, sequence: 2 }));
    b.append(batch({ producerId: 9, sequence: 0 }));
    b.loop.turn();
    const entries = b.log.snapshots[0]!.entries.map((entry) => [
      entry.producerId,
      entry.lastSequence,
      entry.lastOffset,
    ]);
    assert.deepEqual(entries, [
      [7, 1, 1],
      [8, 0, 2],
    ]);
  });

  it('snapshots the same as a follower, between two batches that it fetched', () => {
    const leader = bench();
    leader.append(batch({ producerId: 7, sequence: 0 }));
    leader.append(batch({ producerId: 8, sequence: 0 }));
    leader.append(batch({ producerId: 7, sequence: 1 }));
    leader.loop.turn();
    const b = bench();
    const isr = [2, 1].map((id) => ({ id, brokerEpoch: 1 }));
    b.partition.applyRecord({ leader: 2, leaderEpoch: 4, partitionEpoch: 2, replicas: [2, 1], isr, elr: [] });
    b.log.rollAt = 2;
    const request = b.partition.nextFetch({ bytesMax: 1000, waitMsMax: 0 });
    assert.ok(request !== undefined);
    const bytes = Buffer.concat(leader.log.batches.map((one) => one.bytes));
    const response = { kind: 'records', bytes, highWatermark: 0, logStartOffset: 0 } as const;
    assert.equal(b.partition.handleFetchResponse(request, response), 'appended');
    const [snapshot] = b.log.snapshots;
    assert.deepEqual(
      snapshot?.entries.map(({ producerId, lastOffset }) => [producerId, lastOffset]),
      [
        [7, 0],
        [8, 1],
      ],
    );
  });

  it('rebuilds producer state from the snapshot and the headers behind it', () => {
    const log = new FakeLog();
    const b = bench(log);
    log.rollAt = 2;
    for (let sequence = 0; sequence < 3; sequence++) b.append(batch({ producerId: 7, sequence }));
    b.loop.turn();
    log.sync();
    const again = bench(log);
    const duplicate = again.append(batch({ producerId: 7, sequence: 2 }));
    const next = again.append(batch({ producerId: 7, sequence: 3 }));
    again.loop.turn();
    log.sync();
    assert.deepEqual(duplicate.result, ok(2));
    assert.deepEqual(next.result, ok(3));
  });

  it('moves the start of the log by DeleteRecords, up to the high watermark', async () => {
    const b = bench();
    b.append(batch({ records: 5 }));
    b.loop.turn();
    await assert.rejects(b.partition.deleteRecords(1), { code: 'OFFSET_OUT_OF_RANGE' });
    b.log.sync();
    assert.equal(await b.partition.deleteRecords(2), 2);
    assert.equal(await b.partition.deleteRecords(-1), 5);
    assert.equal(b.partition.logStartOffset, 5);
  });
});

describe('an idempotent producer', () => {
  it('gets the original offset for a duplicate, but not before the original is durable', () => {
    const b = bench();
    const original = b.append(batch({ producerId: 7, sequence: 0, records: 2 }));
    const sameTurn = b.append(batch({ producerId: 7, sequence: 0, records: 2 }));
    b.loop.turn();
    b.append(batch({ producerId: 7, sequence: 2 }));
    const nextTurn = b.append(batch({ producerId: 7, sequence: 0, records: 2 }), 1);
    b.loop.turn();
    for (const place of [original, sameTurn, nextTurn]) assert.equal(place.result, undefined);
    b.log.sync(2);
    for (const place of [original, sameTurn, nextTurn]) assert.deepEqual(place.result, ok(0));
    assert.equal(b.log.endOffset, 3);
  });

  it('is refused a gap, a stale epoch, and a new epoch that does not start at 0', () => {
    const b = bench();
    b.append(batch({ producerId: 7, producerEpoch: 2, sequence: 10 }));
    const refusals = [
      b.append(batch({ producerId: 7, producerEpoch: 2, sequence: 12 })),
      b.append(batch({ producerId: 7, producerEpoch: 1, sequence: 11 })),
      b.append(batch({ producerId: 7, producerEpoch: 3, sequence: 11 })),
    ];
    const accepted = b.append(batch({ producerId: 7, producerEpoch: 3, sequence: 0 }));
    b.loop.turn();
    b.log.sync();
    assert.deepEqual(refusals.map(errorOf), [
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      'INVALID_PRODUCER_EPOCH',
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    ]);
    assert.deepEqual(accepted.result, ok(1));
  });

  it('wraps its sequence from 2^31-1 to 0, also within a batch', () => {
    const b = bench();
    const top = 2 ** 31 - 1;
    b.append(batch({ producerId: 7, sequence: top - 1, records: 3 }));
    const next = b.append(batch({ producerId: 7, sequence: 1 }));
    const duplicate = b.append(batch({ producerId: 7, sequence: top - 1, records: 3 }));
    b.loop.turn();
    b.log.sync();
    assert.deepEqual(next.result, ok(3));
    assert.deepEqual(duplicate.result, ok(0));
  });

  it('has its last five batches remembered', () => {
    const b = bench();
    for (let sequence = 0; sequence < 6; sequence++) b.append(batch({ producerId: 7, sequence }));
    const fifth = b.append(batch({ producerId: 7, sequence: 1 }));
    const sixth = b.append(batch({ producerId: 7, sequence: 0 }));
    b.loop.turn();
    b.log.sync();
    assert.deepEqual(fifth.result, ok(1));
    assert.equal(errorOf(sixth), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
  });

  it('is forgotten after the expiration, and then accepted with any sequence', () => {
    const b = bench();
    b.append(batch({ producerId: 7, sequence: 0 }));
    b.loop.turn();
    b.clock.now = 999;
    b.partition.tick();
    assert.equal(b.partition.producerCount, 1);
    b.clock.now = 1000;
    b.partition.tick();
    assert.equal(b.partition.producerCount, 0);
    const later = b.append(batch({ producerId: 7, sequence: 55 }));
    b.loop.turn();
    b.log.sync();
    assert.deepEqual(later.result, ok(1));
  });
});
