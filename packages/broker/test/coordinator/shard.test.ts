import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CoordinatorShard, type ShardCounters } from '../../src/coordinator/shard.ts';
import { NO_PRODUCER_ID, NO_SEQUENCE } from '@polylog/record';
import type {
  CoordinatorCore,
  CoordinatorSink,
  Durability,
  Instant,
  StateRecord,
  TransactionProducer,
} from '../../src/coordinator/types.ts';
import type { ErrorName } from '../../src/errors.ts';
import type { TransactionEnd } from '../../src/replication/types.ts';
import { SimWorld } from '../../../../sim/platform/world.ts';
import { OFFSETS_TOPIC } from '../../src/cluster/topic-names.ts';
import { TestBroker } from '../frontends/kafka/harness.ts';

/** Remembers the latest value of each key. */
class Register implements CoordinatorCore {
  readonly sink: CoordinatorSink;
  readonly values = new Map<string, string>();
  readonly pending = new Map<number, Map<string, string>>();
  readonly ticks: number[] = [];
  isLoaded = false;
  closedWith: ErrorName | undefined;
  nextDeadlineMs = Infinity;

  constructor(sink: CoordinatorSink) {
    this.sink = sink;
  }
  replay({ key, value }: StateRecord, _now: Instant, producerId: number): void {
    const name = Buffer.from(key).toString();
    const text = value === null ? '' : Buffer.from(value).toString();
    if (producerId === NO_PRODUCER_ID) this.values.set(name, text);
    else this.#pend(producerId, name, text);
  }
  endTransaction(producerId: number, result: 'commit' | 'abort'): void {
    const pending = this.pending.get(producerId) ?? new Map<string, string>();
    this.pending.delete(producerId);
    if (result === 'commit') for (const [key, value] of pending) this.values.set(key, value);
  }
  setIn(producer: TransactionProducer, key: string, value: string): Promise<ErrorName | undefined> {
    const refusal = this.sink.transactionRefusal(producer);
    if (refusal !== undefined) return Promise.resolve(refusal);
    this.#pend(producer.producerId, key, value);
    const record = { key: Buffer.from(key), value: Buffer.from(value) };
    return new Promise((resolve) => {
      this.sink.append([record], (failure) => resolve(failure), producer);
    });
  }
  #pend(producerId: number, key: string, value: string): void {
    const pending = this.pending.get(producerId) ?? new Map<string, string>();
    this.pending.set(producerId, pending.set(key, value));
  }
  loaded(): void {
    this.isLoaded = true;
  }
  tick({ monotonicMs }: Instant): void {
    this.ticks.push(monotonicMs);
    this.nextDeadlineMs = Infinity;
  }
  close(error: ErrorName): void {
    this.closedWith = error;
  }
  set(key: string, value: string): Promise<ErrorName | undefined> {
    this.values.set(key, value);
    return new Promise((resolve) => {
      this.sink.append([{ key: Buffer.from(key), value: Buffer.from(value) }], (failure) => resolve(failure));
    });
  }
}

const makeCore = (sink: CoordinatorSink): Register => new Register(sink);

function setUp() {
  const sim = new SimWorld({ seed: 1 });
  const platform = sim.node('broker').boot();
  const broker = new TestBroker(platform);
  const topic = broker.add(OFFSETS_TOPIC, { kind: 'internal' });
  const counters: ShardCounters = {
    reading: 0,
    loads: 0,
    loadFailures: 0,
    lastLoadMs: 0,
    resets: 0,
    unreadableRecords: 0,
  };
  const shard = new CoordinatorShard({
    ...platform,
    partition: topic.partitions[0]!,
    counters,
    makeCore,
  });
  const core = (): Register => {
    const { core: present } = shard.use();
    assert.ok(present !== undefined);
    return present;
  };
  return { sim, platform, broker, shard, core, counters, log: topic.logs[0]! };
}

describe('a coordinator over a partition', () => {
  it('answers when what it has decided is committed, and has it after a load', async () => {
    const { sim, shard, core, counters } = setUp();
    await sim.advance(10);
    assert.equal(await sim.settle(core().set('k', 'v')), undefined);
    assert.equal(await sim.settle(core().set('k', 'w')), undefined);
    assert.equal(counters.loads, 1);
    shard.close();
    assert.equal(shard.use().error, 'NOT_COORDINATOR');
  });

  it('gives its state up when a write fails, and loads what the log has', async () => {
    const { sim, core, counters, log } = setUp();
    await sim.advance(10);
    await sim.settle(core().set('k', 'v'));
    const before = core();
    log.failNext = 'cut';
    const told = await sim.settle(before.set('k', 'lost'));
    assert.equal(told, 'NOT_COORDINATOR');
    assert.equal(before.closedWith, 'NOT_COORDINATOR');
    assert.equal(counters.resets, 1);
    await sim.advance(500);
    assert.notEqual(core(), before);
    assert.equal(core().values.get('k'), 'v');
  });

  it('replays what it has read once in turns, shorter ones while other shards of its kind do the same', async () => {
    const { sim, platform, shard, core, counters } = setUp();
    await sim.advance(10);
    for (let number = 0; number < 60; number++) await sim.settle(core().set(`k${number}`, 'v'));
    shard.close();
    let nowMs = 0;
    // Each look at the clock, one a record, takes a millisecond.
    const clock = { ...platform.clock, monotonicMs: () => nowMs++, nowMs: () => platform.clock.nowMs() };
    const { partition } = shard;
    const read = partition.read.bind(partition);
    for (const side of [1, 5]) {
      counters.reading = side - 1;
      let reads = 0;
      partition.read = (options) => {
        reads++;
        return read(options);
      };
      let loading: Register | undefined;
      const ends: number[] = [];
      const timers = {
        after: (ms: number, callback: () => void) => {
          ends.push(loading!.values.size);
          return platform.timers.after(ms, callback);
        },
      };
      const again = new CoordinatorShard({
        ...platform,
        clock,
        timers,
        partition,
        counters,
        makeCore: (sink) => (loading = makeCore(sink)),
      });
      await sim.advance(100);
      assert.equal(again.use().core?.values.size, 60);
      const lengths = ends.map((end, index) => end - (ends[index - 1] ?? 0));
      assert.ok(
        lengths.length > 3 && Math.max(...lengths) <= 10 / side + 2,
        `${lengths.join(' ')} records in a turn`,
      );
      assert.equal(reads, 1);
      assert.equal(counters.reading, side - 1);
      again.close();
    }
    partition.read = read;
  });

  it('says beforehand that nothing can be written, and lets what is due wait', async () => {
    const { sim, platform, broker, shard, core, counters } = setUp();
    await sim.advance(10);
    broker.diskFull = true;
    assert.equal(shard.isWritable, false);
    const before = core();
    before.nextDeadlineMs = platform.clock.monotonicMs() + 100;
    shard.used();
    await sim.advance(3000);
    assert.equal(before.ticks.length, 0);
    broker.diskFull = false;
    await sim.advance(1500);
    assert.equal(before.ticks.length, 1);
    assert.equal(counters.resets, 0);
  });

  it('reads what has arrived before it gives anybody up, after the process stood still', async () => {
    const { sim, platform, shard, core } = setUp();
    await sim.advance(10_000);
    const before = core();
    // Due long ago: nobody has looked since.
    before.nextDeadlineMs = platform.clock.monotonicMs() - 5000;
    shard.used();
    await sim.advance(500);
    assert.equal(before.ticks.length, 0, 'a heartbeat may wait in a socket');
    await sim.advance(1000);
    assert.equal(before.ticks.length, 1);
  });
});

describe('transactions in the log of a coordinator', () => {
  const PRODUCER = { producerId: 7, producerEpoch: 0 };

  function setUpTransaction() {
    const all = setUp();
    const { sim, platform, shard, core } = all;
    const open = (producer = PRODUCER): TransactionProducer => {
      const asked = { ...producer, baseSequence: NO_SEQUENCE };
      const verification = shard.partition.startVerification(asked, false, platform.clock.nowMs());
      assert.ok(typeof verification === 'number');
      return { ...producer, verification };
    };
    const end = (result: 'commit' | 'abort', more: Partial<TransactionEnd> = {}): Promise<Durability> =>
      sim.settle(
        new Promise((resolve) => {
          const rest = { coordinatorEpoch: 1, transactionVersion: 1, ...more };
          shard.endTransaction({ ...PRODUCER, result, ...rest }, resolve);
        }),
      );
    /** As after a restart. */
    const loadAnew = async (): Promise<Register> => {
      shard.close();
      const again = new CoordinatorShard({ ...platform, ...all, partition: shard.partition, makeCore });
      await sim.advance(10);
      const used = again.use();
      assert.ok(used.core !== undefined);
      return used.core;
    };
    return { ...all, core, open, end, loadAnew };
  }

  it('count when their marker is appended, and so after a load', async () => {
    const { sim, core, open, end, loadAnew } = setUpTransaction();
    await sim.advance(10);
    assert.equal(await sim.settle(core().setIn(open(), 'k', 'v')), undefined);
    assert.equal(core().values.get('k'), undefined);
    assert.equal(await end('commit'), undefined);
    assert.equal(core().values.get('k'), 'v');
    assert.equal(await sim.settle(core().setIn(open(), 'k', 'w')), undefined);
    assert.equal(await end('abort'), undefined);
    assert.equal(await sim.settle(core().setIn(open(), 'k', 'x')), undefined);
    const loaded = await loadAnew();
    assert.equal(loaded.values.get('k'), 'v');
    assert.deepEqual([...loaded.pending.get(7)!], [['k', 'x']], 'it is open still');
  });

  it('are refused before anything changes: without a verification, under an old epoch, after a marker', async () => {
    const { sim, core, open, end, counters } = setUpTransaction();
    await sim.advance(10);
    const unverified = { ...PRODUCER, verification: 0 };
    assert.equal(await sim.settle(core().setIn(unverified, 'k', 'v')), 'INVALID_TXN_STATE');
    const early = open();
    assert.equal(await end('abort'), undefined);
    assert.equal(await sim.settle(core().setIn(early, 'k', 'v')), 'INVALID_TXN_STATE');
    assert.equal(
      await sim.settle(core().setIn(open({ producerId: 7, producerEpoch: 2 }), 'k', 'v')),
      undefined,
    );
    assert.equal(await sim.settle(core().setIn(early, 'k', 'v')), 'INVALID_PRODUCER_EPOCH');
    assert.equal(counters.resets, 0);
  });

  it('are not ended by a marker that the log refuses', async () => {
    const { sim, core, open, end, counters } = setUpTransaction();
    await sim.advance(10);
    await end('abort', { producerEpoch: 1, coordinatorEpoch: 5 });
    const producer = open({ producerId: 7, producerEpoch: 1 });
    assert.equal(await sim.settle(core().setIn(producer, 'k', 'v')), undefined);
    assert.equal(await end('commit', { coordinatorEpoch: 5 }), 'INVALID_PRODUCER_EPOCH');
    assert.equal(
      await end('commit', { producerEpoch: 1, coordinatorEpoch: 4 }),
      'TRANSACTION_COORDINATOR_FENCED',
    );
    assert.equal(core().values.get('k'), undefined);
    assert.equal(core().pending.size, 1);
    assert.equal(counters.resets, 0);
  });

  it('are as the log has them when a marker cannot be written', async () => {
    const { sim, core, open, end, counters, log } = setUpTransaction();
    await sim.advance(10);
    assert.equal(await sim.settle(core().setIn(open(), 'k', 'v')), undefined);
    log.failNext = 'cut';
    const before = core();
    assert.equal(await end('commit'), 'KAFKA_STORAGE_ERROR');
    assert.equal(before.closedWith, 'NOT_COORDINATOR');
    assert.equal(counters.resets, 1);
    assert.equal(await end('commit'), 'NOT_LEADER_OR_FOLLOWER', 'while it loads');
    await sim.advance(500);
    assert.equal(core().values.get('k'), undefined);
    assert.equal(await end('commit'), undefined);
    assert.equal(core().values.get('k'), 'v');
  });
});
