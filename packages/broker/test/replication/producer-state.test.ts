import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyBatchHeader } from '@polylog/record';
import fc from 'fast-check';
import { applyToSnapshot, ProducerStates } from '../../src/replication/producer-state.core.ts';

const WRAP = 2 ** 31;
const CLIENT = { origin: 'client' } as const;
const TRANSACTIONAL = 0b1_0000;

interface Batch {
  readonly producerId: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly records: number;
}

/** The rules, said as simply as possible: a list of batches per producer. */
class Model {
  readonly producers = new Map<
    number,
    { epoch: number; batches: { sequence: number; records: number; offset: number }[] }
  >();

  offer(batch: Batch, offset: number): string | number {
    const known = this.producers.get(batch.producerId);
    if (known !== undefined) {
      if (batch.epoch < known.epoch) return 'INVALID_PRODUCER_EPOCH';
      if (batch.epoch > known.epoch) {
        if (batch.sequence !== 0) return 'OUT_OF_ORDER_SEQUENCE_NUMBER';
      } else {
        const same = known.batches
          .slice(-5)
          .findLast(({ sequence, records }) => sequence === batch.sequence && records === batch.records);
        if (same !== undefined) return same.offset;
        const last = known.batches.at(-1)!;
        if (batch.sequence !== (last.sequence + last.records) % WRAP) return 'OUT_OF_ORDER_SEQUENCE_NUMBER';
      }
    }
    const before = known?.epoch === batch.epoch ? known.batches : [];
    const { sequence, records } = batch;
    this.producers.set(batch.producerId, {
      epoch: batch.epoch,
      batches: [...before, { sequence, records, offset }],
    });
    return 'appended';
  }

  copy(): Model {
    const copy = new Model();
    for (const [id, state] of this.producers)
      copy.producers.set(id, { ...state, batches: [...state.batches] });
    return copy;
  }
}

function headerOf(batch: Batch) {
  return {
    ...emptyBatchHeader(),
    producerId: batch.producerId,
    producerEpoch: batch.epoch,
    baseSequence: batch.sequence,
    lastOffsetDelta: batch.records - 1,
    recordCount: batch.records,
  };
}

const batches = fc.record({
  producerId: fc.integer({ min: 1, max: 3 }),
  epoch: fc.integer({ min: 0, max: 2 }),
  sequence: fc.oneof(fc.integer({ min: 0, max: 8 }), fc.integer({ min: WRAP - 4, max: WRAP - 1 })),
  records: fc.integer({ min: 1, max: 3 }),
  /** Take the sequence that comes next instead, so that most batches are in order. */
  inOrder: fc.boolean(),
});
const turns = fc.array(fc.record({ batches: fc.array(batches, { maxLength: 8 }), fails: fc.boolean() }), {
  maxLength: 12,
});

describe('producer state', () => {
  it('answers as the model does, over turns that succeed and turns that are taken back', () => {
    fc.assert(
      fc.property(turns, (all) => {
        const states = new ProducerStates({ expirationMs: 1e9 });
        let model = new Model();
        let offset = 0;
        for (const turn of all) {
          const modelBefore = model.copy();
          const offsetBefore = offset;
          const snapshotBefore = [...states.snapshot('now').values()];
          for (const drawn of turn.batches) {
            const last = model.producers.get(drawn.producerId)?.batches.at(-1);
            const next = last === undefined ? drawn.sequence : (last.sequence + last.records) % WRAP;
            const batch = { ...drawn, sequence: drawn.inOrder ? next : drawn.sequence };
            const header = { ...headerOf(batch), baseOffset: offset };
            const expected = model.offer(batch, offset);
            const refusal = states.check(header, CLIENT);
            const duplicate = states.duplicateLastOffset;
            const actual = refusal ?? (duplicate >= 0 ? duplicate - batch.records + 1 : 'appended');
            assert.equal(actual, expected);
            if (actual !== 'appended') continue;
            states.record(header, undefined, 0);
            offset += batch.records;
          }
          assert.deepEqual(sorted([...states.snapshot('before-turn').values()]), sorted(snapshotBefore));
          if (turn.fails) {
            states.rollback(0);
            model = modelBefore;
            offset = offsetBefore;
            assert.deepEqual(sorted([...states.snapshot('now').values()]), sorted(snapshotBefore));
          } else states.commit();
        }
      }),
      { numRuns: 400 },
    );
  });

  it('gives the same snapshot whether batches go through the state or onto a snapshot', () => {
    fc.assert(
      fc.property(fc.array(batches, { maxLength: 20 }), (all) => {
        const states = new ProducerStates({ expirationMs: 1e9 });
        const snapshot = states.snapshot('now');
        let offset = 0;
        for (const batch of all) {
          const header = { ...headerOf(batch), baseOffset: offset };
          if (states.check(header, CLIENT) !== undefined || states.duplicateLastOffset >= 0) continue;
          states.record(header, undefined, 7);
          applyToSnapshot(snapshot, header, undefined, 7);
          offset += batch.records;
        }
        assert.deepEqual(sorted([...snapshot.values()]), sorted([...states.snapshot('now').values()]));
      }),
      { numRuns: 200 },
    );
  });

  it('forgets the producer that was idle longest when there are too many, but none of the present turn', () => {
    const states = new ProducerStates({ expirationMs: 1e9, producersMax: 2 });
    const record = (producerId: number): void => {
      states.record(headerOf({ producerId, epoch: 0, sequence: 0, records: 1 }), undefined, 0);
    };
    for (const id of [1, 2]) record(id);
    states.commit();
    states.record(headerOf({ producerId: 1, epoch: 0, sequence: 1, records: 1 }), undefined, 0);
    states.commit();
    for (const id of [3, 4, 5]) record(id);
    assert.deepEqual([...states.snapshot('now').keys()], [3, 4, 5]);
    states.rollback(0);
    assert.equal(states.size, 0);
  });

  it('keeps producers with an open transaction, and forgets others though those are older', () => {
    const states = new ProducerStates({ expirationMs: 1e9, producersMax: 40 });
    const record = (producerId: number, attributes = 0): void => {
      const header = headerOf({ producerId, epoch: 0, sequence: 0, records: 1 });
      states.record({ ...header, attributes, baseOffset: producerId }, undefined, 0);
      states.commit();
    };
    for (let id = 0; id < 30; id++) record(id, TRANSACTIONAL);
    for (let id = 30; id < 1000; id++) record(id);
    assert.ok(states.size <= 42, `${states.size} producers`);
    for (let id = 0; id < 30; id++) assert.ok(states.hasOpenTransaction(id, 0));
  });

  it('finds all open transactions again in a snapshot of too many producers', () => {
    const states = new ProducerStates({ expirationMs: 1e9, producersMax: 40 });
    for (let id = 0; id < 50; id++) {
      const header = headerOf({ producerId: id, epoch: 0, sequence: 0, records: 1 });
      states.record({ ...header, attributes: TRANSACTIONAL, baseOffset: id }, undefined, 0);
      states.commit();
    }
    const again = new ProducerStates({ expirationMs: 1e9, producersMax: 40 });
    again.restore([...states.snapshot('now').values()]);
    for (let id = 0; id < 50; id++) assert.ok(again.hasOpenTransaction(id, 0));
    assert.equal(again.firstUnstableOffset, 0);
  });
});

function sorted<T extends { readonly producerId: number }>(entries: readonly T[]): T[] {
  return [...entries].sort((a, b) => a.producerId - b.producerId);
}
