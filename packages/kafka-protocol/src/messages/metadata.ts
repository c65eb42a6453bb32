import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  uuid,
  between,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { AUTHORIZED_OPERATIONS_OMITTED } from './common.ts';

/** Brokers, topics and the leaders of their partitions. */
export const metadata = api({
  key: 3,
  name: 'Metadata',
  versions: [0, 13],
  flexibleSince: 9,
  request: {
    /** Null asks for all topics, an empty array for none; in v0 the empty array asks for all. */
    topics: field(
      nullable(
        array(
          struct({
            /** Usable from v12 (KIP-516): earlier ones carry it, but Kafka refuses it. */
            topicId: field(uuid, since(10), { ignorable: true }),
            name: field(nullable(string, since(10))),
          }),
        ),
        since(1),
      ),
    ),
    allowAutoTopicCreation: field(boolean, since(4), { default: true }),
    includeClusterAuthorizedOperations: field(boolean, between(8, 10)),
    includeTopicAuthorizedOperations: field(boolean, since(8)),
  },
  response: {
    throttleTimeMs: field(int32, since(3), { ignorable: true }),
    brokers: field(
      array(
        struct({
          nodeId: field(int32),
          host: field(string),
          port: field(int32),
          rack: field(nullable(string), since(1), { default: null, ignorable: true }),
        }),
      ),
    ),
    clusterId: field(nullable(string), since(2), { default: null, ignorable: true }),
    controllerId: field(int32, since(1), { default: -1, ignorable: true }),
    topics: field(
      array(
        struct({
          errorCode: field(int16),
          /** Null where a topic was asked for by an id that is unknown. */
          name: field(nullable(string, since(12))),
          topicId: field(uuid, since(10), { ignorable: true }),
          isInternal: field(boolean, since(1), { ignorable: true }),
          partitions: field(
            array(
              struct({
                errorCode: field(int16),
                partitionIndex: field(int32),
                leaderId: field(int32),
                leaderEpoch: field(int32, since(7), { default: -1, ignorable: true }),
                replicaNodes: field(array(int32)),
                isrNodes: field(array(int32)),
                offlineReplicas: field(array(int32), since(5), { ignorable: true }),
              }),
            ),
          ),
          topicAuthorizedOperations: field(int32, since(8), { default: AUTHORIZED_OPERATIONS_OMITTED }),
        }),
      ),
    ),
    clusterAuthorizedOperations: field(int32, between(8, 10), { default: AUTHORIZED_OPERATIONS_OMITTED }),
    /** KIP-1102: 129 REBOOTSTRAP_REQUIRED. */
    errorCode: field(int16, since(13), { ignorable: true }),
  },
});

export type MetadataRequest = MessageOf<typeof metadata.request>;
export type MetadataResponse = MessageOf<typeof metadata.response>;
export type MetadataRequestInit = InitOf<typeof metadata.request>;
export type MetadataResponseInit = InitOf<typeof metadata.response>;
