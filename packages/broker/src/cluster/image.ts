import type { PartitionRecord } from './partition-record.core.ts';
import type { Section, SectionName } from './sections.ts';

/**
 * The immutable picture of the cluster that every request is answered from. A change makes a new image that shares what did not
 * change; nobody ever writes to one.
 */
export interface ClusterImage {
  readonly clusterId: string;
  /** Rises with each change. */
  readonly version: number;
  /** Broker id, or -1 while none is elected. */
  readonly controllerId: number;
  readonly brokers: ReadonlyMap<number, BrokerImage>;
  topicByName(kafkaName: string): TopicImage | undefined;
  topicById(topicId: string): TopicImage | undefined;
  /** In the order of their names. */
  topics(): Iterable<TopicImage>;
  /** The topic of that name, if there is one, and those after it. */
  topicsFrom(kafkaName: string): Iterable<TopicImage>;
  readonly topicCount: number;
  readonly partitionCount: number;
  section(name: SectionName): Section;
}

export interface BrokerImage {
  readonly id: number;
  /** Rises with each registration of the same id. */
  readonly epoch: number;
  readonly rack: string | undefined;
  /** The machine: replicas of one partition are kept on different ones. */
  readonly host: string;
  /** Advertised address per listener name; the Kafka front end's is `kafka`. */
  readonly endpoints: ReadonlyMap<string, { readonly host: string; readonly port: number }>;
}

export interface TopicImage {
  /** 22 characters of base64url. */
  readonly id: string;
  readonly namespace: string;
  readonly kind: 'topic' | 'internal';
  readonly name: string;
  readonly kafkaName: string;
  /** Only what was set on the topic itself; see config/topic-config.ts for defaults and effective values. */
  readonly overrides: ReadonlyMap<string, string>;
  /** By partition index. */
  readonly partitions: readonly PartitionImage[];
}

export interface PartitionImage {
  /** Broker id, or -1. */
  readonly leader: number;
  readonly leaderEpoch: number;
  /** Rises with every change of this partition's record in the metadata store. */
  readonly partitionEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  readonly elr: readonly number[];
  /** The same with the registrations of the members, for who decides about leaders and the ISR. */
  readonly record: PartitionRecord;
}
