import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CoordinatorShard, type ShardCounters } from '../../src/coordinator/shard.ts';
import type { CoordinatorCore, CoordinatorSink, Instant, StateRecord } from '../../src/coordinator/types.ts';
import type { ErrorName } from '../../src/errors.ts';
import { SimWorld } from '../../../../sim/platform/world.ts';
import { OFFSETS_TOPIC } from '../../src/cluster/topic-names.ts';
import { TestBroker } from '../frontends/kafka/harness.ts';

/** Remembers the latest value of each key. */
class Register implements CoordinatorCore {
  readonly sink: CoordinatorSink;
  readonly values = new Map<string, string>();
  readonly ticks: number[] = [];
  isLoaded = false;
  closedWith: ErrorName | undefined;
  nextDeadlineMs = Infinity;

  constructor(sink: CoordinatorSink) {
    this.sink = sink;
  }
  replay({ key, value }: StateRecord): void {
    this.values.set(Buffer.from(key).toString(), value === null ? '' : Buffer.from(value).toString());
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

function setUp() {
  const sim = new SimWorld({ seed: 1 });
  const platform = sim.node('broker').boot();
  const broker = new TestBroker(platform);
  const topic = broker.add(OFFSETS_TOPIC, { kind: 'internal' });
  const counters: ShardCounters = {
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
    makeCore: (sink) => new Register(sink),
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
