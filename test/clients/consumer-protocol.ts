/** What members of a classic consumer group tell each other through the broker (ConsumerProtocol), which does not read it. */
import { Reader, Writer } from '@polylog/bytes';

const VERSION = 0;
const NO_USER_DATA = -1;

function writeString(writer: Writer, text: string): void {
  const bytes = Buffer.from(text);
  writer.int16(bytes.length);
  writer.bytes(bytes);
}

/** The metadata of a member that wants these topics: version, topics, user data. */
export function encodeSubscription(topics: readonly string[]): Uint8Array {
  const writer = new Writer();
  writer.int16(VERSION);
  writer.int32(topics.length);
  for (const topic of topics) writeString(writer, topic);
  writer.int32(NO_USER_DATA);
  return writer.finish();
}

/** The assignment of a member: version, topics with their partitions, user data. */
export function encodeAssignment(topics: ReadonlyMap<string, readonly number[]>): Uint8Array {
  const writer = new Writer();
  writer.int16(VERSION);
  writer.int32(topics.size);
  for (const [topic, partitions] of topics) {
    writeString(writer, topic);
    writer.int32(partitions.length);
    for (const partition of partitions) writer.int32(partition);
  }
  writer.int32(NO_USER_DATA);
  return writer.finish();
}

/** Topics and their partitions; none for the empty assignment of a member that has not synchronised. */
export function decodeAssignment(bytes: Uint8Array): Map<string, number[]> {
  const topics = new Map<string, number[]>();
  if (bytes.length === 0) return topics;
  const reader = new Reader(bytes);
  reader.int16();
  for (let count = reader.int32(); count > 0; count--) {
    const topic = reader.string(reader.int16());
    topics.set(
      topic,
      Array.from({ length: reader.int32() }, () => reader.int32()),
    );
  }
  return topics;
}
