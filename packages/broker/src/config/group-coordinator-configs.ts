import { integer, list, oneOf } from './definition.ts';

const MIB = 1024 * 1024;

/** Settings of the coordinator of consumer groups; Kafka's names where Kafka has them. */
export const GROUP_COORDINATOR_CONFIGS = {
  'group.min.session.timeout.ms': integer('group.min.session.timeout.ms', {
    type: 'int',
    default: '6000',
    min: 1,
    documentation:
      'The shortest session time-out that a member of a consumer group may ask for. A short one finds a dead member sooner, and takes a slow one for dead sooner.',
  }),
  'group.max.session.timeout.ms': integer('group.max.session.timeout.ms', {
    type: 'int',
    default: '1800000',
    min: 1,
    documentation: 'The longest session time-out that a member of a consumer group may ask for.',
  }),
  'group.initial.rebalance.delay.ms': integer('group.initial.rebalance.delay.ms', {
    type: 'int',
    default: '500',
    min: 0,
    documentation:
      'How long a consumer group that was empty waits for more members before its first assignment; each newcomer extends it. Kafka waits for 3000.',
  }),
  'group.max.size': integer('group.max.size', {
    type: 'int',
    default: '10000',
    min: 1,
    documentation: 'The most members that one consumer group may have.',
  }),
  'group.coordinator.rebalance.protocols': list('group.coordinator.rebalance.protocols', {
    default: 'classic,consumer',
    item: /^(?:classic|consumer)$/,
    nonEmpty: true,
    legal: 'classic, consumer',
    documentation:
      'The protocols of consumer groups that the broker speaks: classic, where one member assigns the partitions, is always there; consumer (KIP-848), where the broker does, may be left out.',
  }),
  'group.consumer.session.timeout.ms': integer('group.consumer.session.timeout.ms', {
    type: 'int',
    default: '45000',
    min: 1,
    documentation:
      'How long a member of a group with the consumer protocol may be silent until its partitions are given to others.',
  }),
  'group.consumer.heartbeat.interval.ms': integer('group.consumer.heartbeat.interval.ms', {
    type: 'int',
    default: '5000',
    min: 1,
    documentation:
      'How often members of groups with the consumer protocol are told to send heartbeats: they learn of new assignments by them.',
  }),
  'group.consumer.max.size': integer('group.consumer.max.size', {
    type: 'int',
    default: '10000',
    min: 1,
    documentation: 'The most members that a group with the consumer protocol may have.',
  }),
  'group.consumer.assignors': list('group.consumer.assignors', {
    default: 'uniform,range',
    item: /^(?:uniform|range)$/,
    nonEmpty: true,
    legal: 'uniform, range',
    documentation:
      'What assigns partitions in groups with the consumer protocol. Members may ask for one of these; the first is taken where they do not. uniform spreads all partitions evenly and moves as few as it can; range cuts topics with the same number of partitions alike.',
  }),
  'group.consumer.migration.policy': oneOf('group.consumer.migration.policy', {
    values: ['bidirectional', 'upgrade', 'downgrade', 'disabled'],
    default: 'bidirectional',
    documentation:
      'Whether a group with members changes its protocol: to consumer when the first member of that comes (upgrade), to classic when the last of them goes (downgrade).',
  }),
  'group.offsets.max': integer('group.offsets.max', {
    type: 'int',
    default: '1000000',
    min: 1,
    documentation: 'The most partitions that one consumer group may store offsets for.',
  }),
  'groups.per.coordinator.max': integer('groups.per.coordinator.max', {
    type: 'int',
    default: '20000',
    min: 1,
    documentation:
      'The most consumer groups that one partition of __consumer_offsets may hold: they are kept in memory.',
  }),
  'groups.metadata.max.bytes': integer('groups.metadata.max.bytes', {
    type: 'long',
    default: String(512 * MIB),
    min: MIB,
    documentation:
      'What the members of all groups together may tell, names, subscriptions and racks, and the topics that their regular expressions stand for: it is kept in memory. Above it nobody can join.',
  }),
  'offset.metadata.max.bytes': integer('offset.metadata.max.bytes', {
    type: 'int',
    default: '4096',
    min: 0,
    documentation: 'The longest text that a consumer may store beside an offset.',
  }),
  'offsets.retention.minutes': integer('offsets.retention.minutes', {
    type: 'int',
    default: '10080',
    min: 1,
    unit: 'minutes',
    documentation:
      'How long offsets are kept after their group has become empty, or after the commit where a group never had members. What is being read never expires.',
  }),
  'offsets.retention.check.interval.ms': integer('offsets.retention.check.interval.ms', {
    type: 'long',
    default: '600000',
    min: 1,
    documentation: 'How often offsets are looked through for those that have expired.',
  }),
  'offsets.topic.num.partitions': integer('offsets.topic.num.partitions', {
    type: 'int',
    default: '50',
    min: 1,
    documentation:
      'Partitions of __consumer_offsets, over which groups are spread. It holds for the creation of the topic, with the first group.',
  }),
  'offsets.topic.replication.factor': integer('offsets.topic.replication.factor', {
    type: 'int',
    default: '3',
    min: 1,
    max: 32_767,
    documentation:
      'Replicas of __consumer_offsets, or as many as there are brokers if those are fewer when it is created.',
  }),
  'offsets.topic.segment.bytes': integer('offsets.topic.segment.bytes', {
    type: 'int',
    default: String(100 * MIB),
    min: MIB,
    documentation:
      'The size of segments of __consumer_offsets: small, so that compaction keeps up and starts are quick.',
  }),
  'offsets.topic.flush': oneOf('offsets.topic.flush', {
    default: 'fsync',
    values: ['fsync', 'os'],
    documentation:
      'The flush of __consumer_offsets when it is created. With os, which is faster, a loss of power may take back offsets that were committed in the last seconds, in transactions too, and what they stand for is processed once more.',
  }),
} as const;
