import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Connection } from '../../packages/broker/src/platform/index.ts';
import { SimRandom } from './random.ts';
import { SimWorld } from './world.ts';

/** A scenario that touches all parts; returns the hash of its trace. */
async function scenario(seed: number): Promise<string> {
  const world = new SimWorld({ seed });
  const node = world.node('a');
  const other = world.node('b').boot();
  await world.settle(
    other.network.listen(
      { host: 'b', port: 9, connectionsMax: 9, connectionsPerAddressMax: 9 },
      (connection) => {
        connection.start({
          data(chunk, release) {
            connection.write([chunk.slice()]);
            release();
          },
          drained: () => undefined,
          closed: () => undefined,
        });
      },
    ),
  );
  node.disk.faults.writeError = 0.1;
  for (let round = 0; round < 3; round++) {
    const { disk, network, timers, logger } = node.boot();
    const connection = await world.settle(network.connect({ host: 'b', port: 9, timeoutMs: 1000 }));
    const ignore = (): void => undefined;
    connection.start({
      data: (chunk, release) => (logger.info({ bytes: chunk.length }, 'got'), release()),
      drained: ignore,
      closed: ignore,
    });
    connection.write([new Uint8Array(100_000)]);
    const file = disk.open('f', 'create');
    const append = (): void => {
      file.writeAsync([new Uint8Array(5000)], file.size()).then(
        () => logger.info({ size: file.size() }, 'written'),
        (error: Error) => logger.warn({ error }, 'failed'),
      );
      timers.after(3, append);
    };
    timers.after(1, append);
    await world.advance(100);
    node.crash({ kind: round === 1 ? 'process' : 'power' });
    world.trace.add(`${node.boot().disk.stat('f')?.sizeBytes ?? 'none'}`);
    node.crash({ kind: 'process' });
  }
  return world.trace.hash;
}

describe('the simulated world', () => {
  it('gives one trace for one seed, and another for another', async () => {
    const first = await scenario(7);
    assert.equal(await scenario(7), first);
    assert.notEqual(await scenario(8), first);
  });

  it('runs timers at their time, in order, and none of a dead process', async () => {
    const world = new SimWorld({ seed: 1 });
    const node = world.node('a', { clockSkewMs: 5000 });
    const { timers, clock } = node.boot();
    const ran: number[] = [];
    for (const delayMs of [30, 10, 20]) timers.after(delayMs, () => ran.push(clock.monotonicMs()));
    timers.after(15, () => ran.push(-1)).cancel();
    await world.advance(25);
    assert.deepEqual(ran, [10, 20]);
    assert.equal(clock.nowMs() - world.startMs, 5025);
    node.crash({ kind: 'process' });
    await world.advance(25);
    assert.deepEqual(ran, [10, 20]);
  });

  it('passes on what a process throws while it lives', async () => {
    const world = new SimWorld({ seed: 1 });
    world
      .node('a')
      .boot()
      .timers.after(1, () => {
        throw new Error('a bug');
      });
    await assert.rejects(world.advance(2), /a bug/);
  });

  it('says so when a promise never settles', async () => {
    const world = new SimWorld({ seed: 1 });
    await assert.rejects(world.settle(new Promise(() => undefined), 1000), /did not hold within 1000 ms/);
  });

  it('holds what a partition cuts until it heals', async () => {
    const world = new SimWorld({ seed: 2 });
    const a = world.node('a').boot();
    const b = world.node('b').boot();
    let accepted: Connection | undefined;
    let bytes = 0;
    const listening = b.network.listen(
      { host: 'b', port: 1, connectionsMax: 9, connectionsPerAddressMax: 9 },
      (connection) => {
        accepted = connection;
        connection.start({
          data: (chunk, release) => ((bytes += chunk.length), release()),
          drained: () => undefined,
          closed: () => undefined,
        });
      },
    );
    await world.settle(listening);
    const connection = await world.settle(a.network.connect({ host: 'b', port: 1, timeoutMs: 1000 }));
    connection.start({
      data: (_chunk, release) => release(),
      drained: () => undefined,
      closed: () => undefined,
    });
    await world.advance(10);
    assert.equal(accepted?.remoteAddress, 'a');
    world.network.partition('a', 'b', { oneWay: true });
    connection.write([new Uint8Array(1000)]);
    await world.advance(60_000);
    assert.equal(bytes, 0);
    await assert.rejects(world.settle(a.network.connect({ host: 'b', port: 1, timeoutMs: 1000 })), {
      code: 'ETIMEDOUT',
    });
    world.network.heal();
    await world.advance(100);
    assert.equal(bytes, 1000);
  });

  it('tells the peers of a process that died', async () => {
    for (const kind of ['process', 'power'] as const) {
      const world = new SimWorld({ seed: 3 });
      const a = world.node('a').boot();
      const b = world.node('b').boot();
      let closed = 0;
      const handler = {
        data: (_chunk: Uint8Array, release: () => void) => release(),
        drained: () => undefined,
        closed: () => void closed++,
      };
      await world.settle(
        b.network.listen({ host: 'b', port: 1, connectionsMax: 9, connectionsPerAddressMax: 9 }, (c) =>
          c.start(handler),
        ),
      );
      (await world.settle(a.network.connect({ host: 'b', port: 1, timeoutMs: 1000 }))).start(handler);
      await world.advance(10);
      world.node('b').crash({ kind });
      await world.advance(6000);
      assert.equal(closed, 1);
    }
  });

  it('draws evenly', () => {
    const random = new SimRandom(1);
    const buckets = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 10_000; draw++) buckets[random.integer(10)]!++;
    for (const count of buckets) assert.ok(count > 850 && count < 1150, String(buckets));
    assert.match(random.uuid(), /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
    assert.notEqual(random.fork('a').uint32(), random.fork('b').uint32());
  });
});
