import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  nullable,
  records,
  string,
  struct,
  uuid,
  since,
  tagged,
  until,
  type InitOf,
  type MessageOf,
} from '../schema/index.ts';
import { leaderIdAndEpoch, nodeEndpoints } from './common.ts';

/**
 * Appends record batches. Topics go by name until v12 and by id from v13 (KIP-516). With `acks` 0 there is no response.
 * v0 to v2 carried older record formats: brokers advertise them for old librdkafka (KAFKA-18659) but do not serve them.
 */
export const produce = api({
  key: 0,
  name: 'Produce',
  versions: [3, 13],
  flexibleSince: 9,
  request: {
    transactionalId: field(nullable(string), { default: null }),
    /** 0 none, 1 leader, -1 all in-sync replicas. */
    acks: field(int16),
    timeoutMs: field(int32),
    topicData: field(
      array(
        struct({
          name: field(string, until(12), { ignorable: true }),
          topicId: field(uuid, since(13), { ignorable: true }),
          partitionData: field(array(struct({ index: field(int32), records: field(nullable(records)) }))),
        }),
      ),
    ),
  },
  response: {
    responses: field(
      array(
        struct({
          name: field(string, until(12), { ignorable: true }),
          topicId: field(uuid, since(13), { ignorable: true }),
          partitionResponses: field(
            array(
              struct({
                index: field(int32),
                errorCode: field(int16),
                baseOffset: field(int64),
                /** -1 unless the topic stamps records with the time of their append. */
                logAppendTimeMs: field(int64, { default: -1 }),
                logStartOffset: field(int64, since(5), { default: -1, ignorable: true }),
                /** Which records of a refused batch were wrong (KIP-467). */
                recordErrors: field(
                  array(
                    struct({
                      batchIndex: field(int32),
                      batchIndexErrorMessage: field(nullable(string), { default: null }),
                    }),
                  ),
                  since(8),
                  { ignorable: true },
                ),
                errorMessage: field(nullable(string), since(8), { default: null, ignorable: true }),
                currentLeader: field(leaderIdAndEpoch, tagged(0, since(10)), { ignorable: true }),
              }),
            ),
          ),
        }),
      ),
    ),
    throttleTimeMs: field(int32, { default: 0 }),
    nodeEndpoints: field(nodeEndpoints, tagged(0, since(10)), { ignorable: true }),
  },
});

export type ProduceRequest = MessageOf<typeof produce.request>;
export type ProduceResponse = MessageOf<typeof produce.response>;
export type ProduceRequestInit = InitOf<typeof produce.request>;
export type ProduceResponseInit = InitOf<typeof produce.response>;
