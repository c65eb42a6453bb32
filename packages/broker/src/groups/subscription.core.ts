import { MalformedError, NAME_BYTES_MAX, Reader, utf8Length, Writer } from '@polylog/bytes';

/** The protocol type of Kafka's consumers; the metadata of others is nobody's business but theirs. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer';

/** Since then a subscription has what its owner has, the generation of that, and its rack. */
const OWNED_SINCE = 1;
const RACK_SINCE = 3;
/** A string and an array, each with its length. */
const TOPIC_BYTES_MIN = 6;
const STRING_BYTES_MIN = 2;
const PARTITION_BYTES = 4;

export interface NamedPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface Subscription {
  readonly version: number;
  readonly topics: readonly string[];
  /** What the consumer has, and goes on with; none for one that gives everything up before it joins. */
  readonly owned: readonly NamedPartitions[];
  readonly rackId: string | null;
}

/**
 * A consumer's subscription, the metadata that classic members exchange (Kafka's ConsumerProtocolSubscription): int16 version; topics as int32 count
 * and int16-length strings; user data as int32 length and bytes; since 1 owned partitions, since 2 their int32 generation, since 3 the rack.
 * Undefined where it is not of that form.
 */
export function parseSubscription(metadata: Uint8Array): Subscription | undefined {
  return parsed(metadata, (reader) => {
    const version = reader.int16();
    if (version < 0) throw new MalformedError(`version ${version} is negative`);
    const topics = array(reader, STRING_BYTES_MIN, () => string(reader));
    if (version < OWNED_SINCE) return { version, topics, owned: [], rackId: null };
    skipUserData(reader);
    const owned = namedPartitions(reader);
    if (version < RACK_SINCE) return { version, topics, owned, rackId: null };
    reader.skip(4);
    const rackLength = reader.int16();
    return { version, topics, owned, rackId: rackLength < 0 ? null : reader.string(rackLength) };
  });
}

/** Only the topics of {@link parseSubscription}: what follows them is not looked at. */
export function topicsOfSubscription(metadata: Uint8Array): readonly string[] | undefined {
  return parsed(metadata, (reader) => {
    if (reader.int16() < 0) throw new MalformedError('the version is negative');
    return array(reader, STRING_BYTES_MIN, () => string(reader));
  });
}

/** What a classic leader has assigned (Kafka's ConsumerProtocolAssignment): int16 version, partitions, user data. Empty bytes: nothing. */
export function parseAssignment(bytes: Uint8Array): readonly NamedPartitions[] | undefined {
  if (bytes.length === 0) return [];
  return parsed(bytes, (reader) => {
    if (reader.int16() < 0) throw new MalformedError('the version is negative');
    return namedPartitions(reader);
  });
}

/** All versions of it look alike; members expect that of their subscription. */
export function encodeAssignment(version: number, topics: readonly NamedPartitions[]): Uint8Array {
  const writer = new Writer();
  writer.int16(version);
  writer.int32(topics.length);
  for (const { topic, partitions } of topics) {
    const length = utf8Length(topic);
    writer.int16(length);
    writer.string(topic, length);
    writer.int32(partitions.length);
    for (const partition of partitions) writer.int32(partition);
  }
  writer.int32(-1);
  return writer.finish();
}

function parsed<T>(bytes: Uint8Array, parse: (reader: Reader) => T): T | undefined {
  try {
    return parse(new Reader(bytes));
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

function namedPartitions(reader: Reader): NamedPartitions[] {
  return array(reader, TOPIC_BYTES_MIN, () => ({
    topic: string(reader),
    partitions: array(reader, PARTITION_BYTES, () => reader.int32()),
  }));
}

function array<T>(reader: Reader, bytesMin: number, read: () => T): T[] {
  const count = reader.int32();
  if (count < 0 || count > reader.remaining / bytesMin) {
    throw new MalformedError(`${count} elements in ${reader.remaining} bytes`);
  }
  return Array.from({ length: count }, read);
}

function string(reader: Reader): string {
  const length = reader.int16();
  if (length < 0) throw new MalformedError('a string is null that must not be');
  if (length > NAME_BYTES_MAX) throw new MalformedError(`a topic's name of ${length} bytes`);
  return reader.string(length);
}

function skipUserData(reader: Reader): void {
  const length = reader.int32();
  if (length > 0) reader.skip(length);
}
