import {
  api,
  array,
  boolean,
  field,
  int16,
  int32,
  int64,
  nullable,
  string,
  struct,
  since,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Sizes of the partitions in each data folder, and from v4 of the volumes below (KIP-827). */
export const describeLogDirs = api({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [1, 5],
  flexibleSince: 2,
  request: {
    topics: field(
      nullable(
        array(
          struct({
            topic: field(string),
            partitions: field(array(int32)),
          }),
        ),
      ),
    ),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16, since(3), { ignorable: true }),
    results: field(
      array(
        struct({
          errorCode: field(int16),
          logDir: field(string),
          topics: field(
            array(
              struct({
                name: field(string),
                partitions: field(
                  array(
                    struct({
                      partitionIndex: field(int32),
                      partitionSize: field(int64),
                      offsetLag: field(int64),
                      isFutureKey: field(boolean),
                    }),
                  ),
                ),
              }),
            ),
          ),
          totalBytes: field(int64, since(4), { default: -1, ignorable: true }),
          usableBytes: field(int64, since(4), { default: -1, ignorable: true }),
          isCordoned: field(boolean, since(5), { ignorable: true }),
        }),
      ),
    ),
  },
});

export type DescribeLogDirsRequest = MessageOf<typeof describeLogDirs.request>;
export type DescribeLogDirsResponse = MessageOf<typeof describeLogDirs.response>;
export type DescribeLogDirsRequestInit = InitOf<typeof describeLogDirs.request>;
export type DescribeLogDirsResponseInit = InitOf<typeof describeLogDirs.response>;
