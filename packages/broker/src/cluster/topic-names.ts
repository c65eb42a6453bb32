import { BrokerError } from '../errors.ts';
import type { ClusterImage } from './image.ts';

/** Kafka's limit; leaves room for `-<partition>` and suffixes within 255 bytes of a file name. */
export const TOPIC_NAME_LENGTH_MAX = 249;
/** Names that begin so are the broker's own: clients may not have them made by the way. */
export const INTERNAL_PREFIX = '__';
/** Where consumer groups and their offsets are kept, as in Kafka. */
export const OFFSETS_TOPIC = '__consumer_offsets';
/** Where transactions are kept, as in Kafka. */
export const TRANSACTIONS_TOPIC = '__transaction_state';
/** The logs of coordinators: a key belongs to one of their partitions by its hash. */
export const STATE_TOPICS: ReadonlySet<string> = new Set([OFFSETS_TOPIC, TRANSACTIONS_TOPIC]);
/** The metadata's own log. */
const RESERVED_NAMES: ReadonlySet<string> = new Set(['__cluster', '__cluster_metadata']);

const LEGAL_PATTERN = /^[a-zA-Z0-9._-]+$/;

/** Throws BrokerError INVALID_TOPIC_EXCEPTION for a name that no topic may have. */
export function validateTopicName(kafkaName: string): void {
  const problem = problemOf(kafkaName);
  if (problem !== undefined) {
    throw new BrokerError(
      'INVALID_TOPIC_EXCEPTION',
      `Topic name ${JSON.stringify(kafkaName)} is illegal: ${problem}`,
    );
  }
}

function problemOf(kafkaName: string): string | undefined {
  if (kafkaName === '') return 'it is empty';
  if (kafkaName === '.' || kafkaName === '..') return 'it is "." or ".."';
  if (kafkaName.length > TOPIC_NAME_LENGTH_MAX) {
    return `its length, ${kafkaName.length}, is above ${TOPIC_NAME_LENGTH_MAX}`;
  }
  if (!LEGAL_PATTERN.test(kafkaName)) return 'only ASCII letters, digits, ".", "_" and "-" are allowed';
  return RESERVED_NAMES.has(kafkaName) ? 'it is reserved for the broker' : undefined;
}

/** Topics whose names differ only in `.` and `_` cannot be told apart in metrics: one of them only may exist. */
export function collisionKey(kafkaName: string): string {
  return kafkaName.replaceAll('.', '_');
}

/** Throws BrokerError INVALID_TOPIC_EXCEPTION when another topic's name collides with this one. */
export function validateNoCollision(image: ClusterImage, kafkaName: string): void {
  if (kafkaName.startsWith(INTERNAL_PREFIX) || !/[._]/.test(kafkaName)) return;
  const other = namesByKey(image).get(collisionKey(kafkaName));
  if (other === undefined || other === kafkaName) return;
  throw new BrokerError(
    'INVALID_TOPIC_EXCEPTION',
    `Topic '${kafkaName}' collides with existing topic: ${other}`,
  );
}

/** Made once for an image: a request may create thousands of topics, and all of them ask the same one. */
const namesByKeyOfImage = new WeakMap<ClusterImage, ReadonlyMap<string, string>>();

function namesByKey(image: ClusterImage): ReadonlyMap<string, string> {
  let names = namesByKeyOfImage.get(image);
  if (names !== undefined) return names;
  const made = new Map<string, string>();
  for (const { kafkaName } of image.topics())
    if (/[._]/.test(kafkaName)) made.set(collisionKey(kafkaName), kafkaName);
  namesByKeyOfImage.set(image, (names = made));
  return names;
}
