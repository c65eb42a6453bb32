import { BrokerError } from '../errors.ts';
import type { CompactionConfig, LogConfig } from '../storage/types.ts';
import { ConfigValueError } from './definition.ts';
import { applyOperations, type ConfigOperation } from './operations.ts';
import { didYouMean } from './suggest.ts';
import { TOPIC_CONFIGS, topicConfigDefinition, type TopicConfigName } from './topic-config-definitions.ts';

/** A topic's effective settings, parsed from its overrides over the broker's defaults. */
export interface TopicSettings {
  readonly log: LogConfig;
  readonly maxMessageBytes: number;
  readonly compression: {
    readonly type: 'producer' | 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';
    readonly level: number | undefined;
  };
  readonly timestampType: 'CreateTime' | 'LogAppendTime';
  readonly timestampBeforeMaxMs: number;
  readonly timestampAfterMaxMs: number;
  readonly minInsyncReplicas: number;
  readonly compact: boolean;
  readonly uncleanLeaderElection: boolean;
}

/** The broker's default of each topic config, as text; what is missing has the definition's default. */
export type TopicDefaults = ReadonlyMap<string, string>;

/** Text that each config of a topic has in the end. */
export function effectiveText(
  name: TopicConfigName,
  overrides: ReadonlyMap<string, string>,
  defaults: TopicDefaults,
): string {
  return overrides.get(name) ?? defaults.get(name) ?? TOPIC_CONFIGS[name].defaultText!;
}

/** Throws BrokerError INVALID_CONFIG for an unknown name or an illegal value, with what would be legal. */
export function parseTopicSettings(
  overrides: ReadonlyMap<string, string>,
  defaults: TopicDefaults,
): TopicSettings {
  validateOverrides(overrides);
  // The definitions are looked up by literal names, so each value has the type of its own definition.
  const value = <N extends TopicConfigName>(name: N): ReturnType<(typeof TOPIC_CONFIGS)[N]['parse']> =>
    TOPIC_CONFIGS[name].parse(effectiveText(name, overrides, defaults)) as ReturnType<
      (typeof TOPIC_CONFIGS)[N]['parse']
    >;
  const policies = value('cleanup.policy');
  const compact = policies.includes('compact');
  checkCompactionLags(value('min.compaction.lag.ms'), value('max.compaction.lag.ms'));
  return Object.freeze({
    log: Object.freeze({
      segmentBytes: value('segment.bytes'),
      // The active segment is never cleaned: it must not grow older than its records may.
      segmentMs: compact
        ? Math.min(value('segment.ms'), value('max.compaction.lag.ms'))
        : value('segment.ms'),
      segmentIndexBytes: value('segment.index.bytes'),
      indexIntervalBytes: value('index.interval.bytes'),
      retentionMs: value('retention.ms'),
      retentionBytes: value('retention.bytes'),
      deleteOldSegments: policies.includes('delete'),
      fileDeleteDelayMs: value('file.delete.delay.ms'),
      flush: effectiveFlush(overrides, value('flush')),
      ...(compact ? { compaction: compactionOf(value) } : {}),
    }),
    maxMessageBytes: value('max.message.bytes'),
    compression: Object.freeze(compressionOf(value)),
    timestampType: value('message.timestamp.type'),
    timestampBeforeMaxMs: value('message.timestamp.before.max.ms'),
    timestampAfterMaxMs: value('message.timestamp.after.max.ms'),
    minInsyncReplicas: value('min.insync.replicas'),
    compact,
    uncleanLeaderElection: value('unclean.leader.election.enable'),
  });
}

/** Throws BrokerError INVALID_CONFIG for the first override that is not legal. */
export function validateOverrides(overrides: ReadonlyMap<string, string>): void {
  for (const [name, text] of overrides) {
    const definition = topicConfigDefinition(name);
    if (definition === undefined) throw unknownName(name);
    try {
      definition.parse(text);
    } catch (error) {
      if (!(error instanceof ConfigValueError)) throw error;
      throw new BrokerError('INVALID_CONFIG', error.message);
    }
  }
}

/**
 * The overrides after the operations (KIP-339), validated. Append and subtract begin from the effective value, skip what is there already,
 * or is not. Throws BrokerError INVALID_CONFIG, or INVALID_REQUEST when a name comes twice.
 */
export function alterOverrides(
  overrides: ReadonlyMap<string, string>,
  operations: readonly ConfigOperation[],
  defaults: TopicDefaults,
): ReadonlyMap<string, string> {
  const altered = applyOperations(overrides, operations, {
    definitionOf: (name) => {
      const definition = topicConfigDefinition(name);
      if (definition === undefined) throw unknownName(name);
      return definition;
    },
    effectiveText: (name) => effectiveText(name as TopicConfigName, overrides, defaults),
  });
  parseTopicSettings(altered, defaults);
  return altered;
}

/**
 * What a topic goes by: as {@link parseTopicSettings}, but where its overrides contradict defaults that were changed after them, it goes by
 * its overrides and the defaults of the definitions, and `contradicted` is told why.
 */
export function settingsInForce(
  overrides: ReadonlyMap<string, string>,
  defaults: TopicDefaults,
  contradicted: (why: string) => void,
): TopicSettings {
  try {
    return parseTopicSettings(overrides, defaults);
  } catch (error) {
    if (!(error instanceof BrokerError)) throw error;
    contradicted(error.message);
    return parseTopicSettings(overrides, new Map());
  }
}

function unknownName(name: string): BrokerError {
  const hint = didYouMean(name, Object.keys(TOPIC_CONFIGS));
  return new BrokerError('INVALID_CONFIG', `Unknown topic config name: ${name}${hint}`);
}

/** Kafka's way to ask for a sync per message counts where the topic does not say `flush` itself. */
function effectiveFlush(overrides: ReadonlyMap<string, string>, flush: 'fsync' | 'os'): 'fsync' | 'os' {
  if (overrides.has('flush')) return flush;
  return overrides.get('flush.messages')?.trim() === '1' || overrides.get('flush.ms')?.trim() === '0'
    ? 'fsync'
    : flush;
}

function compactionOf(
  value: <N extends TopicConfigName>(name: N) => ReturnType<(typeof TOPIC_CONFIGS)[N]['parse']>,
): CompactionConfig {
  return Object.freeze({
    minLagMs: value('min.compaction.lag.ms'),
    maxLagMs: value('max.compaction.lag.ms'),
    minDirtyRatio: value('min.cleanable.dirty.ratio'),
    deleteRetentionMs: value('delete.retention.ms'),
  });
}

function compressionOf(
  value: <N extends TopicConfigName>(name: N) => ReturnType<(typeof TOPIC_CONFIGS)[N]['parse']>,
): TopicSettings['compression'] {
  const type = value('compression.type');
  if (type === 'uncompressed') return { type: 'none', level: undefined };
  if (type === 'zstd') return { type, level: value('compression.zstd.level') };
  if (type === 'gzip') {
    const level = Number(value('compression.gzip.level'));
    return { type, level: level === -1 ? undefined : level };
  }
  return { type, level: undefined };
}

function checkCompactionLags(minMs: number, maxMs: number): void {
  if (minMs > maxMs) {
    throw new BrokerError(
      'INVALID_CONFIG',
      `min.compaction.lag.ms (${minMs}) must not be above max.compaction.lag.ms (${maxMs})`,
    );
  }
}
