import { boolean, decimal, integer, list, oneOf, pattern, type ConfigDefinition } from './definition.ts';

/*
 * Every topic config of Kafka 4.3, and `flush`, which is ours. Those that this release stores without acting on them say so in
 * their documentation.
 */

const LONG_MAX_TEXT = '9223372036854775807';
/** KIP-1030. */
const SEGMENT_BYTES_MIN = 1024 * 1024;
const LOG_OVERHEAD_BYTES = 12;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A topic config and where its default comes from. */
export interface TopicConfigDefinition<T = unknown> extends ConfigDefinition<T> {
  /** The broker config that holds the default of topics which do not set it. */
  readonly brokerSynonym: string | undefined;
}

const THROTTLED_REPLICAS = {
  item: /^(\*|\d+:\d+)$/,
  legal: 'a list of PARTITION:BROKER pairs, or *',
} as const;

export const TOPIC_CONFIGS = {
  'cleanup.policy': withSynonym(
    'log.cleanup.policy',
    list('cleanup.policy', {
      default: 'delete',
      item: /^(compact|delete)$/,
      legal: 'a list of compact and delete',
      documentation:
        'What happens to old records: delete removes whole segments by age and size; compact keeps the last record of each key, and asks for a key in every record; both together do both.',
    }),
  ),
  'compression.type': withSynonym(
    'compression.type',
    oneOf('compression.type', {
      default: 'producer',
      values: ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'],
      documentation:
        'The codec in which batches are stored. producer keeps what the producer chose and costs nothing; any other makes the broker compress batches anew that arrive in another codec.',
    }),
  ),
  'compression.gzip.level': withSynonym('compression.gzip.level', {
    ...pattern('compression.gzip.level', {
      default: '-1',
      pattern: /^(-1|[1-9])$/,
      legal: 'an integer from 1 to 9, or -1 for the default',
      documentation: 'The level at which the broker compresses when compression.type is gzip.',
    }),
    type: 'int',
  }),
  'compression.lz4.level': withSynonym(
    'compression.lz4.level',
    integer('compression.lz4.level', {
      type: 'int',
      default: '9',
      min: 1,
      max: 17,
      documentation:
        'The level at which the broker compresses when compression.type is lz4. Stored; the codec has one level.',
    }),
  ),
  'compression.zstd.level': withSynonym(
    'compression.zstd.level',
    integer('compression.zstd.level', {
      type: 'int',
      default: '3',
      min: -131_072,
      max: 22,
      documentation: 'The level at which the broker compresses when compression.type is zstd.',
    }),
  ),
  'delete.retention.ms': withSynonym(
    'log.cleaner.delete.retention.ms',
    integer('delete.retention.ms', {
      type: 'long',
      default: String(DAY_MS),
      min: 0,
      documentation:
        'How long a compacted topic keeps the marker of a deleted key (a record without a value) after its first cleaning.',
    }),
  ),
  'file.delete.delay.ms': withSynonym(
    'log.segment.delete.delay.ms',
    integer('file.delete.delay.ms', {
      type: 'long',
      default: '60000',
      min: 0,
      documentation: 'How long the files of a removed segment or topic stay on the disk.',
    }),
  ),
  flush: withSynonym(
    'log.flush',
    oneOf('flush', {
      default: 'fsync',
      values: ['fsync', 'os'],
      importance: 'high',
      documentation:
        "What an acknowledgement promises: fsync, that the record is on the disk and survives a loss of power; os, that the operating system has it, which is faster and survives a crash of the broker only (Kafka's promise).",
    }),
  ),
  'flush.messages': withSynonym(
    'log.flush.interval.messages',
    integer('flush.messages', {
      type: 'long',
      default: LONG_MAX_TEXT,
      min: 1,
      documentation:
        'Set to 1 on a topic without flush it means flush=fsync. Other values are stored only: flush=fsync promises more, and flush=os leaves the time to the operating system.',
    }),
  ),
  'flush.ms': withSynonym(
    'log.flush.interval.ms',
    integer('flush.ms', {
      type: 'long',
      default: LONG_MAX_TEXT,
      min: 0,
      documentation:
        'Set to 0 on a topic without flush it means flush=fsync. Other values are stored only; see flush.messages.',
    }),
  ),
  'follower.replication.throttled.replicas': withSynonym(
    undefined,
    list('follower.replication.throttled.replicas', {
      ...THROTTLED_REPLICAS,
      default: '',
      documentation: 'Replicas whose catching up is throttled on the follower. Stored only.',
    }),
  ),
  'index.interval.bytes': withSynonym(
    'log.index.interval.bytes',
    integer('index.interval.bytes', {
      type: 'int',
      default: '4096',
      min: 0,
      documentation: 'How many bytes of a log there are between two entries of its index.',
    }),
  ),
  'leader.replication.throttled.replicas': withSynonym(
    undefined,
    list('leader.replication.throttled.replicas', {
      ...THROTTLED_REPLICAS,
      default: '',
      documentation: 'Replicas whose catching up is throttled on the leader. Stored only.',
    }),
  ),
  'local.retention.bytes': withSynonym(
    'log.local.retention.bytes',
    integer('local.retention.bytes', {
      type: 'long',
      default: '-2',
      min: -2,
      documentation: 'The local share of a topic with tiered storage. Stored only.',
    }),
  ),
  'local.retention.ms': withSynonym(
    'log.local.retention.ms',
    integer('local.retention.ms', {
      type: 'long',
      default: '-2',
      min: -2,
      documentation: 'The local age of a topic with tiered storage. Stored only.',
    }),
  ),
  'max.compaction.lag.ms': withSynonym(
    'log.cleaner.max.compaction.lag.ms',
    integer('max.compaction.lag.ms', {
      type: 'long',
      default: LONG_MAX_TEXT,
      min: 1,
      documentation:
        'The longest time that a record stays outside of compaction: a log that has an older one is cleaned however little of it is dirty, and its active segment closed for that.',
    }),
  ),
  'max.message.bytes': withSynonym(
    'message.max.bytes',
    integer('max.message.bytes', {
      type: 'int',
      default: String(1024 * 1024 + LOG_OVERHEAD_BYTES),
      min: 0,
      documentation: 'The largest record batch that is accepted, as it arrives, compressed or not.',
    }),
  ),
  'message.timestamp.after.max.ms': withSynonym(
    'log.message.timestamp.after.max.ms',
    integer('message.timestamp.after.max.ms', {
      type: 'long',
      default: String(HOUR_MS),
      min: 0,
      documentation:
        "How far a record's timestamp may lie in the broker's future. Ignored for LogAppendTime.",
    }),
  ),
  'message.timestamp.before.max.ms': withSynonym(
    'log.message.timestamp.before.max.ms',
    integer('message.timestamp.before.max.ms', {
      type: 'long',
      default: LONG_MAX_TEXT,
      min: 0,
      documentation: "How far a record's timestamp may lie in the broker's past. Ignored for LogAppendTime.",
    }),
  ),
  'message.timestamp.type': withSynonym(
    'log.message.timestamp.type',
    oneOf('message.timestamp.type', {
      default: 'CreateTime',
      values: ['CreateTime', 'LogAppendTime'],
      documentation: "Whether records keep the producer's timestamp or get the time of their append.",
    }),
  ),
  'min.cleanable.dirty.ratio': withSynonym(
    'log.cleaner.min.cleanable.ratio',
    decimal('min.cleanable.dirty.ratio', {
      default: '0.5',
      min: 0,
      max: 1,
      documentation:
        'The share of a log not yet compacted, by bytes and without the active segment, above which it is compacted.',
    }),
  ),
  'min.compaction.lag.ms': withSynonym(
    'log.cleaner.min.compaction.lag.ms',
    integer('min.compaction.lag.ms', {
      type: 'long',
      default: '0',
      min: 0,
      documentation:
        'How long a record is kept from compaction, as counted from its timestamp: a segment is left alone while one of its records is younger.',
    }),
  ),
  'min.insync.replicas': withSynonym(
    'min.insync.replicas',
    integer('min.insync.replicas', {
      type: 'int',
      default: '1',
      min: 1,
      documentation: 'How many replicas must be in sync for a write with acks=all to be accepted.',
    }),
  ),
  preallocate: withSynonym(
    'log.preallocate',
    boolean('preallocate', {
      default: 'false',
      documentation: 'Whether segments reserve their size at creation. Stored only.',
    }),
  ),
  'remote.log.copy.disable': withSynonym(
    undefined,
    boolean('remote.log.copy.disable', {
      default: 'false',
      documentation: 'Stops copying to tiered storage. Stored only.',
    }),
  ),
  'remote.log.delete.on.disable': withSynonym(
    undefined,
    boolean('remote.log.delete.on.disable', {
      default: 'false',
      documentation: 'Whether tiered data goes when tiered storage is switched off. Stored only.',
    }),
  ),
  'remote.storage.enable': withSynonym(undefined, {
    ...pattern('remote.storage.enable', {
      default: 'false',
      pattern: /^false$/i,
      legal: 'false: this broker has no tiered storage',
      documentation: 'Tiered storage, which this broker does not have.',
    }),
    type: 'boolean',
  }),
  'retention.bytes': withSynonym(
    'log.retention.bytes',
    integer('retention.bytes', {
      type: 'long',
      default: '-1',
      min: -1,
      documentation:
        'The size that a partition may reach before its oldest segments are removed; -1 for no limit.',
    }),
  ),
  'retention.ms': withSynonym(
    'log.retention.ms',
    integer('retention.ms', {
      type: 'long',
      default: String(7 * DAY_MS),
      min: -1,
      documentation: 'How long records are kept at least before their segment is removed; -1 for no limit.',
    }),
  ),
  'segment.bytes': withSynonym(
    'log.segment.bytes',
    integer('segment.bytes', {
      type: 'int',
      default: String(1024 * 1024 * 1024),
      min: SEGMENT_BYTES_MIN,
      documentation: 'The size at which a new segment file is begun. Retention removes whole segments.',
    }),
  ),
  'segment.index.bytes': withSynonym(
    'log.index.size.max.bytes',
    integer('segment.index.bytes', {
      type: 'int',
      default: String(10 * 1024 * 1024),
      min: 4,
      documentation: "The size that a segment's index may reach before a new segment is begun.",
    }),
  ),
  'segment.jitter.ms': withSynonym(
    'log.roll.jitter.ms',
    integer('segment.jitter.ms', {
      type: 'long',
      default: '0',
      min: 0,
      documentation:
        'Spreads the time-based rolls of many partitions: up to so much is taken off segment.ms. Stored only.',
    }),
  ),
  'segment.ms': withSynonym(
    'log.roll.ms',
    integer('segment.ms', {
      type: 'long',
      default: String(7 * DAY_MS),
      min: 1,
      documentation: 'The age at which a new segment is begun even if the last one is not full.',
    }),
  ),
  'unclean.leader.election.enable': withSynonym(
    'unclean.leader.election.enable',
    boolean('unclean.leader.election.enable', {
      default: 'false',
      documentation:
        'Whether a replica that is not in sync may lead when no other is left, at the price of lost records.',
    }),
  ),
} as const;

export type TopicConfigName = keyof typeof TOPIC_CONFIGS;

export function topicConfigDefinition(name: string): TopicConfigDefinition | undefined {
  return Object.hasOwn(TOPIC_CONFIGS, name) ? TOPIC_CONFIGS[name as TopicConfigName] : undefined;
}

export function topicConfigDefinitions(): readonly TopicConfigDefinition[] {
  return Object.values(TOPIC_CONFIGS);
}

function withSynonym<T, const S extends string | undefined>(
  brokerSynonym: S,
  definition: ConfigDefinition<T>,
): ConfigDefinition<T> & { readonly brokerSynonym: S } {
  return { ...definition, brokerSynonym };
}
