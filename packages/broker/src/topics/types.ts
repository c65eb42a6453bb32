import type { ClusterImage } from '../cluster/image.ts';
import type { Partition } from '../replication/types.ts';
import type { ChargePartitions, CreateTopicRequest } from '../cluster/types.ts';
import type { ConfigOperation } from '../config/operations.ts';
import type { TopicSettings } from '../config/topic-config.ts';

export type { ChargePartitions, ConfigOperation, CreateTopicRequest };

/** The partitions that this broker hosts, kept in step with the cluster image. */
export interface HostedPartitions {
  /** The newest image this broker has applied. */
  readonly image: ClusterImage;
  get(kafkaName: string, partition: number): Partition | undefined;
  getById(topicId: string, partition: number): Partition | undefined;
  /** Effective settings of a topic, parsed once per change. */
  settings(kafkaName: string): TopicSettings | undefined;
}

/** The folder with this broker's data, for those who ask how large things are. */
export interface DataFolder {
  readonly path: string;
  /** Bytes of a hosted partition on the disk. */
  sizeOf(kafkaName: string, partition: number): number | undefined;
  freeSpace(): { readonly freeBytes: number; readonly totalBytes: number };
}

/** Changes to topics. Every method resolves when this broker has applied the change, and rejects with BrokerError. */
export interface TopicAdmin {
  createTopic(request: CreateTopicRequest): Promise<CreatedTopic>;
  deleteTopic(kafkaName: string): Promise<void>;
  createPartitions(request: {
    kafkaName: string;
    count: number;
    assignments?: readonly (readonly number[])[];
    validateOnly: boolean;
    charge?: ChargePartitions | undefined;
  }): Promise<void>;
  alterTopicConfig(request: {
    kafkaName: string;
    operations: readonly ConfigOperation[];
    /** Takes away what the operations do not name. */
    replace?: boolean;
    validateOnly: boolean;
  }): Promise<void>;
  /** Creates a topic with the broker's defaults on first use, or returns the present one. Concurrent calls for one name share one creation; the first is charged. */
  autoCreateTopic(kafkaName: string, charge?: ChargePartitions): Promise<void>;
}

export interface CreatedTopic {
  readonly topicId: string;
  readonly partitions: number;
  readonly replicationFactor: number;
}
