/**
 * Three replicas of one partition: the real core, driver and storage on three simulated machines, a metadata store with
 * compare-and-swap, and a controller that elects from the ISR, then the ELR, never uncleanly. Crashes, cuts in both or one direction, pauses
 * and zombie leaders, lost, late and repeated messages, failing disks. One seed in eight runs with flush=os, where only processes die.
 */
import type { PartitionRecord } from '../../packages/broker/src/replication/index.ts';
import type { LogConfig } from '../../packages/broker/src/storage/types.ts';
import type { AppendResult } from '../../packages/broker/src/replication/types.ts';
import { ClusterInvariants } from '../invariants/cluster-invariants.ts';
import { PartitionHistory, PollOrder, Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import type { CrashKind, SimWorld } from '../platform/world.ts';
import type { Scenario } from '../report.ts';
import { type BrokerProcess, LOG_CONFIG } from '../workload/broker-node.ts';
import {
  IdempotentProducer,
  PlainProducer,
  type ProducerHost,
  type SendBatch,
} from '../workload/producer.ts';
import { readFrom } from '../workload/reading.ts';
import { ClusterBroker, nameOf, startProcess, STORE } from './broker.ts';
import { Links } from './links.ts';
import { MetadataSim } from './metadata.ts';
import { type Ask, checkTransactions, ClusterTransactor } from './transactions.ts';

const REPLICAS = [1, 2, 3];
const OPERATIONS = 2000;
const CRASHES_MIN = 3;
const CONTROLLER_MS = 120;
const OPERATION_PAUSE_MS_MAX = 8;
const RESTART_MS_MAX = 400;
const FAULT_MS_MAX = 800;
const CONVERGENCE_MS_MAX = 30_000;
const PRODUCE_TIMEOUT_MS = 600;
const CLIENT = 'client';
const POLL_BYTES = 2000;

class ClusterRun {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly links: Links;
  readonly metadata: MetadataSim;
  readonly invariants: ClusterInvariants;
  readonly history = new PartitionHistory('the partition');
  readonly durable: boolean;
  readonly #brokers = new Map<number, ClusterBroker>();
  /** Those that wait for their restart. */
  readonly #down = new Set<number>();
  readonly #consumers = [new PollOrder(), new PollOrder()];
  readonly #plain: PlainProducer;
  readonly #idempotent: readonly IdempotentProducer[];
  readonly #transactors: readonly ClusterTransactor[];
  #violation: Error | undefined;
  #faultsUntilMs = 0;
  #values = 0;
  operations = 0;
  crashes = 0;

  constructor(world: SimWorld) {
    this.world = world;
    this.random = world.random.fork('cluster');
    this.links = new Links(world);
    this.metadata = new MetadataSim(world, REPLICAS);
    this.durable = !this.random.chance(1 / 8);
    this.invariants = new ClusterInvariants({ durable: this.durable, count: (path) => world.count(path) });
    const host: ProducerHost = {
      history: this.history,
      random: this.random.fork('producers'),
      nextValue: () => ++this.#values,
      nowMs: () => Math.floor(world.nowMs) + world.startMs,
      count: (path) => world.count(path),
      binding: (acks) => acks === -1,
      storageErrorIsCertain: () => false,
    };
    this.#plain = new PlainProducer(host);
    this.#idempotent = [1001, 1002, 1003].map((id) => new IdempotentProducer(host, id));
    this.#transactors = [2001, 2002, 2003].map(
      (producerId) =>
        new ClusterTransactor({ ...host, random: this.random.fork(`${producerId}`), producerId }),
    );
    for (const consumer of this.#consumers) consumer.assign(0);
    this.metadata.onChange = (record) => this.#announce(record);
  }

  async run(): Promise<void> {
    this.world.count(this.durable ? 'mode.fsync' : 'mode.os');
    for (const id of REPLICAS) this.#start(id);
    this.#everyPass();
    await this.#advance(100);
    while (this.operations < OPERATIONS || this.crashes < CRASHES_MIN) {
      this.operations++;
      this.#operation();
      await this.#advance(this.random.fraction() * OPERATION_PAUSE_MS_MAX);
      if (this.world.nowMs > this.#faultsUntilMs) this.#calm();
    }
    await this.#finish();
  }

  /** Runs the world, with all invariants asserted after each turn. */
  async #advance(durationMs: number): Promise<void> {
    let over = false;
    this.world.after(durationMs, () => void (over = true));
    await this.world.runUntil(() => {
      if (this.#violation !== undefined) throw this.#violation;
      this.#noticeDeaths();
      this.invariants.check([...this.#brokers.values()], this.metadata.record);
      return over;
    });
  }

  // The cluster

  #start(id: number): void {
    const node = this.world.node(nameOf(id));
    this.#down.delete(id);
    const config: LogConfig = { ...LOG_CONFIG, flush: this.durable ? 'fsync' : 'os' };
    if (this.#brokers.size > 0 && this.random.chance(0.1)) node.killWithin(20, this.#crashKind());
    startProcess(node, config).then(
      (process) => {
        if (process.alive) this.#adopt(id, process, config);
      },
      (error: unknown) => {
        if (!node.isUp) return;
        if (!(error instanceof Error) || error.name !== 'DiskError') this.#violation ??= error as Error;
        this.world.count('start.failed');
        this.#calm();
        node.crash({ kind: 'process' });
      },
    );
  }

  #adopt(id: number, process: BrokerProcess, config: LogConfig): void {
    const { recovery } = process.store;
    this.world.count(`recovery.${recovery.kind}`);
    if (recovery.corruptRanges > 0)
      this.#violation ??= new Violation('corruption', `broker ${id} found damage`);
    const retained = this.durable || recovery.kind !== 'power-loss';
    const broker = new ClusterBroker({
      id,
      brokerEpoch: this.metadata.register(id, retained),
      process,
      world: this.world,
      links: this.links,
      metadata: this.metadata,
      config,
      peer: (peer) => this.#brokers.get(peer),
    });
    this.#brokers.set(id, broker);
    broker.learn(this.metadata.record);
    this.world.node(nameOf(id)).disk.disarmKill();
  }

  /** A watch event for every broker, each on its own way. */
  #announce(record: PartitionRecord): void {
    for (const id of REPLICAS) {
      this.links.send(STORE, nameOf(id), () => {
        const broker = this.#brokers.get(id);
        broker?.receive(() => broker.learn(record));
      });
    }
  }

  #everyPass(): void {
    this.world.after(CONTROLLER_MS, () => {
      this.metadata.controllerPass();
      this.#everyPass();
    });
  }

  /** Who has died since the last look, by whatever cause, starts again after a while. */
  #noticeDeaths(): void {
    for (const id of REPLICAS) {
      if (this.world.node(nameOf(id)).isUp || this.#down.has(id)) continue;
      this.#down.add(id);
      this.#brokers.delete(id);
      this.crashes++;
      this.world.after(this.random.fraction() * RESTART_MS_MAX, () => this.#start(id));
    }
  }

  // Operations

  #operation(): void {
    const dice = this.random.fraction();
    const acks = this.random.pick([-1, -1, -1, 1, 0] as const);
    const { random } = this;
    if (dice < 0.2) this.#plain.send(acks, this.#sender(false));
    else if (dice < 0.3) this.#transact(random.pick(this.#transactors));
    else if (dice < 0.6) random.pick(this.#idempotent).send(this.#sender(true), { create: true });
    else if (dice < 0.64) random.pick(this.#idempotent).repeat(this.#sender(true));
    else if (dice < 0.96) this.#poll(random.pick(this.#consumers));
    else if (dice < 0.97) this.#fault();
    else if (dice < 0.974) this.#crash();
    else this.#checkTransactions();
  }

  #transact(transactor: ClusterTransactor): void {
    transactor.step(this.#ask).catch((error: unknown) => {
      this.#violation ??= error as Error;
    });
  }

  readonly #ask: Ask = (handle) => {
    const target = this.#target();
    if (target === undefined) return Promise.resolve(undefined);
    return this.links
      .request<AppendResult>(
        CLIENT,
        nameOf(target.id),
        (reply) => target.receive(() => handle(target, reply)),
        { mayRepeat: false, timeoutMs: PRODUCE_TIMEOUT_MS },
      )
      .catch(() => undefined);
  };

  #checkTransactions(): void {
    const able = [...this.#brokers.values()].filter(
      (broker) => broker.alive && !broker.partition.log.offline,
    );
    if (able.length > 0) checkTransactions(this.random.pick(able), (path) => this.world.count(path));
  }

  /** Mostly the leader that the store knows; now and then anybody who believes to lead. */
  #target(): ClusterBroker | undefined {
    const brokers = [...this.#brokers.values()].filter((broker) => broker.alive);
    const believers = brokers.filter((broker) => broker.partition.isLeader);
    if (believers.length > 1) this.world.count('zombie-leader');
    if (believers.length > 0 && this.random.chance(0.4)) return this.random.pick(believers);
    return this.#brokers.get(this.metadata.record.leader);
  }

  #sender(mayRepeat: boolean): SendBatch {
    return (batch, acks, done) => {
      const target = this.#target();
      if (target === undefined) {
        // Nobody was asked; the producer tries again later.
        this.world.after(1, () => done(undefined));
        return;
      }
      this.links
        .request<AppendResult>(
          CLIENT,
          nameOf(target.id),
          // The same bytes may arrive twice, and the broker writes into them.
          (reply) => target.receive(() => target.produce(batch.slice(), acks, reply)),
          { mayRepeat, timeoutMs: PRODUCE_TIMEOUT_MS },
        )
        .then(done, () => done(undefined))
        .catch((error: unknown) => {
          this.#violation ??= error as Error;
        });
    };
  }

  #poll(consumer: PollOrder): void {
    const target = this.#target();
    if (target === undefined || !target.alive || this.links.isPaused(nameOf(target.id))) return;
    this.#readOnce(target, consumer);
  }

  #readOnce(target: ClusterBroker, consumer: PollOrder): boolean {
    const offset = consumer.next;
    const { partition } = target;
    let result;
    try {
      result = readFrom(partition, offset, { bytesMax: POLL_BYTES });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== 'DiskError') throw error;
      this.world.count('read.disk-error');
      return false;
    }
    if (result.error !== undefined) {
      this.world.count(`read.${result.error}`);
      return false;
    }
    for (const batch of result.batches) {
      batch.values.forEach((value, index) => {
        const at = batch.baseOffset + index;
        if (at < offset) return;
        consumer.saw(at, 'consumer');
        // A marker is no record of a client.
        if (value >= 0) this.history.read(at, value);
        this.invariants.checkRead(at, value);
      });
    }
    this.world.count(consumer.next > offset ? 'read.records' : 'read.empty');
    return consumer.next > offset;
  }

  #crash(): void {
    const id = this.random.pick(REPLICAS);
    const node = this.world.node(nameOf(id));
    if (!node.isUp) return;
    if (this.durable && this.random.chance(0.15)) {
      this.world.count('crash.everybody');
      for (const each of REPLICAS)
        if (this.world.node(nameOf(each)).isUp) this.world.node(nameOf(each)).crash({ kind: 'power' });
    } else if (this.random.chance(0.4)) node.killWithin(30, this.#crashKind());
    else node.crash({ kind: this.#crashKind() });
  }

  #crashKind(): CrashKind {
    return this.durable && this.random.chance(0.5) ? 'power' : 'process';
  }

  #fault(): void {
    const { links, random } = this;
    const id =
      random.chance(0.5) && this.metadata.record.leader > 0
        ? this.metadata.record.leader
        : random.pick(REPLICAS);
    const name = nameOf(id);
    const others = REPLICAS.filter((other) => other !== id).map(nameOf);
    this.#faultsUntilMs = this.world.nowMs + random.fraction() * FAULT_MS_MAX;
    const dice = random.fraction();
    if (dice < 0.12) this.#cut('fault.isolated', [name], [...others, STORE], 'both');
    else if (dice < 0.24) this.#cut('fault.zombie', [name], [STORE], 'both');
    else if (dice < 0.34) this.#cut('fault.one-way', [name], random.chance(0.5) ? [STORE] : others, 'out');
    else if (dice < 0.44) this.#cut('fault.one-way', [name], random.chance(0.5) ? [STORE] : others, 'in');
    else if (dice < 0.56) this.#cut('fault.followers-cut', [name], others, 'both');
    else if (dice < 0.66) {
      this.world.count('fault.pause');
      links.pause(name, random.fraction() * FAULT_MS_MAX);
    } else if (dice < 0.76) links.dropProbability = 0.2;
    else if (dice < 0.84) links.slowProbability = 0.3;
    else if (dice < 0.9) links.duplicateProbability = 0.3;
    else this.#diskFault(name);
  }

  #diskFault(name: string): void {
    const { faults } = this.world.node(name).disk;
    const dice = this.random.fraction();
    this.world.count('fault.disk');
    if (dice < 0.4) faults.slow = 0.3;
    else if (dice < 0.7) faults.writeError = 0.1;
    else faults.datasyncError = 0.05;
  }

  #cut(
    fault: string,
    from: readonly string[],
    to: readonly string[],
    direction: 'both' | 'in' | 'out',
  ): void {
    this.world.count(fault);
    for (const a of from) {
      for (const b of to) {
        if (direction !== 'in') this.links.cut(a, b);
        if (direction !== 'out') this.links.cut(b, a);
      }
    }
  }

  #calm(): void {
    this.links.healAll();
    for (const id of REPLICAS) {
      const { faults } = this.world.node(nameOf(id)).disk;
      faults.slow = faults.writeError = faults.datasyncError = 0;
    }
  }

  // The end

  /** All faults end: the ISR becomes whole, producers get their answers, and everybody holds the same. */
  async #finish(): Promise<void> {
    this.#calm();
    for (const id of REPLICAS) {
      const node = this.world.node(nameOf(id));
      node.disk.disarmKill();
      // A log that went offline comes back with a restart.
      if (this.#brokers.get(id)?.partition.log.offline === true) node.crash({ kind: 'process' });
    }
    const deadlineMs = this.world.nowMs + CONVERGENCE_MS_MAX;
    while (!this.#converged()) {
      for (const producer of this.#idempotent) producer.send(this.#sender(true), { create: false });
      await this.#advance(100);
      this.#calm();
      if (this.world.nowMs > deadlineMs) throw new Violation('unavailable', this.#describe());
    }
    const leader = this.#brokers.get(this.metadata.record.leader)!;
    for (const consumer of [...this.#consumers, new PollOrder()]) {
      if (consumer.next < 0) consumer.assign(0);
      while (this.#readOnce(leader, consumer));
    }
    this.invariants.checkConverged([...this.#brokers.values()]);
    for (const broker of this.#brokers.values()) checkTransactions(broker, (path) => this.world.count(path));
    this.history.checkComplete(leader.partition.logStartOffset, leader.partition.logEndOffset);
  }

  #converged(): boolean {
    if (this.#idempotent.some((producer) => !producer.idle)) return false;
    if (this.#transactors.some((transactor) => !transactor.idle)) return false;
    const leader = this.#brokers.get(this.metadata.record.leader);
    if (leader?.alive !== true || this.metadata.record.isr.length < REPLICAS.length) return false;
    const end = leader.partition.logEndOffset;
    return REPLICAS.every((id) => {
      const partition = this.#brokers.get(id)?.partition;
      return partition?.logEndOffset === end && partition.highWatermark === end;
    });
  }

  #describe(): string {
    const { leader, leaderEpoch, isr, elr } = this.metadata.record;
    const replicas = REPLICAS.map((id) => {
      const partition = this.#brokers.get(id)?.partition;
      if (partition === undefined) return `${id} down`;
      return `${id} ${partition.role} epoch ${partition.leaderEpoch} HW ${partition.highWatermark} durable ${partition.log.durableOffset} end ${partition.logEndOffset}`;
    });
    const ids = (list: PartitionRecord['isr']): string => list.map((member) => member.id).join(',');
    return `leader ${leader} epoch ${leaderEpoch} isr ${ids(isr)} elr ${ids(elr)}; ${replicas.join('; ')}`;
  }
}

export const clusterScenario: Scenario = {
  name: 'cluster',
  operationsMin: OPERATIONS,
  crashesMin: CRASHES_MIN,
  run: async (world) => {
    const run = new ClusterRun(world);
    try {
      await run.run();
    } finally {
      world.count('operations', run.operations);
      world.count('crashes', run.crashes);
    }
  },
  requiredPaths: [
    'mode.fsync',
    'mode.os',
    'ack.acks=-1',
    'ack.acks=1',
    'ack.acks=0',
    'ack.idempotent',
    'ack.after-retry',
    'producer.retry',
    'producer.repeat',
    'refused.NOT_ENOUGH_REPLICAS',
    'refused.NOT_LEADER_OR_FOLLOWER',
    'read.records',
    'transaction.append',
    'transaction.commit',
    'transaction.abort',
    'transaction.compared',
    'isr.applied',
    'isr.stale',
    'isr.ineligible',
    'record.shrink',
    'record.expand',
    'record.restarted',
    'record.removed',
    'record.elected-from-isr',
    'record.elected-from-elr',
    'record.elected-from-none',
    'follower.truncated',
    'zombie-leader',
    'crash.everybody',
    'crash.power',
    'crash.process',
    'fault.isolated',
    'fault.zombie',
    'fault.one-way',
    'fault.followers-cut',
    'fault.pause',
    'fault.disk',
    'net.cut',
    'net.drop',
    'net.slow',
    'net.duplicate',
    'net.held-by-pause',
    'storage.fatal',
  ],
};
