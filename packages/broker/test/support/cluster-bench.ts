import { Controller } from '../../src/cluster/controller.ts';
import { register, startPartitions, type Registration } from '../../src/cluster/registration.ts';
import { ImageTracker } from '../../src/cluster/tracker.ts';
import { parseTopicSettings, type TopicDefaults } from '../../src/config/topic-config.ts';
import { LocalMetadataStore } from '../../src/metadata/local/store.ts';
import type { Loop, Random } from '../../src/platform/index.ts';
import { LocalPartition, TurnScheduler } from '../../src/replication/index.ts';
import type { LogStore } from '../../src/storage/types.ts';
import { PartitionRegistry, type ManagedPartition } from '../../src/topics/hosted-partitions.ts';
import { BrokerTopicAdmin } from '../../src/topics/topic-admin.ts';
import { ManualClock, SILENT } from '../replication/helpers.ts';
import { MemoryLogs } from './memory-logs.ts';

export interface ClusterBench {
  readonly logs: LogStore;
  readonly store: LocalMetadataStore;
  readonly registration: Registration;
  readonly tracker: ImageTracker;
  readonly controller: Controller;
  readonly partitions: PartitionRegistry;
  readonly admin: BrokerTopicAdmin;
  readonly made: LocalPartition[];
}

const loop: Loop = {
  afterTurn: (callback) => void setImmediate(callback),
  lastInTurn: (callback) => void setImmediate(callback),
};

let ids = 0;
const random: Random = {
  fraction: () => 0,
  uuid: () => `id${String(++ids).padStart(19, '0')}A`,
};

/** A broker's cluster and topics over logs in memory; opened anew on the same logs it is the same broker after a restart. */
export async function openCluster(
  options: {
    logs?: LogStore;
    config?: { readonly topicDefaults: TopicDefaults };
    partitionsMax?: number;
  } = {},
): Promise<ClusterBench> {
  const logs = options.logs ?? new MemoryLogs();
  const config = options.config ?? { topicDefaults: new Map<string, string>() };
  const clock = new ManualClock();
  const store = await LocalMetadataStore.open({ logs, clock, loop, logger: SILENT });
  const registration = await register({
    store,
    random,
    brokerId: 1,
    record: { rack: null, host: 'h', endpoints: { kafka: { host: '127.0.0.1', port: 9092 } } },
  });
  const { brokerEpoch } = registration;
  const tracker = await ImageTracker.open({ store, logger: SILENT });
  const revision = await startPartitions({
    store,
    image: tracker.image,
    brokerId: 1,
    brokerEpoch,
    retained: true,
    minInsyncReplicas: ({ overrides }) =>
      parseTopicSettings(overrides, config.topicDefaults).minInsyncReplicas,
  });
  await tracker.reached(revision);
  const turns = new TurnScheduler({ loop, clock, store: logs });
  const made: LocalPartition[] = [];
  const partitions = new PartitionRegistry({
    brokerId: 1,
    logs,
    tracker,
    config,
    logger: SILENT,
    // Repetitions come at once.
    timers: {
      after: (_delayMs, callback) => {
        const immediate = setImmediate(callback);
        return { cancel: () => clearImmediate(immediate) };
      },
    },
    reservedLogs: new Set(['__cluster']),
    makePartition: ({ log, settings: { minInsyncReplicas } }): ManagedPartition => {
      const partition = new LocalPartition({
        log,
        brokerId: 1,
        brokerEpoch,
        turns,
        clock,
        timers: clock,
        logger: SILENT,
        minInsyncReplicas,
      });
      made.push(partition);
      return partition;
    },
  });
  const controller = new Controller({
    store,
    tracker,
    random,
    defaults: { partitions: 1, replicationFactor: 1 },
    limits: { topicPartitionsMax: 500, clusterPartitionsMax: options.partitionsMax ?? 10_000 },
  });
  const admin = new BrokerTopicAdmin({
    controller,
    partitions,
    config,
    deletionAllowed: true,
  });
  return { logs, store, registration, tracker, controller, partitions, admin, made };
}
