import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int8,
  nullable,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { AUTHORIZED_OPERATIONS_OMITTED } from './common.ts';

/** The brokers, or from v1 the controllers (KIP-700, KIP-919); v2 can include fenced brokers (KIP-1073). */
export const describeCluster = api({
  key: 60,
  name: 'DescribeCluster',
  versions: [0, 2],
  flexibleSince: 0,
  request: {
    includeClusterAuthorizedOperations: field(boolean),
    endpointType: field(int8, since(1), { default: 1 }),
    includeFencedBrokers: field(boolean, since(2)),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    endpointType: field(int8, since(1), { default: 1 }),
    clusterId: field(string),
    controllerId: field(int32, { default: -1 }),
    brokers: field(
      array(
        struct({
          brokerId: field(int32),
          host: field(string),
          port: field(int32),
          rack: field(nullable(string), { default: null }),
          isFenced: field(boolean, since(2)),
        }),
      ),
    ),
    clusterAuthorizedOperations: field(int32, { default: AUTHORIZED_OPERATIONS_OMITTED }),
  },
});

export type DescribeClusterRequest = MessageOf<typeof describeCluster.request>;
export type DescribeClusterResponse = MessageOf<typeof describeCluster.response>;
export type DescribeClusterRequestInit = InitOf<typeof describeCluster.request>;
export type DescribeClusterResponseInit = InitOf<typeof describeCluster.response>;
