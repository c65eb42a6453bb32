import { MalformedError, Reader } from '@polylog/bytes';

/** The protocol type of Kafka's consumers; the metadata of others is nobody's business but theirs. */
export const CONSUMER_PROTOCOL_TYPE = 'consumer';

/**
 * The topics in a consumer's subscription, the metadata that its members exchange (Kafka's ConsumerProtocolSubscription): int16 version,
 * then topics as int32 count and int16-length strings; what follows does not matter here. Undefined where it is not of that form.
 */
export function topicsOfSubscription(metadata: Uint8Array): readonly string[] | undefined {
  try {
    const reader = new Reader(metadata);
    if (reader.int16() < 0) return undefined;
    const count = reader.int32();
    // A string has two bytes at least.
    if (count < 0 || count > reader.remaining / 2) return undefined;
    const topics: string[] = [];
    for (let index = 0; index < count; index++) {
      const length = reader.int16();
      if (length < 0) return undefined;
      topics.push(reader.string(length));
    }
    return topics;
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}
