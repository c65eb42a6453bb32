import { Writer } from '../../packages/bytes/src/writer.ts';
import {
  encodeAssignment,
  type NamedPartitions,
} from '../../packages/broker/src/groups/subscription.core.ts';

/** Kafka's ConsumerProtocolSubscription in version 1: topics, no user data, what the member has. */
export function encodeSubscription(topics: readonly string[], owned: readonly NamedPartitions[]): Uint8Array {
  const writer = new Writer();
  writer.int16(1);
  writer.int32(topics.length);
  for (const topic of topics) {
    const bytes = Buffer.from(topic);
    writer.int16(bytes.length);
    writer.bytes(bytes);
  }
  writer.int32(-1);
  // The partitions of an assignment look alike: between its version and its user data.
  writer.bytes(encodeAssignment(1, owned).subarray(2, -4));
  return writer.finish();
}
