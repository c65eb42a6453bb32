import type { Clock, Timers } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/log.ts';
import type { DescriptorCache } from './descriptor-cache.ts';
import type { PartitionLog } from './log.ts';
import type { Segment } from './segment.ts';
import type { StorageConfig } from './types.ts';

/** What a log needs of its store. */
export interface StoreContext {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly logger: Logger;
  readonly config: StorageConfig;
  readonly cache: DescriptorCache;
  readonly dataDirectory: string;
  /** Bytes appended to all logs since the store was opened. */
  readonly appendedBytes: number;
  /** Called after each append that succeeded, with the batches that it was given; they are copied if need be. */
  appended(log: PartitionLog, batches: readonly Uint8Array[], bytes: number, baseOffset: number): void;
  /** Makes sure that a replay of the journal will not bring back what the log is about to cut off. Durable when it returns. */
  forgetJournalOf(log: PartitionLog, endOffset: number): void;
  /** Writes both checkpoint files now. Throws DiskError. */
  writeCheckpoints(): void;
  /** Makes the logs' start offsets durable, off the event loop. Rejects with DiskError. */
  persistStarts(): Promise<void>;
  /** Unlinks the files of removed segments after the delay, once nobody reads them. */
  unlinkLater(segments: readonly Segment[], delayMs: number): void;
  /** A datasync failed: nothing unsynced is known to be on the disk any more. */
  fatal(error: Error): void;
}
