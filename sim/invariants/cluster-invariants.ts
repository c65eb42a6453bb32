import type { PartitionRecord } from '../../packages/broker/src/replication/index.ts';
import type { ClusterBroker } from '../cluster/broker.ts';
import type { DecodedBatch } from '../workload/values.ts';
import { readFrom } from '../workload/reading.ts';
import { Violation } from './history.ts';

const READ_BYTES = 64 * 1024;

/** What some leader has declared committed, once and for all, by offset. */
interface CommittedRecord {
  readonly value: number;
  readonly leaderEpoch: number;
}

interface Seen {
  highWatermark: number;
  leaderEpoch: number;
  logEndOffset: number;
  /** Whether the last change of its end was a truncation. */
  truncated: boolean;
}

/** The invariants of replication, asserted after every event. `durable`: flush=fsync, so that committed means on the disk. */
export class ClusterInvariants {
  readonly #durable: boolean;
  readonly #count: (path: string) => void;
  readonly committed: CommittedRecord[] = [];
  readonly #leaderOfEpoch = new Map<number, ClusterBroker>();
  /** By leader epoch: the end of what the leader of that epoch has declared committed. */
  readonly #committedIn = new Map<number, number>();
  readonly #seen = new WeakMap<ClusterBroker, Seen>();

  constructor(options: { readonly durable: boolean; readonly count: (path: string) => void }) {
    this.#durable = options.durable;
    this.#count = options.count;
  }

  check(brokers: readonly ClusterBroker[], record: PartitionRecord): void {
    for (const broker of brokers) {
      if (!broker.alive) continue;
      this.#checkOffsets(broker);
      if (broker.partition.isLeader) this.#checkLeader(broker);
    }
    for (const broker of brokers) if (broker.alive) this.#checkReplica(broker, record);
  }

  /** ConsistentRead: what a consumer sees is committed, and stays. */
  checkRead(offset: number, value: number): void {
    const committed = this.committed[offset];
    if (committed?.value !== value) {
      throw new Violation('consistent-read', `read ${value} at ${offset}, committed was ${committed?.value}`);
    }
  }

  /** Everybody holds the same, and all of it is committed. */
  checkConverged(brokers: readonly ClusterBroker[]): void {
    for (const broker of brokers) {
      const { logEndOffset } = broker.partition;
      if (logEndOffset !== this.committed.length) {
        throw new Violation(
          'convergence',
          `broker ${broker.id} ends at ${logEndOffset}, committed are ${this.committed.length}`,
        );
      }
      let offset = broker.partition.logStartOffset;
      while (offset < logEndOffset) offset = this.#compare(broker, offset, logEndOffset);
    }
  }

  #checkOffsets(broker: ClusterBroker): void {
    const { highWatermark, logEndOffset, leaderEpoch, log } = broker.partition;
    if (highWatermark > logEndOffset || log.durableOffset > logEndOffset) {
      throw new Violation(
        'offsets',
        `broker ${broker.id}: HW ${highWatermark}, durable ${log.durableOffset}, end ${logEndOffset}`,
      );
    }
    const seen = this.#seen.get(broker);
    if (seen === undefined) {
      this.#seen.set(broker, { highWatermark, leaderEpoch, logEndOffset, truncated: false });
      return;
    }
    if (leaderEpoch < seen.leaderEpoch) throw new Violation('epoch-monotonic', `broker ${broker.id}`);
    if (leaderEpoch === seen.leaderEpoch && highWatermark < seen.highWatermark) {
      throw new Violation(
        'hw-monotonic',
        `broker ${broker.id}: ${seen.highWatermark} to ${highWatermark} in epoch ${leaderEpoch}`,
      );
    }
    if (logEndOffset < seen.logEndOffset) {
      this.#count(seen.truncated ? 'follower.truncated-again' : 'follower.truncated');
      seen.truncated = true;
    } else if (logEndOffset > seen.logEndOffset) seen.truncated = false;
    seen.logEndOffset = logEndOffset;
    seen.leaderEpoch = leaderEpoch;
    seen.highWatermark = highWatermark;
  }

  #checkLeader(broker: ClusterBroker): void {
    const { leaderEpoch, highWatermark } = broker.partition;
    const other = this.#leaderOfEpoch.get(leaderEpoch);
    if (other !== undefined && other !== broker) {
      throw new Violation(
        'one-leader-per-epoch',
        `brokers ${other.id} and ${broker.id} lead epoch ${leaderEpoch}`,
      );
    }
    if (other === undefined) {
      this.#leaderOfEpoch.set(leaderEpoch, broker);
      const committed = this.#committedBefore(leaderEpoch);
      if (broker.partition.logEndOffset < committed) {
        throw new Violation(
          'leader-completeness',
          `broker ${broker.id} leads epoch ${leaderEpoch} with end ${broker.partition.logEndOffset}, committed before are ${committed}`,
        );
      }
    }
    if (this.committed.length >= highWatermark) return;
    while (this.committed.length < highWatermark) this.#commit(broker, highWatermark);
    this.#committedIn.set(leaderEpoch, this.committed.length);
  }

  /** A leader that died in the event in which it moved its HW may have told a follower of it before. */
  #commitForDeadLeader(follower: ClusterBroker): void {
    const { leaderEpoch, highWatermark } = follower.partition;
    const leader = this.#leaderOfEpoch.get(leaderEpoch);
    if (leader === undefined || leader.alive || leader.partition.leaderEpoch !== leaderEpoch) return;
    const told = Math.min(highWatermark, leader.partition.highWatermark);
    if (told <= this.committed.length) return;
    this.#commit(follower, told);
    this.#committedIn.set(leaderEpoch, this.committed.length);
    this.#count('leader.died-as-it-committed');
  }

  /** A leader may hear of its election only when another one has followed it, and has committed more. */
  #committedBefore(leaderEpoch: number): number {
    let end = 0;
    for (const [epoch, committed] of this.#committedIn)
      if (epoch < leaderEpoch) end = Math.max(end, committed);
    return end;
  }

  /** The records that this leader has just declared committed. */
  #commit(broker: ClusterBroker, highWatermark: number): void {
    for (const batch of this.#batchesOf(broker, this.committed.length, highWatermark)) {
      batch.values.forEach((value, index) => {
        const offset = batch.baseOffset + index;
        if (offset === this.committed.length) this.committed.push({ value, leaderEpoch: batch.leaderEpoch });
      });
    }
  }

  /** StrongIsr and LeaderCandidateCompleteness by the log-matching property: the same epoch at an offset means the same log up to it. */
  #checkReplica(broker: ClusterBroker, record: PartitionRecord): void {
    const { log, logEndOffset, highWatermark } = broker.partition;
    if (highWatermark > this.committed.length) this.#commitForDeadLeader(broker);
    const committed = this.committed.length;
    const upTo = Math.min(highWatermark, logEndOffset, committed);
    if (highWatermark > committed) {
      throw new Violation(
        'hw-beyond-committed',
        `broker ${broker.id} has HW ${highWatermark}, no leader went beyond ${committed}`,
      );
    }
    if (upTo > 0) this.#matches(broker, upTo, 'log-matching');
    const candidate = [...record.isr, ...record.elr].some(
      (member) => member.id === broker.id && member.brokerEpoch === broker.brokerEpoch,
    );
    if (!candidate || committed === 0) return;
    const held = this.#durable ? log.durableOffset : logEndOffset;
    if (held < committed) {
      throw new Violation(
        'strong-isr',
        `broker ${broker.id} is in the ISR or ELR and holds ${held} of ${committed} committed records`,
      );
    }
    this.#matches(broker, committed, 'strong-isr');
  }

  #matches(broker: ClusterBroker, upTo: number, rule: string): void {
    const own = broker.partition.log.epochs.epochAt(upTo - 1);
    const committed = this.committed[upTo - 1]!.leaderEpoch;
    if (own !== committed) {
      throw new Violation(
        rule,
        `broker ${broker.id} has epoch ${own} at ${upTo - 1}, committed was epoch ${committed}`,
      );
    }
  }

  #compare(broker: ClusterBroker, offset: number, endOffset: number): number {
    let next = offset;
    for (const batch of this.#batchesOf(broker, offset, endOffset)) {
      batch.values.forEach((value, index) => {
        const at = batch.baseOffset + index;
        if (this.committed[at]?.value !== value) {
          throw new Violation(
            'log-matching',
            `broker ${broker.id} holds ${value} at ${at}, committed was ${this.committed[at]?.value}`,
          );
        }
        next = at + 1;
      });
    }
    if (next === offset)
      throw new Violation('log-matching', `broker ${broker.id} serves nothing at ${offset}`);
    return next;
  }

  #batchesOf(broker: ClusterBroker, offset: number, endOffset: number): readonly DecodedBatch[] {
    const result = readFrom(broker.partition, offset, { bytesMax: READ_BYTES, endOffset });
    if (result.error !== undefined)
      throw new Violation('unreadable', `broker ${broker.id} at ${offset}: ${result.error}`);
    if (result.batches.length === 0)
      throw new Violation('unreadable', `broker ${broker.id} serves nothing at ${offset}`);
    return result.batches;
  }
}
