import type { ProducerIdBlocks } from './cluster/producer-id-blocks.ts';
import { OFFSETS_TOPIC } from './cluster/topic-names.ts';
import type { ImageTracker } from './cluster/tracker.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import type { Slices } from './expressions/slices.ts';
import { describeGroups } from './groups/metrics.ts';
import { GroupService } from './groups/service.ts';
import { groupSettingsOf, groupTimesOf } from './groups/settings.ts';
import type { BrokerMetrics } from './metrics/registry.ts';
import type { PeerPort } from './peer/types.ts';
import type { Platform } from './platform/index.ts';
import type { PartitionRegistry } from './topics/hosted-partitions.ts';
import type { BrokerTopicAdmin } from './topics/topic-admin.ts';
import type { TransactionMarkers } from './topics/transaction-markers.ts';
import type { TransactionVerifier } from './topics/transaction-verifier.ts';
import { describeTransactions } from './transactions/metrics.ts';
import { TransactionService } from './transactions/service.ts';
import { transactionSettingsOf } from './transactions/settings.ts';

/** After the partitions, so that those hear of a change of the image first. */
export function coordinateGroups(
  { clock, timers, random, logger }: Platform,
  config: BrokerConfig,
  parts: {
    readonly partitions: PartitionRegistry;
    readonly admin: BrokerTopicAdmin;
    readonly tracker: ImageTracker;
    readonly metrics: BrokerMetrics;
    readonly slices: Slices;
    readonly markers: TransactionMarkers;
    readonly verifier: TransactionVerifier;
  },
): GroupService {
  const { settings } = config;
  const { partitions, admin, tracker, metrics, slices, markers, verifier } = parts;
  const groups = new GroupService({
    partitions,
    admin,
    clock,
    timers,
    random,
    logger,
    settings: groupSettingsOf(config),
    timesOf: groupTimesOf(partitions, config),
    slices,
    verifier,
    topic: {
      partitions: settings['offsets.topic.num.partitions'],
      replicationFactor: settings['offsets.topic.replication.factor'],
      segmentBytes: settings['offsets.topic.segment.bytes'],
      flush: settings['offsets.topic.flush'],
    },
  });
  describeGroups(metrics, groups, partitions);
  markers.route(OFFSETS_TOPIC, groups);
  tracker.onChange(({ topics, sections }) => {
    groups.imageChanged();
    if (topics.size > 0) groups.topicsChanged([...topics.keys()]);
    if (sections.has('acls/')) groups.accessChanged();
  });
  return groups;
}

/** The same for transactions. */
export function coordinateTransactions(
  { clock, timers, logger }: Platform,
  { settings }: BrokerConfig,
  parts: {
    readonly partitions: PartitionRegistry;
    readonly admin: BrokerTopicAdmin;
    readonly tracker: ImageTracker;
    readonly metrics: BrokerMetrics;
    readonly slices: Slices;
    readonly peers: PeerPort;
    readonly producerIds: ProducerIdBlocks;
  },
): TransactionService {
  const { partitions, admin, tracker, metrics, slices, peers, producerIds } = parts;
  const transactions = new TransactionService({
    partitions,
    admin,
    peer: peers,
    producerIds,
    clock,
    timers,
    logger,
    settings: transactionSettingsOf(settings),
    slices,
    topic: {
      partitions: settings['transaction.state.log.num.partitions'],
      replicationFactor: settings['transaction.state.log.replication.factor'],
      segmentBytes: settings['transaction.state.log.segment.bytes'],
      flush: settings['transaction.state.log.flush'],
      minInsyncReplicas: settings['transaction.state.log.min.isr'],
    },
  });
  describeTransactions(metrics, transactions, () => clock.nowMs());
  tracker.onChange(() => transactions.imageChanged());
  return transactions;
}
