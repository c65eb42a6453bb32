/**
 * A whole broker, from the bytes of Kafka's protocol down to the disk, and its clients over the simulated network: producers (plain and
 * idempotent), consumers (long polls, fetch sessions), admin clients (topics, configs, partitions, DeleteRecords). Meanwhile the broker
 * is stopped, killed and loses its power, also within a start, the disk fails in every way, and connections break.
 */
import { Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import type { SimWorld } from '../platform/world.ts';
import type { Scenario } from '../report.ts';
import { Admin } from './admin.ts';
import type { ClientHost } from './clients.ts';
import { Consumer } from './consumer.ts';
import { FinalReader } from './final-reader.ts';
import { BrokerMachine, brokerConfig, PORT } from './machine.ts';
import { Model } from './model.ts';
import { IdempotentProducer, PlainProducer } from './producers.ts';

const OPERATIONS = 2200;
const OPERATIONS_MIN = 2000;
const CRASHES_MIN = 3;
const NAMES = ['orders', 'payments', 'events', 'views', 'clicks', 'audit'];
const STEP_MS_MAX = 25;
const DRAIN_MS = 60_000;

class BrokerRun {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly machine: BrokerMachine;
  readonly model = new Model(NAMES);
  readonly host: ClientHost;
  readonly admins: readonly Admin[];
  readonly idempotent: readonly IdempotentProducer[];
  operations = 0;
  #draining = false;
  #stopped = false;
  #failure: Error | undefined;

  constructor(world: SimWorld) {
    this.world = world;
    this.random = world.random.fork('broker');
    this.machine = new BrokerMachine(world, this.random, brokerConfig(), {
      begun: () => this.operations > 0,
      crashed: () => this.model.crashed(),
      powerLost: () => this.model.powerLost(),
      advance: (durationMs) => this.#advance(durationMs),
      check: () => this.#check(),
      fail: (error) => this.host.fail(error),
    });
    this.host = {
      world,
      model: this.model,
      platform: world.node('clients').boot(),
      address: { host: 'broker', port: PORT },
      boot: () => this.machine.boots,
      draining: () => this.#draining,
      stopped: () => this.#stopped,
      operation: () => this.operations++,
      fail: (error) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
        this.#stopped = true;
      },
    };
    const { names } = this.model;
    this.admins = [0, 1, 2].map(
      (index) => new Admin(this.host, `admin ${index}`, names.slice(2 * index, 2 * index + 2)),
    );
    this.idempotent = [0, 1, 2].map((index) => new IdempotentProducer(this.host, `idempotent ${index}`));
  }

  async run(): Promise<void> {
    await this.machine.start();
    const plain = [0, 1].map((index) => new PlainProducer(this.host, `plain ${index}`));
    const consumers = [0, 1, 2].map((index) => new Consumer(this.host, `consumer ${index}`));
    for (const client of [...this.admins, ...this.idempotent, ...plain, ...consumers]) client.run();
    while (this.operations < OPERATIONS || this.machine.crashes < CRASHES_MIN) {
      if (!this.machine.node.isUp) await this.machine.afterDeath();
      await this.#advance(this.random.fraction() * STEP_MS_MAX);
      await this.machine.disturb();
    }
    await this.#finish();
  }

  async #advance(durationMs: number): Promise<void> {
    await this.world.advance(durationMs);
    this.#check();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  // The end

  /** All faults end; everybody gets an answer; after a last loss of power all is read once more. */
  async #finish(): Promise<void> {
    this.machine.calm();
    if (!this.machine.node.isUp) await this.machine.afterDeath();
    // A log that had to go offline comes back with a restart.
    this.machine.crash('process');
    await this.machine.start();
    await this.#drain();
    this.machine.crash('power');
    await this.machine.start();
    await this.#drain();
    this.#stopped = true;
    const reader = new FinalReader(this.host);
    await this.world.settle(reader.readAll());
    this.#check();
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    const deadlineMs = this.world.nowMs + DRAIN_MS;
    const clients = [...this.idempotent, ...this.admins];
    while (clients.some(({ idle }) => !idle)) {
      if (!this.machine.node.isUp) await this.machine.afterDeath();
      await this.#advance(STEP_MS_MAX);
      if (this.world.nowMs > deadlineMs) throw new Violation('unavailable', 'a client never got its answer');
    }
  }
}

export const brokerScenario: Scenario = {
  name: 'broker',
  operationsMin: OPERATIONS_MIN,
  crashesMin: CRASHES_MIN,
  run: async (world) => {
    const run = new BrokerRun(world);
    try {
      await run.run();
    } finally {
      world.count('operations', run.operations);
      world.count('crashes', run.machine.crashes);
    }
  },
  requiredPaths: [
    'ack.acks=-1',
    'ack.acks=1',
    'ack.idempotent',
    'ack.after-retry',
    'producer.id',
    'producer.retry',
    'producer.repeat',
    'producer.sequence-forgotten',
    'produce.ambiguous',
    'Produce.CORRUPT_MESSAGE',
    'Produce.KAFKA_STORAGE_ERROR',
    'Produce.MESSAGE_TOO_LARGE',
    'Produce.OUT_OF_ORDER_SEQUENCE_NUMBER',
    'Produce.REQUEST_TIMED_OUT',
    'Produce.UNKNOWN_TOPIC_OR_PARTITION',
    'fetch.records',
    'fetch.empty',
    'fetch.incremental',
    'Fetch.OFFSET_OUT_OF_RANGE',
    'Fetch.KAFKA_STORAGE_ERROR',
    'Fetch.FETCH_SESSION_ID_NOT_FOUND',
    'list-offsets.-1',
    'list-offsets.-2',
    'list-offsets.-3',
    'list-offsets.timestamp',
    'topic.created',
    'topic.auto-created',
    'topic.deleted',
    'topic-gone-under-client',
    'partitions.created',
    'config.altered',
    'records.deleted',
    'admin.verified',
    'admin.repeat',
    'admin.repeat.KAFKA_STORAGE_ERROR',
    'client.connection-lost',
    'client.disconnects',
    'restart.clean',
    'start.killed',
    'storage.fatal',
    'recovery.clean',
    'recovery.process-crash',
    'recovery.power-loss',
    'recovery.journal-replay',
    'recovery.torn-tail-cut',
    'drain.partitions',
    'fault.disk-full',
    'crash.power',
    'crash.process',
    'disk.datasync-error',
    'disk.entry-lost',
    'disk.full',
    'disk.killed-in-operation',
    'disk.page-lost',
    'disk.page-torn',
    'disk.read-eio',
    'disk.slow',
    'disk.write-eio',
    'disk.write-enospc',
    'network.drop',
    'network.slow',
  ],
};
