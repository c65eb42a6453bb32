import type { ErrorName } from '../errors.ts';
import type { EpochEnd } from './partition.core.ts';
import type { IsrProposal, PartitionRecord } from './partition-record.core.ts';

/** A follower's fetch of one partition; over the network it is Kafka's Fetch with our durable offset in a private tagged field. */
export interface ReplicaFetchRequest {
  readonly topicId: string;
  readonly partition: number;
  readonly replicaId: number;
  readonly brokerEpoch: number;
  readonly leaderEpoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly durableOffset: number;
  readonly logStartOffset: number;
  readonly bytesMax: number;
  /** How long the leader may wait for data. 0 while the follower has unsynced bytes whose durability it will want to report. */
  readonly waitMsMax: number;
}

export type ReplicaFetchResponse =
  | {
      readonly kind: 'records';
      /** Whole batches from the fetch offset on; empty when there is nothing new. */
      readonly bytes: Uint8Array;
      readonly highWatermark: number;
      readonly logStartOffset: number;
    }
  | { readonly kind: 'diverging'; readonly end: EpochEnd }
  | {
      readonly kind: 'error';
      readonly error: ErrorName;
      /** The leader's range, of use with OFFSET_OUT_OF_RANGE. */
      readonly logStartOffset: number;
      readonly logEndOffset: number;
    };

/** How a follower reaches its leader. Rejects when the leader cannot be reached: the fetcher waits and tries again. */
export interface ReplicaTransport {
  fetch(leader: number, request: ReplicaFetchRequest): Promise<ReplicaFetchResponse>;
}

/**
 * The compare-and-swap on a partition's record. `applied` and `stale` carry the record as it is now; `ineligible`: refused for
 * certain, a member may not be added. Rejects when the outcome is not known: the same proposal is sent again until it is.
 */
export interface IsrStore {
  alterIsr(
    id: { readonly topicId: string; readonly partition: number },
    proposal: IsrProposal,
  ): Promise<AlterIsrResult>;
}

export type AlterIsrResult =
  | { readonly kind: 'applied' | 'stale'; readonly record: PartitionRecord }
  | { readonly kind: 'ineligible' };
