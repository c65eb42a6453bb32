import { listPartitionReassignments } from '@polylog/kafka-protocol';

import { NONE } from '../errors.ts';
import { defineHandler, type KafkaHandler } from '../handler.ts';

/** ListPartitionReassignments v0 (KIP-455): none is ever under way, see AlterPartitionReassignments. */
export function listPartitionReassignmentsHandler(): KafkaHandler {
  return defineHandler({
    api: listPartitionReassignments,
    versions: [0, 0],
    handle: () => ({ errorCode: NONE, topics: [] }),
    failure: (_request, errorCode, errorMessage) => ({ errorCode, errorMessage, topics: [] }),
  });
}
