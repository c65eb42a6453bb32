import {
  writeTxnMarkers,
  type WriteTxnMarkersRequest,
  type WriteTxnMarkersResponseInit,
} from '@polylog/kafka-protocol';

import { topicPartitionKey } from '../../../cluster/topic-partition.core.ts';
import type { ErrorName } from '../../../errors.ts';
import type { TxnMarker } from '../../../peer/types.ts';
import { errorCodeOf, NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler, type KafkaServices } from '../handler.ts';

/**
 * WriteTxnMarkers v1-v2, for the coordinators of other brokers, and for tools that end a transaction which hangs (KIP-664).
 *
 * - Every marker is one append per partition; the answer comes when all of them are below the high watermark, or refused.
 * - INVALID_PRODUCER_EPOCH for a marker that comes late, TRANSACTION_COORDINATOR_FENCED for one of a former coordinator. v2 says by which
 *   version a transaction ran: from 2 on its marker must have a higher epoch than its records (KIP-1228).
 */
export function writeTxnMarkersHandler(services: KafkaServices): KafkaHandler {
  return defineHandler({
    api: writeTxnMarkers,
    versions: [1, 2],
    isAdmin: true,
    async handle({ markers }) {
      const failures = await services.markers.writeTxnMarkers({ markers: markers.map(markerOf) });
      return {
        markers: markers.map((marker, index) => answerOf(marker, (key) => failures[index]?.get(key))),
      };
    },
    failure: ({ markers }, errorCode) => ({
      markers: markers.map(({ producerId, topics }) => ({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode })),
        })),
      })),
    }),
  });
}

type Marker = WriteTxnMarkersRequest['markers'][number];
type Answer = WriteTxnMarkersResponseInit['markers'][number];

function markerOf(marker: Marker): TxnMarker {
  const { producerId, producerEpoch, coordinatorEpoch, transactionVersion } = marker;
  return {
    producerId,
    producerEpoch,
    coordinatorEpoch,
    transactionVersion,
    result: marker.transactionResult ? 'commit' : 'abort',
    partitions: marker.topics.flatMap(({ name, partitionIndexes }) =>
      partitionIndexes.map((partition) => ({ topic: name, partition })),
    ),
  };
}

function answerOf({ producerId, topics }: Marker, errorOf: (key: string) => ErrorName | undefined): Answer {
  return {
    producerId,
    topics: topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => {
        const error = errorOf(topicPartitionKey({ topic: name, partition: partitionIndex }));
        return { partitionIndex, errorCode: error === undefined ? NONE : errorCodeOf(error) };
      }),
    })),
  };
}
