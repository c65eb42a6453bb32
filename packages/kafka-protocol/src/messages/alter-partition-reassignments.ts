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
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Gives partitions other replicas, or ends that (KIP-455). */
export const alterPartitionReassignments = api({
  key: 45,
  name: 'AlterPartitionReassignments',
  versions: [0, 1],
  flexibleSince: 0,
  request: {
    timeoutMs: field(int32, { default: 60_000 }),
    allowReplicationFactorChange: field(boolean, since(1), { default: true }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                /** null ends a reassignment that is under way. */
                replicas: field(nullable(array(int32)), { default: null }),
              }),
            ),
          ),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    allowReplicationFactorChange: field(boolean, since(1), { default: true, ignorable: true }),
    errorCode: field(int16),
    errorMessage: field(nullable(string), { default: null }),
    responses: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                errorCode: field(int16),
                errorMessage: field(nullable(string), { default: null }),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type AlterPartitionReassignmentsRequest = MessageOf<typeof alterPartitionReassignments.request>;
export type AlterPartitionReassignmentsResponse = MessageOf<typeof alterPartitionReassignments.response>;
export type AlterPartitionReassignmentsRequestInit = InitOf<typeof alterPartitionReassignments.request>;
export type AlterPartitionReassignmentsResponseInit = InitOf<typeof alterPartitionReassignments.response>;
