import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { batchAttributes, endTransactionOf } from '@polylog/record';
import fc from 'fast-check';
import type { AppendResult, TransactionEnd } from '../../src/replication/types.ts';
import { FakeLog } from './fake-log.ts';
import { batch, bench, type Bench } from './helpers.ts';
import { ProducerStates } from '../../src/replication/producer-state.core.ts';
import { VERIFICATION_MS_MAX, Verifications } from '../../src/replication/verifications.core.ts';

const TRANSACTIONAL = batchAttributes({
  codecId: 0,
  timestampType: 'create',
  transactional: true,
  control: false,
  deleteHorizon: false,
});

interface Place {
  result: AppendResult | undefined;
}

interface Written {
  readonly producerId?: number;
  readonly epoch?: number;
  readonly sequence?: number;
  readonly records?: number;
}

/** A transactional batch whose producer has asked before, as the produce path does. */
function append(b: Bench, { producerId = 7, epoch = 0, sequence = 0, records = 1 }: Written = {}): Place {
  const producer = { producerId, producerEpoch: epoch, baseSequence: sequence };
  const verification = b.partition.startVerification(producer, false, b.clock.now);
  assert.equal(typeof verification, 'number');
  return appendVerified(b, { producerId, epoch, sequence, records }, Number(verification));
}

function appendVerified(b: Bench, written: Written, verification: number): Place {
  const { producerId = 7, epoch = 0, sequence = 0, records = 1 } = written;
  const place: Place = { result: undefined };
  const bytes = batch({ producerId, producerEpoch: epoch, sequence, records, attributes: TRANSACTIONAL });
  b.partition.append(
    bytes,
    { requiredAcks: -1, nowMs: b.clock.now, origin: 'client', verification },
    (result) => (place.result = result),
  );
  return place;
}

function end(b: Bench, change: Partial<TransactionEnd> = {}): Place {
  const place: Place = { result: undefined };
  const marker: TransactionEnd = {
    producerId: 7,
    producerEpoch: 0,
    result: 'commit',
    coordinatorEpoch: 0,
    transactionVersion: 1,
    ...change,
  };
  b.partition.appendMarker(marker, b.clock.now, (result) => (place.result = result));
  return place;
}

function settle(b: Bench): void {
  b.loop.turn();
  b.log.sync();
  b.loop.turn();
}

const errorOf = (place: Place): string | undefined => {
  assert.ok(place.result !== undefined, 'no answer');
  return place.result.error;
};

describe('the last stable offset', () => {
  it('stays at the first record of an open transaction, and passes its marker once that is replicated', () => {
    const b = bench();
    b.append(batch({}));
    append(b, { sequence: 0 });
    append(b, { sequence: 1 });
    b.append(batch({}));
    settle(b);
    assert.deepEqual([b.partition.highWatermark, b.partition.lastStableOffset], [4, 1]);
    const marker = end(b);
    b.loop.turn();
    assert.equal(b.partition.lastStableOffset, 1);
    assert.equal(marker.result, undefined);
    settle(b);
    assert.equal(errorOf(marker), undefined);
    assert.deepEqual([b.partition.highWatermark, b.partition.lastStableOffset], [5, 5]);
  });

  it('waits for a completed transaction whose marker is above the high watermark, though a later one is open', () => {
    const b = bench();
    append(b, { producerId: 1 });
    append(b, { producerId: 2 });
    b.loop.turn();
    b.log.sync();
    end(b, { producerId: 1 });
    b.loop.turn();
    assert.equal(b.partition.lastStableOffset, 0);
    b.log.sync();
    assert.equal(b.partition.lastStableOffset, 1);
  });

  it('does not pass a completed transaction when the high watermark rises, but not over its marker', () => {
    const b = bench();
    append(b);
    b.append(batch({}));
    end(b);
    b.loop.turn();
    b.log.sync(2);
    assert.deepEqual([b.partition.highWatermark, b.partition.lastStableOffset], [2, 0]);
    b.log.sync(3);
    assert.equal(b.partition.lastStableOffset, 3);
  });

  it('is moved, and its waiters are woken, by the turn that moves the high watermark over the marker', () => {
    const b = bench();
    append(b);
    settle(b);
    let woken = 0;
    b.partition.subscribe(() => woken++);
    end(b);
    b.loop.turn();
    assert.equal(woken, 0);
    settle(b);
    assert.equal(woken, 1);
    assert.equal(b.partition.lastStableOffset, 2);
  });

  it('is as before when the turn of the marker could not be written', () => {
    const b = bench();
    append(b);
    settle(b);
    const marker = end(b);
    b.append(batch({}));
    append(b, { producerId: 8 });
    b.log.failNext = 'cut';
    settle(b);
    assert.equal(errorOf(marker), 'KAFKA_STORAGE_ERROR');
    assert.equal(b.partition.lastStableOffset, 0);
    assert.deepEqual(b.log.aborted, []);
    end(b, { result: 'abort' });
    settle(b);
    assert.equal(b.partition.lastStableOffset, 2);
    assert.deepEqual(b.log.aborted, [{ producerId: 7, firstOffset: 0, lastOffset: 1, lastStableOffset: 2 }]);
  });

  it('does not go above the start of the log for a transaction whose first records were deleted', async () => {
    const b = bench();
    append(b, { records: 4 });
    b.append(batch({ records: 2 }));
    settle(b);
    const deleted = b.partition.deleteRecords(3);
    settle(b);
    await deleted;
    assert.equal(b.partition.lastStableOffset, 3);
  });
});

describe('a marker', () => {
  it('is refused from an older coordinator and from an older producer, and one that ends nothing is written', () => {
    const b = bench();
    assert.equal(errorOf(done(b, end(b, { producerEpoch: 3, coordinatorEpoch: 5 }))), undefined);
    assert.equal(
      errorOf(done(b, end(b, { producerEpoch: 3, coordinatorEpoch: 4 }))),
      'TRANSACTION_COORDINATOR_FENCED',
    );
    assert.equal(
      errorOf(done(b, end(b, { producerEpoch: 2, coordinatorEpoch: 5 }))),
      'INVALID_PRODUCER_EPOCH',
    );
    assert.equal(b.partition.logEndOffset, 1);
  });

  it('of version 1 ends the transaction of the same epoch; of version 2 it must have a higher one, but may come again', () => {
    const b = bench();
    append(b, { epoch: 4 });
    settle(b);
    const version2 = { transactionVersion: 2 };
    assert.equal(errorOf(done(b, end(b, { producerEpoch: 4, ...version2 }))), 'INVALID_PRODUCER_EPOCH');
    assert.equal(errorOf(done(b, end(b, { producerEpoch: 5, ...version2 }))), undefined);
    assert.equal(errorOf(done(b, end(b, { producerEpoch: 5, ...version2 }))), undefined);
    append(b, { epoch: 5 });
    settle(b);
    assert.equal(errorOf(done(b, end(b, { producerEpoch: 5, ...version2 }))), 'INVALID_PRODUCER_EPOCH');
    assert.equal(errorOf(done(b, end(b, { producerEpoch: 5 }))), undefined);
  });

  it('raises the epoch: later batches begin at sequence 0, and older ones are refused', () => {
    const b = bench();
    append(b, { sequence: 0 });
    append(b, { sequence: 1 });
    end(b, { producerEpoch: 1, transactionVersion: 2 });
    settle(b);
    const stale = { producerId: 7, producerEpoch: 0, baseSequence: 2 };
    assert.equal(b.partition.startVerification(stale, true, 0), 'INVALID_PRODUCER_EPOCH');
    assert.equal(errorOf(done(b, append(b, { epoch: 1, sequence: 2 }))), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    assert.equal(errorOf(done(b, append(b, { epoch: 1, sequence: 0 }))), undefined);
  });

  it('is a control record with the coordinator epoch, in a batch of the producer', () => {
    const b = bench();
    append(b);
    end(b, { result: 'abort', coordinatorEpoch: 9 });
    settle(b);
    const { header, bytes } = b.log.batches[1]!;
    assert.deepEqual([header.producerId, header.producerEpoch, header.baseSequence], [7, 0, -1]);
    assert.deepEqual(endTransactionOf(bytes, header), { type: 'abort', coordinatorEpoch: 9 });
  });
});

function done(b: Bench, place: Place): Place {
  settle(b);
  return place;
}

describe('a transactional batch', () => {
  it('needs a verification only while no transaction of its producer is open here', () => {
    const b = bench();
    assert.equal(errorOf(done(b, appendVerified(b, {}, 0))), 'INVALID_TXN_STATE');
    assert.equal(errorOf(done(b, append(b))), undefined);
    const next = { producerId: 7, producerEpoch: 0, baseSequence: 1 };
    assert.equal(b.partition.startVerification(next, false, 0), 0);
    assert.equal(errorOf(done(b, appendVerified(b, { sequence: 1 }, 0))), undefined);
    end(b);
    settle(b);
    assert.equal(errorOf(done(b, appendVerified(b, { sequence: 2 }, 0))), 'INVALID_TXN_STATE');
  });

  it('is refused when a marker came between its verification and its append, also if another verification began since', () => {
    const b = bench();
    const producer = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    const verification = Number(b.partition.startVerification(producer, false, 0));
    end(b, { result: 'abort' });
    settle(b);
    const second = Number(b.partition.startVerification(producer, false, 0));
    assert.notEqual(second, verification);
    assert.equal(errorOf(done(b, appendVerified(b, {}, verification))), 'INVALID_TXN_STATE');
    assert.equal(errorOf(done(b, appendVerified(b, {}, second))), undefined);
  });

  it('does not overtake an earlier one whose verification failed', () => {
    const b = bench();
    const first = { producerId: 7, producerEpoch: 0, baseSequence: 0 };
    b.partition.startVerification(first, false, 0);
    const second = b.partition.startVerification({ ...first, baseSequence: 1 }, false, 0);
    const place = appendVerified(b, { sequence: 1 }, Number(second));
    assert.equal(errorOf(done(b, place)), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
  });

  it('of version 2 begins at sequence 0 where its producer is not known', () => {
    const b = bench();
    const producer = { producerId: 7, producerEpoch: 0, baseSequence: 5 };
    const verification = Number(b.partition.startVerification(producer, true, 0));
    const place = appendVerified(b, { sequence: 5 }, verification);
    assert.equal(errorOf(done(b, place)), 'OUT_OF_ORDER_SEQUENCE_NUMBER');
    assert.equal(errorOf(done(b, append(b, { producerId: 9, sequence: 5 }))), undefined);
  });

  it('goes before a batch of its producer without a transaction, which is refused', () => {
    const b = bench();
    append(b);
    settle(b);
    const plain = b.append(batch({ producerId: 7, sequence: 1 }));
    assert.equal(errorOf(done(b, plain)), 'INVALID_TXN_STATE');
  });
});

const steps = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant('transactional' as const),
        producer: fc.integer({ min: 1, max: 4 }),
        records: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('plain' as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('marker' as const),
        producer: fc.integer({ min: 1, max: 4 }),
        abort: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ kind: fc.constant('turn' as const), fails: fc.integer({ min: 0, max: 9 }) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('sync' as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('roll' as const), ahead: fc.integer({ min: 0, max: 4 }) }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
  ),
  { maxLength: 60, size: 'max' },
);

interface ModelTransaction {
  readonly producerId: number;
  readonly firstOffset: number;
  markerOffset: number | undefined;
  aborted: boolean;
}

/** Everything that the log says about transactions, worked out anew from its batches. */
function transactionsIn(log: FakeLog): ModelTransaction[] {
  const all: ModelTransaction[] = [];
  const open = new Map<number, ModelTransaction>();
  for (const { header, bytes } of log.batches) {
    const marker = endTransactionOf(bytes, header);
    const { producerId, baseOffset } = header;
    const transaction = open.get(producerId);
    if (marker !== undefined && transaction !== undefined) {
      transaction.markerOffset = baseOffset;
      transaction.aborted = marker.type === 'abort';
      open.delete(producerId);
    } else if (marker === undefined && producerId >= 0 && transaction === undefined) {
      const begun = { producerId, firstOffset: baseOffset, markerOffset: undefined, aborted: false };
      open.set(producerId, begun);
      all.push(begun);
    }
  }
  return all;
}

function expectedLastStable(transactions: readonly ModelTransaction[], highWatermark: number): number {
  let stable = highWatermark;
  for (const { firstOffset, markerOffset } of transactions)
    if (markerOffset === undefined || markerOffset >= highWatermark) stable = Math.min(stable, firstOffset);
  return stable;
}

describe('transactions', () => {
  it('are what the log says, over failed turns, partial syncs, rolls and restarts', () => {
    fc.assert(
      fc.property(steps, (all) => {
        let b = bench(new FakeLog());
        const sequences = new Map<number, number>();
        let before = new Map(sequences);
        for (const step of all) {
          if (step.kind === 'transactional') {
            const sequence = sequences.get(step.producer) ?? 0;
            append(b, { producerId: step.producer, sequence, records: step.records });
            sequences.set(step.producer, sequence + step.records);
          } else if (step.kind === 'plain') {
            b.append(batch({}));
          } else if (step.kind === 'marker') {
            end(b, { producerId: step.producer, result: step.abort ? 'abort' : 'commit' });
          } else if (step.kind === 'turn') {
            if (step.fails === 0) b.log.failNext = 'cut';
            const { appends } = b.log;
            b.loop.turn();
            if (step.fails === 0 && b.log.appends > appends) {
              sequences.clear();
              for (const [producer, sequence] of before) sequences.set(producer, sequence);
            }
            b.log.failNext = 'no';
            before = new Map(sequences);
          } else if (step.kind === 'sync') {
            const { durableOffset, endOffset } = b.log;
            b.log.sync(durableOffset + Math.floor((endOffset - durableOffset) * step.share));
          } else if (step.kind === 'roll') {
            b.log.rollAt = b.log.endOffset + step.ahead;
          } else {
            b.loop.turn();
            b.log.sync();
            b = bench(b.log);
            before = new Map(sequences);
          }
          const transactions = transactionsIn(b.log);
          const { highWatermark, lastStableOffset } = b.partition;
          assert.equal(lastStableOffset, expectedLastStable(transactions, highWatermark));
          const indexed = b.log.aborted.map(({ producerId, firstOffset, lastOffset }) => [
            producerId,
            firstOffset,
            lastOffset,
          ]);
          const aborted = transactions
            .filter((one) => one.aborted)
            .map((one) => [one.producerId, one.firstOffset, one.markerOffset]);
          assert.deepEqual(
            indexed,
            aborted.sort((x, y) => Number(x[2]) - Number(y[2])),
          );
        }
        b.loop.turn();
        const open = new Map(
          b.partition
            .describeProducers()
            .map((one) => [one.producerId, one.transactionStartOffset] as const)
            .filter(([, firstOffset]) => firstOffset >= 0),
        );
        const expected = transactionsIn(b.log).filter((one) => one.markerOffset === undefined);
        assert.deepEqual(open, new Map(expected.map((one) => [one.producerId, one.firstOffset])));
      }),
      { numRuns: 400 },
    );
  });
});

describe('a verification', () => {
  it('whose append never comes is forgotten when its client cannot repeat it any more', () => {
    const verifications = new Verifications();
    const producer = { id: 7, epoch: 0, sequence: 3 };
    verifications.start(producer, false, 1000);
    verifications.expire(1000 + VERIFICATION_MS_MAX - 1);
    assert.equal(verifications.isOutOfOrder(7, 4, false), true);
    verifications.expire(1000 + VERIFICATION_MS_MAX);
    assert.equal(verifications.size, 0);
  });
});

describe('the producers of a partition', () => {
  it('have a late transaction where one is open and its producer has written nothing for long', () => {
    const producers = new ProducerStates({ expirationMs: 1e9 });
    const snapshot = (producerId: number, timestamp: number, currentTxnFirstOffset: number) => ({
      producerId,
      producerEpoch: 0,
      lastSequence: 0,
      lastOffset: 5,
      offsetDelta: 0,
      timestamp,
      coordinatorEpoch: 0,
      currentTxnFirstOffset,
    });
    producers.restore([snapshot(1, 100, -1), snapshot(2, 200, 3), snapshot(3, 300, -1)]);
    assert.equal(producers.hasTransactionIdleSince(199), false);
    assert.equal(producers.hasTransactionIdleSince(200), true);
    producers.restore([snapshot(1, 100, -1)]);
    assert.equal(producers.hasTransactionIdleSince(1000), false);
  });
});
