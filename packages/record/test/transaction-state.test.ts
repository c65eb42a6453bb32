import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MalformedError } from '@polylog/bytes';
import fc from 'fast-check';
import {
  decodeTransactionKey,
  decodeTransactionValue,
  encodeTransactionKey,
  encodeTransactionValue,
  TRANSACTION_STATES,
  type StoredTransaction,
} from '../src/index.ts';

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

const PLAIN: StoredTransaction = {
  producerId: 258,
  previousProducerId: -1,
  nextProducerId: -1,
  producerEpoch: 7,
  timeoutMs: 60_000,
  state: 'PrepareCommit',
  partitions: new Map([['top', new Set([3, 5])]]),
  lastUpdateMs: 11,
  startMs: 10,
  clientTransactionVersion: 0,
};
const TAGGED = { ...PLAIN, previousProducerId: 256, nextProducerId: 259, clientTransactionVersion: 2 };
const EMPTY: StoredTransaction = {
  ...PLAIN,
  producerId: 1,
  producerEpoch: 0,
  timeoutMs: 1,
  state: 'Empty',
  partitions: new Map(),
  startMs: -1,
};

/** Written by TransactionLogKey and TransactionLogValue of kafka-transaction-coordinator 4.3.1. */
const GOLDEN: readonly (readonly [StoredTransaction, version: number, bytes: string])[] = [
  [
    PLAIN,
    0,
    '0000000000000000010200070000ea6002000000010003746f70000000020000000300000005000000000000000b000000000000000a',
  ],
  [
    PLAIN,
    1,
    '0001000000000000010200070000ea60020204746f7003000000030000000500000000000000000b000000000000000a00',
  ],
  [
    TAGGED,
    1,
    '0001000000000000010200070000ea60020204746f7003000000030000000500000000000000000b000000000000000a03000800000000000001000108000000000000010302020002',
  ],
  [EMPTY, 0, '0000000000000000000100000000000100ffffffff000000000000000bffffffffffffffff'],
  [EMPTY, 1, '000100000000000000010000000000010000000000000000000bffffffffffffffff00'],
];

const arbitraryTransaction: fc.Arbitrary<StoredTransaction> = fc.record(
  {
    producerId: fc.maxSafeNat(),
    previousProducerId: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
    nextProducerId: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
    producerEpoch: fc.integer({ min: -1, max: 32_767 }),
    timeoutMs: fc.nat(),
    state: fc.constantFrom(...TRANSACTION_STATES.filter((state) => state !== 'Empty')),
    partitions: fc
      .array(fc.tuple(fc.string({ maxLength: 249 }), fc.uniqueArray(fc.nat(), { maxLength: 5 })), {
        maxLength: 4,
      })
      .map((topics) => new Map(topics.map(([topic, indexes]) => [topic, new Set(indexes)]))),
    lastUpdateMs: fc.maxSafeNat(),
    startMs: fc.oneof(fc.constant(-1), fc.maxSafeNat()),
    clientTransactionVersion: fc.nat({ max: 2 }),
  },
  { noNullPrototype: true },
);

describe('records of __transaction_state', () => {
  it("have Kafka's bytes", () => {
    assert.equal(hex(encodeTransactionKey('tä')), '0000000374c3a4');
    for (const [transaction, version, bytes] of GOLDEN) {
      assert.equal(hex(encodeTransactionValue(transaction, version)), bytes);
      assert.deepEqual(decodeTransactionValue(Buffer.from(bytes, 'hex')), transaction);
    }
  });

  it('come back as they were written, but for what version 0 has no place for', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (id) =>
        assert.equal(decodeTransactionKey(encodeTransactionKey(id)), id),
      ),
    );
    fc.assert(
      fc.property(arbitraryTransaction, (transaction) => {
        assert.deepEqual(decodeTransactionValue(encodeTransactionValue(transaction, 1)), transaction);
        assert.deepEqual(decodeTransactionValue(encodeTransactionValue(transaction, 0)), {
          ...transaction,
          previousProducerId: -1,
          nextProducerId: -1,
          clientTransactionVersion: 0,
        });
      }),
    );
  });

  it('pass over tags and keys of a newer Kafka', () => {
    const bytes = Buffer.from(GOLDEN[1]![2], 'hex');
    const newer = Buffer.concat([bytes.subarray(0, -1), Buffer.from('0103020004', 'hex')]);
    assert.deepEqual(decodeTransactionValue(newer), PLAIN);
    assert.equal(decodeTransactionKey(Buffer.from('00010001', 'hex')), undefined);
  });

  it('are refused when they are cut short, of an unknown version or state, or claim more than they hold', () => {
    for (const [, , text] of GOLDEN) {
      const bytes = Buffer.from(text, 'hex');
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodeTransactionValue(bytes.subarray(0, length)), MalformedError);
      }
    }
    const changed = (at: number, bytes: string): Buffer => {
      const copy = Buffer.from(GOLDEN[0]![2], 'hex');
      copy.set(Buffer.from(bytes, 'hex'), at);
      return copy;
    };
    const STATUS_AT = 16;
    assert.throws(() => decodeTransactionValue(changed(0, '0002')), MalformedError);
    assert.throws(() => decodeTransactionValue(changed(STATUS_AT, '08')), MalformedError);
    assert.throws(() => decodeTransactionValue(changed(STATUS_AT + 1, '7fffffff')), MalformedError);
    assert.throws(() => decodeTransactionKey(Buffer.from('ffff000174', 'hex')), MalformedError);
    assert.throws(() => decodeTransactionKey(Buffer.from('0000ffff', 'hex')), MalformedError);
  });
});
