import { MalformedError, Reader, Writer } from '@polylog/bytes';
import {
  readArray,
  readBytes,
  readNullableString,
  readString,
  readTags,
  readUuid,
  writeArray,
  writeBytes,
  writeNoTags,
  writeNullableString,
  writeString,
  writeUuid,
} from './offsets-topic-codec.ts';

/*
 * The records of the consumer groups of KIP-848 in `__consumer_offsets`, in Kafka's own format. A group is many records, each of which says
 * one thing; a null value takes it back. Keys are int16 type and int16-length strings:
 *
 *   type  key                   value (each: int16 version 0, fields in the compact encoding, tagged fields)
 *   3     group                 group epoch, hash of the partitions of the subscribed topics (tag 0)
 *   4     group                 of Kafka before 4.1, not written any more: the partitions of the subscribed topics
 *   5     group, member         what the member has told: names, rack, subscription, time-outs; its classic protocols (tag 0)
 *   6     group                 epoch of the target assignment
 *   7     group, member         target assignment: what the member shall get
 *   8     group, member         current assignment: what the member has, and what it has to give up; its epoch and state
 *   16    group, expression     topics that a regular expression stands for
 */
const TYPES = {
  'consumer-group': 3,
  'consumer-group-partitions': 4,
  'consumer-member': 5,
  'target-assignment': 6,
  'target-assignment-member': 7,
  'current-assignment': 8,
  'regular-expression': 16,
} as const;
const KINDS = new Map<number, ConsumerGroupKey['kind']>(
  Object.entries(TYPES).map(([kind, type]) => [type, kind as ConsumerGroupKey['kind']]),
);

const VALUE_VERSION = 0;
const METADATA_HASH_TAG = 0;
const CLASSIC_METADATA_TAG = 0;
const ASSIGNMENT_EPOCHS_TAG = 0;
/** Least bytes of an element: an id and an empty array and no tags; a partition; a string; a name, bytes and no tags. */
const TOPIC_BYTES_MIN = 18;
const PARTITION_BYTES = 4;
const EPOCH_BYTES = 4;
const STRING_BYTES_MIN = 1;
const PROTOCOL_BYTES_MIN = 3;
const HASH_BYTES = 8;

export type ConsumerGroupKey =
  | {
      readonly kind: 'consumer-group' | 'consumer-group-partitions' | 'target-assignment';
      readonly group: string;
    }
  | {
      readonly kind: 'consumer-member' | 'target-assignment-member' | 'current-assignment';
      readonly group: string;
      readonly member: string;
    }
  | { readonly kind: 'regular-expression'; readonly group: string; readonly expression: string };

export interface StoredConsumerGroup {
  readonly epoch: number;
  /** Of the partitions of the topics that the members subscribe to, 0: not known. */
  readonly metadataHash: bigint;
}

export interface StoredConsumerMember {
  readonly instanceId: string | null;
  readonly rackId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly subscribedTopics: readonly string[];
  /** Null or empty: none. */
  readonly subscribedRegex: string | null;
  readonly rebalanceTimeoutMs: number;
  readonly serverAssignor: string | null;
  /** Of a member that speaks the classic protocol. */
  readonly classic: {
    readonly sessionTimeoutMs: number;
    readonly protocols: readonly { readonly name: string; readonly metadata: Uint8Array }[];
  } | null;
}

/** Partitions by topic id. */
export type StoredAssignment = ReadonlyMap<string, readonly number[]>;

/** Epochs by topic id and partition. */
export type StoredEpochs = ReadonlyMap<string, ReadonlyMap<number, number>>;

/** As Kafka numbers the states of a member. */
export const MEMBER_STATES = ['stable', 'unrevoked', 'unreleased'] as const;
export type StoredMemberState = (typeof MEMBER_STATES)[number];

export interface StoredCurrentAssignment {
  readonly memberEpoch: number;
  readonly previousMemberEpoch: number;
  readonly state: StoredMemberState;
  readonly assigned: StoredAssignment;
  readonly revoking: StoredAssignment;
  /** When each of both was assigned (KIP-1251, since Kafka 4.3); what is not known is missing. */
  readonly epochs: StoredEpochs;
}

export interface StoredRegularExpression {
  readonly topics: readonly string[];
  /** Of the cluster image that they were found in. */
  readonly version: number;
  /** ms since the epoch. */
  readonly timestamp: number;
}

export function encodeConsumerGroupKey(key: ConsumerGroupKey): Uint8Array {
  const writer = new Writer();
  writer.int16(TYPES[key.kind]);
  writeString(writer, key.group);
  if ('member' in key) writeString(writer, key.member);
  if ('expression' in key) writeString(writer, key.expression);
  return writer.finish();
}

/** What follows the type of a key; undefined for types that are not known. Throws MalformedError. */
export function decodeConsumerGroupKey(type: number, reader: Reader): ConsumerGroupKey | undefined {
  const kind = KINDS.get(type);
  if (kind === undefined) return undefined;
  const group = readString(reader);
  switch (kind) {
    case 'consumer-group':
    case 'consumer-group-partitions':
    case 'target-assignment':
      return { kind, group };
    case 'consumer-member':
    case 'target-assignment-member':
    case 'current-assignment':
      return { kind, group, member: readString(reader) };
    case 'regular-expression':
      return { kind, group, expression: readString(reader) };
  }
}

export function encodeConsumerGroup({ epoch, metadataHash }: StoredConsumerGroup): Uint8Array {
  const writer = valueWriter();
  writer.int32(epoch);
  if (metadataHash === 0n) writeNoTags(writer);
  else {
    writer.uvarint(1);
    writer.uvarint(METADATA_HASH_TAG);
    writer.uvarint(HASH_BYTES);
    writer.int64big(metadataHash);
  }
  return writer.finish();
}

/** Throws MalformedError. */
export function decodeConsumerGroup(bytes: Uint8Array): StoredConsumerGroup {
  const reader = valueReader(bytes);
  const epoch = reader.int32();
  let metadataHash = 0n;
  readTags(reader, (tag) => {
    if (tag !== METADATA_HASH_TAG) return false;
    metadataHash = reader.int64big();
    return true;
  });
  return { epoch, metadataHash };
}

export function encodeConsumerMember(member: StoredConsumerMember): Uint8Array {
  const writer = valueWriter();
  writeNullableString(writer, member.instanceId, true);
  writeNullableString(writer, member.rackId, true);
  writeString(writer, member.clientId, true);
  writeString(writer, member.clientHost, true);
  writeArray(writer, member.subscribedTopics, (topic) => writeString(writer, topic, true));
  writeNullableString(writer, member.subscribedRegex, true);
  writer.int32(member.rebalanceTimeoutMs);
  writeNullableString(writer, member.serverAssignor, true);
  const { classic } = member;
  if (classic === null) writeNoTags(writer);
  else {
    const field = encodeClassic(classic);
    writer.uvarint(1);
    writer.uvarint(CLASSIC_METADATA_TAG);
    writer.uvarint(field.length);
    writer.bytes(field);
  }
  return writer.finish();
}

type Classic = NonNullable<StoredConsumerMember['classic']>;

/** A structure that could be null: a byte 1 goes before it. */
function encodeClassic({ sessionTimeoutMs, protocols }: Classic): Uint8Array {
  const writer = new Writer();
  writer.int8(1);
  writer.int32(sessionTimeoutMs);
  writeArray(writer, protocols, ({ name, metadata }) => {
    writeString(writer, name, true);
    writeBytes(writer, metadata, true);
    writeNoTags(writer);
  });
  writeNoTags(writer);
  return writer.finish();
}

/** Byte fields are copies. Throws MalformedError. */
export function decodeConsumerMember(bytes: Uint8Array): StoredConsumerMember {
  const reader = valueReader(bytes);
  const instanceId = readNullableString(reader, true);
  const rackId = readNullableString(reader, true);
  const clientId = readString(reader, true);
  const clientHost = readString(reader, true);
  const subscribedTopics = readArray(reader, STRING_BYTES_MIN, () => readString(reader, true));
  const subscribedRegex = readNullableString(reader, true);
  const rebalanceTimeoutMs = reader.int32();
  const serverAssignor = readNullableString(reader, true);
  let classic: Classic | null = null;
  readTags(reader, (tag) => {
    if (tag !== CLASSIC_METADATA_TAG) return false;
    classic = readClassic(reader);
    return true;
  });
  return {
    instanceId,
    rackId,
    clientId,
    clientHost,
    subscribedTopics,
    subscribedRegex,
    rebalanceTimeoutMs,
    serverAssignor,
    classic,
  };
}

function readClassic(reader: Reader): Classic | null {
  if (reader.int8() < 0) return null;
  const sessionTimeoutMs = reader.int32();
  const protocols = readArray(reader, PROTOCOL_BYTES_MIN, () => {
    const protocol = { name: readString(reader, true), metadata: readBytes(reader, true) };
    readTags(reader);
    return protocol;
  });
  readTags(reader);
  return { sessionTimeoutMs, protocols };
}

export function encodeTargetAssignmentEpoch(epoch: number): Uint8Array {
  const writer = valueWriter();
  writer.int32(epoch);
  writeNoTags(writer);
  return writer.finish();
}

/** Throws MalformedError. */
export function decodeTargetAssignmentEpoch(bytes: Uint8Array): number {
  const reader = valueReader(bytes);
  const epoch = reader.int32();
  readTags(reader);
  return epoch;
}

export function encodeTargetAssignment(assignment: StoredAssignment): Uint8Array {
  const writer = valueWriter();
  writeAssignment(writer, assignment);
  writeNoTags(writer);
  return writer.finish();
}

/** Throws MalformedError. */
export function decodeTargetAssignment(bytes: Uint8Array): StoredAssignment {
  const reader = valueReader(bytes);
  const assignment = readAssignment(reader);
  readTags(reader);
  return assignment;
}

export function encodeCurrentAssignment(current: StoredCurrentAssignment): Uint8Array {
  const writer = valueWriter();
  writer.int32(current.memberEpoch);
  writer.int32(current.previousMemberEpoch);
  writer.int8(MEMBER_STATES.indexOf(current.state));
  writeAssignment(writer, current.assigned, current.epochs);
  writeAssignment(writer, current.revoking, current.epochs);
  writeNoTags(writer);
  return writer.finish();
}

/** Throws MalformedError. */
export function decodeCurrentAssignment(bytes: Uint8Array): StoredCurrentAssignment {
  const reader = valueReader(bytes);
  const memberEpoch = reader.int32();
  const previousMemberEpoch = reader.int32();
  const number = reader.int8();
  const state = MEMBER_STATES[number];
  if (state === undefined) throw new MalformedError(`member state ${number} is not known`);
  const epochs = new Map<string, Map<number, number>>();
  const assigned = readAssignment(reader, epochs);
  const revoking = readAssignment(reader, epochs);
  readTags(reader);
  return { memberEpoch, previousMemberEpoch, state, assigned, revoking, epochs };
}

export function encodeRegularExpression(resolved: StoredRegularExpression): Uint8Array {
  const writer = valueWriter();
  writeArray(writer, resolved.topics, (topic) => writeString(writer, topic, true));
  writer.int64(resolved.version);
  writer.int64(resolved.timestamp);
  writeNoTags(writer);
  return writer.finish();
}

/** Throws MalformedError. */
export function decodeRegularExpression(bytes: Uint8Array): StoredRegularExpression {
  const reader = valueReader(bytes);
  const topics = readArray(reader, STRING_BYTES_MIN, () => readString(reader, true));
  const version = reader.int64();
  const timestamp = reader.int64();
  readTags(reader);
  return { topics, version, timestamp };
}

function valueWriter(): Writer {
  const writer = new Writer();
  writer.int16(VALUE_VERSION);
  return writer;
}

function valueReader(bytes: Uint8Array): Reader {
  const reader = new Reader(bytes);
  const version = reader.int16();
  if (version !== VALUE_VERSION) throw new MalformedError(`value version ${version} is not known`);
  return reader;
}

function writeAssignment(writer: Writer, assignment: StoredAssignment, epochs?: StoredEpochs): void {
  writeArray(writer, [...assignment], ([topicId, partitions]) => {
    writeUuid(writer, topicId);
    writeArray(writer, partitions, (partition) => writer.int32(partition));
    const known = epochs?.get(topicId);
    if (known === undefined || !partitions.every((partition) => known.has(partition))) {
      writeNoTags(writer);
      return;
    }
    const field = encodeEpochs(partitions.map((partition) => known.get(partition)!));
    writer.uvarint(1);
    writer.uvarint(ASSIGNMENT_EPOCHS_TAG);
    writer.uvarint(field.length);
    writer.bytes(field);
  });
}

function encodeEpochs(epochs: readonly number[]): Uint8Array {
  const writer = new Writer();
  writeArray(writer, epochs, (epoch) => writer.int32(epoch));
  return writer.finish();
}

/** Adds to `epochs` what is told of them. */
function readAssignment(reader: Reader, epochs?: Map<string, Map<number, number>>): StoredAssignment {
  const topics = readArray(reader, TOPIC_BYTES_MIN, () => {
    const topicId = readUuid(reader);
    const partitions = readArray(reader, PARTITION_BYTES, () => reader.int32());
    readTags(reader, (tag) => {
      if (tag !== ASSIGNMENT_EPOCHS_TAG || epochs === undefined) return false;
      const known = epochs.get(topicId) ?? new Map<number, number>();
      const told = readArray(reader, EPOCH_BYTES, () => reader.int32());
      for (const [at, partition] of partitions.entries()) {
        if (told[at] !== undefined) known.set(partition, told[at]);
      }
      epochs.set(topicId, known);
      return true;
    });
    return [topicId, partitions] as const;
  });
  return new Map(topics);
}
