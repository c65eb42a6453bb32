import { MalformedError, Reader, Writer } from '@polylog/bytes';
import { decodeConsumerGroupKey, type ConsumerGroupKey } from './consumer-group-records.ts';
import {
  readBytes,
  readNullableString,
  readString,
  readTags,
  writeBytes,
  writeNullableString,
  writeString,
} from './offsets-topic-codec.ts';

/*
 * The records of `__consumer_offsets`, in Kafka's own format (its message definitions OffsetCommitKey/Value, GroupMetadataKey/Value), so
 * that Kafka's tools read the topic. Key and value each begin with an int16 that tells what follows:
 *
 *   key 0, 1  ┌─────────┬───────┬───────┬─────────────────┐    value 0 … 4  ┌─────────┬────────┬─────────────┬──────────┬─────────────────┐
 *             │ version │ group │ topic │ partition int32 │                 │ version │ offset │ leaderEpoch │ metadata │ commitTimestamp │
 *             └─────────┴───────┴───────┴─────────────────┘                 └─────────┴────────┴─────────────┴──────────┴─────────────────┘
 *   key 2     ┌─────────┬───────┐                                                                since 3                 + expiry in 1
 *             │ version │ group │    value 0 … 4: GroupMetadata below
 *             └─────────┴───────┘
 *
 * A null value deletes what the key names. Values since version 4 are flexible (KIP-482). Keys above 2 belong to the groups of KIP-848
 * (consumer-group-records.ts), or to what this release does not keep: those are told apart but not read.
 */
const OFFSET_KEY_VERSION_MAX = 1;
const GROUP_KEY_VERSION = 2;
const VALUE_VERSION_MAX = 4;
const VALUE_FLEXIBLE_SINCE = 4;
const OFFSET_VALUE_VERSION = 3;
/** The only version that has an expiry. */
const OFFSET_VALUE_VERSION_WITH_EXPIRY = 1;
const GROUP_VALUE_VERSION = 3;
/** A member's encoding has at least that many bytes: bounds what a damaged count makes us allocate. */
const MEMBER_BYTES_MIN = 10;

export type ConsumerOffsetsKey =
  | { readonly kind: 'offset'; readonly group: string; readonly topic: string; readonly partition: number }
  | { readonly kind: 'group'; readonly group: string }
  | ConsumerGroupKey
  /** Of a newer Kafka. */
  | { readonly kind: 'unknown'; readonly version: number };

/** What a group has committed for one partition. */
export interface CommittedOffset {
  readonly offset: number;
  /** -1: the committer did not know it. */
  readonly leaderEpoch: number;
  readonly metadata: string;
  /** ms since the epoch. */
  readonly commitTimestamp: number;
  /** ms since the epoch, -1: by the broker's retention (clients before OffsetCommit v5 may choose). */
  readonly expireTimestamp: number;
}

export interface StoredMember {
  readonly memberId: string;
  readonly groupInstanceId: string | null;
  readonly clientId: string;
  readonly clientHost: string;
  readonly rebalanceTimeoutMs: number;
  readonly sessionTimeoutMs: number;
  readonly subscription: Uint8Array;
  readonly assignment: Uint8Array;
}

/** A classic group as it was when its last generation was complete. */
export interface StoredGroup {
  /** Empty for a group that only stores offsets. */
  readonly protocolType: string;
  readonly generation: number;
  readonly protocol: string | null;
  readonly leader: string | null;
  /** ms since the epoch of the last change of state, -1: unknown. */
  readonly currentStateTimestamp: number;
  readonly members: readonly StoredMember[];
}

export interface ConsumerOffsetsRecord {
  readonly key: Uint8Array;
  /** null: a tombstone. */
  readonly value: Uint8Array | null;
}

export function encodeOffsetKey(group: string, topic: string, partition: number): Uint8Array {
  const writer = new Writer();
  writer.int16(OFFSET_KEY_VERSION_MAX);
  writeString(writer, group);
  writeString(writer, topic);
  writer.int32(partition);
  return writer.finish();
}

export function encodeGroupKey(group: string): Uint8Array {
  const writer = new Writer();
  writer.int16(GROUP_KEY_VERSION);
  writeString(writer, group);
  return writer.finish();
}

export function encodeOffsetValue(committed: CommittedOffset): Uint8Array {
  const withExpiry = committed.expireTimestamp >= 0;
  const writer = new Writer();
  writer.int16(withExpiry ? OFFSET_VALUE_VERSION_WITH_EXPIRY : OFFSET_VALUE_VERSION);
  writer.int64(committed.offset);
  if (!withExpiry) writer.int32(committed.leaderEpoch);
  writeString(writer, committed.metadata);
  writer.int64(committed.commitTimestamp);
  if (withExpiry) writer.int64(committed.expireTimestamp);
  return writer.finish();
}

export function encodeGroupValue(group: StoredGroup): Uint8Array {
  const writer = new Writer();
  writer.int16(GROUP_VALUE_VERSION);
  writeString(writer, group.protocolType);
  writer.int32(group.generation);
  writeNullableString(writer, group.protocol);
  writeNullableString(writer, group.leader);
  writer.int64(group.currentStateTimestamp);
  writer.int32(group.members.length);
  for (const member of group.members) {
    writeString(writer, member.memberId);
    writeNullableString(writer, member.groupInstanceId);
    writeString(writer, member.clientId);
    writeString(writer, member.clientHost);
    writer.int32(member.rebalanceTimeoutMs);
    writer.int32(member.sessionTimeoutMs);
    writeBytes(writer, member.subscription);
    writeBytes(writer, member.assignment);
  }
  return writer.finish();
}

/** Throws MalformedError. */
export function decodeConsumerOffsetsKey(bytes: Uint8Array): ConsumerOffsetsKey {
  const reader = new Reader(bytes);
  const version = reader.int16();
  if (version < 0) throw new MalformedError(`key version ${version} is negative`);
  if (version > GROUP_KEY_VERSION) {
    return decodeConsumerGroupKey(version, reader) ?? { kind: 'unknown', version };
  }
  const group = readString(reader);
  if (version === GROUP_KEY_VERSION) return { kind: 'group', group };
  return { kind: 'offset', group, topic: readString(reader), partition: reader.int32() };
}

/** Throws MalformedError. */
export function decodeOffsetValue(bytes: Uint8Array): CommittedOffset {
  const reader = new Reader(bytes);
  const version = valueVersion(reader, 'offset');
  const flexible = version >= VALUE_FLEXIBLE_SINCE;
  const offset = reader.int64();
  const leaderEpoch = version >= 3 ? reader.int32() : -1;
  const metadata = readString(reader, flexible);
  const commitTimestamp = reader.int64();
  const expireTimestamp = version === OFFSET_VALUE_VERSION_WITH_EXPIRY ? reader.int64() : -1;
  return { offset, leaderEpoch, metadata, commitTimestamp, expireTimestamp };
}

/** Byte fields are copies. Throws MalformedError. */
export function decodeGroupValue(bytes: Uint8Array): StoredGroup {
  const reader = new Reader(bytes);
  const version = valueVersion(reader, 'group');
  const flexible = version >= VALUE_FLEXIBLE_SINCE;
  const protocolType = readString(reader, flexible);
  const generation = reader.int32();
  const protocol = readNullableString(reader, flexible);
  const leader = readNullableString(reader, flexible);
  const currentStateTimestamp = version >= 2 ? reader.int64() : -1;
  const count = flexible ? reader.uvarint() - 1 : reader.int32();
  if (count < 0 || count > reader.remaining / MEMBER_BYTES_MIN) {
    throw new MalformedError(`${count} members in ${reader.remaining} bytes`);
  }
  const members: StoredMember[] = [];
  for (let index = 0; index < count; index++) members.push(readMember(reader, version));
  return { protocolType, generation, protocol, leader, currentStateTimestamp, members };
}

function readMember(reader: Reader, version: number): StoredMember {
  const flexible = version >= VALUE_FLEXIBLE_SINCE;
  const memberId = readString(reader, flexible);
  const groupInstanceId = version >= 3 ? readNullableString(reader, flexible) : null;
  const clientId = readString(reader, flexible);
  const clientHost = readString(reader, flexible);
  const rebalanceTimeoutMs = version >= 1 ? reader.int32() : -1;
  const sessionTimeoutMs = reader.int32();
  const subscription = readBytes(reader, flexible);
  const assignment = readBytes(reader, flexible);
  if (flexible) readTags(reader);
  return {
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    // Version 0 had the session time-out for both.
    rebalanceTimeoutMs: rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs,
    sessionTimeoutMs,
    subscription,
    assignment,
  };
}

function valueVersion(reader: Reader, of: string): number {
  const version = reader.int16();
  if (version < 0 || version > VALUE_VERSION_MAX) {
    throw new MalformedError(`${of} value version ${version} is not known`);
  }
  return version;
}
