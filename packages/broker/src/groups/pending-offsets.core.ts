import type { CommittedOffset } from '@polylog/record';
import { topicPartitionKey, type TopicPartition } from '../cluster/topic-partition.core.ts';

/** An offset that counts from now on, because the transaction that it was written in is committed. */
export interface SettledOffset extends TopicPartition {
  readonly groupId: string;
  readonly committed: CommittedOffset;
}

/** What became of a transaction's offsets. */
export interface EndedTransaction {
  /** The groups that it had written offsets of. */
  readonly groupIds: ReadonlySet<string>;
  /** Empty if it was aborted. */
  readonly settled: readonly SettledOffset[];
}

interface PendingOffset {
  /** undefined: something that was written later counts already. */
  committed: CommittedOffset | undefined;
  /** Rises with the place in the log. */
  order: number;
}

/** One partition in one group: what each open transaction, by its producer id, has written for it. */
interface PendingPartition extends TopicPartition {
  readonly groupId: string;
  readonly byProducer: Map<number, PendingOffset>;
}

const NOTHING: EndedTransaction = { groupIds: new Set(), settled: [] };

/**
 * Offsets that were written in transactions that have not ended (KIP-98): nobody is told them before the commit marker is in the log.
 *
 * Where transactions and plain commits meet in a partition, what was written last in the log counts, whenever its transaction was committed;
 * compaction, which keeps the last record of a key, would otherwise choose another one. So whatever counts at once takes the value from
 * what is pending then, and leaves that there: until the transactions end, the partition is unstable.
 */
export class PendingOffsets {
  readonly #groups = new Map<string, Map<string, PendingPartition>>();
  readonly #producers = new Map<number, Set<PendingPartition>>();
  readonly #counts = new Map<string, number>();
  #total = 0;
  #order = 0;

  has(groupId: string, topic: string, partition: number): boolean {
    return this.#groups.get(groupId)?.has(topicPartitionKey({ topic, partition })) ?? false;
  }

  hasGroup(groupId: string): boolean {
    return this.#groups.has(groupId);
  }

  /** Offsets that are pending in a group; those of one partition in two transactions are two. */
  countOf(groupId: string): number {
    return this.#counts.get(groupId) ?? 0;
  }

  /** How many of the partitions the producer's transaction has not written yet. */
  newIn(groupId: string, producerId: number, partitions: readonly TopicPartition[]): number {
    const known = this.#groups.get(groupId);
    if (known === undefined) return partitions.length;
    let count = 0;
    for (const one of partitions) {
      if (known.get(topicPartitionKey(one))?.byProducer.has(producerId) !== true) count++;
    }
    return count;
  }

  /** In all groups. */
  get count(): number {
    return this.#total;
  }

  *partitionsOf(groupId: string): Generator<TopicPartition> {
    yield* this.#groups.get(groupId)?.values() ?? [];
  }

  *groupIds(): Generator<string> {
    yield* this.#groups.keys();
  }

  add(
    producerId: number,
    groupId: string,
    { topic, partition }: TopicPartition,
    committed: CommittedOffset,
  ): void {
    const pending = this.#partitionFor(groupId, { topic, partition });
    const order = this.#order++;
    const before = pending.byProducer.get(producerId);
    if (before !== undefined) {
      before.committed = committed;
      before.order = order;
      return;
    }
    pending.byProducer.set(producerId, { committed, order });
    this.#count(groupId, 1);
    const written = this.#producers.get(producerId);
    if (written === undefined) this.#producers.set(producerId, new Set([pending]));
    else written.add(pending);
  }

  #partitionFor(groupId: string, { topic, partition }: TopicPartition): PendingPartition {
    let partitions = this.#groups.get(groupId);
    if (partitions === undefined) this.#groups.set(groupId, (partitions = new Map()));
    const key = topicPartitionKey({ topic, partition });
    let pending = partitions.get(key);
    if (pending === undefined) {
      pending = { groupId, topic, partition, byProducer: new Map() };
      partitions.set(key, pending);
    }
    return pending;
  }

  /** Somebody has committed without a transaction: that stands later in the log than all that is pending. */
  supersede(groupId: string, topic: string, partition: number): void {
    const pending = this.#groups.get(groupId)?.get(topicPartitionKey({ topic, partition }));
    if (pending === undefined) return;
    for (const offset of pending.byProducer.values()) offset.committed = undefined;
  }

  /** The offset was deleted, and what is pending with it. Whether there was something. */
  forget(groupId: string, topic: string, partition: number): boolean {
    const pending = this.#groups.get(groupId)?.get(topicPartitionKey({ topic, partition }));
    if (pending === undefined) return false;
    for (const producerId of pending.byProducer.keys()) {
      const written = this.#producers.get(producerId)!;
      written.delete(pending);
      if (written.size === 0) this.#producers.delete(producerId);
    }
    this.#drop(pending, pending.byProducer.size);
    return true;
  }

  /** The marker of a producer's transaction is in the log. */
  end(producerId: number, result: 'commit' | 'abort'): EndedTransaction {
    const written = this.#producers.get(producerId);
    if (written === undefined) return NOTHING;
    this.#producers.delete(producerId);
    const groupIds = new Set<string>();
    const settled: SettledOffset[] = [];
    for (const pending of written) {
      const { groupId, topic, partition, byProducer } = pending;
      const { committed, order } = byProducer.get(producerId)!;
      byProducer.delete(producerId);
      groupIds.add(groupId);
      if (result === 'commit' && committed !== undefined) {
        settled.push({ groupId, topic, partition, committed });
        for (const other of byProducer.values()) if (other.order < order) other.committed = undefined;
      }
      if (byProducer.size === 0) this.#drop(pending, 1);
      else this.#count(groupId, -1);
    }
    return { groupIds, settled };
  }

  #drop(pending: PendingPartition, offsets: number): void {
    const { groupId } = pending;
    const partitions = this.#groups.get(groupId)!;
    partitions.delete(topicPartitionKey(pending));
    if (partitions.size === 0) this.#groups.delete(groupId);
    this.#count(groupId, -offsets);
  }

  #count(groupId: string, change: number): void {
    this.#total += change;
    const count = this.countOf(groupId) + change;
    if (count === 0) this.#counts.delete(groupId);
    else this.#counts.set(groupId, count);
  }
}
