import type { Platform } from '../../packages/broker/src/platform/index.ts';
import {
  LocalPartition,
  TurnScheduler,
  type LocalPartitionOptions,
} from '../../packages/broker/src/replication/index.ts';
import { openLogStore } from '../../packages/broker/src/storage/log-store.ts';
import type {
  Log,
  LogConfig,
  LogId,
  LogStore,
  StorageConfig,
} from '../../packages/broker/src/storage/types.ts';
import type { SimLoop } from '../platform/clock.ts';
import type { SimNode } from '../platform/world.ts';

export const TOPIC = 'sim';
const TOPIC_ID = 'c2ltdWxhdGVkLXRvcGljLQ';
const DATA_DIRECTORY = '/data';

/** Small enough that rolls, journal reuse and checkpoints happen all the time. */
const STORAGE: Partial<StorageConfig> = {
  openFilesMax: 12,
  hotBytes: 16 * 1024,
  journalFileBytes: 16 * 1024,
  journalFilesMax: 3,
  journalBatchBytesMax: 2 * 1024,
  checkpointMs: 700,
  retentionCheckMs: 900,
  freeSpaceReserveBytes: 64 * 1024,
  freeSpacePollMs: 50,
  cleanerBackoffMs: 40,
  cleanerDedupeBytes: 24 * 16,
};

export const LOG_CONFIG: LogConfig = {
  segmentBytes: 8 * 1024,
  segmentMs: 60_000,
  segmentIndexBytes: 4096,
  indexIntervalBytes: 512,
  retentionMs: -1,
  retentionBytes: -1,
  deleteOldSegments: true,
  fileDeleteDelayMs: 100,
  flush: 'fsync',
};

/** One run of a broker's storage and partitions on a simulated machine. */
export class BrokerProcess {
  readonly platform: Platform;
  readonly store: LogStore;
  readonly turns: TurnScheduler;
  readonly partitions: LocalPartition[] = [];

  private constructor(platform: Platform, store: LogStore) {
    this.platform = platform;
    this.store = store;
    this.turns = new TurnScheduler({ loop: platform.loop, clock: platform.clock, store });
  }

  /** Recovers what the disk holds. An fsync error later kills the process, as it must. */
  static async open(
    node: SimNode,
    platform: Platform,
    logConfigOf: (partition: number) => LogConfig,
  ): Promise<BrokerProcess> {
    const store = await openLogStore({
      disk: platform.disk,
      clock: platform.clock,
      timers: platform.timers,
      logger: platform.logger,
      dataDirectory: DATA_DIRECTORY,
      config: STORAGE,
      logConfigOf: (id) => logConfigOf(id.partition),
    });
    store.onFatal = () => {
      if (!(platform.loop as SimLoop).process.alive) return;
      node.world.count('storage.fatal');
      node.crash({ kind: 'process' });
    };
    return new BrokerProcess(platform, store);
  }

  get alive(): boolean {
    return (this.platform.loop as SimLoop).process.alive;
  }

  log(partition: number, config: LogConfig): Log {
    const id: LogId = { topic: TOPIC, topicId: TOPIC_ID, partition };
    return this.store.get(TOPIC, partition) ?? this.store.create(id, config);
  }

  partition(
    options: Pick<LocalPartitionOptions, 'brokerId' | 'brokerEpoch' | 'minInsyncReplicas'> &
      Partial<LocalPartitionOptions> & { readonly log: Log },
  ): LocalPartition {
    const { clock, timers, logger } = this.platform;
    const partition = new LocalPartition({ turns: this.turns, clock, timers, logger, ...options });
    this.partitions[options.log.id.partition] = partition;
    return partition;
  }
}
