import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Slices } from '../../src/expressions/slices.ts';
import { TRANSACTIONS_TOPIC } from '../../src/cluster/topic-names.ts';
import { BrokerError, type ErrorName } from '../../src/errors.ts';
import type { PeerPort, WriteTxnMarkersResponse } from '../../src/peer/types.ts';
import { TransactionService } from '../../src/transactions/service.ts';
import type { ProducerIdentity } from '../../src/transactions/types.ts';
import { SimWorld } from '../../../../sim/platform/world.ts';
import { TestBroker } from '../frontends/kafka/harness.ts';
import { ALL, partition, SETTINGS } from './harness.ts';

const T = { transactionalId: 't' };

/** A service over logs in memory; markers are taken when a test says so, or at once. */
class Bench {
  readonly sim = new SimWorld({ seed: 1 });
  readonly broker: TestBroker;
  readonly service: TransactionService;
  readonly coordinatorEpochs: number[] = [];
  prompt = true;
  producerIdError: BrokerError | undefined;
  #waiting: (() => void)[] = [];
  #nextProducerId = 1000;

  constructor(options: { readonly elsewhere?: boolean } = {}) {
    const platform = this.sim.node('broker').boot();
    this.broker = new TestBroker(platform);
    this.broker.add('a', { partitions: 2 });
    this.broker.add(TRANSACTIONS_TOPIC, { partitions: 2, kind: 'internal', ...options });
    const peer: PeerPort = {
      writeTxnMarkers: async (_broker, { markers }): Promise<WriteTxnMarkersResponse> => {
        for (const { coordinatorEpoch } of markers) this.coordinatorEpochs.push(coordinatorEpoch);
        if (!this.prompt) await new Promise<void>((resolve) => this.#waiting.push(resolve));
        return markers.map(() => new Map());
      },
    };
    this.service = new TransactionService({
      ...platform,
      partitions: this.broker,
      admin: this.broker,
      peer,
      producerIds: {
        next: () =>
          this.producerIdError === undefined
            ? Promise.resolve(this.#nextProducerId++)
            : Promise.reject(this.producerIdError),
      },
      slices: new Slices(platform),
      settings: SETTINGS,
      topic: {
        partitions: 2,
        replicationFactor: 1,
        segmentBytes: 1 << 20,
        flush: 'fsync',
        minInsyncReplicas: 1,
      },
    });
  }

  static async loaded(): Promise<Bench> {
    const bench = new Bench();
    await bench.sim.advance(10);
    return bench;
  }

  takeMarkers(): void {
    for (const take of this.#waiting.splice(0)) take();
  }

  get markersWaiting(): number {
    return this.#waiting.length;
  }

  async producer(): Promise<ProducerIdentity> {
    const response = await this.sim.settle(this.service.initProducer(INIT));
    if (response.error !== undefined) throw new Error(response.error);
    const { producerId, producerEpoch } = response;
    return { producerId, producerEpoch };
  }

  add(producer: ProducerIdentity): Promise<ErrorName | undefined> {
    const request = { ...T, ...producer, partitions: [partition('a-0')], transactionVersion: 2 };
    return this.service.addToTransaction(request);
  }

  /** Commits what is open; the identity to go on with. */
  async commit(producer: ProducerIdentity): Promise<ProducerIdentity> {
    const request = { ...T, ...producer, result: 'commit', transactionVersion: 2 } as const;
    const response = await this.sim.settle(this.service.end(request));
    assert.equal(response.error, undefined);
    return { producerId: producer.producerId, producerEpoch: producer.producerEpoch + 1 };
  }

  async state(): Promise<string> {
    const described = await this.sim.settle(this.service.describe('t'));
    return described.error ?? described.state;
  }
}

const INIT = { ...T, timeoutMs: 10_000, expected: undefined };

describe('the service of transactions', () => {
  it('lets a request wait for the markers of the last transaction, for a moment', async () => {
    const bench = await Bench.loaded();
    const first = await bench.producer();
    await bench.sim.settle(bench.add(first));
    bench.prompt = false;
    const second = await bench.commit(first);
    let outcome: ErrorName | 'added' | undefined;
    void bench.add(second).then((error) => (outcome = error ?? 'added'));
    await bench.sim.advance(50);
    assert.equal(outcome, undefined);
    bench.takeMarkers();
    await bench.sim.advance(5);
    assert.equal(outcome, 'added');
    const third = await bench.commit(second);
    const late = await bench.sim.settle(bench.add(third));
    assert.equal(late, 'CONCURRENT_TRANSACTIONS', 'and no longer');
  });

  it('gives a successor its identity in one answer, once what its predecessor had begun is over', async () => {
    const bench = await Bench.loaded();
    const first = await bench.producer();
    await bench.sim.settle(bench.add(first));
    assert.deepEqual(await bench.producer(), { ...first, producerEpoch: first.producerEpoch + 2 });
    assert.equal(await bench.state(), 'Empty');
  });

  it('answers as without a coordinator when there are no producer ids', async () => {
    const bench = await Bench.loaded();
    bench.producerIdError = new BrokerError('REQUEST_TIMED_OUT', 'none');
    assert.deepEqual(await bench.sim.settle(bench.service.initProducer(INIT)), {
      error: 'COORDINATOR_NOT_AVAILABLE',
    });
    bench.producerIdError = undefined;
    await bench.producer();
  });

  it('goes on with what was prepared when a write has failed, and its state was loaded again', async () => {
    const bench = await Bench.loaded();
    const first = await bench.producer();
    await bench.sim.settle(bench.add(first));
    bench.prompt = false;
    await bench.commit(first);
    assert.equal(bench.markersWaiting, 1);
    // The completion cannot be written.
    const topic = bench.broker.topics.get(TRANSACTIONS_TOPIC)!;
    for (const log of topic.logs) log.failNext = 'cut';
    bench.takeMarkers();
    await bench.sim.advance(1);
    assert.equal(await bench.state(), 'COORDINATOR_LOAD_IN_PROGRESS');
    for (const log of topic.logs) log.failNext = 'no';
    bench.prompt = true;
    await bench.sim.advance(1000);
    assert.equal(await bench.state(), 'CompleteCommit');
    assert.equal(bench.coordinatorEpochs.length, 2, 'the marker was sent once more');
    assert.equal(bench.service.shardCounters.resets, 1);
  });

  it('verifies and adds for the writers of records, by partition', async () => {
    const bench = await Bench.loaded();
    const producer = await bench.producer();
    const ask = (mode: 'verify' | 'add', ...names: string[]) =>
      bench.sim.settle(
        bench.service.addPartitions({ ...T, ...producer, partitions: names.map(partition), mode }),
      );
    assert.deepEqual(await ask('verify', 'a-0'), new Map([['a-0', 'TRANSACTION_ABORTABLE']]));
    assert.deepEqual(await ask('add', 'a-0'), new Map());
    assert.deepEqual(await ask('verify', 'a-0', 'a-1'), new Map([['a-1', 'TRANSACTION_ABORTABLE']]));
  });

  it('changes nothing that could not be written', async () => {
    const bench = await Bench.loaded();
    const producer = await bench.producer();
    bench.broker.diskFull = true;
    assert.equal(await bench.sim.settle(bench.add(producer)), 'COORDINATOR_NOT_AVAILABLE');
    bench.broker.diskFull = false;
    assert.equal(await bench.state(), 'Empty');
    assert.equal(await bench.sim.settle(bench.add(producer)), undefined);
  });

  it('answers for its own partitions only', async () => {
    const bench = new Bench({ elsewhere: true });
    await bench.sim.advance(10);
    assert.deepEqual(await bench.sim.settle(bench.service.initProducer(INIT)), { error: 'NOT_COORDINATOR' });
    assert.deepEqual(await bench.sim.settle(bench.service.coordinatorOf('t')), {
      error: undefined,
      brokerId: 8,
    });
    assert.deepEqual(await bench.sim.settle(bench.service.list({ ...ALL, idPattern: undefined })), {
      error: undefined,
      transactions: [],
    });
  });

  it('lists nothing while some ids are still being loaded', async () => {
    const bench = await Bench.loaded();
    await bench.producer();
    const topic = bench.broker.topics.get(TRANSACTIONS_TOPIC)!;
    for (const log of topic.logs) log.failNext = 'cut';
    await bench.sim.settle(bench.add({ producerId: 1000, producerEpoch: 0 }));
    assert.deepEqual(await bench.sim.settle(bench.service.list({ ...ALL, idPattern: undefined })), {
      error: 'COORDINATOR_LOAD_IN_PROGRESS',
    });
    assert.equal(bench.service.loadingCount, 1);
    for (const log of topic.logs) log.failNext = 'no';
    await bench.sim.settle(bench.service.loaded(2000));
    const listed = await bench.sim.settle(bench.service.list({ ...ALL, idPattern: undefined }));
    assert.deepEqual(listed, {
      error: undefined,
      transactions: [{ transactionalId: 't', producerId: 1000, state: 'Empty' }],
    });
  });
});
