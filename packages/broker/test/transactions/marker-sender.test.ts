import assert from 'node:assert/strict';
import { test } from 'node:test';
import { topicPartitionKey, type TopicPartition } from '../../src/cluster/topic-partition.core.ts';
import { BrokerError, type ErrorName } from '../../src/errors.ts';
import type { PeerPort, WriteTxnMarkersRequest, WriteTxnMarkersResponse } from '../../src/peer/types.ts';
import type { HostedPartitions } from '../../src/topics/types.ts';
import { MarkerSender } from '../../src/transactions/marker-sender.ts';
import type { MarkerTask } from '../../src/transactions/types.ts';
import { SimWorld } from '../../../../sim/platform/world.ts';
import { partition, Transactions } from './harness.ts';

type Answer = (
  broker: number,
  request: WriteTxnMarkersRequest,
) => WriteTxnMarkersResponse | Promise<WriteTxnMarkersResponse>;

/** A sender in a simulated world, over brokers that answer as a test says; all partitions take markers unless it does. */
class Bench {
  readonly sim = new SimWorld({ seed: 1 });
  readonly counters = new Transactions().counters;
  readonly requests: [broker: number, markers: string[][]][] = [];
  readonly warnings: string[] = [];
  /** By topic, the leaders of its partitions. */
  readonly leaders = new Map<string, number[]>();
  answer: Answer = (_broker, { markers }) => markers.map(() => new Map());
  readonly sender: MarkerSender;
  used = 0;

  constructor() {
    const platform = this.sim.node('broker').boot();
    const topicByName = (name: string): unknown => {
      const leaders = this.leaders.get(name);
      return leaders === undefined ? undefined : { partitions: leaders.map((leader) => ({ leader })) };
    };
    const image = { topicByName } as unknown as HostedPartitions['image'];
    const peer: PeerPort = {
      writeTxnMarkers: async (broker, request) => {
        this.requests.push([
          broker,
          request.markers.map(({ partitions }) => partitions.map(topicPartitionKey)),
        ]);
        return this.answer(broker, request);
      },
    };
    const { logger } = platform;
    this.sender = new MarkerSender({
      ...platform,
      peer,
      partitions: { image },
      counters: this.counters,
      logger: { ...logger, warn: (_fields, message) => void this.warnings.push(message) },
    });
  }

  /** What has the marker, as the task was told. */
  send(names: readonly string[], more: Partial<MarkerTask> = {}): { readonly done: string[] } {
    const done: string[] = [];
    this.sender.send(
      {
        transactionalId: 't',
        producerId: 5,
        producerEpoch: 2,
        result: 'commit',
        coordinatorEpoch: 3,
        transactionVersion: 2,
        partitions: names.map(partition),
        isCancelled: () => false,
        written: (partitions: readonly TopicPartition[]) => done.push(...partitions.map(topicPartitionKey)),
        ...more,
      },
      () => this.used++,
    );
    return { done };
  }

  advance(ms = 0): Promise<void> {
    return this.sim.advance(ms);
  }
}

function refusing(errors: Readonly<Record<string, ErrorName>>): Answer {
  return (_broker, { markers }) => markers.map(() => new Map(Object.entries(errors)));
}

test('what is sent in one turn goes to each leader in one request', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1, 2]).set('b', [1]);
  const first = bench.send(['a-0', 'a-1']);
  const second = bench.send(['b-0'], { result: 'abort' });
  await bench.advance();
  assert.deepEqual(bench.requests, [
    [1, [['a-0'], ['b-0']]],
    [2, [['a-1']]],
  ]);
  assert.deepEqual([first.done.toSorted(), second.done], [['a-0', 'a-1'], ['b-0']]);
  assert.equal(bench.used, 3, 'the shard hears of each answer');
  assert.equal(bench.counters.markersWritten, 3);
});

test('what a partition did not take is sent again, and nothing else, until it has', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1, 1]);
  bench.answer = refusing({ 'a-1': 'KAFKA_STORAGE_ERROR' });
  const { done } = bench.send(['a-0', 'a-1']);
  await bench.advance(500);
  assert.deepEqual(done, ['a-0']);
  const tries = bench.requests.length;
  assert.ok(tries >= 4 && tries <= 7, `${tries} tries in half a second: the pauses double`);
  assert.deepEqual(bench.requests.at(-1), [1, [['a-1']]]);
  assert.equal(bench.counters.markerRetries, tries);
  bench.answer = refusing({});
  await bench.advance(1000);
  assert.deepEqual(done, ['a-0', 'a-1']);
  assert.equal(bench.requests.length, tries + 1);
});

test('it goes to whoever leads by then, also if the broker cannot be reached, or nobody leads', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1]);
  bench.answer = (broker) => {
    if (broker === 1) throw new BrokerError('LEADER_NOT_AVAILABLE', 'gone');
    return [new Map()];
  };
  const { done } = bench.send(['a-0']);
  await bench.advance(1);
  bench.leaders.set('a', [-1]);
  await bench.advance(200);
  assert.deepEqual(done, []);
  assert.equal(bench.requests.length, 1);
  bench.leaders.set('a', [2]);
  await bench.advance(1000);
  assert.deepEqual(done, ['a-0']);
  assert.equal(bench.requests.at(-1)?.[0], 2);
});

test('a topic that is gone needs no marker, from the start or while it is tried', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1]);
  bench.answer = refusing({ 'a-0': 'UNKNOWN_TOPIC_OR_PARTITION' });
  const { done } = bench.send(['a-0', 'b-0', 'a-1']);
  await bench.advance(1);
  assert.deepEqual(done, ['b-0', 'a-1'], 'no such topic, and no such partition');
  bench.leaders.delete('a');
  await bench.advance(100);
  assert.deepEqual(done, ['b-0', 'a-1', 'a-0']);
});

test('a partition with a later epoch of the producer has had the marker', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1]);
  bench.answer = refusing({ 'a-0': 'INVALID_PRODUCER_EPOCH' });
  assert.deepEqual(bench.warnings, []);
  const repeated = bench.send(['a-0']);
  await bench.advance();
  assert.deepEqual(repeated.done, ['a-0']);
  assert.deepEqual(bench.warnings, [], 'so is a repetition answered with version 2');
  const odd = bench.send(['a-0'], { transactionVersion: 0 });
  await bench.advance();
  assert.deepEqual(odd.done, ['a-0']);
  assert.equal(bench.warnings.length, 1);
});

test('what nobody waits for any more is not sent again', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1]);
  bench.answer = refusing({ 'a-0': 'TRANSACTION_COORDINATOR_FENCED' });
  let cancelled = false;
  bench.send(['a-0'], { isCancelled: () => cancelled });
  await bench.advance(100);
  const tries = bench.requests.length;
  assert.ok(tries > 1);
  cancelled = true;
  await bench.advance(5000);
  assert.equal(bench.requests.length, tries);
});

test('one that fails for long is said in the log, now and then', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1]);
  bench.answer = refusing({ 'a-0': 'NOT_ENOUGH_REPLICAS' });
  bench.send(['a-0']);
  await bench.advance(120_000);
  assert.equal(bench.warnings.length, 2);
  bench.sender.close();
  const tries = bench.requests.length;
  await bench.advance(5000);
  assert.equal(bench.requests.length, tries);
});

test('a transaction of many partitions is ended over many turns, of which each has so many markers', async () => {
  const bench = new Bench();
  const count = 1100;
  bench.leaders.set(
    'a',
    Array.from({ length: count }, () => 1),
  );
  bench.leaders.set('b', [1]);
  const names = Array.from({ length: count }, (_, index) => `a-${index}`);
  const large = bench.send(names);
  const late = bench.send(names.slice(0, 300), { result: 'abort' });
  const small = bench.send(['b-0']);
  const markersOf = ([, markers]: (typeof bench.requests)[number]): number => markers.flat().length;
  // Turn by turn: nothing but what was sent in it has been asked for.
  await Promise.resolve();
  assert.deepEqual(bench.requests.map(markersOf), [200]);
  await bench.advance(100);
  assert.ok(bench.requests.every((request) => markersOf(request) <= 200));
  assert.equal(bench.requests.length, Math.ceil((count + 300 + 1) / 200));
  const turnOf = (name: string): number =>
    bench.requests.findIndex(([, markers]) => markers.some((partitions) => partitions.includes(name)));
  assert.ok(turnOf('b-0') <= 3, 'a small one does not wait for the end of a large one');
  assert.deepEqual(large.done.toSorted(), names.toSorted(), 'each of them once');
  assert.deepEqual([late.done.length, small.done], [300, ['b-0']]);
});

test('many transactions of few partitions are ended together, so many in a turn', async () => {
  const bench = new Bench();
  bench.leaders.set('a', [1, 1]);
  const sent = Array.from({ length: 1200 }, () => bench.send(['a-0', 'a-1']));
  await Promise.resolve();
  assert.deepEqual(
    bench.requests.map(([, markers]) => markers.flat().length),
    [1000],
  );
  await bench.advance(100);
  assert.ok(bench.requests.every(([, markers]) => markers.flat().length <= 1000));
  assert.ok(sent.every(({ done }) => done.length === 2));
});

test('what waits for its turn is not sent once nobody waits for it any more', async () => {
  const bench = new Bench();
  bench.leaders.set(
    'a',
    Array.from({ length: 500 }, () => 1),
  );
  let cancelled = false;
  bench.send(
    Array.from({ length: 500 }, (_, index) => `a-${index}`),
    { isCancelled: () => cancelled },
  );
  await Promise.resolve();
  assert.equal(bench.requests.length, 1);
  cancelled = true;
  await bench.advance(5000);
  assert.equal(bench.requests.length, 1);
});
