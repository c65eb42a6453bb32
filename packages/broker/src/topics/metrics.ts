import type { AddSeries, Metrics } from '../metrics/types.ts';
import type { ManagedPartition, PartitionRegistry } from './hosted-partitions.ts';

/** Registers the state of topics and of this broker's partitions; all of it is read at scrapes. */
export function describePartitions(
  metrics: Metrics,
  partitions: PartitionRegistry,
  { brokerId, lateSinceMs }: { readonly brokerId: number; readonly lateSinceMs: () => number },
): void {
  const gauge = (name: string, help: string, read: () => number): void => metrics.gauge({ name, help, read });
  gauge('topics', 'Topics of the cluster', () => partitions.image.topicCount);
  gauge('partitions', 'Partitions that this broker holds', () => partitions.hostedCount);
  gauge('partitions_led', 'Partitions that this broker leads', () =>
    count(partitions.hosted(), ({ role }) => role === 'leader'),
  );
  gauge('partitions_offline', 'Partitions of this broker that can be neither written nor followed', () =>
    count(partitions.hosted(), ({ role }) => role === 'offline'),
  );
  gauge('partitions_without_leader', 'Partitions of the cluster that nobody leads', () => {
    let found = 0;
    for (const topic of partitions.image.topics())
      found += count(topic.partitions, ({ leader }) => leader < 0);
    return found;
  });
  gauge(
    'partitions_under_replicated',
    'Partitions led here with fewer in-sync replicas than replicas',
    () => {
      let found = 0;
      for (const topic of partitions.image.topics()) {
        found += count(topic.partitions, ({ leader, isr, replicas }) =>
          leader === brokerId ? isr.length < replicas.length : false,
        );
      }
      return found;
    },
  );
  gauge(
    'partitions_under_min_isr',
    'Partitions led here that refuse acks=all for want of in-sync replicas',
    () => {
      let found = 0;
      for (const { kafkaName, partitions: states } of partitions.image.topics()) {
        const { minInsyncReplicas } = partitions.settings(kafkaName) ?? { minInsyncReplicas: 1 };
        found += count(states, ({ leader, isr }) => leader === brokerId && isr.length < minInsyncReplicas);
      }
      return found;
    },
  );
  gauge('appends_waiting', 'Appends that wait for their sync or for other replicas', () => {
    let waiting = 0;
    for (const { waitingAppends } of partitions.hosted()) waiting += waitingAppends;
    return waiting;
  });
  gauge('producers', 'Idempotent producers whose sequence numbers are remembered, once per partition', () => {
    let producers = 0;
    for (const { producerCount } of partitions.hosted()) producers += producerCount;
    return producers;
  });
  gauge(
    'partitions_with_late_transactions',
    'Partitions led here with a transaction that is open though no transaction may last so long: it hangs, and consumers that read committed records wait behind it',
    () => {
      const sinceMs = lateSinceMs();
      return count(
        partitions.hosted(),
        (partition) => partition.role === 'leader' && partition.hasTransactionIdleSince(sinceMs),
      );
    },
  );
  describeOffsets(metrics, partitions);
}

/** Offsets by partition; of the first partitions only, where there are more than a metric may have series. */
function describeOffsets(metrics: Metrics, partitions: PartitionRegistry): void {
  const offsets = (name: string, help: string, offsetOf: (partition: ManagedPartition) => number): void =>
    metrics.gauges({
      name,
      help,
      labels: ['topic', 'partition'],
      read: (add: AddSeries) => {
        for (const partition of partitions.hosted()) {
          add(offsetOf(partition), partition.topic, String(partition.index));
        }
      },
    });
  offsets(
    'partition_log_start_offset',
    'First offset that can be read',
    ({ logStartOffset }) => logStartOffset,
  );
  offsets('partition_log_end_offset', 'Offset of the next record', ({ logEndOffset }) => logEndOffset);
  offsets(
    'partition_high_watermark',
    'Offset up to which consumers read',
    ({ highWatermark }) => highWatermark,
  );
}

function count<T>(items: Iterable<T>, matches: (item: T) => boolean): number {
  let found = 0;
  for (const item of items) if (matches(item)) found++;
  return found;
}
