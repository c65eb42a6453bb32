import {
  address,
  boolean,
  decimal,
  integer,
  oneOf,
  optional,
  pattern,
  type ConfigDefinition,
} from './definition.ts';
import { GROUP_COORDINATOR_CONFIGS } from './group-coordinator-configs.ts';
import { QUOTA_CONFIGS } from './quota-definitions.ts';
import { ACCESS_CONFIGS } from './access-config.ts';
import { CONNECTION_CONFIGS } from './connection-definitions.ts';
import type { ListenerConfig } from './listeners.ts';
import { DEFAULT_STORAGE_CONFIG } from '../storage/types.ts';
import { TOPIC_CONFIGS, topicConfigDefinitions } from './topic-config-definitions.ts';
import type { TopicDefaults } from './topic-config.ts';
import { TRANSACTION_CONFIGS } from './transaction-configs.ts';

/*
 * The broker's own settings. Where Kafka has the setting it has Kafka's name; the others follow the same style, with the unit
 * last. In a file they stand flat or nested (`log.retention.ms: 1` or `log: {retention: {ms: 1}}`), as environment
 * variables `POLYLOG_LOG_RETENTION_MS`, as flags `--log-retention-ms`.
 */

const MIB = 1024 * 1024;

export const BROKER_CONFIGS = {
  data: pattern('data', {
    default: './data',
    pattern: /./,
    legal: 'a folder',
    importance: 'high',
    documentation: 'The folder that holds all data of this broker; made if it is missing.',
  }),
  kafka: address('kafka', {
    default: '127.0.0.1:9092',
    importance: 'high',
    documentation: "Where clients of Kafka's protocol connect.",
  }),
  http: address('http', {
    default: '127.0.0.1:8080',
    importance: 'high',
    documentation: 'Where /health/live, /health/ready and /metrics are served.',
  }),
  'advertised.kafka': optional(
    address('advertised.kafka', {
      default: null,
      documentation:
        'The address that clients are told for this broker, where it differs from the one it listens on.',
    }),
  ),
  ...CONNECTION_CONFIGS,
  'node.id': integer('node.id', {
    type: 'int',
    default: '1',
    min: 0,
    importance: 'high',
    documentation: "This broker's number in the cluster.",
  }),
  'broker.rack': optional(
    pattern('broker.rack', {
      default: null,
      pattern: /./,
      legal: 'the name of a rack',
      documentation: 'The rack or zone of this broker, over which replicas are spread.',
    }),
  ),
  'log-level': oneOf('log-level', {
    default: 'info',
    values: ['debug', 'info', 'warn', 'error', 'silent'],
    documentation: 'The least level of messages that are logged.',
  }),
  'num.partitions': integer('num.partitions', {
    type: 'int',
    default: '1',
    min: 1,
    documentation: 'Partitions of a topic whose creator does not say how many.',
  }),
  'default.replication.factor': integer('default.replication.factor', {
    type: 'int',
    default: '1',
    min: 1,
    max: 32_767,
    documentation: 'Replicas of a topic whose creator does not say how many.',
  }),
  'auto.create.topics.enable': boolean('auto.create.topics.enable', {
    default: 'true',
    documentation: 'Whether a topic is created when a client first asks for it.',
  }),
  'delete.topic.enable': boolean('delete.topic.enable', {
    default: 'true',
    documentation: 'Whether topics may be deleted.',
  }),
  ...ACCESS_CONFIGS,
  'topic.partitions.max': integer('topic.partitions.max', {
    type: 'int',
    default: '10000',
    min: 1,
    documentation: 'The most partitions that one topic may have.',
  }),
  'cluster.partitions.max': integer('cluster.partitions.max', {
    type: 'int',
    default: '200000',
    min: 1,
    documentation: 'The most partitions that all topics together may have.',
  }),
  'socket.request.max.bytes': integer('socket.request.max.bytes', {
    type: 'int',
    default: String(100 * MIB),
    min: 1024,
    documentation: 'The largest request; a connection that announces a larger one is closed.',
  }),
  'queued.max.request.bytes': integer('queued.max.request.bytes', {
    type: 'long',
    default: String(256 * MIB),
    min: 1024,
    documentation:
      'Bytes of requests that all connections together may have in flight before reading pauses. Without a bound, as by default in Kafka, peers could fill the memory.',
  }),
  'queued.max.response.bytes': integer('queued.max.response.bytes', {
    type: 'long',
    default: String(64 * MIB),
    min: 1024,
    documentation:
      'Bytes of responses that all connections together may hold in memory: of records, and once more of all else. Above it, those whose peers do not read wait, and are closed in the end.',
  }),
  'connection.requests.max': integer('connection.requests.max', {
    type: 'int',
    default: '1000',
    min: 1,
    documentation: 'Requests that one connection may have in flight before reading from it pauses.',
  }),
  'connection.turn.bytes': integer('connection.turn.bytes', {
    type: 'int',
    default: String(MIB),
    min: 4096,
    documentation: 'Bytes that one connection may move in one turn of the event loop.',
  }),
  'fetch.max.bytes': integer('fetch.max.bytes', {
    type: 'int',
    default: String(55 * MIB),
    min: 1024,
    documentation: 'The most bytes that one fetch returns, except for a single larger batch.',
  }),
  'max.incremental.fetch.session.cache.slots': integer('max.incremental.fetch.session.cache.slots', {
    type: 'int',
    default: '1000',
    min: 0,
    documentation: 'Fetch sessions (KIP-227) that are kept.',
  }),
  'max.connections': integer('max.connections', {
    type: 'int',
    default: '10000',
    min: 1,
    documentation: 'Connections that a listener keeps open; further ones are closed at once.',
  }),
  'max.connections.per.ip': integer('max.connections.per.ip', {
    type: 'int',
    default: '5000',
    min: 1,
    documentation: 'Connections that a listener keeps open per address.',
  }),
  ...QUOTA_CONFIGS,
  'connections.max.idle.ms': integer('connections.max.idle.ms', {
    type: 'long',
    default: '600000',
    min: 1000,
    documentation: 'A connection without requests for so long is closed.',
  }),
  'connection.handshake.timeout.ms': integer('connection.handshake.timeout.ms', {
    type: 'long',
    default: '30000',
    min: 100,
    documentation: 'A connection whose first request is not complete in time is closed.',
  }),
  'connection.stall.timeout.ms': integer('connection.stall.timeout.ms', {
    type: 'long',
    default: '30000',
    min: 100,
    documentation:
      'A connection that sends less than 1 KiB per second of a request that it has begun, for so long, is closed; within seconds when others wait for the memory that the request holds.',
  }),
  'connection.drain.timeout.ms': integer('connection.drain.timeout.ms', {
    type: 'long',
    default: '60000',
    min: 100,
    documentation: 'A connection that does not read its responses for so long is closed.',
  }),
  'log.retention.check.interval.ms': integer('log.retention.check.interval.ms', {
    type: 'long',
    default: '300000',
    min: 1,
    documentation: 'How often segments are checked for their retention.',
  }),
  'log.cleaner.enable': boolean('log.cleaner.enable', {
    default: 'true',
    documentation:
      'Whether logs whose cleanup.policy contains compact are cleaned. Without it they keep all records.',
  }),
  'log.cleaner.backoff.ms': integer('log.cleaner.backoff.ms', {
    type: 'long',
    default: String(DEFAULT_STORAGE_CONFIG.cleanerBackoffMs),
    min: 0,
    documentation: 'How long the log cleaner waits before it looks again when no log was to be cleaned.',
  }),
  'log.cleaner.dedupe.buffer.size': integer('log.cleaner.dedupe.buffer.size', {
    type: 'long',
    default: String(DEFAULT_STORAGE_CONFIG.cleanerDedupeBytes),
    min: 64 * 1024,
    max: 2 ** 31 - 1,
    unit: 'bytes',
    documentation:
      'Memory of the log cleaner for the keys of one log, 24 bytes a slot, of which nine tenths are used; a log with more keys is cleaned in several passes. Smaller logs take less, and it is freed when nothing is cleaned.',
  }),
  'log.cleaner.io.max.bytes.per.second': decimal('log.cleaner.io.max.bytes.per.second', {
    default: '1.7976931348623157E308',
    min: 1,
    max: Number.MAX_VALUE,
    unit: 'bytes',
    documentation: 'How fast the log cleaner reads and writes, both together.',
  }),
  'producer.id.expiration.ms': integer('producer.id.expiration.ms', {
    type: 'int',
    default: '86400000',
    min: 1,
    documentation: "How long an idle producer's sequence numbers are remembered.",
  }),
  'replica.lag.time.max.ms': integer('replica.lag.time.max.ms', {
    type: 'long',
    default: '30000',
    min: 1,
    documentation: 'A follower that has not caught up for so long leaves the in-sync replicas.',
  }),
  'journal.file.bytes': integer('journal.file.bytes', {
    type: 'long',
    default: String(DEFAULT_STORAGE_CONFIG.journalFileBytes),
    min: MIB,
    documentation: 'The size of one file of the journal, reserved before its first use.',
  }),
  'journal.files.max': integer('journal.files.max', {
    type: 'int',
    default: String(DEFAULT_STORAGE_CONFIG.journalFilesMax),
    min: 2,
    documentation: 'Files of the journal; when all are in use, segments are synced instead.',
  }),
  'log.flush.offset.checkpoint.interval.ms': integer('log.flush.offset.checkpoint.interval.ms', {
    type: 'int',
    default: String(DEFAULT_STORAGE_CONFIG.checkpointMs),
    min: 100,
    documentation:
      'How often segments are synced and the journal is freed, which bounds what a recovery reads.',
  }),
  'journal.batch.max.bytes': integer('journal.batch.max.bytes', {
    type: 'int',
    default: String(DEFAULT_STORAGE_CONFIG.journalBatchBytesMax),
    min: 0,
    documentation:
      'Batches above it are synced with their segment instead of going through the journal as well.',
  }),
  'files.open.max': integer('files.open.max', {
    type: 'int',
    default: '0',
    min: 0,
    documentation:
      'Files of segments that are kept open, at least 16; 0: what the process may open less `max.connections` and 1,000, at least 2,000 and at most 50,000.',
  }),
  'sasl.kerberos.min.time.before.relogin': integer('sasl.kerberos.min.time.before.relogin', {
    type: 'long',
    default: '60000',
    min: 0,
    documentation:
      "Has no effect, since Kerberos is not spoken here: Kafka's tools and the tests of its clients set it while a broker runs.",
  }),
  'hot.bytes': integer('hot.bytes', {
    type: 'long',
    default: String(DEFAULT_STORAGE_CONFIG.hotBytes),
    min: 0,
    documentation:
      'What was appended to all logs within so many bytes is read without leaving the event loop.',
  }),
  'disk.reserve.bytes': integer('disk.reserve.bytes', {
    type: 'long',
    default: String(DEFAULT_STORAGE_CONFIG.freeSpaceReserveBytes),
    min: 0,
    documentation: 'Writes are refused, with an error that clients retry, while less than that is free.',
  }),
  ...GROUP_COORDINATOR_CONFIGS,
  ...TRANSACTION_CONFIGS,
  'shutdown.timeout.ms': integer('shutdown.timeout.ms', {
    type: 'long',
    default: '10000',
    min: 0,
    documentation: 'How long a stop waits for the requests in flight.',
  }),
  'log.retention.hours': optional(
    integer('log.retention.hours', {
      type: 'int',
      default: null,
      min: -1,
      documentation: 'log.retention.ms in hours; the finer unit wins.',
    }),
  ),
  'log.retention.minutes': optional(
    integer('log.retention.minutes', {
      type: 'int',
      default: null,
      min: -1,
      documentation: 'log.retention.ms in minutes; the finer unit wins.',
    }),
  ),
  'log.roll.hours': optional(
    integer('log.roll.hours', {
      type: 'int',
      default: null,
      min: 1,
      documentation: 'log.roll.ms in hours; log.roll.ms wins.',
    }),
  ),
} as const;

type Definitions = typeof BROKER_CONFIGS;

/** The parsed value of each setting by its name. */
export type BrokerSettings = {
  readonly [N in keyof Definitions]: ReturnType<Definitions[N]['parse']>;
};

export type ConfigSource = 'default' | 'file' | 'environment' | 'flag' | 'option' | 'dynamic';

/** What was said about a setting, and where. */
export interface ConfigEntry {
  readonly text: string;
  readonly source: ConfigSource;
  /** Completes "from …" in messages: `polylog.yaml:3`, `POLYLOG_KAFKA`, `--kafka`. */
  readonly where: string;
}

/** The whole configuration, frozen. */
export interface BrokerConfig {
  readonly settings: BrokerSettings;
  readonly topicDefaults: TopicDefaults;
  /** At least one. */
  readonly listeners: readonly ListenerConfig[];
  /** What was set; settings that are missing have their defaults. */
  readonly entries: ReadonlyMap<string, ConfigEntry>;
  /** Not for operators: so few that what is done over turns of the event loop is so with small inputs too. Undefined: as many as there is time for. */
  readonly stepsPerTurn?: StepsPerTurn | undefined;
}

/** Steps that are done in a turn of the event loop. */
export interface StepsPerTurn {
  /** Of an assignment of a consumer group. */
  readonly assignment: number;
  /** Of all regular expressions of clients together. */
  readonly expressions: number;
}

/** Every setting by name: the broker's own, and the defaults of topics. */
export const BROKER_DEFINITIONS: ReadonlyMap<string, ConfigDefinition<unknown>> = new Map(
  [
    ...Object.values<ConfigDefinition<unknown>>(BROKER_CONFIGS),
    ...topicConfigDefinitions().flatMap((definition) =>
      definition.brokerSynonym === undefined ? [] : [{ ...definition, name: definition.brokerSynonym }],
    ),
  ].map((definition) => [definition.name, definition]),
);

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Coarser settings that stand in for a topic default in milliseconds, finest first. */
export const COARSER_SYNONYMS: ReadonlyMap<
  string,
  readonly { readonly name: string; readonly unitMs: number }[]
> = new Map([
  [
    'retention.ms',
    [
      { name: 'log.retention.minutes', unitMs: MINUTE_MS },
      { name: 'log.retention.hours', unitMs: HOUR_MS },
    ],
  ],
  ['segment.ms', [{ name: 'log.roll.hours', unitMs: HOUR_MS }]],
]);

/** The broker's default of every topic config that was set for it. */
export function topicDefaultsOf(entries: ReadonlyMap<string, ConfigEntry>): TopicDefaults {
  const defaults = new Map<string, string>();
  for (const [name, { brokerSynonym }] of Object.entries(TOPIC_CONFIGS)) {
    if (brokerSynonym === undefined) continue;
    const entry = entries.get(brokerSynonym);
    if (entry !== undefined) {
      defaults.set(name, entry.text);
      continue;
    }
    for (const coarser of COARSER_SYNONYMS.get(name) ?? []) {
      const value = entries.get(coarser.name);
      if (value === undefined) continue;
      const amount = Number(value.text);
      defaults.set(name, String(amount === -1 ? -1 : amount * coarser.unitMs));
      break;
    }
  }
  return defaults;
}

/** The parsed values; the texts are legal. */
export function parseSettings(entries: ReadonlyMap<string, ConfigEntry>): BrokerSettings {
  const parsed: Record<string, unknown> = {};
  for (const [name, definition] of Object.entries(BROKER_CONFIGS)) {
    const text = entries.get(name)?.text ?? definition.defaultText;
    parsed[name] = text === null ? undefined : definition.parse(text);
  }
  // Each value comes from the definition of the same name, which is what the type says.
  return Object.freeze(parsed) as BrokerSettings;
}
