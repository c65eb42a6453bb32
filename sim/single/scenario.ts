/**
 * One replica: real partitions over real storage on a simulated disk. Producers (plain and idempotent, with retries), consumers,
 * DeleteRecords, retention, rolls, checkpoints and clean stops, under crashes of process and power and all faults of the disk.
 */
import type { LocalPartition } from '../../packages/broker/src/replication/index.ts';
import { standaloneRecord } from '../../packages/broker/src/replication/index.ts';
import type { Log } from '../../packages/broker/src/storage/types.ts';
import { PollOrder, Violation } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import { type CrashKind, isProcessDead, type SimNode, type SimWorld } from '../platform/world.ts';
import type { Scenario } from '../report.ts';
import { BrokerProcess } from '../workload/broker-node.ts';
import { COMPACTED_CONFIG, CompactedLog } from '../workload/compacted-log.ts';
import type { Acks, SendBatch } from '../workload/producer.ts';
import { readFrom } from '../workload/reading.ts';
import { TransactionalPartition } from '../workload/transactional-partition.ts';
import { BareLog } from './bare-log.ts';
import { PartitionClients } from './partition-clients.ts';
import { BARE_LOG_PARTITION, COMPACTED_PARTITION, CONFIGS, TRANSACTIONAL_PARTITIONS } from './partitions.ts';
import { SINGLE_PATHS } from './paths.ts';

const OPERATIONS = 2200;
const CRASHES_MIN = 3;
/** Beside every other operation. */
const COMPACTED_OPERATION_PROBABILITY = 0.3;
const TRANSACTIONAL_OPERATION_PROBABILITY = 0.4;
const BROKER_ID = 1;
const OPEN_ATTEMPTS_MAX = 60;
const OPERATION_PAUSE_MS_MAX = 3;
const DRAIN_MS = 5000;
const POLL_BYTES_CHOICES = [1, 300, 2000, 20_000];
const DISK_FULL_SPARE_BYTES = 90_000;

class SingleRun {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly node: SimNode;
  readonly bare: BareLog;
  readonly compacted: CompactedLog;
  readonly transactional: readonly TransactionalPartition[];
  readonly clients: readonly PartitionClients[];
  broker: BrokerProcess | undefined;
  operations = 0;
  crashes = 0;
  #generation = 0;
  #armedKind: CrashKind | undefined;
  #values = 0;
  /** Since the last start. */
  #hadFaults = false;

  constructor(world: SimWorld) {
    this.world = world;
    this.random = world.random.fork('single');
    this.node = world.node('a');
    this.bare = new BareLog(this.random.fork('bare log'), this.count);
    this.compacted = new CompactedLog({
      random: this.random.fork('compacted log'),
      count: this.count,
      nowMs: () => Math.floor(world.startMs + world.nowMs),
      mayFail: () => this.#hadFaults,
    });
    this.transactional = TRANSACTIONAL_PARTITIONS.map(
      (index) =>
        new TransactionalPartition({
          name: `partition ${index}`,
          random: this.random.fork(`transactions of ${index}`),
          count: this.count,
          nowMs: () => Math.floor(world.startMs + world.nowMs),
          isCompacted: CONFIGS[index]!.compaction !== undefined,
          after: (delayMs, work) => {
            world.after(delayMs, () => {
              if (this.broker?.alive === true) work();
            });
          },
        }),
    );
    this.clients = [0, 1, 2, 3].map((index) => new PartitionClients(index, this));
  }

  readonly nextValue = (): number => ++this.#values;
  readonly count = (path: string): void => this.world.count(path);

  async run(): Promise<void> {
    await this.#open();
    while (this.operations < OPERATIONS || this.crashes < CRASHES_MIN) {
      if (!this.node.isUp) await this.#afterCrash();
      await this.#operate();
      await this.world.advance(this.random.fraction() * OPERATION_PAUSE_MS_MAX);
      this.#checkOffsets();
    }
    await this.#finish();
  }

  // Life and death of the broker

  async #open(): Promise<void> {
    for (let attempt = 0; attempt < OPEN_ATTEMPTS_MAX; attempt++) {
      const platform = this.node.boot();
      const killing = attempt < 3 && this.operations > 0 && this.random.chance(0.15);
      if (killing) this.node.killWithin(12, this.#armKind());
      let broker: BrokerProcess | undefined;
      try {
        broker = await this.world.attempt(
          platform,
          BrokerProcess.open(this.node, platform, (index) => CONFIGS[index]!),
        );
        if (this.node.isUp && broker !== undefined) this.#adopt(broker);
      } catch (error) {
        if (error instanceof Violation || !isDiskError(error)) {
          if (this.node.isUp) throw error;
        }
        this.count('start.failed');
        broker = undefined;
      }
      this.node.disk.disarmKill();
      if (this.node.isUp) this.#armedKind = undefined;
      if (this.node.isUp && broker !== undefined) return;
      if (killing && !this.node.isUp) {
        this.count('start.killed');
        this.#died();
      } else this.#calm();
      if (this.node.isUp) this.#crash('process');
    }
    throw new Violation('unavailable', 'the broker does not start');
  }

  #adopt(broker: BrokerProcess): void {
    const recovery = broker.store.recovery;
    this.count(`recovery.${recovery.kind}`);
    if (recovery.cutBytes > 0) this.count('recovery.torn-tail-cut');
    if (recovery.journalBatches > 0) this.count('recovery.journal-replay');
    if (recovery.corruptRanges > 0)
      throw new Violation('corruption', 'recovery found damage where no bit was flipped');
    this.#generation++;
    for (const clients of this.clients) {
      const log = broker.log(clients.index, CONFIGS[clients.index]!);
      this.#lead(broker, log);
      if (log.durableOffset > log.endOffset) throw new Violation('offsets', 'durable beyond the end');
      if (clients.index !== 3 && log.endOffset < clients.lastHighWatermark) {
        throw new Violation(
          'lost-committed',
          `partition ${clients.index} ends at ${log.endOffset} after recovery, its high watermark was ${clients.lastHighWatermark}`,
        );
      }
      if (log.startOffset < clients.deletedTo)
        throw new Violation(
          'undeleted',
          `partition ${clients.index} starts at ${log.startOffset}, not ${clients.deletedTo}`,
        );
      clients.lastHighWatermark = 0;
    }
    this.bare.open(broker.log(BARE_LOG_PARTITION, CONFIGS[BARE_LOG_PARTITION]!), this.#generation);
    this.#hadFaults = false;
    this.compacted.open(broker.log(COMPACTED_PARTITION, COMPACTED_CONFIG));
    this.broker = broker;
    for (const [at, index] of TRANSACTIONAL_PARTITIONS.entries())
      this.transactional[at]!.open(this.#lead(broker, broker.log(index, CONFIGS[index]!)));
  }

  #lead(broker: BrokerProcess, log: Log): LocalPartition {
    const epoch = this.#generation;
    const partition = broker.partition({
      log,
      brokerId: BROKER_ID,
      brokerEpoch: epoch,
      minInsyncReplicas: 1,
    });
    const record = { brokerId: BROKER_ID, brokerEpoch: epoch, partitionEpoch: epoch, leaderEpoch: epoch };
    partition.applyRecord(standaloneRecord(record));
    return partition;
  }

  #died(kind = this.#armedKind): void {
    if (kind === 'power') this.#powerLost();
    this.bare.crashed(kind ?? 'process');
    this.#armedKind = undefined;
    this.crashes++;
    this.#disconnected();
  }

  #disconnected(): void {
    this.broker = undefined;
    for (const clients of this.clients) for (const producer of clients.idempotent) producer.disconnected();
    for (const transactional of this.transactional) transactional.died();
  }

  #crash(kind: CrashKind): void {
    this.node.crash({ kind });
    this.#died(kind);
  }

  /** It died by itself: inside a disk operation, or because a sync failed. */
  async #afterCrash(): Promise<void> {
    this.#died();
    this.#calm();
    await this.#open();
  }

  /** flush=os promises nothing now; and bytes of a failed write, cut but not synced, may be back. */
  #powerLost(): void {
    this.clients[3]!.history.forget();
    this.clients[3]!.consumers.forEach((consumer) => consumer.assign(-1));
    for (const clients of this.clients) clients.history.powerLost();
  }

  /** For a death inside of a later disk operation. */
  #armKind(): CrashKind {
    this.#armedKind = this.random.chance(0.5) ? 'power' : 'process';
    return this.#armedKind;
  }

  /** No more faults for a while. */
  #calm(): void {
    const { faults } = this.node.disk;
    faults.writeError = 0;
    faults.readError = 0;
    faults.datasyncError = 0;
    faults.slow = 0;
    this.node.disk.setCapacity(undefined);
  }

  // Operations

  async #operate(): Promise<void> {
    this.operations++;
    try {
      await this.#operation();
    } catch (error) {
      // It died inside of what the scenario asked of it.
      if (!isProcessDead(error)) throw error;
    }
  }

  async #operation(): Promise<void> {
    const { random, node, broker } = this;
    if (broker === undefined) return;
    const clients = random.pick(this.clients);
    const partition = broker.partitions[clients.index]!;
    if (random.chance(COMPACTED_OPERATION_PROBABILITY)) this.compacted.operate(broker.store);
    if (random.chance(TRANSACTIONAL_OPERATION_PROBABILITY)) random.pick(this.transactional).operate();
    const dice = random.fraction();
    if (dice < 0.3) this.#sendPlain(clients);
    else if (dice < 0.58) this.#sendIdempotent(clients);
    else if (dice < 0.62)
      for (let more = random.between(2, 12); more > 0; more--) this.#sendPlain(random.pick(this.clients));
    else if (dice < 0.8) this.#poll(clients, partition);
    else if (dice < 0.9) this.bare.operate(broker.store);
    else if (dice < 0.92) this.#deleteRecords(this.clients[2]!, broker.partitions[2]!);
    else if (dice < 0.93) this.#background(broker);
    else if (dice < 0.935) partition.tick();
    else if (dice < 0.945) await this.#lookUpTimestamp(partition);
    else if (dice < 0.98) this.#setFaults();
    else if (dice < 0.984) node.killWithin(random.between(1, 40), this.#armKind());
    else if (dice < 0.988) {
      this.#crash(random.chance(0.5) ? 'power' : 'process');
      this.#calm();
      await this.#open();
    } else if (dice < 0.99) await this.#cleanRestart(broker);
  }

  #sender(clients: PartitionClients): SendBatch {
    const partition = this.broker!.partitions[clients.index]!;
    const generation = this.#generation;
    return (batch, acks, done) => {
      // A producer whose broker dies gets no answer: disconnected() says so to the idempotent ones.
      let answered = false;
      const nowMs = this.broker!.platform.clock.nowMs();
      partition.append(batch, { requiredAcks: acks, nowMs, origin: 'client' }, (result) => {
        if (answered) throw new Violation('answered-twice', `partition ${clients.index}`);
        answered = true;
        if (result.error === undefined && acks !== 0) this.#checkAcknowledged(partition, result.baseOffset);
        if (generation === this.#generation && this.node.isUp) done(result);
      });
      if (answered) throw new Violation('answered-synchronously', `partition ${clients.index}`);
    };
  }

  #sendPlain(clients: PartitionClients): void {
    const acks: Acks = this.random.pick([-1, -1, 1, 0] as const);
    clients.plain.send(acks, this.#sender(clients));
  }

  /** Now and then with a repetition in the same turn, or while the original is not durable yet. */
  #sendIdempotent(clients: PartitionClients): void {
    const producer = this.random.pick(clients.idempotent);
    producer.send(this.#sender(clients), { create: true });
    if (this.random.chance(0.15)) producer.repeat(this.#sender(clients));
    else if (this.random.chance(0.1)) {
      const generation = this.#generation;
      this.world.after(this.random.fraction(), () => {
        if (generation === this.#generation && this.broker?.alive === true)
          producer.repeat(this.#sender(clients));
      });
    }
  }

  #poll(clients: PartitionClients, partition: LocalPartition): void {
    const consumer = this.random.pick(clients.consumers);
    if (consumer.next < 0 || this.random.chance(0.05)) {
      const from = this.random.between(partition.logStartOffset, partition.highWatermark);
      consumer.assign(-1);
      this.#readOnce(clients, partition, consumer, from);
      return;
    }
    this.#readOnce(clients, partition, consumer, consumer.next);
  }

  /** Returns the offset that comes next, or undefined when nothing was read. */
  #readOnce(
    clients: PartitionClients,
    partition: LocalPartition,
    consumer: PollOrder,
    offset: number,
  ): number | undefined {
    let result;
    try {
      result = readFrom(partition, offset, { bytesMax: this.random.pick(POLL_BYTES_CHOICES) });
    } catch (error) {
      if (!isDiskError(error)) throw error;
      this.count('read.disk-error');
      return undefined;
    }
    if (result.error !== undefined) {
      this.count(`read.${result.error}`);
      // Retention has overtaken the consumer; or, under flush=os, the log was cut below it.
      if (result.error === 'OFFSET_OUT_OF_RANGE') {
        if (offset >= result.logStartOffset && clients.index !== 3) {
          throw new Violation(
            'lost-write',
            `partition ${clients.index} no longer reaches to ${offset}, which was consumed`,
          );
        }
        consumer.assign(result.logStartOffset);
      }
      return undefined;
    }
    let next = offset;
    for (const batch of result.batches) {
      batch.values.forEach((value, index) => {
        const at = batch.baseOffset + index;
        if (at < offset) return;
        consumer.saw(at, `consumer of ${clients.index}`);
        clients.history.read(at, value);
        next = at + 1;
      });
    }
    if (next > partition.highWatermark) {
      throw new Violation(
        'read-uncommitted',
        `partition ${clients.index} served ${next - 1}, above its high watermark`,
      );
    }
    this.count(next > offset ? 'read.records' : 'read.empty');
    return next > offset ? next : undefined;
  }

  #deleteRecords(clients: PartitionClients, partition: LocalPartition): void {
    if (!partition.isLeader) return;
    const target = this.random.between(partition.logStartOffset, partition.highWatermark);
    clients.startOffsetMax = Math.max(clients.startOffsetMax, target);
    this.count('delete-records');
    const generation = this.#generation;
    partition.deleteRecords(target).then(
      () => {
        if (generation === this.#generation && this.node.isUp)
          clients.deletedTo = Math.max(clients.deletedTo, target);
      },
      (error: unknown) => {
        if (this.node.isUp && !isStorageRefusal(error)) throw error;
      },
    );
  }

  #background(broker: BrokerProcess): void {
    const retention = this.random.chance(0.5);
    this.count(retention ? 'background.retention' : 'background.checkpoint');
    const work = retention
      ? broker.store.retentionPass(broker.platform.clock.nowMs())
      : broker.store.checkpoint();
    work.catch((error: unknown) => {
      if (this.node.isUp && !isDiskError(error)) throw error;
    });
  }

  async #lookUpTimestamp(partition: LocalPartition): Promise<void> {
    if (!partition.isLeader) return;
    const timestamp = this.world.startMs + this.random.integer(Math.ceil(this.world.nowMs));
    const broker = this.broker!;
    try {
      const found = await this.world.attempt(
        broker.platform,
        partition.offsetForTimestamp(timestamp, 'read_uncommitted'),
      );
      if (found === undefined) return;
      this.count('timestamp.found');
      if (found.timestamp < timestamp)
        throw new Violation('timestamp', `asked for ${timestamp}, got ${found.timestamp}`);
    } catch (error) {
      if (!isDiskError(error) && !isStorageRefusal(error)) throw error;
    }
  }

  #setFaults(): void {
    const { random, node } = this;
    this.#calm();
    this.#hadFaults = true;
    const { faults } = node.disk;
    const dice = random.fraction();
    if (dice < 0.3) faults.writeError = random.pick([0.02, 0.1, 0.4]);
    else if (dice < 0.4) faults.readError = 0.1;
    else if (dice < 0.5) faults.slow = 0.1;
    else if (dice < 0.55) faults.datasyncError = 0.05;
    else if (dice < 0.7) {
      node.disk.setCapacity(node.disk.usedBytes() + random.integer(DISK_FULL_SPARE_BYTES));
      this.count('fault.disk-full');
    }
  }

  async #cleanRestart(broker: BrokerProcess): Promise<void> {
    this.#calm();
    await this.world.advance(1);
    if (!this.node.isUp) return;
    for (const partition of broker.partitions) partition?.close();
    await this.world.advance(1);
    if (!this.node.isUp) return;
    await this.world.attempt(broker.platform, broker.store.close());
    if (!this.node.isUp) return;
    this.count('restart.clean');
    this.bare.closedCleanly();
    this.compacted.closedCleanly();
    const kind = this.random.chance(0.3) ? 'power' : 'process';
    this.node.crash({ kind });
    this.bare.crashed(kind);
    this.#disconnected();
    await this.#open();
  }

  // What must hold

  #checkOffsets(): void {
    const { broker } = this;
    if (broker === undefined || !this.node.isUp) return;
    for (const transactional of this.transactional) transactional.check();
    for (const clients of this.clients) {
      const { highWatermark, log, logStartOffset, logEndOffset } = broker.partitions[clients.index]!;
      if (highWatermark < clients.lastHighWatermark)
        throw new Violation('hw-monotonic', `partition ${clients.index}`);
      if (highWatermark > Math.max(log.durableOffset, logStartOffset) || log.durableOffset > logEndOffset) {
        throw new Violation(
          'offsets',
          `start ${logStartOffset}, HW ${highWatermark}, durable ${log.durableOffset}, end ${logEndOffset}`,
        );
      }
      if (clients.index !== 1 && logStartOffset > clients.startOffsetMax) {
        throw new Violation(
          'deleted-too-much',
          `partition ${clients.index} starts at ${logStartOffset}, nobody asked beyond ${clients.startOffsetMax}`,
        );
      }
      clients.lastHighWatermark = highWatermark;
    }
  }

  #checkAcknowledged(partition: LocalPartition, baseOffset: number): void {
    if (partition.log.durableOffset <= baseOffset || partition.highWatermark <= baseOffset) {
      throw new Violation(
        'early-ack',
        `${baseOffset} acknowledged, durable ${partition.log.durableOffset}, HW ${partition.highWatermark}`,
      );
    }
  }

  /** All faults end; every producer gets its answer; all is read once more, after a last loss of power. */
  async #finish(): Promise<void> {
    this.#calm();
    if (!this.node.isUp) await this.#afterCrash();
    // A log that had to go offline comes back with a restart.
    this.#crash('process');
    await this.#open();
    const deadlineMs = this.world.nowMs + DRAIN_MS;
    const idle = (): boolean =>
      this.clients.every((clients) => clients.idempotent.every((producer) => producer.idle)) &&
      this.transactional.every((transactional) => transactional.idle);
    while (!idle()) {
      if (!this.node.isUp) await this.#afterCrash();
      for (const clients of this.clients) {
        for (const producer of clients.idempotent) producer.send(this.#sender(clients), { create: false });
      }
      for (const transactional of this.transactional) transactional.drain();
      await this.world.advance(20);
      if (this.world.nowMs > deadlineMs) throw new Violation('unavailable', 'a producer never got an answer');
    }
    this.#crash('power');
    await this.#open();
    await this.world.advance(20);
    const partitions = this.broker!.partitions;
    for (const clients of this.clients) this.#drain(clients, partitions[clients.index]!);
    this.bare.check();
    this.compacted.check();
    for (const transactional of this.transactional) transactional.checkFinished();
  }

  #drain(clients: PartitionClients, partition: LocalPartition): void {
    const consumer = new PollOrder();
    let offset: number | undefined = partition.logStartOffset;
    while (offset !== undefined) offset = this.#readOnce(clients, partition, consumer, offset);
    if (
      partition.highWatermark !== partition.logEndOffset ||
      Math.max(consumer.next, partition.logStartOffset) !== partition.logEndOffset
    ) {
      throw new Violation(
        'drain',
        `partition ${clients.index}: read up to ${consumer.next}, the log ends at ${partition.logEndOffset}`,
      );
    }
    clients.history.checkComplete(partition.logStartOffset, partition.logEndOffset);
  }
}

function isDiskError(error: unknown): boolean {
  return error instanceof Error && error.name === 'DiskError';
}

function isStorageRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'BrokerError';
}

export const singleScenario: Scenario = {
  name: 'single',
  operationsMin: 2000,
  crashesMin: CRASHES_MIN,
  run: async (world) => {
    const run = new SingleRun(world);
    try {
      await run.run();
    } finally {
      world.count('operations', run.operations);
      world.count('crashes', run.crashes);
    }
  },
  requiredPaths: SINGLE_PATHS,
};
