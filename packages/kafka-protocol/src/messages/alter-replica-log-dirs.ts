import {
  api,
  array,
  field,
  int16,
  int32,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Moves replicas between the data folders of a broker (KIP-113). */
export const alterReplicaLogDirs = api({
  key: 34,
  name: 'AlterReplicaLogDirs',
  versions: [1, 2],
  flexibleSince: 2,
  request: {
    dirs: field(
      array(
        struct({
          /** Absolute. */
          path: field(string),
          topics: field(
            array(
              struct({
                name: field(string),
                partitions: field(array(int32)),
              }),
            ),
          ),
        }),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    results: field(
      array(
        struct({
          topicName: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                errorCode: field(int16),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type AlterReplicaLogDirsRequest = MessageOf<typeof alterReplicaLogDirs.request>;
export type AlterReplicaLogDirsResponse = MessageOf<typeof alterReplicaLogDirs.response>;
export type AlterReplicaLogDirsRequestInit = InitOf<typeof alterReplicaLogDirs.request>;
export type AlterReplicaLogDirsResponseInit = InitOf<typeof alterReplicaLogDirs.response>;
