import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeTransactionValue, encodeTransactionKey, encodeTransactionValue } from '@polylog/record';
import { firstTransaction } from '../../src/transactions/transaction.core.ts';
import { Transactions, partition } from './harness.ts';

/** As if the id had been used so often that its producer has this epoch. */
function withEpoch(transactions: Transactions, producerEpoch: number): void {
  const value = encodeTransactionValue({ ...firstTransaction(7, 10_000, 0), producerEpoch }, 1);
  transactions.log.records.push({ key: encodeTransactionKey('t'), value });
  transactions.reload();
}

describe('InitProducerId of a transactional id', () => {
  it('gives a fresh producer id first, and the next epoch each time after that', () => {
    const transactions = new Transactions();
    assert.deepEqual(transactions.init(), { producerId: 1000, producerEpoch: 0 });
    assert.deepEqual(transactions.init(), { producerId: 1000, producerEpoch: 1 });
    assert.deepEqual(transactions.init({ transactionalId: 'u' }), { producerId: 1001, producerEpoch: 0 });
    transactions.reload();
    assert.deepEqual(transactions.init(), { producerId: 1000, producerEpoch: 2 });
  });

  it('is answered when the epoch is durable, not before', () => {
    const transactions = new Transactions();
    transactions.log.held = true;
    const answers = transactions.askInit();
    assert.deepEqual(answers, []);
    transactions.log.settle();
    assert.deepEqual(answers, [{ producerId: 1000, producerEpoch: 0 }]);
    const failed = transactions.askInit();
    transactions.log.settle('NOT_COORDINATOR');
    assert.deepEqual(failed, ['NOT_COORDINATOR']);
  });

  it('refuses time-outs above transaction.max.timeout.ms, and none at all', () => {
    const transactions = new Transactions();
    assert.equal(transactions.init({ timeoutMs: 60_001 }), 'INVALID_TRANSACTION_TIMEOUT');
    assert.equal(transactions.init({ timeoutMs: 0 }), 'INVALID_TRANSACTION_TIMEOUT');
    assert.deepEqual(transactions.init({ timeoutMs: 60_000 }), { producerId: 1000, producerEpoch: 0 });
  });

  it('refuses an empty id, one that a key cannot hold, and more ids than one coordinator may have', () => {
    const transactions = new Transactions();
    assert.equal(transactions.init({ transactionalId: '' }), 'INVALID_REQUEST');
    assert.equal(transactions.init({ transactionalId: 'ä'.repeat(16_384) }), 'INVALID_REQUEST');
    for (let id = 0; id < 5; id++) transactions.producer({ transactionalId: `t${id}` });
    assert.equal(transactions.init({ transactionalId: 't5' }), 'POLICY_VIOLATION');
    transactions.producer({ transactionalId: 't4' });
  });

  it('refuses ids and partitions that take more memory than all may have, and frees what is given up', () => {
    const transactions = new Transactions({ stateBytesMax: 20_000 });
    const producer = transactions.producer();
    assert.equal(transactions.init({ transactionalId: 'x'.repeat(10_000) }), 'POLICY_VIOLATION');
    const long = Array.from({ length: 20 }, (_, topic) => `${'x'.repeat(240)}${topic}-0`);
    assert.equal(transactions.add(producer, ...long), 'POLICY_VIOLATION');
    const bytes = transactions.counters.stateBytes;
    assert.equal(transactions.add(producer, ...long.slice(0, 10)), undefined);
    assert.ok(transactions.counters.stateBytes > bytes);
    transactions.end(producer, 'commit');
    assert.equal(transactions.counters.stateBytes, bytes);
    transactions.reload();
    assert.equal(transactions.counters.stateBytes, bytes);
    transactions.core.close();
    assert.equal(transactions.counters.stateBytes, 0);
  });

  it('goes on from what the producer has (KIP-360), gives the same answer to a retry, and fences all others', () => {
    const transactions = new Transactions();
    const first = transactions.producer();
    const second = transactions.producer({ expected: first });
    assert.deepEqual(second, { producerId: 1000, producerEpoch: 1 });
    assert.deepEqual(transactions.init({ expected: first }), second, 'a retry');
    const successor = transactions.producer();
    assert.equal(transactions.init({ expected: first }), 'PRODUCER_FENCED');
    assert.equal(transactions.init({ expected: second }), 'PRODUCER_FENCED');
    assert.equal(
      transactions.init({ expected: { producerId: 4, producerEpoch: successor.producerEpoch } }),
      'PRODUCER_FENCED',
    );
  });

  it('takes a fresh producer id when the epochs are used up, also if the first answer is lost', () => {
    const transactions = new Transactions();
    withEpoch(transactions, 32_765);
    const last = transactions.producer();
    assert.deepEqual(last, { producerId: 7, producerEpoch: 32_766 });
    for (const what of ['first', 'retry', 'another retry'])
      assert.deepEqual(transactions.init({ expected: last }), { producerId: 1000, producerEpoch: 0 }, what);
    withEpoch(transactions, 32_766);
    assert.deepEqual(transactions.init(), { producerId: 1001, producerEpoch: 0 });
  });

  it('aborts what a predecessor has begun, and is answered once that is over', () => {
    const transactions = new Transactions();
    const first = transactions.producer();
    transactions.add(first, 'a-0');
    transactions.prompt = false;
    assert.equal(transactions.init(), 'CONCURRENT_TRANSACTIONS');
    assert.equal(transactions.state(), 'PrepareAbort');
    assert.equal(transactions.init(), 'CONCURRENT_TRANSACTIONS');
    const [task] = transactions.tasks;
    assert.equal(task?.result, 'abort');
    assert.equal(task.producerEpoch, first.producerEpoch + 1, 'the predecessor can write no more');
    transactions.writeMarkers();
    assert.deepEqual(transactions.init(), { producerId: 1000, producerEpoch: 2 });
    assert.equal(transactions.add(first, 'a-0'), 'PRODUCER_FENCED');
    assert.equal(transactions.end(first, 'commit'), 'PRODUCER_FENCED');
    assert.equal(transactions.counters.fenced, 1);
  });

  it('by one that was fenced before leaves the transaction of its successor alone', () => {
    const transactions = new Transactions();
    const first = transactions.producer();
    const successor = transactions.producer({ expected: first });
    transactions.add(successor, 'a-0');
    assert.equal(transactions.init({ expected: first }), 'PRODUCER_FENCED');
    assert.equal(transactions.state(), 'Ongoing');
  });
});

describe('the partitions of a transaction', () => {
  it('are added one by one or together, once each, and are durable when that is answered', () => {
    const transactions = new Transactions();
    const producer = transactions.producer();
    assert.equal(transactions.add(producer, 'a-0', 'b-1'), undefined);
    transactions.log.held = true;
    const answers = transactions.askAdd(producer, 'a-1', 'a-0');
    const again = transactions.askAdd(producer, 'a-1');
    assert.deepEqual([answers, again], [[], []], 'what is there already waits for its record too');
    transactions.log.settle();
    assert.deepEqual([answers, again], [[undefined], [undefined]]);
    const records = transactions.log.records.length;
    transactions.log.held = false;
    assert.equal(transactions.add(producer, 'a-0', 'a-1', 'b-1'), undefined);
    assert.equal(transactions.log.records.length, records, 'nothing new is not written');
    const stored = decodeTransactionValue(transactions.log.records.at(-1)!.value!);
    assert.deepEqual(
      stored.partitions,
      new Map([
        ['a', new Set([0, 1])],
        ['b', new Set([1])],
      ]),
    );
  });

  it('are refused to unknown ids and producers, earlier epochs, and while the last transaction is being completed', () => {
    const transactions = new Transactions();
    const producer = transactions.producer();
    assert.equal(transactions.add({ ...producer, producerId: 5 }, 'a-0'), 'INVALID_PRODUCER_ID_MAPPING');
    const later = transactions.producer();
    assert.equal(transactions.add(producer, 'a-0'), 'PRODUCER_FENCED');
    transactions.add(later, 'a-0');
    transactions.prompt = false;
    const next = transactions.end(later, 'commit');
    assert.ok(typeof next === 'object');
    assert.equal(transactions.add(next, 'a-0'), 'CONCURRENT_TRANSACTIONS');
    transactions.writeMarkers();
    assert.equal(transactions.add(next, 'a-0'), undefined);
  });

  it('are verified one by one', () => {
    const transactions = new Transactions();
    const producer = transactions.producer();
    assert.deepEqual(transactions.verify(producer, 'a-0'), { 'a-0': 'TRANSACTION_ABORTABLE' });
    transactions.add(producer, 'a-0', 'a-1');
    assert.deepEqual(transactions.verify(producer, 'a-0', 'b-0', 'a-1'), { 'b-0': 'TRANSACTION_ABORTABLE' });
    assert.deepEqual(transactions.verify({ ...producer, producerEpoch: 4 }, 'a-0', 'a-1'), {
      'a-0': 'PRODUCER_FENCED',
      'a-1': 'PRODUCER_FENCED',
    });
    assert.deepEqual(transactions.verify({ ...producer, producerId: 4 }, 'a-0'), {
      'a-0': 'INVALID_PRODUCER_ID_MAPPING',
    });
    transactions.end(producer, 'commit');
    const next = { ...producer, producerEpoch: producer.producerEpoch + 1 };
    assert.deepEqual(transactions.verify(next, 'a-0'), { 'a-0': 'TRANSACTION_ABORTABLE' });
  });

  it('are verified against what is durable', () => {
    const transactions = new Transactions();
    const producer = transactions.producer();
    transactions.log.held = true;
    transactions.askAdd(producer, 'a-0');
    let answered = false;
    const request = { transactionalId: 't', ...producer, partitions: [partition('a-0')] };
    transactions.core.verifyPartitions(request, () => (answered = true));
    assert.equal(answered, false);
    transactions.log.settle();
    assert.equal(answered, true);
  });

  it('are no more than transaction.partitions.max', () => {
    const transactions = new Transactions();
    const producer = transactions.producer();
    const names = Array.from({ length: 21 }, (_, index) => `a-${index}`);
    assert.equal(transactions.add(producer, ...names), 'POLICY_VIOLATION');
    assert.equal(transactions.state(), 'Empty');
    assert.equal(transactions.add(producer, ...names.slice(0, 20)), undefined);
    assert.equal(transactions.add(producer, 'a-20'), 'POLICY_VIOLATION');
  });
});

for (const level of [0, 2]) {
  describe(`the end of a transaction, with version ${level}`, () => {
    const make = (): Transactions => {
      const transactions = new Transactions();
      transactions.level = level;
      return transactions;
    };

    it('is durable before it is answered and before a marker is sent; it is complete when all markers are written', () => {
      for (const result of ['commit', 'abort'] as const) {
        const transactions = make();
        const producer = transactions.producer();
        transactions.add(producer, 'a-0', 'b-0');
        transactions.prompt = false;
        transactions.log.held = true;
        const answers = transactions.askEnd(producer, result);
        assert.deepEqual([answers, transactions.tasks], [[], []]);
        transactions.log.settle();
        assert.equal(answers.length, 1);
        assert.deepEqual(transactions.awaited, [['a-0', 'b-0']]);
        const [task] = transactions.tasks;
        assert.equal(task?.result, result);
        assert.equal(task.coordinatorEpoch, 1);
        assert.equal(task.transactionVersion, level);
        assert.equal(task.producerEpoch, producer.producerEpoch + (level === 2 ? 1 : 0));
        transactions.log.held = false;
        task.written([partition('b-0')], transactions.now);
        assert.equal(transactions.state(), result === 'commit' ? 'PrepareCommit' : 'PrepareAbort');
        const described = transactions.describe();
        assert.ok(described.error === undefined);
        assert.deepEqual(described.partitions, new Map([['a', new Set([0])]]), 'those without a marker');
        task.written([partition('a-0')], transactions.now);
        assert.equal(transactions.state(), result === 'commit' ? 'CompleteCommit' : 'CompleteAbort');
      }
    });

    it('goes on by itself after a restart, at any step, with the epoch of the new coordinator', () => {
      const transactions = make();
      const producer = transactions.producer();
      transactions.add(producer, 'a-0', 'b-0');
      transactions.prompt = false;
      transactions.end(producer, 'commit');
      const [stale] = transactions.tasks;
      stale!.written([partition('a-0')], transactions.now);
      transactions.reload();
      assert.equal(stale!.isCancelled(), true);
      stale!.written([partition('b-0')], transactions.now);
      assert.equal(transactions.state(), 'PrepareCommit', 'what the old one hears does not count');
      assert.deepEqual(transactions.awaited, [['a-0', 'b-0']]);
      assert.equal(transactions.tasks[0]?.coordinatorEpoch, 2);
      assert.equal(transactions.tasks[0].result, 'commit');
      transactions.writeMarkers();
      assert.equal(transactions.state(), 'CompleteCommit');
      transactions.reload();
      assert.equal(transactions.state(), 'CompleteCommit');
      assert.deepEqual(transactions.tasks, []);
    });

    it('is not taken back by the other one', () => {
      const transactions = make();
      const producer = transactions.producer();
      transactions.add(producer, 'a-0');
      transactions.prompt = false;
      transactions.end(producer, 'commit');
      assert.equal(transactions.end(producer, 'abort'), 'INVALID_TXN_STATE');
      assert.equal(transactions.end(producer, 'commit'), 'CONCURRENT_TRANSACTIONS', 'a retry waits');
      transactions.writeMarkers();
      assert.equal(transactions.end(producer, 'abort'), 'INVALID_TXN_STATE');
      assert.ok(typeof transactions.end(producer, 'commit') === 'object', 'a retry is told the same');
      assert.equal(transactions.counters.committed, 1);
    });

    it('waits for a disk that has room', () => {
      const transactions = make();
      const producer = transactions.producer();
      transactions.add(producer, 'a-0');
      transactions.prompt = false;
      transactions.end(producer, 'commit');
      transactions.log.writable = false;
      transactions.writeMarkers();
      assert.equal(transactions.state(), 'PrepareCommit');
      transactions.advance(1000);
      assert.equal(transactions.state(), 'PrepareCommit');
      transactions.log.writable = true;
      transactions.advance(1000);
      assert.equal(transactions.state(), 'CompleteCommit');
    });

    it('comes from the coordinator when the time is up, and fences the producer', () => {
      const transactions = make();
      const producer = transactions.producer({ timeoutMs: 5000 });
      transactions.add(producer, 'a-0');
      transactions.advance(4000);
      transactions.add(producer, 'a-1');
      assert.equal(transactions.state(), 'Ongoing');
      transactions.advance(1000);
      assert.equal(transactions.state(), 'CompleteAbort', 'counted from its begin');
      assert.equal(transactions.counters.timedOut, 1);
      assert.notEqual(transactions.add(producer, 'a-0'), undefined);
      assert.notEqual(typeof transactions.end(producer, 'commit'), 'object');
      transactions.reload();
      assert.equal(transactions.state(), 'CompleteAbort');
      assert.deepEqual(transactions.init(), { producerId: 1000, producerEpoch: 2 });
    });

    it('counts the time while no coordinator was there', () => {
      const transactions = make();
      transactions.add(transactions.producer({ timeoutMs: 5000 }), 'a-0');
      transactions.nowMs += 60_000;
      transactions.reload();
      assert.equal(transactions.state(), 'Ongoing');
      transactions.advance(1000);
      assert.equal(transactions.state(), 'CompleteAbort');
    });

    it('is never an abort by time once it is decided', () => {
      const transactions = make();
      const producer = transactions.producer({ timeoutMs: 5000 });
      transactions.add(producer, 'a-0');
      transactions.prompt = false;
      transactions.end(producer, 'commit');
      transactions.advance(60_000);
      assert.equal(transactions.state(), 'PrepareCommit');
      assert.equal(transactions.counters.timedOut, 0);
    });
  });
}

describe('EndTxn before version 2', () => {
  const make = (): Transactions => {
    const transactions = new Transactions();
    transactions.level = 0;
    return transactions;
  };

  it('leaves the epoch as it is, and needs a transaction with partitions', () => {
    const transactions = make();
    const producer = transactions.producer();
    assert.equal(transactions.end(producer, 'abort'), 'INVALID_TXN_STATE');
    assert.equal(transactions.end(producer, 'commit'), 'INVALID_TXN_STATE');
    transactions.add(producer, 'a-0');
    assert.deepEqual(transactions.end(producer, 'abort'), producer);
    assert.equal(transactions.add(producer, 'a-0'), undefined, 'the next one');
    assert.deepEqual(transactions.end(producer, 'commit'), producer);
  });

  it('refuses unknown producers and other epochs', () => {
    const transactions = make();
    const producer = transactions.producer();
    transactions.add(producer, 'a-0');
    const later = { ...producer, producerEpoch: producer.producerEpoch + 1 };
    assert.equal(transactions.end(later, 'commit'), 'PRODUCER_FENCED');
    assert.equal(transactions.end({ ...producer, producerId: 3 }, 'commit'), 'INVALID_PRODUCER_ID_MAPPING');
    assert.equal(
      transactions.end(producer, 'commit', { transactionalId: 'u' }),
      'INVALID_PRODUCER_ID_MAPPING',
    );
    assert.equal(transactions.end(producer, 'commit', { transactionalId: '' }), 'INVALID_REQUEST');
  });

  it('is written in the format that older releases read, while the cluster is at level 0', () => {
    const transactions = make();
    transactions.add(transactions.producer(), 'a-0');
    const versions = () => transactions.log.records.map(({ value }) => value![1]);
    assert.deepEqual(versions(), [0, 0]);
    transactions.level = 1;
    transactions.producer({ transactionalId: 'u' });
    assert.deepEqual(versions(), [0, 0, 1]);
  });
});

describe('EndTxn of version 2 (KIP-890)', () => {
  it('raises the epoch, with which the producer goes on', () => {
    const transactions = new Transactions();
    const first = transactions.producer();
    transactions.add(first, 'a-0');
    const second = transactions.end(first, 'commit');
    assert.deepEqual(second, { ...first, producerEpoch: 1 });
    assert.ok(typeof second === 'object');
    transactions.add(second, 'a-0');
    assert.deepEqual(transactions.end(second, 'abort'), { ...first, producerEpoch: 2 });
  });

  it('that is late does not touch a later transaction, in whatever state', () => {
    const transactions = new Transactions();
    const first = transactions.producer();
    transactions.add(first, 'a-0');
    const second = transactions.end(first, 'commit');
    assert.ok(typeof second === 'object');
    transactions.add(second, 'b-0');
    for (const result of ['commit', 'abort'] as const) {
      assert.equal(transactions.end(first, result), 'PRODUCER_FENCED');
      assert.equal(transactions.state(), 'Ongoing');
    }
    transactions.end(second, 'abort');
    for (const result of ['commit', 'abort'] as const) {
      assert.equal(transactions.end(first, result), 'PRODUCER_FENCED');
      assert.equal(transactions.state(), 'CompleteAbort');
    }
  });

  it('aborts without partitions too, and does not commit without', () => {
    const transactions = new Transactions();
    const first = transactions.producer();
    assert.equal(transactions.end(first, 'commit'), 'INVALID_TXN_STATE');
    const second = transactions.end(first, 'abort');
    assert.deepEqual(second, { ...first, producerEpoch: 1 });
    assert.ok(typeof second === 'object');
    assert.equal(transactions.state(), 'CompleteAbort');
    assert.equal(transactions.end(first, 'commit'), 'PRODUCER_FENCED');
    assert.deepEqual(transactions.end(first, 'abort'), second, 'a retry');
    assert.deepEqual(transactions.end(second, 'abort'), { ...first, producerEpoch: 2 });
    assert.deepEqual(transactions.tasks, []);
  });

  it('tells a producer whose time was up what it goes on with, but not that it has committed', () => {
    const transactions = new Transactions();
    const producer = transactions.producer({ timeoutMs: 1000 });
    transactions.add(producer, 'a-0');
    transactions.advance(2000);
    assert.equal(transactions.end(producer, 'commit'), 'PRODUCER_FENCED', 'as clients expect it');
    assert.deepEqual(transactions.end(producer, 'abort'), { ...producer, producerEpoch: 1 });
    assert.deepEqual(transactions.init({ expected: producer }), { ...producer, producerEpoch: 1 });
  });

  it('fences a producer that commits while the abort of its transaction, which was too long, is being written', () => {
    const transactions = new Transactions();
    const producer = transactions.producer({ timeoutMs: 1000 });
    transactions.add(producer, 'a-0');
    transactions.prompt = false;
    transactions.advance(2000);
    assert.equal(transactions.state(), 'PrepareAbort');
    assert.equal(transactions.end(producer, 'commit'), 'PRODUCER_FENCED');
    assert.equal(transactions.end(producer, 'abort'), 'CONCURRENT_TRANSACTIONS');
  });

  it('of a producer of the epoch before is no retry of an end that did not raise the epoch', () => {
    for (const result of ['commit', 'abort'] as const) {
      const transactions = new Transactions();
      const zombie = transactions.producer();
      const successor = transactions.producer();
      assert.equal(successor.producerEpoch, zombie.producerEpoch + 1);
      transactions.add(successor, 'a-0');
      transactions.prompt = false;
      transactions.end(successor, result, { transactionVersion: 0 });
      assert.equal(transactions.end(zombie, result), 'PRODUCER_FENCED');
      transactions.writeMarkers();
      assert.equal(transactions.end(zombie, result), 'PRODUCER_FENCED', 'or both would have the same epoch');
      assert.deepEqual(transactions.end(successor, result, { transactionVersion: 0 }), successor, 'a retry');
    }
  });

  it('takes a fresh producer id when the epochs are used up, also if the answer is lost, and after a restart', () => {
    for (const restart of [false, true]) {
      const transactions = new Transactions();
      withEpoch(transactions, 32_765);
      const last = transactions.producer();
      transactions.add(last, 'a-0');
      transactions.prompt = false;
      const next = transactions.end(last, 'commit');
      assert.deepEqual(next, { producerId: 1000, producerEpoch: 0 });
      const [task] = transactions.tasks;
      assert.deepEqual([task?.producerId, task?.producerEpoch], [7, 32_767]);
      assert.equal(transactions.end(last, 'commit'), 'CONCURRENT_TRANSACTIONS');
      if (restart) transactions.reload();
      transactions.writeMarkers();
      if (restart) transactions.reload();
      assert.deepEqual(transactions.end(last, 'commit'), next);
      assert.equal(transactions.end(last, 'abort'), 'INVALID_TXN_STATE');
      assert.equal(transactions.add(last, 'a-0'), 'INVALID_PRODUCER_ID_MAPPING');
      assert.ok(typeof next === 'object');
      assert.equal(transactions.add(next, 'a-0'), undefined);
    }
  });

  it('lets a producer that is ahead of its markers wait, also to abort what it has not begun', () => {
    for (const epoch of [5, 32_765]) {
      const transactions = new Transactions();
      withEpoch(transactions, epoch);
      const producer = transactions.producer();
      transactions.add(producer, 'a-0');
      transactions.prompt = false;
      const next = transactions.end(producer, 'abort');
      assert.ok(typeof next === 'object');
      assert.equal(transactions.end(next, 'abort'), 'CONCURRENT_TRANSACTIONS');
      assert.equal(transactions.end(next, 'commit'), 'CONCURRENT_TRANSACTIONS');
      assert.equal(transactions.add(next, 'a-0'), 'CONCURRENT_TRANSACTIONS');
      transactions.writeMarkers();
      assert.equal(transactions.end(next, 'commit'), 'INVALID_TXN_STATE', 'there is nothing to commit');
      assert.ok(typeof transactions.end(next, 'abort') === 'object');
    }
  });

  it('leaves the highest epoch of all to nobody', () => {
    const transactions = new Transactions();
    withEpoch(transactions, 32_765);
    const last = transactions.producer({ timeoutMs: 1000 });
    transactions.add(last, 'a-0');
    transactions.advance(2000);
    assert.equal(transactions.state(), 'CompleteAbort');
    const highest = { ...last, producerEpoch: 32_767 };
    assert.equal(transactions.end(last, 'abort'), 'PRODUCER_FENCED');
    assert.equal(transactions.end(highest, 'abort'), 'PRODUCER_FENCED');
    assert.equal(transactions.add(highest, 'a-0'), 'PRODUCER_FENCED');
    for (const what of ['first', 'retry', 'another retry'])
      assert.deepEqual(transactions.init({ expected: last }), { producerId: 1000, producerEpoch: 0 }, what);
  });
});

describe('transactional ids', () => {
  it('are forgotten when nothing was done with them for transactional.id.expiration.ms, and nothing is open', () => {
    const transactions = new Transactions();
    transactions.producer({ transactionalId: 'idle' });
    const producer = transactions.producer({ timeoutMs: 60_000 });
    transactions.add(producer, 'a-0');
    transactions.prompt = false;
    transactions.end(producer, 'commit');
    transactions.advance(1_000_000);
    assert.equal(transactions.state('idle'), 'TRANSACTIONAL_ID_NOT_FOUND');
    assert.equal(transactions.state(), 'PrepareCommit');
    assert.equal(transactions.counters.idsExpired, 1);
    transactions.reload();
    assert.equal(transactions.state('idle'), 'TRANSACTIONAL_ID_NOT_FOUND');
    transactions.writeMarkers();
    transactions.advance(900_000);
    assert.equal(transactions.state(), 'CompleteCommit');
    transactions.advance(200_000);
    assert.equal(transactions.state(), 'TRANSACTIONAL_ID_NOT_FOUND');
    assert.equal(transactions.counters.stateBytes, 0);
  });

  it('are listed by state, producer and duration', () => {
    const transactions = new Transactions();
    const producer = transactions.producer();
    transactions.producer({ transactionalId: 'other' });
    transactions.advance(500);
    transactions.add(producer, 'a-0');
    transactions.advance(200);
    assert.deepEqual(transactions.list(), ['other', 't']);
    assert.deepEqual(transactions.list({ states: new Set(['Ongoing', 'Dead']) }), ['t']);
    assert.deepEqual(transactions.list({ producerIds: new Set([1001]) }), ['other']);
    assert.deepEqual(transactions.list({ durationMs: 199, states: new Set(['Ongoing']) }), ['t']);
    assert.deepEqual(transactions.list({ durationMs: 200, states: new Set(['Ongoing']) }), []);
  });

  it('that the log has in a state that is never written are passed over, and so are keys of a newer Kafka', () => {
    const transactions = new Transactions();
    const value = encodeTransactionValue({ ...firstTransaction(1, 1, 1), state: 'PrepareEpochFence' }, 1);
    assert.throws(
      () => transactions.core.replay({ key: encodeTransactionKey('t'), value }),
      /PrepareEpochFence is never written/,
    );
    transactions.core.replay({ key: Buffer.from([0, 9, 0]), value });
    assert.deepEqual(transactions.list(), []);
  });
});

describe('many transactions whose time is up at once', () => {
  it('are aborted a few at a time, fewer where they have many partitions, and all of them in the end', () => {
    for (const [partitions, most] of [
      [1, 50],
      [9, 10],
      [500, 1],
    ] as const) {
      const transactions = new Transactions({ idsMax: 200, partitionsMax: 500, stateBytesMax: 2 ** 30 });
      const names = Array.from({ length: partitions }, (_, index) => `a-${index}`);
      for (let number = 0; number < 120; number++) {
        const transactionalId = `t${number}`;
        const producer = transactions.producer({ transactionalId, timeoutMs: 5000 });
        transactions.core.addPartitions(
          { transactionalId, ...producer, partitions: names.map(partition), transactionVersion: 2 },
          transactions.now,
          () => undefined,
        );
      }
      transactions.prompt = false;
      transactions.nowMs = transactions.core.nextDeadlineMs + 10_000;
      let before = 0;
      for (let step = 0; transactions.tasks.length < 120; step++) {
        assert.ok(step < 120, `${partitions} partitions`);
        transactions.core.tick(transactions.now);
        const aborted = transactions.tasks.length - before;
        assert.ok(aborted >= 1 && aborted <= most, `${aborted} in a step`);
        before = transactions.tasks.length;
        transactions.nowMs = transactions.core.nextDeadlineMs;
      }
      assert.equal(transactions.counters.timedOut, 120);
    }
  });
});

describe('who waits for the markers of the last transaction', () => {
  it('is told once when it is complete, at once if none is being completed, and when the state is given up', () => {
    const transactions = new Transactions();
    let told = 0;
    const tell = (): void => void told++;
    transactions.core.whenCompleted('t', tell);
    assert.equal(told, 1);
    const producer = transactions.producer();
    transactions.add(producer, 'a-0');
    transactions.core.whenCompleted('t', tell);
    assert.equal(told, 2, 'an open one may be written to');
    transactions.prompt = false;
    const next = transactions.end(producer, 'commit');
    transactions.core.whenCompleted('t', tell);
    const takeBack = transactions.core.whenCompleted('t', () => tell());
    assert.equal(told, 2);
    takeBack();
    transactions.writeMarkers();
    assert.equal(told, 3);
    assert.ok(typeof next === 'object');
    transactions.add(next, 'a-0');
    transactions.end(next, 'abort');
    transactions.core.whenCompleted('t', tell);
    transactions.core.close();
    assert.equal(told, 4);
  });
});
