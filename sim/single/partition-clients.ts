import type { LocalPartition } from '../../packages/broker/src/replication/index.ts';
import { PartitionHistory, PollOrder } from '../invariants/history.ts';
import type { SimRandom } from '../platform/random.ts';
import type { SimWorld } from '../platform/world.ts';
import { IdempotentProducer, PlainProducer } from '../workload/producer.ts';

/** What the clients need of the run. */
export interface RunOfClients {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly nextValue: () => number;
  readonly count: (path: string) => void;
  readonly broker: { readonly partitions: readonly LocalPartition[] } | undefined;
}

/** The clients of one partition, and what is known of it across crashes. */
export class PartitionClients {
  readonly index: number;
  readonly history: PartitionHistory;
  readonly plain: PlainProducer;
  readonly idempotent: readonly IdempotentProducer[];
  readonly consumers: readonly PollOrder[];
  /** The largest offset that the log may start at by what was asked for. */
  startOffsetMax = 0;
  /** Below it records were deleted, and a client was told so. */
  deletedTo = 0;
  lastHighWatermark = 0;

  constructor(index: number, run: RunOfClients) {
    this.index = index;
    this.history = new PartitionHistory(`partition ${index}`);
    const host = {
      history: this.history,
      random: run.random.fork(`clients of ${index}`),
      nextValue: run.nextValue,
      nowMs: () => Math.floor(run.world.nowMs) + run.world.startMs,
      count: run.count,
      binding: () => true,
      storageErrorIsCertain: () => run.broker?.partitions[index]?.role !== 'offline',
    };
    this.plain = new PlainProducer(host);
    this.idempotent = [new IdempotentProducer(host, 100 + index), new IdempotentProducer(host, 200 + index)];
    this.consumers = [new PollOrder(), new PollOrder()];
    for (const consumer of this.consumers) consumer.assign(0);
  }
}
