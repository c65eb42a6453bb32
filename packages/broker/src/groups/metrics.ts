import { SERIES_MAX, type Metrics } from '../metrics/types.ts';
import type { HostedPartitions } from '../topics/types.ts';
import type { GroupService } from './service.ts';
import type { GroupState, GroupType } from './types.ts';

/** Committed offsets that one scrape compares with their logs: what it costs is bounded, at about 20 ms. */
export const OFFSETS_MEASURED_MAX = 50_000;

interface MeasuredOffset {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Records that were committed to the partition and not yet by the group; undefined where another broker leads the partition. */
  readonly lag: number | undefined;
}

/** The groups of this broker at the moment of a scrape. */
interface Measured {
  readonly states: ReadonlyMap<GroupState, number>;
  readonly types: ReadonlyMap<GroupType, number>;
  readonly members: readonly (readonly [group: string, members: number])[];
  readonly offsets: readonly MeasuredOffset[];
  readonly unmeasured: number;
}

const STATES: readonly GroupState[] = [
  'Empty',
  'PreparingRebalance',
  'CompletingRebalance',
  'Assigning',
  'Reconciling',
  'Stable',
  'Dead',
];
const TYPES: readonly GroupType[] = ['classic', 'consumer'];

/** Registers the state of the groups that this broker coordinates; lag and all else is worked out at scrapes. */
export function describeGroups(metrics: Metrics, groups: GroupService, partitions: HostedPartitions): void {
  const measured = oncePerScrape(groups, partitions);
  metrics.gauges({
    name: 'consumer_groups',
    help: 'Groups that this broker coordinates, by their state',
    labels: ['state'],
    read: (add) => {
      for (const [state, count] of measured().states) add(count, state);
    },
  });
  metrics.gauges({
    name: 'consumer_groups_by_protocol',
    help: 'Groups that this broker coordinates, by their protocol: classic, or consumer (KIP-848)',
    labels: ['protocol'],
    read: (add) => {
      for (const [type, count] of measured().types) add(count, type);
    },
  });
  metrics.gauges({
    name: 'consumer_group_members',
    help: 'Members of a group',
    labels: ['group'],
    read: (add) => {
      for (const [group, members] of measured().members) add(members, group);
    },
  });
  metrics.gauge({
    name: 'consumer_group_offsets_pending',
    help: 'Offsets that were committed in transactions that have not ended: consumers that want stable offsets wait for them',
    read: () => groups.pendingOffsets,
  });
  describeLag(metrics, measured);
  describeCounts(metrics, groups);
}

function describeLag(metrics: Metrics, measured: () => Measured): void {
  metrics.gauges({
    name: 'consumer_group_lag',
    help: 'Records of a topic between the committed offsets of a group and the high watermarks, over its partitions',
    labels: ['group', 'topic'],
    read: (add) => {
      const visit = ({ group, topic, lag }: TopicLag): void => add(lag, group, topic);
      visitLargestFirst(lagByTopic(measured().offsets), visit);
    },
  });
  metrics.gauges({
    name: 'consumer_group_partition_lag',
    help: 'Records of a partition between the committed offset of a group and the high watermark; where there are too many, those that lag most',
    labels: ['group', 'topic', 'partition'],
    read: (add) => {
      const known = measured().offsets.filter(isLagKnown);
      visitLargestFirst(known, ({ group, topic, partition, lag }) =>
        add(lag, group, topic, String(partition)),
      );
    },
  });
  metrics.gauges({
    name: 'consumer_group_committed_offset',
    help: 'The offset that a group has committed: of the next record that it wants',
    labels: ['group', 'topic', 'partition'],
    read: (add) => {
      for (const { group, topic, partition, offset } of measured().offsets) {
        add(offset, group, topic, String(partition));
      }
    },
  });
  metrics.gauge({
    name: 'consumer_group_offsets_unmeasured',
    help: 'Committed offsets beyond those that one scrape looks at: lag does not contain them',
    read: () => measured().unmeasured,
  });
}

interface TopicLag {
  readonly group: string;
  readonly topic: string;
  lag: number;
}

function isLagKnown(offset: MeasuredOffset): offset is MeasuredOffset & { readonly lag: number } {
  return offset.lag !== undefined;
}

/** Where a metric may have fewer series than there are, the ones that matter come first. Without sorting them all: this holds up the event loop. */
function visitLargestFirst<T extends { readonly lag: number }>(
  items: readonly T[],
  visit: (item: T) => void,
): void {
  if (items.length <= SERIES_MAX) {
    items.forEach(visit);
    return;
  }
  const lags = Float64Array.from(items, ({ lag }) => lag).sort();
  const least = lags[lags.length - SERIES_MAX]!;
  for (const item of items) if (item.lag > least) visit(item);
  for (const item of items) if (item.lag === least) visit(item);
  for (const item of items) if (item.lag < least) visit(item);
}

function lagByTopic(offsets: readonly MeasuredOffset[]): TopicLag[] {
  const sums: TopicLag[] = [];
  // The offsets of a group and topic follow each other.
  for (const { group, topic, lag } of offsets) {
    if (lag === undefined) continue;
    const last = sums.at(-1);
    if (last !== undefined && last.group === group && last.topic === topic) last.lag += lag;
    else sums.push({ group, topic, lag });
  }
  return sums;
}

/** A scrape asks for each metric by itself, one right after the other: the groups are visited for the first of them. */
function oncePerScrape(groups: GroupService, partitions: HostedPartitions): () => Measured {
  let current: Measured | undefined;
  return () => {
    if (current === undefined) {
      current = measure(groups, partitions);
      void Promise.resolve().then(() => (current = undefined));
    }
    return current;
  };
}

function measure(groups: GroupService, partitions: HostedPartitions): Measured {
  const states = new Map<GroupState, number>(STATES.map((state) => [state, 0]));
  const types = new Map<GroupType, number>(TYPES.map((type) => [type, 0]));
  const members: [string, number][] = [];
  const offsets: MeasuredOffset[] = [];
  let unmeasured = 0;
  for (const summary of groups.summaries()) {
    const { groupId: group, state, type } = summary;
    states.set(state, (states.get(state) ?? 0) + 1);
    types.set(type, (types.get(type) ?? 0) + 1);
    members.push([group, summary.members]);
    for (const [topic, byPartition] of summary.offsets) {
      if (offsets.length >= OFFSETS_MEASURED_MAX) {
        unmeasured += byPartition.size;
        continue;
      }
      for (const [partition, { offset }] of byPartition) {
        const log = partitions.get(topic, partition);
        const lag = log?.isLeader === true ? Math.max(0, log.highWatermark - offset) : undefined;
        offsets.push({ group, topic, partition, offset, lag });
      }
    }
  }
  return { states, types, members, offsets, unmeasured };
}

function describeCounts(metrics: Metrics, groups: GroupService): void {
  const { counters, shardCounters } = groups;
  const counter = (name: string, help: string, read: () => number): void =>
    metrics.counter({ name, help, read });
  const gauge = (name: string, help: string, read: () => number): void => metrics.gauge({ name, help, read });
  counter(
    'consumer_group_rebalances_total',
    'Generations of classic groups that began, and epochs of groups of KIP-848',
    () => counters.rebalances,
  );
  counter(
    'consumer_group_members_expired_total',
    'Members that were removed, since they did not answer in time',
    () => counters.membersExpired,
  );
  counter(
    'consumer_group_offset_commits_total',
    'Offsets committed, one per partition',
    () => counters.offsetsCommitted,
  );
  counter(
    'consumer_group_offsets_expired_total',
    'Offsets removed after offsets.retention.minutes',
    () => counters.offsetsExpired,
  );
  counter('consumer_groups_deleted_total', 'Groups that were deleted', () => counters.groupsDeleted);
  counter(
    'consumer_groups_upgraded_total',
    'Classic groups that got the consumer protocol (KIP-848) while they had members',
    () => counters.upgrades,
  );
  counter(
    'consumer_groups_downgraded_total',
    'Groups with the consumer protocol that got the classic one while they had members',
    () => counters.downgrades,
  );
  gauge(
    'coordinator_partitions_loading',
    'Partitions of __consumer_offsets whose groups are not known yet',
    () => groups.loadingCount,
  );
  counter(
    'coordinator_loads_total',
    'Loads of partitions of __consumer_offsets that were complete',
    () => shardCounters.loads,
  );
  counter(
    'coordinator_load_failures_total',
    'Loads of partitions of __consumer_offsets that failed, and are tried again',
    () => shardCounters.loadFailures,
  );
  gauge(
    'coordinator_last_load_seconds',
    'Time that the last load of a partition of __consumer_offsets took',
    () => shardCounters.lastLoadMs / 1000,
  );
  counter(
    'coordinator_resets_total',
    'Times that the groups of a partition of __consumer_offsets were given up and loaded anew, since a write failed',
    () => shardCounters.resets,
  );
  counter(
    'coordinator_unreadable_records_total',
    'Records of groups and offsets that could not be understood, and were passed over',
    () => shardCounters.unreadableRecords,
  );
}
