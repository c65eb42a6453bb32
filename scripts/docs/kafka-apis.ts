/**
 * Kafka 4.3's APIs for clients and tools, with what Polylog does otherwise. An API that is served must stand here, and so must one that is not,
 * with its reason: `npm run check` says which is missing. Versions are those that a Kafka 4.3 broker advertises.
 */

export interface KafkaApi {
  readonly key: number;
  readonly name: string;
  /** First and last version of Kafka 4.3. */
  readonly kafka: readonly [min: number, max: number];
  /** What Polylog does otherwise; none if left out. Of an API that is not served: why. */
  readonly note?: string;
}

const SHARE_GROUPS = 'no share groups (KIP-932) yet';
const STREAMS_GROUPS = 'no streams groups (KIP-1071): Kafka Streams uses classic groups, its default';
const DELEGATION_TOKENS = 'no delegation tokens';
const KRAFT = 'for the controllers of KRaft, of which there are none';
const TELEMETRY = 'metrics of clients (KIP-714) are not collected: clients that do not find it go without';
const NO_POLICY = 'no policy plugins';
const CONFIGS =
  'of topics, brokers, their one logger, and consumer groups; metrics of clients (KIP-714) are not collected';

/** In the order of their keys. */
export const KAFKA_APIS: readonly KafkaApi[] = [
  {
    key: 0,
    name: 'Produce',
    kafka: [0, 13],
    note: 'as in Kafka versions 0 to 2 are advertised for old librdkafka, and not accepted',
  },
  {
    key: 1,
    name: 'Fetch',
    kafka: [4, 18],
    note: 'no fetching from followers (KIP-392): there is one replica; only whole batches are sent',
  },
  { key: 2, name: 'ListOffsets', kafka: [1, 11], note: 'no tiered storage: its offsets are -1' },
  {
    key: 3,
    name: 'Metadata',
    kafka: [0, 13],
    note: 'a topic that it creates is in the answer, where Kafka answers error 5 at first; never asks to bootstrap again (KIP-1102)',
  },
  { key: 8, name: 'OffsetCommit', kafka: [2, 10] },
  { key: 9, name: 'OffsetFetch', kafka: [1, 10], note: 'at most 200,000 offsets in one answer' },
  { key: 10, name: 'FindCoordinator', kafka: [0, 6], note: 'share groups are refused' },
  { key: 11, name: 'JoinGroup', kafka: [0, 9], note: 'at most 1 MiB of metadata per member' },
  { key: 12, name: 'Heartbeat', kafka: [0, 4] },
  { key: 13, name: 'LeaveGroup', kafka: [0, 5] },
  { key: 14, name: 'SyncGroup', kafka: [0, 5] },
  { key: 15, name: 'DescribeGroups', kafka: [0, 6] },
  { key: 16, name: 'ListGroups', kafka: [0, 5] },
  {
    key: 17,
    name: 'SaslHandshake',
    kafka: [0, 1],
    note: 'PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER; no GSSAPI',
  },
  { key: 18, name: 'ApiVersions', kafka: [0, 4] },
  { key: 19, name: 'CreateTopics', kafka: [2, 7], note: NO_POLICY },
  { key: 20, name: 'DeleteTopics', kafka: [1, 6] },
  { key: 21, name: 'DeleteRecords', kafka: [0, 2] },
  {
    key: 22,
    name: 'InitProducerId',
    kafka: [0, 5],
    note: 'no two-phase commit (KIP-939), which Kafka 4.3 keeps in an unstable version',
  },
  { key: 23, name: 'OffsetForLeaderEpoch', kafka: [2, 4] },
  { key: 24, name: 'AddPartitionsToTxn', kafka: [0, 5] },
  { key: 25, name: 'AddOffsetsToTxn', kafka: [0, 4] },
  { key: 26, name: 'EndTxn', kafka: [0, 5] },
  { key: 27, name: 'WriteTxnMarkers', kafka: [1, 2] },
  { key: 28, name: 'TxnOffsetCommit', kafka: [0, 5] },
  { key: 29, name: 'DescribeAcls', kafka: [1, 3] },
  {
    key: 30,
    name: 'CreateAcls',
    kafka: [1, 3],
    note: 'hosts are addresses or *: names, which Kafka takes and never matches, are refused',
  },
  { key: 31, name: 'DeleteAcls', kafka: [1, 3], note: 'at most 1,000 filters in one request' },
  { key: 32, name: 'DescribeConfigs', kafka: [1, 4], note: CONFIGS },
  { key: 33, name: 'AlterConfigs', kafka: [0, 2], note: `${CONFIGS}; ${NO_POLICY}` },
  {
    key: 34,
    name: 'AlterReplicaLogDirs',
    kafka: [1, 2],
    note: 'a broker has one data folder: a move to another is error 57',
  },
  { key: 35, name: 'DescribeLogDirs', kafka: [1, 5], note: 'one data folder, which cannot be cordoned' },
  { key: 36, name: 'SaslAuthenticate', kafka: [0, 2] },
  {
    key: 37,
    name: 'CreatePartitions',
    kafka: [0, 3],
    note: 'not for `__consumer_offsets`, whose groups belong to partitions by their names',
  },
  { key: 38, name: 'CreateDelegationToken', kafka: [1, 3], note: DELEGATION_TOKENS },
  { key: 39, name: 'RenewDelegationToken', kafka: [1, 2], note: DELEGATION_TOKENS },
  { key: 40, name: 'ExpireDelegationToken', kafka: [1, 2], note: DELEGATION_TOKENS },
  { key: 41, name: 'DescribeDelegationToken', kafka: [1, 3], note: DELEGATION_TOKENS },
  { key: 42, name: 'DeleteGroups', kafka: [0, 2] },
  { key: 43, name: 'ElectLeaders', kafka: [0, 2], note: 'with one replica there is nobody else to elect' },
  { key: 44, name: 'IncrementalAlterConfigs', kafka: [0, 1], note: `${CONFIGS}; ${NO_POLICY}` },
  {
    key: 45,
    name: 'AlterPartitionReassignments',
    kafka: [0, 1],
    note: 'partitions are not moved: other replicas than the present ones are error 44',
  },
  { key: 46, name: 'ListPartitionReassignments', kafka: [0, 0], note: 'there are none' },
  { key: 47, name: 'OffsetDelete', kafka: [0, 0] },
  { key: 48, name: 'DescribeClientQuotas', kafka: [0, 1] },
  {
    key: 49,
    name: 'AlterClientQuotas',
    kafka: [0, 1],
    note: 'an ip is an address: names of hosts are not looked up; negative limits are refused',
  },
  { key: 50, name: 'DescribeUserScramCredentials', kafka: [0, 0] },
  {
    key: 51,
    name: 'AlterUserScramCredentials',
    kafka: [0, 0],
    note: 'one request may change several mechanisms of a user, which Kafka refuses',
  },
  { key: 55, name: 'DescribeQuorum', kafka: [0, 2], note: KRAFT },
  {
    key: 57,
    name: 'UpdateFeatures',
    kafka: [0, 2],
    note: 'the features are group.version and transaction.version',
  },
  { key: 60, name: 'DescribeCluster', kafka: [0, 2], note: 'a broker that is gone is not shown as fenced' },
  { key: 61, name: 'DescribeProducers', kafka: [0, 0] },
  { key: 64, name: 'UnregisterBroker', kafka: [0, 0], note: KRAFT },
  { key: 65, name: 'DescribeTransactions', kafka: [0, 0] },
  { key: 66, name: 'ListTransactions', kafka: [0, 2] },
  { key: 68, name: 'ConsumerGroupHeartbeat', kafka: [0, 1] },
  {
    key: 69,
    name: 'ConsumerGroupDescribe',
    kafka: [0, 1],
    note: 'topics that are gone are left out of assignments',
  },
  { key: 71, name: 'GetTelemetrySubscriptions', kafka: [0, 0], note: TELEMETRY },
  { key: 72, name: 'PushTelemetry', kafka: [0, 0], note: TELEMETRY },
  { key: 74, name: 'ListConfigResources', kafka: [0, 1], note: CONFIGS },
  {
    key: 75,
    name: 'DescribeTopicPartitions',
    kafka: [0, 0],
    note: 'the last known eligible leaders are not kept',
  },
  { key: 76, name: 'ShareGroupHeartbeat', kafka: [1, 1], note: SHARE_GROUPS },
  { key: 77, name: 'ShareGroupDescribe', kafka: [1, 1], note: SHARE_GROUPS },
  { key: 78, name: 'ShareFetch', kafka: [1, 2], note: SHARE_GROUPS },
  { key: 79, name: 'ShareAcknowledge', kafka: [1, 2], note: SHARE_GROUPS },
  { key: 80, name: 'AddRaftVoter', kafka: [0, 1], note: KRAFT },
  { key: 81, name: 'RemoveRaftVoter', kafka: [0, 0], note: KRAFT },
  { key: 88, name: 'StreamsGroupHeartbeat', kafka: [0, 0], note: STREAMS_GROUPS },
  { key: 89, name: 'StreamsGroupDescribe', kafka: [0, 0], note: STREAMS_GROUPS },
  { key: 90, name: 'DescribeShareGroupOffsets', kafka: [0, 1], note: SHARE_GROUPS },
  { key: 91, name: 'AlterShareGroupOffsets', kafka: [0, 0], note: SHARE_GROUPS },
  { key: 92, name: 'DeleteShareGroupOffsets', kafka: [0, 0], note: SHARE_GROUPS },
];
