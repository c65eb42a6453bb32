import {
  api,
  array,
  field,
  int16,
  int32,
  int64,
  int8,
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

/** "The follower said nothing about its high watermark": Kafka's is 2^63-1, which never travels. */
export const HIGH_WATERMARK_UNSAID = Number.MAX_SAFE_INTEGER;

/** "The follower said nothing about its durable offset". */
export const DURABLE_OFFSET_UNSAID = -1;

/**
 * Tags from here up are Polylog's own, between its brokers; Kafka numbers its tags from 0, and skips those that it does
 * not know.
 */
const PRIVATE_TAG_MIN = 10_000;

/**
 * Reads record batches, for consumers and for followers. Topics go by name until v12 and by id from v13 (KIP-516);
 * sessions (KIP-227) from v7.
 */
export const fetch = api({
  key: 1,
  name: 'Fetch',
  versions: [4, 18],
  flexibleSince: 12,
  request: {
    clusterId: field(nullable(string), tagged(0, since(12)), { default: null, ignorable: true }),
    /** -1 for a consumer; from v15 it is in `replicaState`. */
    replicaId: field(int32, until(14), { default: -1 }),
    replicaState: field(
      struct({ replicaId: field(int32, { default: -1 }), replicaEpoch: field(int64, { default: -1 }) }),
      tagged(1, since(15)),
    ),
    maxWaitMs: field(int32),
    minBytes: field(int32),
    maxBytes: field(int32, { default: 0x7fff_ffff }),
    /** 0 read uncommitted, 1 read committed. */
    isolationLevel: field(int8, { default: 0 }),
    sessionId: field(int32, since(7), { ignorable: true }),
    sessionEpoch: field(int32, since(7), { default: -1, ignorable: true }),
    topics: field(
      array(
        struct({
          topic: field(string, until(12), { ignorable: true }),
          topicId: field(uuid, since(13), { ignorable: true }),
          partitions: field(
            array(
              struct({
                partition: field(int32),
                currentLeaderEpoch: field(int32, since(9), { default: -1, ignorable: true }),
                fetchOffset: field(int64),
                /** The epoch of the record before `fetchOffset`: the leader answers a divergence (KIP-595). */
                lastFetchedEpoch: field(int32, since(12), { default: -1 }),
                /** A follower's; -1 for a consumer. */
                logStartOffset: field(int64, since(5), { default: -1, ignorable: true }),
                partitionMaxBytes: field(int32),
                replicaDirectoryId: field(uuid, tagged(0, since(17)), { ignorable: true }),
                highWatermark: field(int64, tagged(1, since(18)), {
                  default: HIGH_WATERMARK_UNSAID,
                  ignorable: true,
                }),
                /** A follower's offset up to which its log is on its disk: with flush=fsync the high watermark rests on it. */
                durableOffset: field(int64, tagged(PRIVATE_TAG_MIN, since(12)), {
                  default: DURABLE_OFFSET_UNSAID,
                  ignorable: true,
                }),
              }),
            ),
          ),
        }),
      ),
    ),
    forgottenTopicsData: field(
      array(
        struct({
          topic: field(string, until(12), { ignorable: true }),
          topicId: field(uuid, since(13), { ignorable: true }),
          partitions: field(array(int32)),
        }),
      ),
      since(7),
    ),
    rackId: field(string, since(11), { ignorable: true }),
  },
  response: {
    throttleTimeMs: field(int32, { default: 0 }),
    errorCode: field(int16, since(7), { ignorable: true }),
    sessionId: field(int32, since(7)),
    responses: field(
      array(
        struct({
          topic: field(string, until(12), { ignorable: true }),
          topicId: field(uuid, since(13), { ignorable: true }),
          partitions: field(
            array(
              struct({
                partitionIndex: field(int32),
                errorCode: field(int16),
                highWatermark: field(int64),
                lastStableOffset: field(int64, { default: -1 }),
                logStartOffset: field(int64, since(5), { default: -1, ignorable: true }),
                divergingEpoch: field(
                  struct({ epoch: field(int32, { default: -1 }), endOffset: field(int64, { default: -1 }) }),
                  tagged(0, since(12)),
                ),
                currentLeader: field(leaderIdAndEpoch, tagged(1, since(12)), { ignorable: true }),
                snapshotId: field(
                  struct({ endOffset: field(int64, { default: -1 }), epoch: field(int32, { default: -1 }) }),
                  tagged(2, since(12)),
                ),
                /** Null where uncommitted records may be read. */
                abortedTransactions: field(
                  nullable(array(struct({ producerId: field(int64), firstOffset: field(int64) }))),
                  { default: null },
                ),
                preferredReadReplica: field(int32, since(11), { default: -1 }),
                /** Nothing to read is an empty array: librdkafka takes null for a broken response. */
                records: field(nullable(records)),
              }),
            ),
          ),
        }),
      ),
    ),
    nodeEndpoints: field(nodeEndpoints, tagged(0, since(16)), { ignorable: true }),
  },
});

export type FetchRequest = MessageOf<typeof fetch.request>;
export type FetchResponse = MessageOf<typeof fetch.response>;
export type FetchRequestInit = InitOf<typeof fetch.request>;
export type FetchResponseInit = InitOf<typeof fetch.response>;
