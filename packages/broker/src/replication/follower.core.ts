import type { EpochEnd } from './partition.core.ts';

/** What of a follower's own log decides where it must be cut. */
export interface FollowerLog {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly epochs: {
    endOffsetOf(epoch: number, logEndOffset: number): EpochEnd | undefined;
  };
}

/**
 * KIP-279: where to cut a log that diverges from the leader's, whose largest epoch at or below the one that was asked about ends at
 * `diverging.endOffset`. Never the HW (KIP-101). The result may still diverge in an older epoch: the next fetch tells.
 */
export function truncationOffset(log: FollowerLog, diverging: EpochEnd): number {
  const own = log.epochs.endOffsetOf(diverging.epoch, log.endOffset);
  if (own === undefined) return Math.min(diverging.endOffset, log.startOffset);
  return Math.min(own.endOffset, diverging.endOffset);
}
