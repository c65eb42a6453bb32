import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  string,
  struct,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';

/** Moves the log start offset of partitions forward; -1 means up to the high watermark (KIP-107). */
export const deleteRecords = api({
  key: 21,
  name: 'DeleteRecords',
  versions: [0, 2],
  flexibleSince: 2,
  request: {
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                offset: field(int64),
              }),
            ),
          ),
        }),
      ),
    ),
    timeoutMs: field(int32),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    topics: field(
      array(
        struct({
          name: field(string),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                lowWatermark: field(int64),
                errorCode: field(int16),
              }),
            ),
          ),
        }),
      ),
    ),
  },
});

export type DeleteRecordsRequest = MessageOf<typeof deleteRecords.request>;
export type DeleteRecordsResponse = MessageOf<typeof deleteRecords.response>;
export type DeleteRecordsRequestInit = InitOf<typeof deleteRecords.request>;
export type DeleteRecordsResponseInit = InitOf<typeof deleteRecords.response>;
