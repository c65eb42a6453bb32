import { describeCluster } from '@polylog/kafka-protocol';

import { clusterOperations } from '../authorized-operations.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';
import { ItemRefusal, itemErrorOf, NO_ERROR } from './admin-requests.ts';

const ENDPOINT_BROKERS = 1;
const ENDPOINT_CONTROLLERS = 2;

/**
 * DescribeCluster v0-v2 (KIP-700).
 *
 * - v1+ says whether brokers or controllers are asked for (KIP-919): this listener is the brokers', others are answered 114 and 115.
 *
 * - What the client may do with the cluster is told where it asks (KIP-430).
 *
 * Gaps: there are no fenced brokers to include (KIP-1073), since a broker that is gone is no
 * longer registered.
 */
export function describeClusterHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: describeCluster,
    versions: [0, 2],
    handle({ endpointType, includeClusterAuthorizedOperations }, { connection, access }) {
      const { image } = services.partitions;
      if (endpointType !== ENDPOINT_BROKERS) {
        const refusal =
          endpointType === ENDPOINT_CONTROLLERS
            ? new ItemRefusal('MISMATCHED_ENDPOINT_TYPE', "This listener is not a controller's")
            : new ItemRefusal('UNSUPPORTED_ENDPOINT_TYPE', `Endpoint type ${endpointType} is unknown`);
        return { ...itemErrorOf(refusal), endpointType, clusterId: '', brokers: [] };
      }
      const brokers = [];
      for (const { id, rack, endpoints } of image.brokers.values()) {
        const endpoint = endpoints.get(connection.listener);
        if (endpoint === undefined) continue;
        const { host, port } = endpoint;
        brokers.push({ brokerId: id, host, port, rack: rack ?? null, isFenced: false });
      }
      const { clusterId, controllerId } = image;
      const operations = includeClusterAuthorizedOperations
        ? { clusterAuthorizedOperations: clusterOperations(access) }
        : {};
      return { ...NO_ERROR, endpointType, clusterId, controllerId, brokers, ...operations };
    },
    failure: (_request, errorCode, errorMessage) => ({
      errorCode,
      errorMessage,
      clusterId: '',
      brokers: [],
    }),
  });
}
