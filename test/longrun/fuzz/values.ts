import { includes, ZERO_UUID, type Api, type FieldShape, type Type } from '@polylog/kafka-protocol';

import { makeBatch } from './batches.ts';
import type { SeededRandom } from './random.ts';
import { PARTITIONS_PER_TOPIC, type World } from './world.ts';

/*
 * Values of a request that a broker would mostly accept: what the schema allows, with names, numbers and configs that
 * mean something. Mutations then start from the deepest place that a request can reach.
 */

const ELEMENTS_MAX = 3;

const CONFIG_NAMES = [
  'cleanup.policy',
  'compression.type',
  'compression.gzip.level',
  'compression.zstd.level',
  'flush',
  'max.message.bytes',
  'message.timestamp.after.max.ms',
  'message.timestamp.before.max.ms',
  'message.timestamp.type',
  'min.insync.replicas',
  'retention.bytes',
  'retention.ms',
  'segment.bytes',
  'segment.ms',
  'segment.index.bytes',
  'preallocate',
  'no.such.config',
] as const;

const CONFIG_VALUES = [
  'compact',
  'delete',
  'compact,delete',
  'producer',
  'gzip',
  'snappy',
  'lz4',
  'zstd',
  'fsync',
  'os',
  'CreateTime',
  'LogAppendTime',
  'true',
  'false',
  '-1',
  '0',
  '1',
  '9',
  '1048576',
  '2147483647',
  '9223372036854775807',
  '1e9',
  '',
  ',',
] as const;

const INT_FIELDS: Readonly<Record<string, readonly number[]>> = {
  acks: [-1, -1, -1, 1, 1, 1, 0],
  brokerIds: [1, 1, 1, 2],
  configOperation: [0, 1, 2, 3],
  count: [1, PARTITIONS_PER_TOPIC, PARTITIONS_PER_TOPIC + 1, 6],
  currentLeaderEpoch: [-1, -1, 0, 1],
  endpointType: [1, 1, 2],
  fetchOffset: [0, 0, 1, 5, 100, -1],
  isolationLevel: [0, 1],
  lastFetchedEpoch: [-1, -1, 0, 1],
  leaderEpoch: [-1, 0, 1],
  logStartOffset: [-1, 0],
  maxBytes: [0, 1, 1024, 65_536],
  maxWaitMs: [0, 0, 0, 1, 5],
  minBytes: [0, 1, 100],
  numPartitions: [-1, 1, 2, 3, 0, 10_001],
  offset: [-1, 0, 1, 2, 10],
  partitionMaxBytes: [0, 1, 1024, 65_536],
  producerEpoch: [-1, -1, 0],
  producerId: [-1, -1, 0, 1],
  replicaId: [-1, -1, -1, -2, 1],
  replicationFactor: [-1, 1, 1, 3],
  resourceType: [2, 2, 2, 4, 0],
  responsePartitionLimit: [1, 2, 2000],
  sessionEpoch: [-1, -1, 0, 1],
  sessionId: [0, 0, 0, 1],
  timestamp: [-1, -2, -3, -4, -5, 0, 1_700_000_000_000],
  transactionTimeoutMs: [60_000],
};
const PARTITION_FIELDS: ReadonlySet<string> = new Set(['index', 'partition', 'partitionIndex', 'partitions']);
const TOPIC_FIELDS: ReadonlySet<string> = new Set([
  'name',
  'topic',
  'topicName',
  'topicNames',
  'resourceName',
]);
/** APIs by which topics come and go. */
const TOPIC_CHANGES: ReadonlySet<string> = new Set(['CreateTopics', 'DeleteTopics']);
const BOUNDARIES = [-1, 0, 1, 127, 1000, 0x7fff] as const;

interface Context {
  readonly api: string;
  readonly version: number;
  readonly random: SeededRandom;
  readonly world: World;
}

/** A request body that `api.request` can encode in that version. */
export function makeBody(api: Api, version: number, random: SeededRandom, world: World): unknown {
  return valueOf(api.request.type, '', '', { api: api.name, version, random, world });
}

function valueOf(type: Type<unknown, never>, field: string, parent: string, context: Context): unknown {
  const { version, random, world } = context;
  const { shape } = type;
  switch (shape.kind) {
    case 'nullable': {
      const isNull = includes(shape.versions, version) && random.chance(0.15);
      return isNull ? null : valueOf(shape.inner, field, parent, context);
    }
    case 'array': {
      const length = random.chance(0.6) ? 1 : random.int(0, ELEMENTS_MAX);
      return Array.from({ length }, () => valueOf(shape.element, field, parent, context));
    }
    case 'struct': {
      const fields: Record<string, unknown> = {};
      for (const [name, member] of Object.entries(shape.fields)) {
        fields[name] = memberOf(name, member, field, context);
      }
      return fields;
    }
    case 'boolean':
      return random.chance(0.5);
    case 'int8':
    case 'int16':
    case 'int32':
    case 'int64':
      return integerOf(shape.kind, field, random);
    case 'int64big':
      return BigInt(random.pick(BOUNDARIES));
    case 'float64':
      return random.uint32() / 3;
    case 'string':
      return textOf(field, parent, context);
    case 'bytes':
      return random.bytes(random.int(0, 20));
    case 'records':
      return makeBatch(random);
    case 'uuid':
      return random.chance(0.9) ? random.pick(world.topicIds) : ZERO_UUID;
  }
}

function memberOf(name: string, member: FieldShape, parent: string, context: Context): unknown {
  const { version, random } = context;
  if (!includes(member.versions, version)) return member.default;
  const isOptional = member.tag !== null || name === 'forgottenTopicsData';
  if (isOptional && random.chance(0.7)) return member.default;
  return valueOf(member.type, name, parent, context);
}

function integerOf(kind: 'int8' | 'int16' | 'int32' | 'int64', field: string, random: SeededRandom): number {
  if (PARTITION_FIELDS.has(field)) return random.int(0, PARTITIONS_PER_TOPIC - 1);
  if (field === 'timeoutMs') return 5000;
  const known = INT_FIELDS[field];
  if (known !== undefined) return random.pick(known);
  const value = random.pick(BOUNDARIES);
  return kind === 'int8' ? Math.min(value, 127) : value;
}

function textOf(field: string, parent: string, { api, random, world }: Context): string {
  if (field === 'configurationKeys' || (parent === 'configs' && field === 'name')) {
    return random.pick(CONFIG_NAMES);
  }
  if (field === 'value') return random.pick(CONFIG_VALUES);
  if (field === 'resourceName' && random.chance(0.2)) return random.pick(['', '1']);
  if (TOPIC_FIELDS.has(field))
    return random.pick(TOPIC_CHANGES.has(api) ? world.passingTopics : world.topics);
  return random.pick(['', 'a', 'rack-1', 'fuzzer', '1.0']);
}
