import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { apis } from '@polylog/kafka-protocol';
import fc from 'fast-check';

import { DiskError } from '../../../src/platform/index.ts';
import { batchOf, fetchBody, produceBody, world, type World } from './harness.ts';

const MIB = 1024 * 1024;

async function filled(name: string, batches: number, batchBytes: number, w: World) {
  const topic = w.broker.add(name, { configs: { 'max.message.bytes': String(16 * MIB) } });
  const client = await w.connect();
  for (let index = 0; index < batches; index++) {
    const records = batchOf([String(index % 10).repeat(batchBytes)]);
    await client.call(apis.produce, 9, produceBody(name, records));
  }
  return topic.logs[0]!;
}

function stored(log: { batches: readonly { bytes: Uint8Array }[] }, from = 0): Buffer {
  return Buffer.concat(log.batches.slice(from).map(({ bytes }) => bytes));
}

for (const hot of [true, false]) {
  test(`a large response arrives whole, part by part (${hot ? 'hot' : 'cold'})`, async () => {
    const w = await world({ limits: { responseBytesInFlightMax: 2 * MIB } });
    const log = await filled('t', 6, MIB - 100, w);
    log.hot = hot;
    const client = await w.connect();
    const body = fetchBody([{ topic: 't', offset: 0, bytesMax: 50 * MIB }], { maxBytes: 50 * MIB });
    const { responses } = await client.call(apis.fetch, 12, body);
    assert.deepEqual(Buffer.from(responses[0]!.partitions[0]!.records!), stored(log));
    assert.equal(log.slicesOut, 0);
    assert.deepEqual(w.errors, []);
  });

  test(`small and large partitions mix in one response (${hot ? 'hot' : 'cold'})`, async () => {
    const w = await world();
    const names = ['a', 'b', 'c', 'd'];
    const sizes = [10, 5000, 100, 300_000];
    const logs = [];
    for (const [index, name] of names.entries()) logs.push(await filled(name, 2, sizes[index]!, w));
    for (const log of logs) log.hot = hot;
    const client = await w.connect();
    const { responses } = await client.call(
      apis.fetch,
      11,
      fetchBody(names.map((topic) => ({ topic, offset: 0, bytesMax: MIB }))),
    );
    for (const [index, log] of logs.entries()) {
      assert.deepEqual(Buffer.from(responses[index]!.partitions[0]!.records!), stored(log));
      assert.equal(log.slicesOut, 0);
    }
  });
}

test('many large responses share the egress budget', async () => {
  const w = await world({ limits: { responseBytesInFlightMax: MIB } });
  const log = await filled('t', 3, MIB, w);
  const body = fetchBody([{ topic: 't', offset: 0, bytesMax: 50 * MIB }]);
  const clients = [await w.connect(), await w.connect(), await w.connect()];
  const all = clients.flatMap((client) => [
    client.send(apis.fetch, 12, body),
    client.send(apis.fetch, 12, body),
  ]);
  for (const { responses } of await w.sim.settle(Promise.all(all))) {
    assert.deepEqual(Buffer.from(responses[0]!.partitions[0]!.records!), stored(log));
  }
  assert.equal(log.slicesOut, 0);
});

test('a reader that stops in the middle is closed, and its memory and slices come back', async () => {
  const w = await world({ limits: { responseBytesInFlightMax: MIB, drainMs: 3000 } });
  const log = await filled('t', 4, MIB, w);
  const body = fetchBody([{ topic: 't', offset: 0, bytesMax: 50 * MIB }]);
  const stuck = await w.connect();
  await stuck.call(apis.metadata, 9, { topics: [] });
  stuck.connection.pauseReading();
  void stuck.send(apis.fetch, 12, body);
  const client = await w.connect();
  await w.sim.advance(500);
  assert.equal(log.slicesOut, 1);
  const fetched = client.send(apis.fetch, 12, body);
  await w.sim.advance(500);
  assert.equal(client.unanswered, 1, 'the budget is with the one that is stuck');
  await w.sim.settle(fetched, 20_000);
  assert.equal(log.slicesOut, 0);
});

test('a connection that goes in the middle of a response gives everything back', async () => {
  const w = await world({ limits: { responseBytesInFlightMax: MIB } });
  const log = await filled('t', 4, MIB, w);
  const body = fetchBody([{ topic: 't', offset: 0, bytesMax: 50 * MIB }]);
  for (const [index, hot] of [true, false, true, false].entries()) {
    log.hot = hot;
    const leaving = await w.connect();
    for (let count = 0; count < 3; count++) void leaving.send(apis.fetch, 12, body);
    await w.sim.runUntil(() => log.slicesOut > 0);
    await w.sim.advance(index * 2);
    leaving.connection.destroy();
    await w.sim.runUntil(() => log.slicesOut === 0, 20_000);
  }
  const client = await w.connect();
  await client.call(apis.fetch, 12, body);
});

test('a read that fails before the response began is error 56, later it closes the connection', async () => {
  const w = await world();
  const small = await filled('small', 1, 100, w);
  const large = await filled('large', 3, MIB, w);
  const failure = new DiskError({ code: 'EIO', operation: 'read', path: 'x', detail: 'injected' });
  for (const hot of [true, false]) {
    small.readError = large.readError = failure;
    small.hot = large.hot = hot;
    const client = await w.connect();
    const answer = await client.call(apis.fetch, 12, fetchBody([{ topic: 'small', offset: 0 }]));
    assert.equal(answer.responses[0]!.partitions[0]!.errorCode, 56);
    const lost = client.send(apis.fetch, 12, fetchBody([{ topic: 'large', offset: 0, bytesMax: 9 * MIB }]));
    await assert.rejects(w.sim.settle(lost), /closed/);
    assert.equal(small.slicesOut + large.slicesOut, 0);
  }
});

test('a bug in a fetch that waits closes its connection alone, and gives back what it had read', async () => {
  for (const when of ['its time is over', 'records come', 'the range is loaded']) {
    const w = await world();
    const logs = [w.broker.add('first').logs[0]!, w.broker.add('t').logs[0]!];
    const partition = w.broker.topics.get('t')!.partitions[0]!;
    const waiting = await w.connect();
    const producer = await w.connect();
    if (when !== 'its time is over') {
      await producer.call(apis.produce, 9, produceBody('first', batchOf(['a'])));
    }
    const body = fetchBody(
      [
        { topic: 'first', offset: 0 },
        { topic: 't', offset: 0 },
      ],
      { maxWaitMs: 500, minBytes: 1_000_000 },
    );
    const bug = (): never => {
      throw new Error('a bug');
    };
    if (when === 'the range is loaded') {
      partition.prepareRead = () => Promise.resolve();
      partition.read = bug;
    }
    const lost = waiting.send(apis.fetch, 12, body);
    await w.sim.advance(100);
    partition.read = bug;
    if (when === 'records come') {
      await producer.call(apis.produce, 9, produceBody('t', batchOf(['b'.repeat(5000)])));
    }
    await assert.rejects(w.sim.settle(lost), /closed/, when);
    assert.deepEqual([w.errors.length, producer.isClosed], [1, false], when);
    for (const log of logs) assert.equal(log.slicesOut, 0, when);
  }
});

test('a produce request that waits for its replicas keeps nothing of its bytes', async () => {
  const w = await world();
  const partition = w.broker.add('t').partitions[0]!;
  const batches: WeakRef<Uint8Array>[] = [];
  let done: ((result: { error: undefined; baseOffset: number; logStartOffset: number }) => void) | undefined;
  partition.append = (batch, _options, callback) => {
    batches.push(new WeakRef(batch));
    done = callback;
  };
  const client = await w.connect();
  const answer = client.send(apis.produce, 9, produceBody('t', batchOf(['x'.repeat(100_000)])));
  await w.sim.runUntil(() => done !== undefined);
  await w.sim.advance(10);
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // A WeakRef keeps its target to the end of the turn.
  await new Promise((resolve) => setImmediate(resolve));
  collect();
  assert.ok(batches[0]!.deref() === undefined, 'the batch is still held');
  done!({ error: undefined, baseOffset: 0, logStartOffset: 0 });
  await w.sim.settle(answer);
});

test('whatever is produced, in whatever pieces it arrives, is what is stored and fetched', async () => {
  // Released receive buffers are poisoned: a batch that is not written by the end of its turn shows.
  const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 300, max: 90_000 })), {
    minLength: 1,
    maxLength: 30,
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer(),
      sizes,
      fc.integer({ min: 2000, max: 200_000 }),
      async (seed, all, budget) => {
        const w = await world({
          seed,
          limits: {
            parseBytesPerTurnMax: budget,
            requestBytesInFlightMax: 100_000,
            requestBytesMax: 100_000,
          },
        });
        const topic = w.broker.add('t', { partitions: 2 });
        const clients = [await w.connect(), await w.connect()];
        const sent: Uint8Array[][] = [[], []];
        const answers = all.map((size, index) => {
          const who = index % 2;
          const records = batchOf([`${index}:${'z'.repeat(size)}`]);
          sent[who]!.push(records);
          return clients[who]!.send(
            apis.produce,
            9,
            produceBody('t', records, { partition: who, timeoutMs: 60_000 }),
          );
        });
        await w.sim.settle(Promise.all(answers));
        for (const [who, log] of topic.logs.entries()) {
          const payload = (bytes: Uint8Array) => Buffer.from(bytes.subarray(16)).toString('latin1');
          assert.deepEqual(
            log.batches.map(({ bytes }) => payload(bytes)),
            sent[who]!.map(payload),
          );
          if (log.batches.length === 0) continue;
          const { responses } = await clients[who]!.call(
            apis.fetch,
            12,
            fetchBody([{ topic: 't', partition: who, offset: 0, bytesMax: 50 * MIB }]),
          );
          assert.deepEqual(Buffer.from(responses[0]!.partitions[0]!.records!), stored(log));
          assert.equal(log.slicesOut, 0);
        }
        assert.deepEqual(w.errors, []);
      },
    ),
    { numRuns: 40 },
  );
});
