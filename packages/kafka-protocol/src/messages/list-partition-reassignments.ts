import {
  api,
  array,
  field,
  int16,
  int32,
  nullable,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Partitions whose replicas are being replaced (KIP-455). */
export const listPartitionReassignments = api({
  key: 46,
  name: 'ListPartitionReassignments',
  versions: [0, 0],
  flexibleSince: 0,
  request: {
    timeoutMs: field(int32, { default: 60_000 }),
    /** null: all. */
    topics: field(
      nullable(
        array(
          struct({
            name: field(string),
            partitionIndexes: field(array(int32)),
          }),
        ),
      ),
      { default: null },
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                replicas: field(array(int32)),
                addingReplicas: field(array(int32)),
                removingReplicas: field(array(int32)),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type ListPartitionReassignmentsRequest = MessageOf<typeof listPartitionReassignments.request>;
export type ListPartitionReassignmentsResponse = MessageOf<typeof listPartitionReassignments.response>;
export type ListPartitionReassignmentsRequestInit = InitOf<typeof listPartitionReassignments.request>;
export type ListPartitionReassignmentsResponseInit = InitOf<typeof listPartitionReassignments.response>;
