import type { TopicPartition } from '../cluster/topic-partition.core.ts';
import { topicPartitionKey } from '../cluster/topic-partition.core.ts';
import { BrokerError, type ErrorName } from '../errors.ts';
import type { PeerPort, TxnMarker } from '../peer/types.ts';
import type { Clock, Logger, Timers } from '../platform/index.ts';
import type { HostedPartitions } from '../topics/types.ts';
import { EPOCH_PER_TRANSACTION_SINCE, type MarkerTask, type TransactionCounters } from './types.ts';

/** Pause before a marker that was not taken is sent again: the first one, and after many failures. */
const RETRY_MS_MIN = 20;
const RETRY_MS_MAX = 1000;
/** Failures of a task after which the log says so; and again after so many more. */
const FAILURES_PER_WARNING = 50;
/**
 * What one turn has room for: the rest waits for the next, or the end of a transaction with thousands of partitions would hold the loop for seconds.
 * Each partition is written once per turn, which costs much more than a marker.
 */
const PARTITIONS_PER_TURN_MAX = 200;
const MARKERS_PER_TURN_MAX = 1000;

export interface MarkerSenderOptions {
  readonly peer: PeerPort;
  readonly partitions: Pick<HostedPartitions, 'image'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly counters: TransactionCounters;
}

/** Some partitions of a task, of which none is under way. */
interface Delivery {
  readonly task: MarkerTask;
  /** Tells the shard that its core was called. */
  readonly used: () => void;
  readonly partitions: readonly TopicPartition[];
  readonly failures: number;
}

/**
 * Brings markers to the brokers that lead the partitions: what is sent in one turn goes to each of them in one request, up to a limit. What is not taken is sent
 * again, to whoever leads then, until it is, or its topic is gone, or the coordinator has given up its state. A partition never has two requests with
 * the same marker under way. It holds no more than there are transactions that are being completed.
 */
export class MarkerSender {
  readonly #options: MarkerSenderOptions;
  #pending: Delivery[] = [];
  /** Those of the pending before it have been taken. */
  #first = 0;
  /** {@link #flush} will be called. */
  #scheduled = false;
  #closed = false;

  constructor(options: MarkerSenderOptions) {
    this.#options = options;
  }

  send(task: MarkerTask, used: () => void): void {
    this.#enqueue({ task, used, partitions: task.partitions, failures: 0 });
  }

  close(): void {
    this.#closed = true;
    this.#pending = [];
    this.#first = 0;
  }

  #enqueue(delivery: Delivery): void {
    if (this.#closed) return;
    this.#pending.push(delivery);
    if (this.#scheduled) return;
    this.#scheduled = true;
    void Promise.resolve().then(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    const byBroker = new Map<number, Delivery[]>();
    for (const delivery of this.#take()) {
      for (const [broker, partitions] of this.#byLeader(delivery)) {
        const own = { ...delivery, partitions };
        const deliveries = byBroker.get(broker);
        if (deliveries === undefined) byBroker.set(broker, [own]);
        else deliveries.push(own);
      }
    }
    for (const [broker, deliveries] of byBroker) void this.#deliver(broker, deliveries);
    if (this.#first === this.#pending.length) return;
    this.#scheduled = true;
    this.#options.timers.after(0, () => this.#flush());
  }

  /** What one turn has room for. The rest of a large transaction goes behind those that wait. */
  #take(): Delivery[] {
    const pending = this.#pending;
    const taken: Delivery[] = [];
    const room = new TurnRoom();
    while (this.#first < pending.length && !room.isFull) {
      const delivery = pending[this.#first++]!;
      if (delivery.task.isCancelled()) continue;
      const { partitions } = delivery;
      const count = room.take(partitions);
      taken.push({ ...delivery, partitions: partitions.slice(0, count) });
      if (count < partitions.length) pending.push({ ...delivery, partitions: partitions.slice(count) });
    }
    if (this.#first * 2 >= pending.length) {
      pending.splice(0, this.#first);
      this.#first = 0;
    }
    return taken;
  }

  /** Partitions of topics that are gone are done with; those without a leader wait for one. */
  #byLeader(delivery: Delivery): Map<number, TopicPartition[]> {
    const { image } = this.#options.partitions;
    const byLeader = new Map<number, TopicPartition[]>();
    const gone: TopicPartition[] = [];
    const leaderless: TopicPartition[] = [];
    for (const partition of delivery.partitions) {
      const leader = image.topicByName(partition.topic)?.partitions[partition.partition]?.leader;
      if (leader === undefined) gone.push(partition);
      else if (leader === -1) leaderless.push(partition);
      else {
        const led = byLeader.get(leader);
        if (led === undefined) byLeader.set(leader, [partition]);
        else led.push(partition);
      }
    }
    this.#written(delivery, gone);
    this.#retry(delivery, leaderless, 'LEADER_NOT_AVAILABLE');
    return byLeader;
  }

  async #deliver(broker: number, deliveries: readonly Delivery[]): Promise<void> {
    let response;
    try {
      response = await this.#options.peer.writeTxnMarkers(broker, { markers: deliveries.map(markerOf) });
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      for (const delivery of deliveries) this.#retry(delivery, delivery.partitions, error.code);
      return;
    }
    for (const [index, delivery] of deliveries.entries()) this.#answered(delivery, response[index]!);
  }

  #answered(delivery: Delivery, errors: ReadonlyMap<string, ErrorName>): void {
    const done: TopicPartition[] = [];
    const failed: TopicPartition[] = [];
    let reason: ErrorName | undefined;
    for (const partition of delivery.partitions) {
      const error = errors.get(topicPartitionKey(partition));
      if (error === undefined || this.#isPast(delivery.task, partition, error)) {
        done.push(partition);
        continue;
      }
      failed.push(partition);
      reason = error;
    }
    this.#options.counters.markersWritten += done.length;
    this.#written(delivery, done);
    if (reason !== undefined) this.#retry(delivery, failed, reason);
  }

  /**
   * A partition that has a later epoch of the producer has had the marker: an epoch is given out only when all partitions have those of the epochs before
   * it. With version 2 the marker itself has the epoch of the next transaction, and a repetition that meets that one is told so (KIP-1228).
   */
  #isPast(task: MarkerTask, partition: TopicPartition, error: ErrorName): boolean {
    if (error !== 'INVALID_PRODUCER_EPOCH') return false;
    if (task.transactionVersion < EPOCH_PER_TRANSACTION_SINCE) {
      const { transactionalId, producerId, producerEpoch } = task;
      this.#options.logger.warn(
        { transactionalId, producerId, producerEpoch, partition: topicPartitionKey(partition) },
        'A partition has a later epoch of the producer than the end of its transaction',
      );
    }
    return true;
  }

  #written({ task, used }: Delivery, partitions: readonly TopicPartition[]): void {
    if (partitions.length === 0) return;
    const { clock } = this.#options;
    task.written(partitions, { monotonicMs: clock.monotonicMs(), wallMs: clock.nowMs() });
    used();
  }

  #retry(delivery: Delivery, partitions: readonly TopicPartition[], error: ErrorName): void {
    const { task } = delivery;
    if (partitions.length === 0 || this.#closed || task.isCancelled()) return;
    const { counters, logger, timers } = this.#options;
    const failures = delivery.failures + 1;
    counters.markerRetries += partitions.length;
    if (failures % FAILURES_PER_WARNING === 0) {
      logger.warn(
        {
          transactionalId: task.transactionalId,
          partition: topicPartitionKey(partitions[0]!),
          partitions: partitions.length,
          error,
          failures,
        },
        'The end of a transaction cannot be written; it will be tried again',
      );
    }
    const pauseMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (failures - 1));
    timers.after(pauseMs, () => this.#enqueue({ ...delivery, partitions, failures }));
  }
}

class TurnRoom {
  readonly #partitions = new Set<string>();
  #markers = 0;

  get isFull(): boolean {
    return this.#partitions.size >= PARTITIONS_PER_TURN_MAX || this.#markers >= MARKERS_PER_TURN_MAX;
  }

  /** How many of them there is room for, from the first on. */
  take(partitions: readonly TopicPartition[]): number {
    let count = 0;
    while (count < partitions.length && !this.isFull) {
      this.#partitions.add(topicPartitionKey(partitions[count++]!));
      this.#markers++;
    }
    return count;
  }
}

function markerOf({ task, partitions }: Delivery): TxnMarker {
  const { producerId, producerEpoch, result, coordinatorEpoch, transactionVersion } = task;
  return { producerId, producerEpoch, result, coordinatorEpoch, transactionVersion, partitions };
}
