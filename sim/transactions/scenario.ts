/**
 * Transactions on a whole broker: producers of both protocols that begin, write to several partitions, store offsets, commit, abort, stall until their
 * time is up, are replaced by a second instance and replace it, and repeat what was not answered, while the broker is stopped, killed and loses its
 * power, its disk fails, and connections break. What must hold: a transaction is there as a whole or not at all, in its records and in its offsets; one
 * that is acknowledged is never lost, one that was aborted never read; a late EndTxn meets no later transaction; and once all is calm, none is open.
 */
import { createTopics } from '@polylog/kafka-protocol';
import { Client } from '../broker/clients.ts';
import { BrokerRun, brokerRunScenario, STEP_MS_MAX } from '../broker/run.ts';
import type { SimWorld } from '../platform/world.ts';
import { CommittedReader } from './committed-reader.ts';
import { TransactionsModel } from './model.ts';
import { TOPIC, Transactor, type TransactionHost } from './transactor.ts';

const OPERATIONS = 2600;
const OPERATIONS_MIN = 2000;
const CRASHES_MIN = 3;
const PARTITIONS = 4;
const OWNERS = ['a', 'b', 'c'];
const INSTANCES = 2;
const READERS = 2;
/** In virtual time: longer than the longest time-out of a transaction. */
const QUIET_MS = 4000;
const READ_MS_MAX = 20_000;

const SETTINGS: Readonly<Record<string, string>> = {
  'transaction.state.log.num.partitions': '2',
  'offsets.topic.num.partitions': '2',
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': '40',
  // Shorter than an open transaction may last: those do not expire.
  'transactional.id.expiration.ms': '1000',
  'transaction.remove.expired.transaction.cleanup.interval.ms': '200',
  // The topics of the coordinators are compacted all the time.
  'log.cleaner.backoff.ms': '50',
  'log.cleaner.min.cleanable.ratio': '0.01',
  'log.cleaner.delete.retention.ms': '500',
  'log.roll.ms': '400',
  'log.retention.ms': '-1',
};

/** Makes the topic that all write to. */
class Founder extends Client<TransactionHost> {
  done = false;

  protected async step(): Promise<void> {
    await this.sleep(5);
    if (this.done) return;
    const { topics } = await this.ask(createTopics, createTopics.versionMax, {
      topics: [
        { name: TOPIC, numPartitions: PARTITIONS, replicationFactor: 1, assignments: [], configs: [] },
      ],
      timeoutMs: 10_000,
    });
    const { errorCode } = topics[0]!;
    this.done = errorCode === 0 || this.refused(createTopics, errorCode) === 'TOPIC_ALREADY_EXISTS';
  }
}

class TransactionsRun extends BrokerRun {
  readonly host: TransactionHost;
  readonly transactors: readonly Transactor[];
  readonly readers: readonly CommittedReader[];

  constructor(world: SimWorld) {
    super(world, 'transactions', SETTINGS);
    this.host = { ...this.baseHost(), model: new TransactionsModel(PARTITIONS, OWNERS) };
    this.transactors = OWNERS.flatMap((owner) =>
      Array.from(
        { length: INSTANCES },
        (_, instance) => new Transactor(this.host, `${owner} ${instance}`, owner),
      ),
    );
    this.readers = Array.from(
      { length: READERS },
      (_, index) => new CommittedReader(this.host, `reader ${index}`),
    );
  }

  async run(): Promise<void> {
    await this.machine.start();
    const founder = new Founder(this.host, 'founder');
    founder.run();
    while (!founder.done) await this.advance(5);
    for (const client of [...this.transactors, ...this.readers]) client.run();
    await this.disturb(OPERATIONS, CRASHES_MIN);
    // All faults have ended; what is open comes to its end by itself, also over a loss of power.
    for (const kind of ['process', 'power'] as const) {
      await this.restartAfter(kind);
      this.draining = true;
      await this.until(() => this.transactors.every(({ busy }) => !busy), {
        forMs: QUIET_MS,
        withinMs: READ_MS_MAX,
        otherwise: () => 'a producer does not come to its end',
      });
      const findings = await this.world.settle(this.readers[0]!.readAll(this.world.nowMs + READ_MS_MAX));
      this.host.model.check(findings);
      this.check();
      this.draining = false;
      await this.advance(10 * STEP_MS_MAX);
    }
    for (const [fate, count] of this.host.model.fates) this.world.count(`fate.${fate}`, count);
    this.stopped = true;
  }
}

export const transactionsScenario = brokerRunScenario(
  {
    name: 'transactions',
    operationsMin: OPERATIONS_MIN,
    crashesMin: CRASHES_MIN,
    requiredPaths: [
      'add.CONCURRENT_TRANSACTIONS',
      'add.COORDINATOR_LOAD_IN_PROGRESS',
      'add.INVALID_PRODUCER_EPOCH',
      'add.INVALID_PRODUCER_ID_MAPPING',
      'add.NOT_COORDINATOR',
      'add.PRODUCER_FENCED',
      'cleaner.passes',
      'describe.CompleteAbort',
      'describe.CompleteCommit',
      'describe.Empty',
      'describe.Ongoing',
      'describe.TRANSACTIONAL_ID_NOT_FOUND',
      'end.NOT_COORDINATOR',
      'end.PRODUCER_FENCED',
      'end.aborted',
      'end.committed',
      'fate.unknown',
      'init.CONCURRENT_TRANSACTIONS',
      'init.COORDINATOR_LOAD_IN_PROGRESS',
      'init.PRODUCER_FENCED',
      'init.anew',
      'init.goes-on',
      'late-end.PRODUCER_FENCED',
      'late-end.ok',
      'list.done',
      'offset.INVALID_PRODUCER_EPOCH',
      'offset.stored',
      'produce.INVALID_PRODUCER_EPOCH',
      'produce.INVALID_PRODUCER_ID_MAPPING',
      'produce.NOT_ENOUGH_REPLICAS',
      'produce.adds',
      'produce.verifies',
      'read-offset.done',
      'read.done',
      'recovery.power-loss',
      'recovery.process-crash',
      'restart.clean',
      'storage.fatal',
      'transactor.died',
      'transactor.fenced',
      'transactor.stalled',
      'transactor.trouble',
    ],
  },
  (world) => new TransactionsRun(world),
);
