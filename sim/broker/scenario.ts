/**
 * A whole broker, from the bytes of Kafka's protocol down to the disk, and its clients over the simulated network: producers (plain and
 * idempotent), consumers (long polls, fetch sessions), admin clients (topics, configs, partitions, DeleteRecords); in a part of the seeds also clients
 * with quotas that come and go. Meanwhile the broker
 * is stopped, killed and loses its power, also within a start, the disk fails in every way, and connections break.
 */
import type { SimWorld } from '../platform/world.ts';
import { Admin } from './admin.ts';
import type { ClientHost } from './clients.ts';
import { Consumer } from './consumer.ts';
import { FinalReader } from './final-reader.ts';
import { LimitedClient, QUOTA_WINDOW } from './limited-client.ts';
import { Model } from './model.ts';
import { IdempotentProducer, PlainProducer } from './producers.ts';
import { QuotaAdmin, QuotaModel } from './quotas.ts';
import { BrokerRun, brokerRunScenario } from './run.ts';

const OPERATIONS = 2200;
const OPERATIONS_MIN = 2000;
const CRASHES_MIN = 3;
const NAMES = ['orders', 'payments', 'events', 'views', 'clicks', 'audit'];
const DRAIN_MS = 60_000;
/** Of the seeds: the others have no clients with quotas. */
const WITH_QUOTAS = 0.4;
const LIMITED = ['limited-0', 'limited-1'];
const SETTINGS = {
  'quota.window.num': String(QUOTA_WINDOW.samples),
  'quota.window.size.seconds': String(QUOTA_WINDOW.sampleMs / 1000),
};

class KafkaRun extends BrokerRun {
  readonly model = new Model(NAMES);
  readonly host: ClientHost;
  readonly admins: readonly Admin[];
  readonly idempotent: readonly IdempotentProducer[];
  /** Of a part of the seeds only, and by chances of their own, so that the others are as they would be without. */
  readonly quotaAdmins: readonly QuotaAdmin[];
  readonly limited: readonly LimitedClient[];

  constructor(world: SimWorld) {
    super(world, 'broker', SETTINGS);
    this.host = { ...this.baseHost(), model: this.model };
    const { names } = this.model;
    this.admins = [0, 1, 2].map(
      (index) => new Admin(this.host, `admin ${index}`, names.slice(2 * index, 2 * index + 2)),
    );
    this.idempotent = [0, 1, 2].map((index) => new IdempotentProducer(this.host, `idempotent ${index}`));
    const withQuotas = world.random.fork('quotas').chance(WITH_QUOTAS);
    const quotaHost = { ...this.host, quotas: new QuotaModel(withQuotas ? LIMITED : []) };
    this.quotaAdmins = withQuotas ? [new QuotaAdmin(quotaHost, 'quota admin')] : [];
    this.limited = quotaHost.quotas.clientIds.map((clientId) => new LimitedClient(quotaHost, clientId));
  }

  protected override crashed(): void {
    this.model.crashed();
  }

  protected override powerLost(): void {
    this.model.powerLost();
  }

  async run(): Promise<void> {
    await this.machine.start();
    const plain = [0, 1].map((index) => new PlainProducer(this.host, `plain ${index}`));
    const consumers = [0, 1, 2].map((index) => new Consumer(this.host, `consumer ${index}`));
    for (const client of [...this.admins, ...this.idempotent, ...plain, ...consumers]) client.run();
    for (const client of [...this.quotaAdmins, ...this.limited]) client.run();
    await this.disturb(OPERATIONS, CRASHES_MIN);
    // All faults have ended; everybody gets an answer; after a last loss of power all is read once more. A log that had to go offline comes back
    // with a restart.
    for (const kind of ['process', 'power'] as const) {
      await this.restartAfter(kind);
      await this.#drain();
    }
    this.stopped = true;
    const reader = new FinalReader(this.host);
    await this.world.settle(reader.readAll());
    this.check();
  }

  async #drain(): Promise<void> {
    this.draining = true;
    const clients = [...this.idempotent, ...this.admins, ...this.quotaAdmins];
    const otherwise = (): string => 'a client never got its answer';
    await this.until(() => clients.every(({ idle }) => idle), { forMs: 0, withinMs: DRAIN_MS, otherwise });
  }
}

export const brokerScenario = brokerRunScenario(
  {
    name: 'broker',
    operationsMin: OPERATIONS_MIN,
    crashesMin: CRASHES_MIN,
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
      'quota.set',
      'quota.removed',
      'quota.verified',
      'quota.throttled.producer_byte_rate',
      'quota.throttled.consumer_byte_rate',
      'quota.throttled.controller_mutation_rate',
      'quota.served-again',
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
  },
  (world) => new KafkaRun(world),
);
