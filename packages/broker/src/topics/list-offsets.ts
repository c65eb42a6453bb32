import type { ErrorName } from '../errors.ts';
import type { Isolation, Partition } from '../replication/types.ts';

export type OffsetWanted =
  /** The end of what may be read: the high watermark, or the last stable offset. */
  | { readonly kind: 'latest' }
  | { readonly kind: 'earliest' }
  | { readonly kind: 'max-timestamp' }
  /** The first record at or above it, in milliseconds. */
  | { readonly kind: 'timestamp'; readonly timestampMs: number };

export type { Isolation };

/** Offset -1 without an error: there is no such record. */
export type OffsetFound =
  | { readonly error: ErrorName }
  | {
      readonly error: undefined;
      readonly offset: number;
      readonly timestamp: number;
      readonly leaderEpoch: number;
    };

const NOT_FOUND: OffsetFound = { error: undefined, offset: -1, timestamp: -1, leaderEpoch: -1 };

/** What the partition's leader answers to a consumer that asks where to begin. Rejects only for bugs and the disk's errors. */
export function findOffset(
  partition: Partition,
  wanted: OffsetWanted,
  options: { readonly isolation: Isolation; readonly leaderEpoch: number },
): OffsetFound | Promise<OffsetFound> {
  if (!partition.isLeader) return { error: 'NOT_LEADER_OR_FOLLOWER' };
  const epochError = partition.checkLeaderEpoch(options.leaderEpoch);
  if (epochError !== undefined) return { error: epochError };
  // KIP-207: a new leader may know less than was served before it. Where the log starts it knows.
  if (!partition.highWatermarkIsCurrent && wanted.kind !== 'earliest')
    return { error: 'OFFSET_NOT_AVAILABLE' };
  switch (wanted.kind) {
    case 'latest': {
      const committed = options.isolation === 'read_committed';
      const offset = committed ? partition.lastStableOffset : partition.highWatermark;
      return { error: undefined, offset, timestamp: -1, leaderEpoch: partition.leaderEpoch };
    }
    case 'earliest': {
      const offset = partition.logStartOffset;
      return { error: undefined, offset, timestamp: -1, leaderEpoch: partition.epochAt(offset) ?? -1 };
    }
    case 'max-timestamp':
      return partition.offsetOfMaxTimestamp(options.isolation).then(foundOrNot);
    case 'timestamp':
      return partition.offsetForTimestamp(wanted.timestampMs, options.isolation).then(foundOrNot);
  }
}

function foundOrNot(
  found: { readonly offset: number; readonly timestamp: number; readonly leaderEpoch: number } | undefined,
): OffsetFound {
  return found === undefined ? NOT_FOUND : { error: undefined, ...found };
}
