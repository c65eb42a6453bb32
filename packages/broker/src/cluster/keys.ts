import type { PartitionRecord } from './partition-record.core.ts';

/*
 * The cluster's state in the metadata store. Values are JSON.
 *
 *   cluster                          { clusterId }, written once
 *   brokers/<id>                     a registered broker, bound to its lease; its createRevision is the broker epoch
 *   controller                       { brokerId }, bound to the controller's lease
 *   topics/<kafkaName>               a topic; it exists when this key does
 *   partitions/<topicId>/<index>     the state of a partition; its modRevision is the partition epoch. Those without a topic, or at and above
 *                                    its partition count, are left from a change that was interrupted, or wait for the topic's own key
 *   producer-ids                     { next }: ids below it have been handed out to some broker
 * What else the image holds has its prefixes in sections.ts.
 */
export const CLUSTER_KEY = 'cluster';
export const CONTROLLER_KEY = 'controller';
export const PRODUCER_IDS_KEY = 'producer-ids';
export const BROKERS_PREFIX = 'brokers/';
export const TOPICS_PREFIX = 'topics/';
export const PARTITIONS_PREFIX = 'partitions/';

export interface ClusterRecord {
  readonly clusterId: string;
}

export interface BrokerRecord {
  readonly rack: string | null;
  /** Placement keeps replicas of one partition apart by it. */
  readonly host: string;
  readonly endpoints: Readonly<Record<string, { readonly host: string; readonly port: number }>>;
}

export interface ControllerRecord {
  readonly brokerId: number;
}

export interface TopicRecord {
  readonly id: string;
  readonly namespace: string;
  readonly kind: 'topic' | 'internal';
  readonly name: string;
  readonly partitions: number;
  readonly overrides: Readonly<Record<string, string>>;
}

/** A partition's record but for its partition epoch, which is the key's modRevision. */
export type StoredPartition = Omit<PartitionRecord, 'partitionEpoch'>;

export interface ProducerIdsRecord {
  readonly next: number;
}

export function encodePartition(record: StoredPartition): string {
  const { leader, leaderEpoch, replicas, isr, elr } = record;
  const stored: StoredPartition = { leader, leaderEpoch, replicas, isr, elr };
  return JSON.stringify(stored);
}

export function brokerKey(id: number): string {
  return `${BROKERS_PREFIX}${id}`;
}

export function topicKey(kafkaName: string): string {
  return `${TOPICS_PREFIX}${kafkaName}`;
}

export function partitionKey(topicId: string, index: number): string {
  return `${PARTITIONS_PREFIX}${topicId}/${index}`;
}

/** The parts of a partition's key, or undefined if it is another key. */
export function parsePartitionKey(key: string): { topicId: string; index: number } | undefined {
  const match = /^partitions\/([^/]+)\/(\d+)$/.exec(key);
  return match === null ? undefined : { topicId: match[1]!, index: Number(match[2]) };
}
